"""A clock that is set back stops no lane, and what waits still comes back in the end."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.unit.frontend.parts import ALICE, BEGIN, OWN, PARTNER, Parts, incoming, outgoing, parts, until

from xmppgw.frontend.recovery import recover
from xmppgw.link.messages import Outcome
from xmppgw.store.interface import Accept

DAY = 86_400.0
EDGE = ("edge1", "E1")


def response(status: int, **headers: str) -> Any:
    return SimpleNamespace(status=status, reason="", header=lambda name: headers.get(name.replace("-", "_")))


def returned(found: Parts) -> list[str]:
    lines = [json.loads(line) for line in found.log.read_text().splitlines()]
    return [line["correlation"] for line in lines if line["event"] == "message-returned"]


async def test_a_message_that_the_platform_put_off_leaves_again_after_its_pause(tmp_path: Path) -> None:
    async with parts(tmp_path, retry_seconds=0.05) as found:
        found.sip.ready = True
        found.arrives(1)
        await until(lambda: len(found.sip.sent) == 1, "it has left")
        found.context.sip_lanes.answered(found.sip.sent[0], response(503))
        found.clock.now -= DAY
        await until(lambda: len(found.sip.sent) == 2, "it has left again")
        found.arrives(2)
        found.context.sip_lanes.answered(found.sip.sent[1], response(200))
        await until(lambda: len(found.sip.sent) == 3, "the next one has left")


async def test_a_pause_that_the_platform_asked_for_is_kept(tmp_path: Path) -> None:
    async with parts(tmp_path, retry_seconds=0.05) as found:
        found.sip.ready = True
        found.arrives(1)
        await until(lambda: len(found.sip.sent) == 1, "it has left")
        found.context.sip_lanes.answered(found.sip.sent[0], response(503, Retry_After="600"))
        await found.durable()
        lane = found.context.sip_lanes._lanes[ALICE]
        assert lane.timer is not None
        assert 590 < lane.timer.when() - found.context.sip_lanes._loop.time() <= 600


async def test_a_message_that_an_edge_put_off_leaves_again_after_its_pause(tmp_path: Path) -> None:
    async with parts(tmp_path, retry_seconds=0.05) as found:
        found.links.usable = [EDGE]
        found.enters(outgoing(1, BEGIN))
        await until(lambda: len(found.links.sent) == 1, "it has left")
        change = found.context.xmpp_lanes.outcome(Outcome(found.links.sent[0][1], "c1", "deferred", retry_after=0.05))
        found.context.commit(change.operations)
        found.clock.now -= DAY
        await until(lambda: len(found.links.sent) == 2, "it has left again")


async def test_what_was_put_off_before_a_restart_waits_no_longer_than_our_longest_pause(tmp_path: Path) -> None:
    async with parts(tmp_path, retry_maximum_seconds=0.1) as found:
        await found.store.submit([Accept((replace(incoming(1, BEGIN), not_before=BEGIN + 500, attempts=3),), BEGIN)])
        assert await recover(found.context) == 1
        found.sip.ready = True
        found.context.sip_lanes.pump_all()
        assert not found.sip.sent
        await until(lambda: len(found.sip.sent) == 1, "it has left")


async def test_what_waits_when_the_clock_is_set_back_has_its_whole_time_once_more_and_no_longer(tmp_path: Path) -> None:
    async with parts(tmp_path) as found:
        sip, xmpp = found.context.sip_lanes, found.context.xmpp_lanes

        def sweep() -> None:
            sip.expire(found.clock.now)
            xmpp.expire(found.clock.now)

        found.arrives(1)
        found.links.usable = [EDGE]
        found.enters(outgoing(found.context.next_id(), BEGIN, correlation="held"))
        await found.durable()
        assert xmpp.held == 1
        found.links.usable = []
        found.enters(outgoing(found.context.next_id(), BEGIN, correlation="queued"))
        await found.durable()
        sweep()
        found.clock.now -= DAY
        found.arrives(2)  # younger, and of an earlier time
        await found.durable()
        sweep()
        found.clock.now += 3599
        sweep()
        await found.durable()
        assert returned(found) == []
        found.clock.now += 1
        sweep()
        await found.durable()
        assert returned(found) == ["c1", "c2", "queued"]
        found.clock.now += 60
        sweep()
        await found.durable()
        assert returned(found) == ["c1", "c2", "queued", "held"]
        assert not xmpp.held


async def test_a_message_in_front_of_one_of_the_future_keeps_its_own_time(tmp_path: Path) -> None:
    async with parts(tmp_path) as found:
        await found.store.submit([Accept((outgoing(1, BEGIN - 600), outgoing(2, BEGIN + DAY)), BEGIN)])
        await recover(found.context)
        found.context.xmpp_lanes.expire(found.clock.now)
        lane = found.context.xmpp_lanes._lanes[f"{OWN}>{PARTNER}"]
        assert [item.expires for item in lane.queued] == [BEGIN + 3000, BEGIN + 3600]
