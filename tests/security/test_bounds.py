"""Each queue has a bound, and a test that reaches it: what waits, what is refused, and that it flows again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.security.world import OWN, PATIENCE, World, eventually, world_of

from xmppgw.store.interface import Accept, Sent
from xmppgw.store.sqlite import SqliteStore
from xmppgw.xmpp.element import NS_STANZA_ERRORS, Element
from xmppgw.xmpp.outgoing import OutgoingStream
from xmppgw.xmpp.stream import Authorised


async def test_while_the_front_end_is_away_the_edge_stops_reading_and_loses_nothing(tmp_path: Path) -> None:
    async def narrow(world: World) -> None:
        world.edge_limits["link_window"] = 20

    async with world_of(tmp_path, narrow) as world:
        leg = await world.partner1.authenticated()
        await world.front_end.stop()
        sent = 0
        hub = world.edge.context.hub
        filler = "x" * 6_000  # under what one SIP MESSAGE may carry

        def send() -> None:
            nonlocal sent
            leg.send(world.partner1.message(f"{sent} {filler}", number=str(sent), to=f"u{sent % 50}@{OWN}"))
            sent += 1

        while not hub.holding:
            send()
            await asyncio.sleep(0)
        before = hub.unacknowledged
        # More than all buffers between us could hide; none of it may reach the edge's memory.
        for _ in range(1_500):
            send()
        await eventually(lambda: leg.connection.unsent > 1_000_000, "the partner feels it")
        assert hub.unacknowledged <= before + 50, "at most what one read brought"
        await world.start_front_end()
        await world.platform.requests.count(sent)
        numbers = [int(body.split()[0]) for body in world.platform.bodies()]
        assert sorted(numbers) == list(range(sent))
        for user in range(50):
            of_user = [number for number in numbers if number % 50 == user]
            assert of_user == sorted(of_user), "in order for each of them"
        assert not hub.holding


async def test_a_front_end_that_does_not_come_back_makes_the_edge_answer_with_errors(tmp_path: Path) -> None:
    async def impatient(world: World) -> None:
        world.edge_limits["link_absence_seconds"] = 0.2

    async with world_of(tmp_path, impatient) as world:
        leg = await world.partner1.authenticated()
        before = len(world.edge_journal.lines("front-end-absent"))  # one, where the front end took its time to start
        await world.front_end.stop()
        await eventually(lambda: len(world.edge_journal.lines("front-end-absent")) > before, "the edge says so")
        leg.send(world.partner1.message("anybody?", number="n1"))
        (error,) = await world.partner1.stanzas.count(1)
        assert (error.type, error.id) == ("error", "n1")
        await world.start_front_end()
        await eventually(lambda: world.edge.context.hub.connected, "the link is up")
        leg.send(world.partner1.message("now?", number="n2"))
        await world.platform.requests.count(1)
        assert world.platform.bodies() == ["now?"]


async def test_what_a_partner_had_not_been_sent_when_it_closed_goes_out_on_a_new_stream(world: World) -> None:
    await world.platform.status(await world.platform.send("first"))
    await world.partner1.stanzas.count(1)
    (leg,) = [each for each in world.partner1.legs if not isinstance(each.machine, OutgoingStream)]
    leg.connection.pause_reading()  # what is written now stays unread until the stream is closed
    leg.close()
    pending = [await world.platform.send(f"m{number}") for number in range(20)]
    assert {await world.platform.status(each) for each in pending} == {202}
    leg.connection.resume_reading()
    await world.partner1.stanzas.count(21)
    assert world.partner1.bodies() == ["first", *(f"m{number}" for number in range(20))]
    streams = [each for each in world.partner1.legs if any(isinstance(e, Authorised) for e in each.events.items)]
    assert len(streams) == 2, "one that was closed, one that replaced it"


@pytest.mark.parametrize(
    ("limit", "padding"),
    [({"queue_per_partner": 3}, ""), ({"queue_per_partner_bytes": 12_000}, " " + "x" * 4_000)],
    ids=["by number", "by octets"],
)
async def test_a_full_queue_is_said_to_the_sender_on_either_side(
    tmp_path: Path, limit: dict[str, int], padding: str
) -> None:
    async def tiny(world: World) -> None:
        world.front_end_limits |= {**limit, "drain_seconds": 0.1}

    async with world_of(tmp_path, tiny) as world:
        leg = await world.partner1.authenticated()
        world.platform.stop_listening()
        await eventually(lambda: not world.front_end.context.sip.ready, "the platform is gone")
        for number in range(4):
            leg.send(world.partner1.message(f"m{number}{padding}", number=f"q{number}"))
        (error,) = await world.partner1.stanzas.count(1)
        assert (error.type, error.id) == ("error", "q3")
        assert error.element.child("error").child("resource-constraint", NS_STANZA_ERRORS) is not None
        status = await world.platform.status(await world.platform.send("one more"))
        assert 400 <= status < 600
        assert status != 503
        await world.platform.listen()
        await world.platform.requests.count(3)
        assert [body.split()[0] for body in world.platform.bodies()] == ["m0", "m1", "m2"]
        await eventually(lambda: not world.front_end.context.queued, "it is empty")
        assert await world.platform.status(await world.platform.send("now", user=f"bob@{OWN}")) == 202


async def test_a_small_text_with_a_large_extension_is_refused_as_a_whole(world: World) -> None:
    leg = await world.partner1.authenticated()
    for number, size in (("large", 70_000), ("small", 50_000)):
        stanza = world.partner1.message("hello", number=number)
        stanza.children.append(Element("x", "urn:any", None, ["x" * size]))
        leg.send(stanza)
    (error,) = await world.partner1.stanzas.count(1)
    assert (error.type, error.id) == ("error", "large")
    assert error.element.child("error").child("policy-violation", NS_STANZA_ERRORS) is not None
    await world.platform.requests.count(1)
    assert world.platform.bodies() == ["hello"]
    assert not world.front_end_journal.lines("edge-fault")


async def test_what_may_be_forgotten_goes_faster_than_it_comes_and_holds_nobody_up(tmp_path: Path) -> None:
    number = 4_000
    path = str(tmp_path / "store.sqlite")

    async def remembered(world: World) -> None:
        store = await SqliteStore.open(path)
        sent = (Sent(f"s{each}", "call", f"alice@{OWN}", "juliet@partner1.example", 1.0) for each in range(number))
        await store.submit([Accept((), 1.0, key=each.stanza_id.encode(), sent=each) for each in sent])
        await store.close()

    async with world_of(tmp_path, remembered) as world:
        leg = await world.partner1.authenticated()
        for each in range(100):
            leg.send(world.partner1.message(f"m{each}", number=f"q{each}"))
        store = world.front_end.context.store
        assert isinstance(store, SqliteStore)

        async def left(table: str) -> int:
            rows = await store._ask(lambda: store._connection.execute(f"SELECT count(*) FROM {table}").fetchone())
            return int(rows[0])

        begun = asyncio.get_running_loop().time()
        while (seen := await left("seen")) > 100 or await left("sent"):
            assert asyncio.get_running_loop().time() < begun + PATIENCE, f"{seen} keys are left of {number}"
            await asyncio.sleep(0.05)
        await world.platform.requests.count(100)
        assert world.platform.bodies() == [f"m{each}" for each in range(100)]
        assert await left("seen") == 100, "what is young is remembered"

        def has_time() -> bool:
            again = world.front_end._forgetting
            return again is not None and again.when() > asyncio.get_running_loop().time() + 30

        await eventually(has_time, "then it has time")
