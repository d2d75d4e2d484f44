"""Connections of partners that the legacy gateway still answers, joined to it byte by byte.

Called by `edge.arrival` once the first header has said whose connection it is. TLS, authentication and stanzas run end
to end: nothing in here can read or change them. Each side's end of file is passed on as such, so that a stream which
the legacy gateway closes gracefully ends gracefully. Everything is bounded: number, buffers, silence.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from xmppgw.edge.context import EdgeContext, monotonic_to_epoch
from xmppgw.edge.dialing import CannotConnect
from xmppgw.edge.phases import ToLegacy
from xmppgw.edge.streams import network_of
from xmppgw.link.connection import Connection
from xmppgw.xmpp.first_header import FirstHeader

Refuse = Callable[[str, str, str], None]


@dataclass(frozen=True, slots=True)
class Opening:
    """How a connection began. `held`: all that was read of it before it was clear whose it is."""

    header: FirstHeader
    why: ToLegacy
    held: bytes


@dataclass(frozen=True, slots=True)
class SplicedFacts:
    """One joined connection, as the control socket shows it beside the streams."""

    local: str
    #: What the first header claimed; the empty string where it did not say.
    remote: str
    #: Seconds since the epoch.
    since: float
    address: str
    #: Where it is joined to.
    legacy: str
    bytes_in: int
    bytes_out: int
    #: How long nothing has passed either way.
    silent_seconds: float
    direction: Literal["in"] = "in"
    method: Literal["spliced"] = "spliced"
    #: TLS, if there is any, is between the partner and the legacy gateway.
    encrypted: None = None
    #: Nobody here can count them.
    stanzas: None = None


class _End:
    """One of the two connections: what comes out of it goes into the other."""

    def __init__(self, splice: Splice, connection: Connection, name: Literal["partner", "legacy"]) -> None:
        self.connection = connection
        self.name = name
        self.octets = 0
        self.ended_reading = False
        self._splice = splice
        self._paused = False

    def received(self, data: bytes) -> None:
        """Pass it on, and stop reading while the other side does not take it."""
        self.octets += len(data)
        other = self._splice.other(self)
        other.connection.write(data)
        self._splice.passed()
        if other.connection.unsent > self._splice.buffer_bytes:
            self._paused = True
            self.connection.pause_reading()

    def go_on(self) -> None:
        """The other side has taken everything."""
        if self._paused and not self.ended_reading:
            self._paused = False
            self.connection.resume_reading()

    def secured(self, tls: object) -> None:
        """Never: what is joined is not ours to decrypt."""
        raise AssertionError("TLS of a joined connection is end to end")

    def drained(self) -> None:
        """Everything written to this side has left."""
        self._splice.other(self).go_on()

    def ended(self) -> None:
        """This side has said its last: the other one is told so, behind all that was said."""
        self.ended_reading = True
        self._splice.end_of_file(self)

    def lost(self, reason: str) -> None:
        """This side is gone."""
        self._splice.lost(self, reason)


class Splice:
    """Two connections joined."""

    def __init__(self, splices: Splices, opening: Opening, partner: Connection, legacy: Connection) -> None:
        limits = splices.edge.settings.limits
        self.buffer_bytes = limits.splice_buffer_bytes
        self.header = opening.header
        self._splices = splices
        self._opening = opening
        self._partner = _End(self, partner, "partner")
        self._legacy = _End(self, legacy, "legacy")
        self._idle_seconds = limits.splice_idle_seconds
        self._half_open_seconds = limits.splice_half_open_seconds
        #: Our address and port of the connection to the legacy gateway.
        self.own_end = legacy.local_end
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()
        self._last = self._since
        self._timer: asyncio.TimerHandle | None = None
        self._over = False

    def start(self) -> None:
        """Begin with what was held."""
        self._splices.edge.log.info(
            "splice-opened",
            remote=self.header.remote or "",
            local=self.header.local,
            address=self._partner.connection.peer_address,
            legacy=self.legacy_address,
            why=self._opening.why.why,
        )
        self._legacy.connection.use_half_open(self._legacy)
        self._partner.received(self._opening.held)
        self._partner.connection.use_half_open(self._partner)
        self._watch(self._idle_seconds)

    @property
    def legacy_address(self) -> str:
        """Where the legacy end leads."""
        return f"{self._legacy.connection.peer_address} port {self._legacy.connection.peer_port}"

    @property
    def silent_seconds(self) -> float:
        """How long nothing has passed."""
        return self._loop.time() - self._last

    def describe(self) -> SplicedFacts:
        """Say what is known about it."""
        return SplicedFacts(
            local=self.header.local,
            remote=self.header.remote or "",
            since=round(monotonic_to_epoch(self._since), 3),
            address=self._partner.connection.peer_address,
            legacy=self.legacy_address,
            bytes_in=self._partner.octets,
            bytes_out=self._legacy.octets,
            silent_seconds=round(self.silent_seconds, 3),
        )

    def other(self, end: _End) -> _End:
        """Return the opposite end."""
        return self._legacy if end is self._partner else self._partner

    def passed(self) -> None:
        """Note that something has passed."""
        self._last = self._loop.time()

    def end_of_file(self, end: _End) -> None:
        """Pass an end of file on; after the second one nothing is left to join."""
        self.other(end).connection.write_end()
        if self._partner.ended_reading and self._legacy.ended_reading:
            self.close("both sides have ended")
        else:
            self._watch(self._half_open_seconds)

    def lost(self, end: _End, reason: str) -> None:
        """One side is gone: what it said is still written to the other, then that one ends as well."""
        self.close(f"{end.name}: {reason}")

    def close(self, reason: str) -> None:
        """Write what waits to both sides, and end them."""
        if self._over:
            return
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        self._splices.closed(self)
        self._splices.edge.log.info(
            "splice-closed",
            remote=self.header.remote or "",
            local=self.header.local,
            address=self._partner.connection.peer_address,
            legacy=self.legacy_address,
            reason=reason,
            bytes_in=self._partner.octets,
            bytes_out=self._legacy.octets,
            seconds=round(self._loop.time() - self._since, 3),
        )
        for end in (self._legacy, self._partner):
            end.connection.close()

    def _watch(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._last + seconds, self._time, seconds)

    def _time(self, seconds: float) -> None:
        if self.silent_seconds >= seconds:
            self.close(f"nothing has passed for {seconds:g} s")
        else:
            self._watch(seconds)


class Splices:
    """All joined connections and those that are being joined."""

    def __init__(self, edge: EdgeContext) -> None:
        self.edge = edge
        self._open: dict[Splice, str] = {}
        self._joining: dict[asyncio.Task[bool], Connection] = {}
        #: Open ones and those that are being joined.
        self._per_network: Counter[str] = Counter()
        #: Local ends of our connections to the legacy gateway: whoever comes from one of them is ourselves.
        self._own_ends: set[tuple[str, int]] = set()

    def __len__(self) -> int:
        return self._per_network.total()

    def facts(self) -> list[SplicedFacts]:
        """Describe all of them, sorted."""
        found = [splice.describe() for splice in self._open]
        return sorted(found, key=lambda each: (each.remote, each.local, each.since, each.address))

    def is_ourselves(self, connection: Connection) -> bool:
        """Whether an accepted connection is one that we made: the legacy address then leads back to this edge."""
        return (connection.peer_address, connection.peer_port) in self._own_ends

    def join(self, connection: Connection, opening: Opening, refuse: Refuse) -> None:
        """Join `connection`, which must not be read meanwhile, to the legacy gateway, or call `refuse` once.

        `refuse` gets a code for the log, a stream error condition and the reason in words.
        """
        limits = self.edge.settings.limits
        network = network_of(connection.peer_address)
        if len(self) >= limits.splices_total:
            refuse("splices-total", "resource-constraint", f"{limits.splices_total} connections are joined already")
        elif self._per_network[network] >= limits.splices_per_address:
            text = f"{limits.splices_per_address} connections of {network} are joined already"
            refuse("splices-per-address", "resource-constraint", text)
        else:
            self._per_network[network] += 1
            task = asyncio.get_running_loop().create_task(self._join(connection, opening, refuse))
            self._joining[task] = connection
            task.add_done_callback(self._joined)

    def closed(self, splice: Splice) -> None:
        """Forget one that is over."""
        network = self._open.pop(splice, None)
        if network is not None:
            self._release(network)
            self._own_ends.discard(splice.own_end)
            facts = splice.describe()
            self.edge.counters.spliced_bytes.labels("in").inc(facts.bytes_in)
            self.edge.counters.spliced_bytes.labels("out").inc(facts.bytes_out)

    def close_all(self, reason: str) -> None:
        """End all of them now."""
        for task in list(self._joining):
            task.cancel()
        for splice in list(self._open):
            splice.close(reason)

    def close_quiet(self, seconds: float) -> None:
        """End those in which nothing has passed for so long: called again and again while draining."""
        for splice in list(self._open):
            if splice.silent_seconds >= seconds:
                splice.close("the edge is shutting down, and nothing was passing")

    async def _join(self, connection: Connection, opening: Opening, refuse: Refuse) -> bool:
        legacy = self.edge.settings.legacy
        if legacy is None:
            refuse("legacy-gone", "remote-connection-failed", "no legacy gateway is configured any more")
            return False
        dialer = self.edge.outbound.dialer
        try:
            other = await dialer.connect(dialer.configured(legacy.addresses), Connection)
        except CannotConnect as problem:
            self.edge.counters.spliced.labels("unreachable").inc()
            refuse("legacy-unreachable", "remote-connection-failed", str(problem))
            return False
        self.edge.counters.spliced.labels(opening.why.why).inc()
        splice = Splice(self, opening, connection, other)
        self._own_ends.add(splice.own_end)
        self._open[splice] = network_of(connection.peer_address)
        splice.start()
        return True

    def _joined(self, task: asyncio.Task[bool]) -> None:
        connection = self._joining.pop(task)
        if task.cancelled():
            connection.close()
        if task.cancelled() or not task.result():
            self._release(network_of(connection.peer_address))

    def _release(self, network: str) -> None:
        self._per_network[network] -= 1
        if self._per_network[network] <= 0:
            del self._per_network[network]
