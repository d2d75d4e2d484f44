"""With two edges, what is younger overtakes nothing, and nobody waits for ever for an edge that is gone.

The links' own machines at both ends, without sockets: what one writes the other reads in the next turn of the loop.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.unit.frontend.parts import Parts, outgoing, parts, settings_bytes, until

from xmppgw.frontend.links import EdgeLink, Links
from xmppgw.frontend.settings import decode_front_end_settings
from xmppgw.link.messages import Outcome, decode_for_edge, encode_message
from xmppgw.link.protocol import CloseConnection, LinkLimits, LinkMachine, Output, Received, SendData

#: Unacknowledged deliveries at which a link takes no more.
HELD = 4
#: Never over by itself while a test runs.
PATIENCE = 3600.0


class NotDialled(Links):
    """Links that the test connects."""

    async def _dial(self, link: EdgeLink) -> None:
        await asyncio.Event().wait()


class GivenEdge:
    """One process of an edge."""

    def __init__(self, found: Parts, name: str, session: str) -> None:
        self.peer_address = "127.0.0.1"
        self.name = name
        self.session = session
        self.stalled = False
        self.numbers: list[int] = []
        self._deliveries: list[str] = []
        self._machine = LinkMachine(name, session, limits=LinkLimits())
        self._waiting: list[Received] = []
        self._loop = asyncio.get_running_loop()
        links = found.context.links
        assert isinstance(links, Links)
        self.link = links._links[name]
        self._driver: Any = None
        self.connect()

    def connect(self) -> None:
        self.link.driver.attach(self)  # type: ignore[arg-type]
        self.obey(self._machine.connection_made(self._loop.time()))

    def use(self, driver: Any) -> None:
        self._driver = driver

    def write(self, data: bytes) -> None:
        self._loop.call_soon(lambda: self.obey(self._machine.receive(data, self._loop.time())))

    def close(self) -> None:
        self._driver = None
        self._machine.connection_lost()

    def lose(self) -> None:
        """The connection ends without a word."""
        self._driver.lost("cut")

    def goodbye(self) -> None:
        self.obey(self._machine.close("shutdown", "the edge is shutting down"))

    def go_on(self) -> None:
        self.stalled = False
        waiting, self._waiting = self._waiting, []
        for received in waiting:
            self.obey(self._machine.processed(received.session, received.sequence))

    def report(self, state: Any = "delivered") -> None:
        """Say what became of everything that it has."""
        deliveries, self._deliveries = self._deliveries, []
        for delivery in deliveries:
            self.obey(self._machine.send(encode_message(Outcome(delivery, "c", state)), self._loop.time()))

    def obey(self, outputs: Sequence[Output]) -> None:
        for output in outputs:
            match output:
                case SendData(data=data):
                    driver = self._driver
                    self._loop.call_soon(lambda driver=driver, data=data: driver and driver.received(data))
                case Received(payload=payload):
                    delivery = decode_for_edge(payload).delivery
                    self.numbers.append(int(delivery.rpartition("-")[2]))
                    self._deliveries.append(delivery)
                    self._waiting.append(output)
                    if not self.stalled:
                        self.go_on()
                case CloseConnection():
                    pass


@dataclass
class Two:
    found: Parts
    first: GivenEdge
    second: GivenEdge

    async def enter(self, *numbers: int) -> None:
        for number in numbers:
            self.found.enters(outgoing(number, self.found.clock.now))
        await self.found.durable()
        await settled()


async def settled() -> None:
    """What is written is read, and what follows from it is done."""
    for _ in range(20):
        await asyncio.sleep(0)


def edges(*names: str) -> dict[str, Any]:
    return {"links": [{"server_name": name, "addresses": ["127.0.0.1"]} for name in names]}


@pytest.fixture
async def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Two]:
    """`first` has message 1 of the lane and has not said what became of it."""
    monkeypatch.setattr("xmppgw.frontend.links.LinkLimits", functools.partial(LinkLimits, held_payloads=HELD))
    async with parts(tmp_path, changes=edges("edge1", "edge2"), edge_patience_seconds=PATIENCE) as found:
        links = NotDialled(found.context, None, found.intake)  # type: ignore[arg-type]
        found.context.links = links
        links.start({})
        both = [GivenEdge(found, name, f"session-of-{name}") for name in ("edge1", "edge2")]
        await until(lambda: all(edge.link.usable for edge in both), "both links are open")
        made = Two(found, both[0], both[1])
        await made.enter(1)
        if both[1].numbers:
            made.first, made.second = both[1], both[0]
        assert (made.first.numbers, made.second.numbers) == ([1], [])
        yield made
        await found.durable()
        links.stop()


async def test_while_an_edge_stalls_nothing_of_its_lanes_goes_through_the_other(two: Two) -> None:
    two.first.stalled = True
    await two.enter(*range(2, 2 + HELD))
    assert not two.first.link.usable
    await two.enter(*range(10, 20))
    assert two.second.numbers == []
    two.first.go_on()
    await until(lambda: len(two.first.numbers) == 1 + HELD + 10, "all have come to the first")
    assert two.first.numbers == sorted(two.first.numbers)
    assert two.second.numbers == []


async def test_a_lane_of_which_an_edge_has_nothing_may_change_while_that_edge_stalls(two: Two) -> None:
    two.first.stalled = True
    await two.enter(*range(2, 2 + HELD))
    two.first.report()
    await settled()
    await two.found.durable()
    assert not two.first.link.usable
    await two.enter(10, 11)
    assert two.second.numbers == [10, 11]
    two.first.go_on()
    await two.enter(12)
    assert two.second.numbers == [10, 11, 12], "the lane stays where its messages are"


async def test_a_link_that_comes_back_soon_goes_on_with_its_lanes(two: Two) -> None:
    two.first.lose()
    await two.enter(2, 3)
    assert two.second.numbers == []
    two.first.connect()
    await until(lambda: two.first.numbers == [1, 2, 3], "they have come to the first")
    assert two.first.link.patience is None, "nobody is waited for any more"
    await two.enter(4)
    assert (two.first.numbers, two.second.numbers) == ([1, 2, 3, 4], [])


async def test_an_edge_that_stays_away_is_waited_for_no_longer_than_is_set(two: Two) -> None:
    lost = asyncio.get_running_loop().time()
    two.first.lose()
    await two.enter(2, 3)
    assert two.second.numbers == []
    waiting = two.first.link.patience
    assert waiting is not None
    assert lost + PATIENCE <= waiting.when() <= asyncio.get_running_loop().time() + PATIENCE
    waiting._run()
    await until(lambda: two.second.numbers == [2, 3], "the other has them")
    await two.enter(4)
    assert two.second.numbers == [2, 3, 4]
    assert two.found.context.xmpp_lanes._held[1].edge == two.first.name, (
        "what it may have written is sent by nobody else"
    )
    two.found.clock.now += 3600 + 60
    two.found.context.xmpp_lanes.expire(two.found.clock.now)
    await two.found.durable()
    assert not two.found.context.xmpp_lanes.held, "and comes back as ever"


async def test_another_process_of_the_edge_ends_the_waiting(two: Two) -> None:
    two.first.lose()
    await two.enter(2, 3)
    assert two.second.numbers == []
    replaced = GivenEdge(two.found, two.first.name, "another session")
    await until(lambda: sorted(replaced.numbers + two.second.numbers) == [2, 3], "they have left")
    assert two.first.numbers == [1]


async def test_an_edge_that_says_goodbye_is_not_waited_for(two: Two) -> None:
    two.first.stalled = True
    await two.enter(2, 3)
    two.first.goodbye()
    await until(lambda: two.second.numbers == [2, 3], "the other has what the first did not look at")
    await two.enter(4)
    assert two.second.numbers == [2, 3, 4]


async def test_an_edge_that_is_no_longer_configured_is_not_waited_for(two: Two) -> None:
    two.first.stalled = True
    await two.enter(*range(2, 2 + HELD))
    await two.enter(10, 11)
    assert two.second.numbers == []
    context = two.found.context
    context.settings = decode_front_end_settings(settings_bytes(**edges(two.second.name)))
    context.links.reconcile()
    await until(lambda: two.second.numbers == [10, 11], "the other has them")
