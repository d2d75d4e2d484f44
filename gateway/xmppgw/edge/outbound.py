"""Streams that we open to partners: one per pair of domains, on demand, with a bounded queue in front.

Called by `edge.links` for deliveries of the front end, by inbound streams for replies and dialback questions, and by
the control socket. Dials listed partners only. A stanza is written at most once: what was written and not confirmed is
never written again, what was not written is tried on one more stream and then given back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from xmppgw.edge.context import EdgeContext, monotonic_to_epoch
from xmppgw.edge.dialing import CannotConnect, Dialer
from xmppgw.edge.driver import Event, PublicTls, StreamDriver, log_closed
from xmppgw.edge.partners import Partner
from xmppgw.edge.streams import StreamFacts
from xmppgw.link.connection import Connection
from xmppgw.link.messages import Deliver, Outcome
from xmppgw.xmpp.element import Element, SerialisationError
from xmppgw.xmpp.outgoing import OutgoingSettings, OutgoingStream
from xmppgw.xmpp.stream import (
    Authorised,
    Closed,
    Origin,
    Output,
    Pair,
    Remarked,
    SendData,
    StartTls,
)

#: A partner that takes nothing for this long has its stream closed.
STUCK_SECONDS = 30.0
#: How long after its time what waits is looked for: the queue is gone through once for all that expire meanwhile.
EXPIRY_SECONDS = 0.25
#: All of resolving, connecting and authenticating, over all addresses.
BRING_UP_SECONDS = 90.0

Report = Callable[[Outcome], None]


@dataclass(slots=True)
class Waiting:
    """One stanza on its way to a partner. Replies of our own have no delivery and nobody to report to."""

    data: bytes
    delivery: Deliver | None
    report: Report | None
    retried: bool = False


class CarrierStream(StreamDriver):
    """One connection that carries stanzas of one pair."""

    def __init__(
        self, lane: OutboundLane, partner: Partner, connection: Connection, tls: PublicTls, external: bool
    ) -> None:
        edge = lane.edge
        self._stream = OutgoingStream(
            OutgoingSettings(
                local=lane.local,
                remote=lane.remote,
                policy=partner.policy,
                dialback_secret=edge.dialback_secret,
                limits=edge.stream_limits(),
                try_external=external,
            )
        )
        super().__init__(self._stream, connection, tls)
        self._lane = lane
        self._partner = partner
        #: Done when the stream is authenticated (None) or has ended before that.
        self.ready: asyncio.Future[Closed | None] = self._loop.create_future()
        self.gone: asyncio.Future[None] = self._loop.create_future()
        #: How far the negotiation got, for whoever asks why it ended.
        self.stage = "stream"

    @property
    def stream(self) -> OutgoingStream:
        """The machine."""
        return self._stream

    def describe(self) -> list[StreamFacts]:
        """One entry, once the pair is authorised."""
        if not self.ready.done() or self.ready.result() is not None:
            return []
        return [
            StreamFacts(
                local=self._lane.local,
                remote=self._lane.remote,
                direction="out",
                method=self._stream.method.value,
                encrypted=self._stream.encrypted,
                since=round(monotonic_to_epoch(self.connection.made), 3),
                stanzas=self._stream.stanzas,
                address=self.connection.peer_address,
            )
        ]

    def partner_of(self, domain: str) -> Partner | None:
        """Find the partner."""
        return self._partner

    def obey(self, outputs: Sequence[Output]) -> None:
        """Do what the machine asks for, and note how far the negotiation has got."""
        for output in outputs:
            if isinstance(output, StartTls):
                self.stage = "tls"
            elif isinstance(output, SendData) and output.data.startswith(b"<auth "):
                self.stage = "sasl"
            elif isinstance(output, SendData) and output.data.startswith(b"<db:result "):
                self.stage = "dialback"
        super().obey(outputs)

    def drained(self) -> None:
        """All that was written has left."""
        self._lane.drained(self)

    def happened(self, event: Event) -> None:
        """Act on what the stream produced."""
        edge = self._lane.edge
        if isinstance(event, Authorised):
            edge.registry.authorised(self, event.pair, self._lane.remote)
            label = edge.counters.partners.label(self._lane.remote)
            edge.counters.authorised.labels("out", event.method.value, label).inc()
            tls = self.connection.tls
            edge.log.info(
                "stream-authenticated",
                direction="out",
                local=self._lane.local,
                remote=self._lane.remote,
                method=event.method.value,
                encrypted=event.encrypted,
                tls=tls.protocol if tls is not None else None,
                address=self.connection.peer_address,
            )
            if not self.ready.done():
                self.ready.set_result(None)
        elif isinstance(event, Remarked):
            edge.counters.remarks.labels(event.code).inc()
            edge.log.warning("peer-fault", code=event.code, reason=event.text, remote=self._lane.remote)

    def over(self, closed: Closed) -> None:
        """Count it, say why, tell the lane."""
        edge = self._lane.edge
        edge.registry.remove(self)
        log_closed(edge, self, closed, local=self._lane.local, remote=self._lane.remote)
        if not self.ready.done():
            self.ready.set_result(closed)
        self.gone.set_result(None)
        self._lane.stream_over(self, closed)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of bringing a stream up: a stream, or why there is none."""

    stream: CarrierStream | None
    condition: str = ""
    text: str = ""
    temporary: bool = True
    #: How far it got: policy, resolve, connect, stream, tls, sasl, dialback.
    stage: str = "stream"


