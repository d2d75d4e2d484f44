"""A partner that cannot be reached, or takes nothing, keeps its own messages waiting and nobody else's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.security.world import FakePartner, World, eventually, world_of

from xmppgw.edge.settings import decode_edge_settings
from xmppgw.xmpp.stream import PeerPolicy

NUMBER = 150
GONE, MUTE, STUCK = "gone.example", "mute.example", "stuck.example"


class Troubled:
    """Three partners in trouble beside two that are well."""

    def __init__(self, world: World, mute: asyncio.Server, stuck: FakePartner) -> None:
        self.world = world
        self.stuck = stuck
        self._mute = mute

    async def send(self, partner: str, number: int, text: str = "") -> list[str]:
        """Messages of one user to one partner; those that were taken."""
        user = f"{partner.partition('.')[0]}-fan@corp.example"
        sending = [
            await self.world.platform.send(f"{partner} {each}{text}", to=f"juliet@{partner}", user=user)
            for each in range(number)
        ]
        return [each for each in sending if await self.world.platform.status(each) == 202]

    def notices(self, partner: str) -> int:
        """How many messages to a partner came back to their sender."""
        user = f"{partner.partition('.')[0]}-fan"
        return sum(
            request.uri.user == user and request.body.startswith(b"Message not delivered")
            for request in self.world.platform.requests.items
        )


@pytest.fixture
async def troubled(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Troubled]:
    found: list[Troubled] = []

    async def prepare(world: World) -> None:
        world.message_ttl = getattr(request, "param", world.message_ttl)
        world.edge_limits.update(outbound_queue_stanzas=50, retry_seconds=0.2, negotiation_seconds=60)
        world.front_end_limits.update(lane_window_messages=32)
        # Takes connections and never says a word.
        mute = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        gone = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        port = gone.sockets[0].getsockname()[1]
        gone.close()
        stuck = FakePartner(world, STUCK, policy=PeerPolicy(True, False, False))
        await stuck.listen()
        world.more_partners = [
            partner(GONE, port), partner(MUTE, mute.sockets[0].getsockname()[1]), partner(STUCK, stuck.port),
        ]  # fmt: skip
        found.append(Troubled(world, mute, stuck))

    async with world_of(tmp_path, prepare):
        yield found[0]
        found[0].stuck.close()
        found[0]._mute.close()


def nothing_was_overtaken(world: World) -> bool:
    """Whether the edge had room for all that it was given: what it has none for is overtaken by what comes later."""
    put_off = world.front_end_journal.lines("message-deferred")
    return not [line for line in put_off if "the queue to this partner is full" in line["reason"]]


def partner(domain: str, port: int) -> dict[str, Any]:
    return {"domain": domain, "addresses": [{"host": "127.0.0.1", "port": port}]}


async def test_the_others_go_on(troubled: Troubled) -> None:
    world = troubled.world
    lost = await troubled.send(GONE, NUMBER), await troubled.send(MUTE, NUMBER)
    assert [len(each) for each in lost] == [NUMBER, NUMBER]
    await eventually(lambda: world.edge.context.outbound.waiting() > 0, "something waits at the edge")
    taken = await troubled.send("partner1.example", NUMBER)
    await world.partner1.stanzas.count(len(taken))
    assert world.partner1.bodies() == [f"partner1.example {each}" for each in range(NUMBER)]
    assert 0 < world.edge.context.outbound.waiting() <= 2 * 32, "what waits at the edge is bounded per partner"
    assert nothing_was_overtaken(world)


@pytest.mark.parametrize("troubled", [1.0], indirect=True)
async def test_what_waits_comes_back_when_it_is_too_old(troubled: Troubled) -> None:
    world = troubled.world
    lost = await troubled.send(GONE, NUMBER), await troubled.send(MUTE, NUMBER)
    assert [len(each) for each in lost] == [NUMBER, NUMBER]
    for each in (GONE, MUTE):
        await eventually(lambda each=each: troubled.notices(each) == NUMBER, f"all to {each} have come back")
    assert world.edge.context.outbound.waiting() == 0
    await eventually(lambda: not world.front_end.context.queued, "nothing is left in the store")


async def test_what_waits_comes_back_at_once_when_the_edges_forget_the_partner(troubled: Troubled) -> None:
    """A rollback takes partners out of the edges first; nobody waits until an hour has made messages too old."""
    world = troubled.world
    assert len(await troubled.send(GONE, NUMBER)) == NUMBER
    await eventually(lambda: world.edge.context.outbound.waiting() > 0, "something waits at the edge")
    assert troubled.notices(GONE) == 0
    world.more_partners = [each for each in world.more_partners if each["domain"] != GONE]
    world.partners = [each for each in world.partners if each["domain"] != GONE]
    world.edge.reload(decode_edge_settings(world.edge_settings()))
    await eventually(lambda: troubled.notices(GONE) == NUMBER, "all have come back")
    await eventually(lambda: not world.front_end.context.queued, "nothing is left in the store")


async def test_a_partner_that_stops_reading_is_held_within_its_bounds_and_holds_nobody_up(troubled: Troubled) -> None:
    world = troubled.world
    await world.control("connect", partner=STUCK)
    [leg] = troubled.stuck.legs
    leg.connection.pause_reading()
    text = "x" * 30_000
    taken = await troubled.send(STUCK, 400, text)
    assert len(taken) == 400
    limits = world.edge.context.settings.limits
    lane = world.edge.context.outbound._lanes["corp.example", STUCK]
    await eventually(lambda: lane.depth > 0, "the partner takes nothing any more")
    await troubled.send("partner1.example", NUMBER)
    await world.partner1.stanzas.count(NUMBER)
    assert world.partner1.bodies() == [f"partner1.example {each}" for each in range(NUMBER)]
    assert lane.depth <= limits.outbound_queue_stanzas
    assert nothing_was_overtaken(world)
    assert lane._queue_bytes <= limits.outbound_queue_bytes
    # One stanza may have come on top of a full buffer.
    assert leg_unsent(world) <= limits.write_buffer_bytes + 2 * len(text)


def leg_unsent(world: World) -> int:
    """Octets that wait for the stuck partner outside of the queue."""
    stream = world.edge.context.outbound._lanes["corp.example", STUCK]._stream
    assert stream is not None
    return stream.connection.unsent


async def test_a_server_that_accepts_and_stays_silent_does_not_hide_the_next_one(tmp_path: Path) -> None:
    domain = "half.example"
    well: list[FakePartner] = []
    mute = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)

    async def prepare(world: World) -> None:
        # Patient enough for a server that is well on a machine that is not, and with no second attempt.
        world.edge_limits.update(negotiation_seconds=5, close_seconds=0.2)
        world.edge_limits.update(retry_seconds=3600, retry_maximum_seconds=3600)
        well.append(FakePartner(world, domain, policy=PeerPolicy(True, False, False)))
        await well[0].listen()
        ports = mute.sockets[0].getsockname()[1], well[0].port
        world.more_partners = [{"domain": domain, "addresses": [{"host": "127.0.0.1", "port": each} for each in ports]}]

    async with world_of(tmp_path, prepare) as world:
        assert await world.platform.status(await world.platform.send("hello", to=f"juliet@{domain}")) == 202
        await well[0].stanzas.count(1)
        assert well[0].bodies() == ["hello"]
        (line,) = [each for each in world.edge_journal.lines("stream-closed") if each["remote"] == domain]
        assert (line["origin"], line["condition"]) == ("timer", "connection-timeout")
        assert not world.edge_journal.lines("partner-unreachable"), "it was reached at the first attempt"
        well[0].close()
    mute.close()
