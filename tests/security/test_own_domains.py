"""Several domains of ours: each pair of domains is proved, carried, shown and closed by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.security.world import BRANCH, OWN, World, eventually, world_of

from xmppgw.edge.settings import decode_edge_settings
from xmppgw.xmpp.stanza import message
from xmppgw.xmpp.stream import Authorised, Closed, Pair


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async def prepare(made: World) -> None:
        made.edge_changes["own_domains"] = [OWN, BRANCH]
        made.front_end_changes["own_domains"] = [OWN, BRANCH]

    async with world_of(tmp_path, prepare) as made:
        yield made


async def test_messages_of_both_domains_pass_both_ways(world: World) -> None:
    partner = world.partner1
    for number, own in enumerate((OWN, BRANCH)):
        leg = await partner.connect(remote=own)
        await leg.events.first(Authorised)
        leg.send(message("juliet@partner1.example/a", f"grace@{own}", f"to {own}", identifier=f"m{number}"))
        await world.platform.requests.until(lambda _, own=own: f"to {own}" in world.platform.bodies())
        transaction = await world.platform.send(f"from {own}", user=f"grace@{own}")
        assert await world.platform.status(transaction) == 202
        await partner.stanzas.until(lambda _, own=own: f"from {own}" in partner.bodies())
    assert {stanza.sender.domain for stanza in partner.stanzas.items} == {OWN, BRANCH}
    facts = (await world.control("streams"))["streams"]
    assert sorted((each["local"], each["direction"]) for each in facts) == [
        (BRANCH, "in"), (BRANCH, "out"), (OWN, "in"), (OWN, "out"),
    ]  # fmt: skip


async def test_a_stream_that_was_proved_for_one_domain_may_not_speak_to_the_other(world: World) -> None:
    leg = await world.partner1.authenticated()
    leg.send(message("juliet@partner1.example/a", f"grace@{BRANCH}", "by the side door", identifier="m1"))
    closed = await leg.events.first(Closed)
    assert closed.condition == "host-unknown"
    assert not world.platform.bodies()


async def test_connect_and_close_mean_the_domain_they_name(world: World) -> None:
    for own in (OWN, BRANCH):
        answer = await world.control("connect", partner="partner1.example", local=own)
        assert (answer["ok"], answer["outcome"], answer["local"]) == (True, "S", own)
    refused = await world.control("connect", partner="partner1.example", local="other.example")
    assert (refused["ok"], refused["stage"]) == (False, "policy")
    answer = await world.control("close", partner="partner1.example", direction="out", local=BRANCH)
    assert answer == {"ok": True, "closed": 1, "complete": True}
    assert [each["local"] for each in (await world.control("streams"))["streams"]] == [OWN]


async def test_a_domain_that_is_given_up_takes_its_streams_and_their_places_along(world: World) -> None:
    await world.control("connect", partner="partner1.example", local=BRANCH)
    inbound = await world.partner1.connect(remote=BRANCH)
    await inbound.events.first(Authorised)
    assert world.edge.context.registry.count("partner1.example") == 2
    world.edge_changes["own_domains"] = [OWN]
    world.edge.reload(decode_edge_settings(world.edge_settings()))
    assert (await inbound.events.first(Closed)).condition == "policy-violation"
    await eventually(lambda: not world.edge.context.registry.facts(), "both are closed")
    assert world.edge.context.registry.count("partner1.example") == 0


async def test_a_ping_is_answered_on_a_stream_that_the_partner_opens_to_us(world: World) -> None:
    await world.control("connect", partner="partner1.example", local=BRANCH)
    inbound = await world.partner1.connect(remote=BRANCH)
    authorised = await inbound.events.first(Authorised)
    assert authorised.pair == Pair("partner1.example", BRANCH)
    world.partner1.answers_pings_on = inbound
    answer = await world.control("ping", partner="partner1.example", local=BRANCH)
    assert (answer["ok"], answer["answer"], answer["local"]) == (True, "result", BRANCH)
    assert not world.platform.bodies()
    assert not world.edge.context.pings._waiting