class OutboundLane:
    """Everything that goes from one domain of ours to one domain of a partner, in order."""

    def __init__(self, edge: EdgeContext, local: str, remote: str) -> None:
        self.edge = edge
        self.local = local
        self.remote = remote
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Waiting] = deque()
        self._queue_bytes = 0
        self._written: list[Waiting] = []
        self._stream: CarrierStream | None = None
        self._task: asyncio.Task[Attempt] | None = None
        self._pause = 0.0
        self._retry_at = 0.0
        self._last_condition = "remote-server-timeout"
        self._last_text = ""
        self._idle: asyncio.TimerHandle | None = None
        self._stuck: asyncio.TimerHandle | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._expiry_at = 0.0

    @property
    def idle(self) -> bool:
        """Whether nothing is known here that would be missed."""
        nothing = not self._queue and not self._written and self._stream is None and self._task is None
        return nothing and self._loop.time() >= self._retry_at

    @property
    def depth(self) -> int:
        """Stanzas that wait."""
        return len(self._queue)

    def put(self, waiting: Waiting) -> None:
        """Write `waiting` now, or when the stream is up, or report why not."""
        limits = self.edge.settings.limits
        if self.edge.draining:
            self._give_back(waiting, "deferred", "recipient-unavailable", "the edge is shutting down")
            return
        if self._task is None and self._stream is None and self._loop.time() < self._retry_at:
            self._give_back(waiting, "deferred", self._last_condition, self._last_text)
            return
        size = len(waiting.data)
        full = len(self._queue) >= limits.outbound_queue_stanzas
        if full or self._queue_bytes + size > limits.outbound_queue_bytes:
            self._give_back(waiting, "deferred", "resource-constraint", "the queue to this partner is full")
            return
        self._queue.append(waiting)
        self._queue_bytes += size
        if self._stream is not None:
            self._write()
        else:
            self._bring_up()
        if self._expiry is None or (waiting.delivery is not None and waiting.delivery.expires < self._expiry_at):
            self._watch_expiry()

    async def connect(self) -> Attempt:
        """Bring the stream up if it is not, also while a pause after a failure lasts, and say what came of it."""
        if self._stream is not None and self._stream.stream.can_send:
            return Attempt(self._stream)
        if self._stream is not None:
            await asyncio.shield(self._stream.gone)
        self._retry_at = 0.0
        return await asyncio.shield(self._bring_up())

    def close(self, condition: str | None = None, text: str = "") -> bool:
        """End the stream, gracefully without a condition; whether there was one."""
        if self._task is not None:
            self._task.cancel()
        if self._stream is None:
            return False
        self._stream.close(condition, text)
        return True

    def _watch_expiry(self) -> None:
        """Give back what has become too old, also while the partner is being tried or takes nothing."""
        first = min((each.delivery.expires for each in self._queue if each.delivery is not None), default=None)
        if first is None or (self._expiry is not None and self._expiry_at <= first):
            return
        if self._expiry is not None:
            self._expiry.cancel()
        self._expiry_at = first
        # Many that expire one after another are given back together.
        wait = max(0.0, first - self.edge.clock()) + EXPIRY_SECONDS
        self._expiry = self._loop.call_later(wait, self._expire)

    def _expire(self) -> None:
        self._expiry = None
        now = self.edge.clock()
        late = [each for each in self._queue if each.delivery is not None and each.delivery.expires <= now]
        if late:
            gone = set(map(id, late))
            self._queue = deque(each for each in self._queue if id(each) not in gone)
            self._queue_bytes = sum(len(each.data) for each in self._queue)
        for each in late:
            self._give_back(each, "failed", "remote-server-timeout", "it was too old to be sent")
        self._watch_expiry()

    def give_up(self, condition: str, text: str, state: Literal["failed", "deferred"]) -> None:
        """Report everything that waits as not written."""
        waiting, self._queue = list(self._queue), deque()
        self._queue_bytes = 0
        for each in waiting:
            self._give_back(each, state, condition, text)

    # The stream's life.

    def _bring_up(self) -> asyncio.Task[Attempt]:
        if self._task is None:
            self._task = self._loop.create_task(self._attempt())
            self._task.add_done_callback(self._attempted)
        return self._task

    async def _attempt(self) -> Attempt:
        edge = self.edge
        partner = edge.partners.find(self.remote)
        if partner is None or edge.tls is None or self.local not in edge.partners.own_domains:
            text = "the domain is not a partner"
            return Attempt(None, "remote-server-not-found", text, temporary=False, stage="policy")
        external = True
        dialer = edge.outbound.dialer  # a reload replaces it while lanes live on
        addresses = dialer.addresses(partner, self.remote)
        last: Closed | None = None
        stream: CarrierStream | None = None
        try:
            async with asyncio.timeout(BRING_UP_SECONDS):
                while True:
                    connection = await dialer.connect(addresses, Connection)
                    stream = CarrierStream(self, partner, connection, edge.tls, external)
                    edge.registry.add(stream)
                    stream.start()
                    try:
                        last = await asyncio.shield(stream.ready)
                    except asyncio.CancelledError:
                        stream.close(None, "given up")
                        raise
                    if last is None:
                        return Attempt(stream)
                    if last.external_refused and external:
                        # COMPAT: some servers hang up instead of going on with dialback after refusing a certificate.
                        external = False
                        addresses = dialer.addresses(partner, self.remote)
                    elif last.origin not in {Origin.TRANSPORT, Origin.TIMER}:
                        temporary = last.bounce == "remote-server-timeout"
                        return Attempt(None, last.bounce, last.text, temporary=temporary, stage=stream.stage)
        except CannotConnect as problem:
            if last is not None and stream is not None:
                # An address answered; what it then did says more than that there is no further one.
                return Attempt(None, problem.condition, last.text, temporary=problem.temporary, stage=stream.stage)
            return Attempt(None, problem.condition, str(problem), temporary=problem.temporary, stage=problem.stage)
        except TimeoutError:
            return Attempt(None, "remote-server-timeout", f"no stream after {BRING_UP_SECONDS:g} s")

    def _attempted(self, task: asyncio.Task[Attempt]) -> None:
        self._task = None
        if task.cancelled():
            self.give_up("recipient-unavailable", "the edge is shutting down", "deferred")
            return
        attempt = task.result()
        if attempt.stream is not None and attempt.stream.closed is None:
            self._pause = 0.0
            self._stream = attempt.stream
            self._rest()
            self._write()
            return
        limits = self.edge.settings.limits
        self._pause = min(max(limits.retry_seconds, self._pause * 2), limits.retry_maximum_seconds)
        self._retry_at = self._loop.time() + self._pause
        self._last_condition = attempt.condition or "remote-server-timeout"
        self._last_text = attempt.text or "the stream ended at once"
        self.edge.log.warning(
            "partner-unreachable",
            local=self.local,
            remote=self.remote,
            condition=self._last_condition,
            reason=self._last_text,
            temporary=attempt.temporary,
            waiting=len(self._queue),
        )
        self.give_up(self._last_condition, self._last_text, "deferred" if attempt.temporary else "failed")

    def stream_over(self, stream: CarrierStream, closed: Closed) -> None:
        """The stream has ended."""
        if stream is not self._stream:
            return
        self._stream = None
        for timer in (self._idle, self._stuck):
            if timer is not None:
                timer.cancel()
        self._idle = self._stuck = None
        written, self._written = self._written, []
        for each in written:
            self._give_back(
                each, "unknown", "remote-server-timeout", f"the stream ended while it was sent: {closed.text}"
            )
        again = [each for each in self._queue if not each.retried]
        spent = [each for each in self._queue if each.retried]
        self._queue = deque(again)
        self._queue_bytes = sum(len(each.data) for each in again)
        for each in spent:
            self._give_back(each, "deferred", "remote-server-timeout", closed.text)
        for each in again:
            each.retried = True
        if again and not self.edge.draining:
            self._bring_up()
        elif again:
            self.give_up("recipient-unavailable", "the edge is shutting down", "deferred")

    # Writing.

    def _write(self) -> None:
        stream = self._stream
        if stream is None or not stream.stream.can_send:
            return  # it is closing; what waits goes onto the next one
        now = self._loop.time()
        limit = self.edge.settings.limits.write_buffer_bytes
        while self._queue and stream.connection.unsent < limit:
            waiting = self._queue.popleft()
            self._queue_bytes -= len(waiting.data)
            largest = stream.stream.peer_max_bytes
            if waiting.delivery is not None and waiting.delivery.expires <= self.edge.clock():
                self._give_back(waiting, "failed", "remote-server-timeout", "it was too old to be sent")
                continue
            if largest is not None and len(waiting.data) > largest:
                self._give_back(waiting, "failed", "policy-violation", f"the partner takes {largest} octets at most")
                continue
            self._written.append(waiting)
            stream.obey(stream.stream.send(waiting.data, now))
        if self._queue and self._stuck is None:
            self._stuck = self._loop.call_later(STUCK_SECONDS, self._give_up_on, stream)
        self._rest()

    def drained(self, stream: CarrierStream) -> None:
        """Everything written has left this process: report it, write on."""
        if stream is not self._stream:
            return
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None
        written, self._written = self._written, []
        for each in written:
            self._delivered(each)
        if self._queue:
            self._write()

    def _rest(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._idle = self._loop.call_later(self.edge.settings.limits.idle_seconds, self._close_idle)

    def _close_idle(self) -> None:
        self._idle = None
        if self._stream is not None:
            self._stream.close(None, "idle")

    def _give_up_on(self, stream: CarrierStream) -> None:
        self._stuck = None
        if stream is self._stream:
            stream.close("connection-timeout", f"nothing was taken for {STUCK_SECONDS:g} s")

    # Reporting.

    def _delivered(self, waiting: Waiting) -> None:
        edge = self.edge
        edge.counters.stanzas_out.labels(edge.counters.partners.label(self.remote)).inc()
        if waiting.delivery is None or waiting.report is None:
            return
        edge.log.info(
            "stanza-delivered", correlation=waiting.delivery.correlation, local=self.local, remote=self.remote
        )
        waiting.report(Outcome(waiting.delivery.delivery, waiting.delivery.correlation, "delivered"))

    def _give_back(
        self, waiting: Waiting, state: Literal["failed", "deferred", "unknown"], condition: str, text: str
    ) -> None:
        edge = self.edge
        edge.counters.failed.labels(edge.counters.partners.label(self.remote), state).inc()
        if waiting.delivery is None or waiting.report is None:
            return
        edge.log.warning(
            "stanza-not-delivered",
            correlation=waiting.delivery.correlation,
            local=self.local,
            remote=self.remote,
            state=state,
            condition=condition,
            reason=text,
        )
        pause = max(0.0, self._retry_at - self._loop.time()) if state == "deferred" else 0.0
        waiting.report(
            Outcome(waiting.delivery.delivery, waiting.delivery.correlation, state, condition, text[:400], pause)
        )


class OutboundStreams:
    """All lanes, by pair. Their number is bounded by own domains times partners' domains."""

    def __init__(self, edge: EdgeContext, dialer: Dialer) -> None:
        self._edge = edge
        #: Replaced on reload; every attempt takes it anew.
        self.dialer = dialer
        self._lanes: dict[tuple[str, str], OutboundLane] = {}

    def deliver(self, message: Deliver, report: Report) -> None:
        """Write a stanza of the front end; `report` is called once."""
        edge = self._edge
        if edge.partners.policy(message.local, message.remote) is None:
            edge.counters.failed.labels("other", "failed").inc()
            text = f"{message.remote} is not a partner of {message.local}"
            edge.log.warning(
                "delivery-refused",
                correlation=message.correlation,
                local=message.local,
                remote=message.remote,
                reason=text,
            )
            report(Outcome(message.delivery, message.correlation, "failed", "remote-server-not-found", text))
            return
        self._lane(message.local, message.remote).put(Waiting(message.data, message, report))

    def send_reply(self, pair: Pair, element: Element) -> None:
        """Send a stanza of our own (a ping's result, an error); best effort."""
        if self._edge.partners.policy(pair.sender, pair.receiver) is None:
            return
        try:
            data = element.to_bytes()
        except SerialisationError:
            return
        self._lane(pair.sender, pair.receiver).put(Waiting(data, None, None))

    async def connect(self, local: str, remote: str) -> Attempt:
        """Open and authenticate the stream of a pair."""
        return await self._lane(local, remote).connect()

    def close_all(self) -> None:
        """Close all streams gracefully and give back what waits."""
        for lane in self._lanes.values():
            lane.give_up("recipient-unavailable", "the edge is shutting down", "deferred")
            lane.close()

    def reconcile(self) -> None:
        """After a reload: close what lost its permission, fail what waits for it, forget empty lanes."""
        for (local, remote), lane in list(self._lanes.items()):
            if self._edge.partners.policy(local, remote) is None:
                lane.give_up("remote-server-not-found", "the partner was removed", "failed")
                lane.close(None, "the partner was removed")
            elif lane.idle:
                del self._lanes[local, remote]

    def waiting(self) -> int:
        """Stanzas that wait in all lanes."""
        return sum(lane.depth for lane in self._lanes.values())

    def _lane(self, local: str, remote: str) -> OutboundLane:
        lane = self._lanes.get((local, remote))
        if lane is None:
            lane = self._lanes[local, remote] = OutboundLane(self._edge, local, remote)
        return lane
