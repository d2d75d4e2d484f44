"""The people's agent: what it would talk about, and that it goes on with its run when it has died in the middle."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from xmpp_infra.lab import people
from xmpp_infra.lab.people.agent import ORDERS, People, Settings, flows_of
from xmppgw.probe.events import Event, decode_lines
from xmppgw.probe.ledger import Fate, Gateways, classify

SETTINGS = Settings.from_json(people.content().files[people.SETTINGS].content)


def test_every_partner_is_talked_with_both_ways_and_the_one_away_only_written_to() -> None:
    flows = flows_of(SETTINGS)
    normal = {(flow.partner, flow.direction) for flow in flows if flow.kind == "normal" and flow.partner}
    for partner in SETTINGS.servers:
        assert {(partner, "sip_to_xmpp"), (partner, "xmpp_to_sip")} <= normal
    assert [(flow.partner, flow.direction) for flow in flows if flow.kind == "unreachable"] == [
        ("away.example", "sip_to_xmpp")
    ]
    assert len({(flow.pair, flow.direction, flow.kind) for flow in flows}) == len(flows)


def a_life(state: Path) -> People:
    """An agent in whose run one message arrived and one is under way."""

    async def live() -> People:
        agent = People(SETTINGS, state)
        await agent.start({"run": "run1", "seconds": 3600})
        assert agent.run is not None
        for task in agent.run.tasks:
            task.cancel()
        flow = agent.run.flows[0]
        agent.run.sent(flow, 0, "s-0")
        agent.run.received(f"probe run1 {flow.pair} {flow.direction} 0", "s-0")
        agent.run.sent(flow, 1, "s-1")
        return agent

    return asyncio.run(live())


def resumed(state: Path) -> People:
    async def live() -> People:
        agent = People(SETTINGS, state)
        agent.resume()
        if agent.run is not None:
            for task in agent.run.tasks:
                task.cancel()
        return agent

    return asyncio.run(live())


def test_a_new_life_goes_on_with_the_numbers_of_the_former(tmp_path: Path) -> None:
    before = a_life(tmp_path)
    assert before.run is not None
    with before.run.path.open("ab") as file:
        file.write(b'{"t":1,"e":"se')
    after = resumed(tmp_path)
    assert after.run is not None
    flow = after.run.flows[0]
    assert (after.run.name, after.run.resumed, after.run.sending) == ("run1", 1, True)
    assert after.run.next_number[flow] == 2
    assert (after.run.count(flow).sent, after.run.count(flow).received) == (2, 1)
    assert after.run.by_id["s-1"] == (flow, 1)


def test_what_was_under_way_when_it_died_is_unprotected_and_said_so(tmp_path: Path) -> None:
    a_life(tmp_path)
    after = resumed(tmp_path)
    assert after.run is not None
    events, broken = decode_lines(after.run.path.read_bytes(), Event)
    assert broken == 0
    ledger = classify(events, {}, Gateways(frozenset(), frozenset()))
    assert [message.fate for message in ledger.normal()] == [Fate.DELIVERED, Fate.UNPROTECTED]
    assert (ledger.unseen, len(ledger.blind)) == (1, 1)


def test_a_run_that_was_stopped_is_found_again_and_sends_nothing(tmp_path: Path) -> None:
    agent = a_life(tmp_path)
    agent.stop()
    after = resumed(tmp_path)
    assert after.run is not None
    assert (after.run.sending, after.run.tasks) == (False, [])


def test_orders_that_cannot_be_read_are_no_orders(tmp_path: Path) -> None:
    for text in ("", "{}", json.dumps({"run": "gone"})):
        (tmp_path / ORDERS).write_text(text)
        assert resumed(tmp_path).run is None
