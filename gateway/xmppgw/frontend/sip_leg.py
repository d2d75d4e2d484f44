"""SIP with the platform over mutual TLS: connections that peers open to us, and one that we keep to the next hop.

Called by the daemon and the lanes. Requests go over our connection to the next hop; answers go back on the connection
on which a request came. Who is not listed gets no further than the TLS handshake.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from xmppgw.frontend.context import FrontEndContext
from xmppgw.frontend.intake import Intake
from xmppgw.link.connection import Connection
from xmppgw.sip.connection import (
    Event,
    Identity,
    KeepAlive,
    Malformed,
    MustClose,
    OngoingRequests,
    OutgoingRequest,
    RequestAnswered,
    RequestReceived,
    ResponseReceived,
    SipConnection,
    StrayResponse,
    TransactionAbandoned,
    TransactionAborted,
    TransactionTimeout,
)
from xmppgw.sip.message import Field, Limits, UnsafeValueError
from xmppgw.sip.transaction import TooManyTransactionsError
from xmppgw.store.interface import Item
from xmppgw.telemetry.control import Json
from xmppgw.tls.memory import MemoryTls
from xmppgw.tls.reload import ReloadableContext
from xmppgw.tls.verify import sip_names, sip_peer


class SipStream:
    """One SIP connection: a machine, its TLS connection, and which item each of our transactions carries."""

    def __init__(self, leg: SipLeg, connection: Connection, *, outbound: bool) -> None:
        self.connection = connection
        self.peer = connection.peer_address
        self.outbound = outbound
        self.up = False
        self.was_up = False
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._leg = leg
        self._loop = asyncio.get_running_loop()
        self._machine: SipConnection | None = None
        self._items: dict[str, Item] = {}
        self._timer: asyncio.TimerHandle | None = None
        gateway = leg.gateway
        names = [gateway.settings.sip.next_hop.server_name] if outbound else list(gateway.settings.sip.peers)
        self._handshake = self._loop.call_later(gateway.settings.limits.handshake_seconds, self._late)
        connection.use(self)
        connection.start_tls(
            leg.context.context,
            server_side=not outbound,
            server_name=names[0] if outbound else None,
            check_peer=sip_peer(names),
        )

    @property
    def unanswered(self) -> int:
        """Requests of the peer that wait for our answer."""
        return self._machine.open_server_transactions if self._machine is not None else 0

    def send(self, request: OutgoingRequest, item: Item) -> str:
        """Send a request for `item`; a reason in words if nothing has left."""
        if self._machine is None:
            return "the connection is not up"
        try:
            transaction = self._machine.send_request(request, self._loop.time())
        except (UnsafeValueError, TooManyTransactionsError) as problem:
            return str(problem)
        self._items[transaction] = item
        self._write()
        return ""

    def close(self) -> None:
        """Write what is left, then close."""
        self.connection.close()

    # What the connection says.

    def secured(self, tls: MemoryTls) -> None:
        """The peer is one of those listed."""
        self._handshake.cancel()
        gateway = self._leg.gateway
        self.peer = ",".join(sip_names(tls.peer_chain()[0])[:3]) or self.connection.peer_address
        settings = gateway.settings
        self._machine = SipConnection(
            self._leg.identity,
            new_token=gateway.token,
            now=self._loop.time(),
            limits=Limits(),
            ongoing=self._leg.ongoing,
            keepalive_seconds=settings.limits.sip_keepalive_seconds if self.outbound else None,
        )
        self.up = self.was_up = True
        gateway.log.info(
            "sip-connected",
            direction="out" if self.outbound else "in",
            peer=self.peer,
            address=self.connection.peer_address,
            tls=tls.protocol,
        )
        self._write()
        self._leg.secured(self)

    def received(self, data: bytes) -> None:
        """Feed the machine."""
        if self._machine is not None:
            self._obey(self._machine.receive(data, self._loop.time()))

    def drained(self) -> None:
        """Nothing: what waits is bounded by the transactions."""

    def lost(self, reason: str) -> None:
        """The connection is over."""
        self._handshake.cancel()
        was_up, self.up = self.up, False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        gateway = self._leg.gateway
        if was_up:
            gateway.log.info("sip-disconnected", peer=self.peer, address=self.connection.peer_address, reason=reason)
        else:
            gateway.counters.refused.labels("sip", "connection").inc()
            gateway.log.warning(
                "sip-refused",
                direction="out" if self.outbound else "in",
                address=self.connection.peer_address,
                reason=reason,
            )
        if self._machine is not None:
            self._obey(self._machine.connection_lost(self._loop.time()))
        if not self.over.done():
            self.over.set_result(reason)
        self._leg.lost(self)

    # What the machine says.

    def _obey(self, events: Sequence[Event]) -> None:
        gateway = self._leg.gateway
        for event in events:
            match event:
                case RequestReceived(transaction=transaction, request=request):
                    self._leg.intake.request(request, self.peer, self._answering(transaction))
                case ResponseReceived(transaction=transaction, response=response):
                    item = self._items.pop(transaction, None)
                    if item is not None:
                        gateway.sip_lanes.answered(item, response)
                case TransactionTimeout(transaction=transaction):
                    self._unanswered(transaction, "no response in time")
                case TransactionAborted(transaction=transaction):
                    self._unanswered(transaction, "the connection ended before the response")
                case RequestAnswered(request=request, status=status, reason=reason):
                    gateway.counters.refused.labels("to_xmpp", str(status)).inc()
                    gateway.log.info(
                        "sip-answered", peer=self.peer, method=request.method, status=status, reason=reason
                    )
                case TransactionAbandoned():
                    gateway.log.failure("sip-abandoned", peer=self.peer, reason="a request was not answered in time")
                case StrayResponse(reason=reason):
                    self._fault("stray-response", reason)
                case Malformed(code=code, reason=reason):
                    self._fault(code, reason)
                case MustClose(code=code, reason=reason):
                    self._fault(code, reason)
                    self._write()
                    self.connection.close()
                case KeepAlive():
                    pass
        self._write()
        self._schedule()

    def _fault(self, code: str, reason: str) -> None:
        gateway = self._leg.gateway
        gateway.counters.faults.labels(code).inc()
        gateway.log.warning("sip-fault", peer=self.peer, address=self.connection.peer_address, code=code, reason=reason)

    def _unanswered(self, transaction: str, reason: str) -> None:
        item = self._items.pop(transaction, None)
        if item is not None:
            self._leg.gateway.sip_lanes.unanswered(item, reason)

    def _answering(self, transaction: str) -> _Answering:
        return _Answering(self, transaction)

    def answer(self, transaction: str, status: int, headers: tuple[Field, ...]) -> None:
        """Answer a request of the peer; one that came on a connection that is gone is answered to nobody."""
        if self._machine is not None and self.up:
            self._machine.respond(transaction, status, self._loop.time(), headers=headers)
            self._write()

    def _write(self) -> None:
        if self._machine is not None:
            data = self._machine.data_to_send()
            if data:
                self.connection.write(data)
            self._schedule()

    def _schedule(self) -> None:
        deadline = self._machine.next_deadline() if self._machine is not None and self.up else None
        if deadline is None:
            return
        if self._timer is not None:
            if self._timer.when() <= deadline:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._time)

    def _time(self) -> None:
        self._timer = None
        if self._machine is not None:
            self._obey(self._machine.handle_time(self._loop.time()))

    def _late(self) -> None:
        self.connection.abort()


class _Answering:
    """Answers one request, once."""

    __slots__ = ("_stream", "_transaction")

    def __init__(self, stream: SipStream, transaction: str) -> None:
        self._stream = stream
        self._transaction = transaction

    def __call__(self, status: int, headers: tuple[Field, ...]) -> None:
        self._stream.answer(self._transaction, status, headers)


class SipLeg:
    """All SIP connections of this front end."""

    def __init__(self, gateway: FrontEndContext, context: ReloadableContext, intake: Intake) -> None:
        self.gateway = gateway
        self.context = context
        self.intake = intake
        self.ongoing = OngoingRequests()
        settings = gateway.settings
        self.identity = Identity(
            sent_by=settings.node, own_names=frozenset({settings.node.lower(), settings.pool_fqdn.lower()})
        )
        self._loop = asyncio.get_running_loop()
        self._inbound: set[SipStream] = set()
        self._next_hop: SipStream | None = None
        self._problem = "not connected yet"
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Connect to the next hop, and again whenever the connection is lost."""
        self._task = self._loop.create_task(self._keep_connected())

    def accept(self) -> Connection:
        """Make the connection object for a socket that was just accepted."""
        return Connection(self.take)

    @property
    def ready(self) -> bool:
        """Whether requests can be sent."""
        return self._next_hop is not None and self._next_hop.up

    @property
    def connections(self) -> int:
        """Connections that peers opened to us."""
        return len(self._inbound)

    @property
    def unanswered(self) -> int:
        """Requests of peers that wait for our answer."""
        return sum(stream.unanswered for stream in self._inbound)

    def describe(self) -> dict[str, Json]:
        """What the operator wants to know."""
        hop = self.gateway.settings.sip.next_hop
        return {
            "next_hop": f"{hop.host}:{hop.port}",
            "state": "up" if self.ready else "down",
            "reason": "" if self.ready else self._problem,
            "connections": len(self._inbound),
            "outstanding": self.gateway.sip_lanes.outstanding,
        }

    def send(self, request: OutgoingRequest, item: Item) -> str:
        """Send a request to the next hop; a reason in words if nothing has left."""
        if self._next_hop is None or not self._next_hop.up:
            return self._problem
        return self._next_hop.send(request, item)

    def take(self, connection: Connection) -> None:
        """A peer has connected."""
        if len(self._inbound) >= self.gateway.settings.limits.sip_connections:
            self.gateway.counters.refused.labels("sip", "too-many").inc()
            self.gateway.log.warning(
                "sip-refused", direction="in", address=connection.peer_address, reason="too many connections"
            )
            connection.abort()
            return
        self._inbound.add(SipStream(self, connection, outbound=False))

    def secured(self, stream: SipStream) -> None:
        """A handshake is done."""
        if stream.outbound:
            self._next_hop = stream
            self.gateway.sip_lanes.pump_all()

    def lost(self, stream: SipStream) -> None:
        """A connection is over."""
        self._inbound.discard(stream)
        if stream is self._next_hop:
            self._next_hop = None

    def close(self) -> None:
        """Close all connections."""
        if self._task is not None:
            self._task.cancel()
        for stream in [*self._inbound, *([self._next_hop] if self._next_hop is not None else [])]:
            stream.close()

    async def _keep_connected(self) -> None:
        limits = self.gateway.settings.limits
        pause = limits.reconnect_seconds
        while True:
            limits = self.gateway.settings.limits
            hop = self.gateway.settings.sip.next_hop
            try:
                async with asyncio.timeout(limits.connect_seconds):
                    _, connection = await self._loop.create_connection(
                        Connection, hop.host, hop.port, happy_eyeballs_delay=0.25
                    )
            except (OSError, TimeoutError) as error:
                problem = str(error) or "no answer in time"
                if problem != self._problem:
                    self.gateway.log.warning("sip-unreachable", next_hop=hop.host, reason=problem)
                self._problem = problem
            else:
                stream = SipStream(self, connection, outbound=True)
                self._problem = await stream.over
                if stream.was_up:
                    pause = limits.reconnect_seconds
            await asyncio.sleep(pause)
            pause = min(pause * 2, limits.reconnect_maximum_seconds)

    def reconnect(self) -> None:
        """After a reload that changed the next hop: leave the old one."""
        if self._next_hop is not None:
            self._next_hop.close()
