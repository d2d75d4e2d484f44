"""The edge's end of the links: front ends dial in, stanzas go to them, their deliveries go out, outcomes go back.

Called by `edge.daemon`. Holds what no front end has acknowledged yet, up to a bound; beyond that reading from partners
stops, and if no front end comes back in time, partners get errors instead of silence.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import OrderedDict

from xmppgw.edge.context import EdgeContext
from xmppgw.link.connection import Connection
from xmppgw.link.driver import LinkDriver
from xmppgw.link.frames import FrameError, FrameReader, Hello
from xmppgw.link.messages import (
    Deliver,
    MessageError,
    Outcome,
    StanzaArrived,
    decode_for_edge,
    encode_message,
)
from xmppgw.link.protocol import LinkFull, LinkLimits, LinkMachine, Opened, Received
from xmppgw.telemetry.control import Json
from xmppgw.tls.memory import MemoryTls
from xmppgw.tls.reload import ReloadableContext
from xmppgw.tls.verify import certificate_names, dns_peer

#: Deliveries whose outcome is remembered, so that a front end which restarts and asks again is told, not obeyed twice.
MAXIMUM_REMEMBERED = 50_000
#: Connections to the link port that have not said who they are.
MAXIMUM_STRANGERS = 16
HELLO_BYTES = 4_096
HELLO_SECONDS = 10.0


class DeliveryMemory:
    """What became of each delivery, by its id: None while it is under way. The oldest are forgotten first."""

    def __init__(self, maximum: int = MAXIMUM_REMEMBERED) -> None:
        self._maximum = maximum
        self._outcomes: OrderedDict[str, Outcome | None] = OrderedDict()

    def begin(self, delivery: str) -> bool:
        """Note a delivery; false if it is known already."""
        if delivery in self._outcomes:
            return False
        self._outcomes[delivery] = None
        while len(self._outcomes) > self._maximum:
            self._outcomes.popitem(last=False)
        return True

    def end(self, outcome: Outcome) -> None:
        """Note its outcome. One that was put off is forgotten: it will be asked for again, and then meant."""
        if outcome.state == "deferred":
            self._outcomes.pop(outcome.delivery, None)
        elif outcome.delivery in self._outcomes:
            self._outcomes[outcome.delivery] = outcome

    def outcome(self, delivery: str) -> Outcome | None:
        """Return the outcome if there is one."""
        return self._outcomes.get(delivery)


class LinkHub:
    """All front ends of this edge."""

    def __init__(self, edge: EdgeContext, context: ReloadableContext) -> None:
        self._edge = edge
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._links: dict[str, LinkDriver] = {}
        self._server: asyncio.Server | None = None
        self._strangers = 0
        self._memory = DeliveryMemory()
        self._absence: asyncio.TimerHandle | None = None
        self._absent = False
        self.holding = False

    # Life.

    async def start(self, address: str, port: int) -> int:
        """Listen for front ends; the port in use. Raises OSError."""
        self._server = await self._loop.create_server(self._stranger, address, port)
        self._miss()
        return int(self._server.sockets[0].getsockname()[1])

    def use_context(self, context: ReloadableContext) -> None:
        """Show another certificate from now on; links that are up stay up."""
        self._context = context

    def reconcile(self) -> None:
        """After a reload: front ends that are no longer listed have to go."""
        allowed = {name.lower() for name in self._edge.settings.link.peers}
        for name, link in list(self._links.items()):
            if name not in allowed:
                link.close("refused", "this front end is no longer listed")
                del self._links[name]

    def stop(self) -> None:
        """Say goodbye to all."""
        if self._server is not None:
            self._server.close()
        if self._absence is not None:
            self._absence.cancel()
        for link in self._links.values():
            link.close("shutdown", "the edge is shutting down")

    @property
    def unacknowledged(self) -> int:
        """Payloads that no front end has committed yet."""
        return sum(link.machine.held for link in self._links.values())

    @property
    def connected(self) -> bool:
        """Whether at least one front end is there."""
        return any(link.open for link in self._links.values())

    def describe(self) -> list[dict[str, Json]]:
        """One entry per front end, sorted."""
        listed = sorted({name.lower() for name in self._edge.settings.link.peers})
        return [
            {
                "peer": name,
                "state": "up" if (link := self._links.get(name)) is not None and link.open else "down",
                "address": link.address if link is not None else None,
                "unacknowledged": link.machine.held if link is not None else 0,
            }
            for name in listed
        ]

    # Stanzas to the front end.

    def hand_over(self, arrived: StanzaArrived) -> None:
        """Give a stanza to a front end. Raises LinkFull when that is not possible."""
        if self._absent:
            raise LinkFull("no front end is connected")
        link = self._choose(arrived)
        link.send(encode_message(arrived))
        if not link.machine.writable:
            self._hold()

    def _choose(self, arrived: StanzaArrived) -> LinkDriver:
        # The same conversation always meets the same front end while the set of connected ones stays the same.
        names = [name for name, link in self._links.items() if link.open] or sorted(
            name.lower() for name in self._edge.settings.link.peers
        )
        if len(names) == 1:
            return self._link(names[0])
        key = f"{arrived.remote} {arrived.local}".encode()
        best = max(names, key=lambda name: hashlib.blake2b(name.encode(), key=key[:64], digest_size=8).digest())
        return self._link(best)

    def _hold(self) -> None:
        if not self.holding:
            self.holding = True
            self._edge.log.warning("reading-paused", reason="the front end has not acknowledged enough")
            self._each_inbound(pause=True)

    def _release(self) -> None:
        if self.holding and all(link.machine.writable for link in self._links.values()):
            self.holding = False
            self._edge.log.info("reading-resumed")
            self._each_inbound(pause=False)

    def _each_inbound(self, *, pause: bool) -> None:
        from xmppgw.edge.inbound import InboundStream  # noqa: PLC0415 - the two know each other

        for stream in self._edge.registry:
            if isinstance(stream, InboundStream):
                connection = stream.connection
                if pause:
                    connection.pause_reading()
                else:
                    connection.resume_reading()

    # Absence of all front ends.

    def _miss(self) -> None:
        if self._absence is None and not self.connected and not self._absent:
            self._absence = self._loop.call_later(self._edge.settings.limits.link_absence_seconds, self._mark_absent)

    def _mark_absent(self) -> None:
        self._absence = None
        if self.connected:
            return
        self._absent = True
        self._edge.log.failure(
            "front-end-absent",
            reason="no front end has connected; partners get errors until one does",
            waiting=self.unacknowledged,
        )
        self.holding = False
        self._each_inbound(pause=False)

    # What the links say.

    def link_opened(self, link: LinkDriver, opened: Opened) -> None:
        """A front end is there."""
        if self._absence is not None:
            self._absence.cancel()
            self._absence = None
        self._absent = False
        # What a front end withheld from this process (`opened.missing`) is what its predecessor may have acted on.
        self._edge.log.info(
            "link-up",
            peer=link.name,
            address=link.address,
            new_session=opened.new_session,
            unacknowledged=link.machine.held,
        )

    def link_closed(self, link: LinkDriver, code: str, reason: str, *, by_peer: bool) -> None:
        """A front end is gone."""
        self._edge.log.warning("link-down", peer=link.name, code=code, reason=reason, unacknowledged=link.machine.held)
        self._miss()

    def link_writable(self, link: LinkDriver) -> None:
        """A front end takes payloads again."""
        self._release()

    def link_received(self, link: LinkDriver, received: Received) -> None:
        """A delivery: take it, acknowledge it, report on it later."""
        try:
            message = decode_for_edge(received.payload)
        except MessageError as error:
            self._edge.log.failure("link-message-refused", peer=link.name, reason=str(error))
        else:
            self._deliver(link.name, message)
        # The front end keeps it in its store until the outcome is there; here it only lives in memory.
        link.processed(received.session, received.sequence)

    def _deliver(self, peer: str, message: Deliver) -> None:
        if not self._memory.begin(message.delivery):
            known = self._memory.outcome(message.delivery)
            if known is not None:
                self._report(peer, known)
            return
        self._edge.outbound.deliver(message, lambda outcome: self._ended(peer, outcome))

    def _ended(self, peer: str, outcome: Outcome) -> None:
        self._memory.end(outcome)
        self._report(peer, outcome)

    def _report(self, peer: str, outcome: Outcome) -> None:
        try:
            self._link(peer).send(encode_message(outcome))
        except LinkFull:
            # It asks again after its restart, and finds the outcome in the memory.
            self._edge.log.failure("outcome-not-sent", peer=peer, correlation=outcome.correlation)

    def _link(self, name: str) -> LinkDriver:
        link = self._links.get(name)
        if link is None:
            window = self._edge.settings.limits.link_window
            session = secrets.token_hex(12)
            machine = LinkMachine(
                self._edge.settings.node, session, limits=LinkLimits(held_payloads=window, window=512)
            )
            link = self._links[name] = LinkDriver(name, machine, self)
        return link

    # Connections that have not said who they are.

    def _stranger(self) -> Connection:
        return Connection(self._greet)

    def _greet(self, connection: Connection) -> None:
        if self._strangers >= MAXIMUM_STRANGERS:
            self._edge.log.warning("link-refused", address=connection.peer_address, reason="too many connections")
            connection.abort()
            return
        self._strangers += 1
        _Stranger(self, connection)

    def introduced(self, stranger: _Stranger, names: list[str], hello: Hello, data: bytes) -> None:
        """A stranger has shown its certificate and said its name."""
        self.forget(stranger)
        node = hello.node.lower()
        if node not in names:
            self.refuse(stranger, f"its certificate does not carry the name {node!r} that it gives itself")
            return
        link = self._link(node)
        link.attach(stranger.connection)
        link.received(data)

    def refuse(self, stranger: _Stranger, reason: str) -> None:
        """Close a stranger's connection, with one log line."""
        self._edge.counters.refused.labels("link").inc()
        self._edge.log.warning("link-refused", address=stranger.connection.peer_address, reason=reason)
        stranger.connection.close()

    def forget(self, stranger: _Stranger) -> None:
        """A stranger is none any more."""
        if not stranger.done:
            stranger.done = True
            stranger.timer.cancel()
            self._strangers -= 1

    @property
    def allowed(self) -> tuple[str, ...]:
        """Names that a front end's certificate may carry."""
        return self._edge.settings.link.peers

    @property
    def context(self) -> ReloadableContext:
        """Our certificate for the link."""
        return self._context


class _Stranger:
    """One connection to the link port until its certificate and Hello are there."""

    def __init__(self, hub: LinkHub, connection: Connection) -> None:
        self.connection = connection
        self.done = False
        self._hub = hub
        self._names: list[str] = []
        self._data = bytearray()
        self.timer = asyncio.get_running_loop().call_later(HELLO_SECONDS, self._late)
        connection.use(self)
        connection.start_tls(hub.context.context, server_side=True, check_peer=dns_peer(hub.allowed))

    def secured(self, tls: MemoryTls) -> None:
        """Note the names in the certificate; a chain or name that is not right never comes here."""
        allowed = {name.lower() for name in self._hub.allowed}
        self._names = [name for name in certificate_names(tls.peer_chain()[0]) if name in allowed]

    def received(self, data: bytes) -> None:
        """Collect the first frame."""
        if self.done:
            return
        self._data += data
        reader = FrameReader()
        reader.feed(bytes(self._data))
        try:
            hello = reader.next_frame()
        except FrameError as error:
            self._end(str(error))
            return
        if isinstance(hello, Hello):
            self._hub.introduced(self, self._names, hello, bytes(self._data))
        elif hello is not None or len(self._data) > HELLO_BYTES:
            self._end("the first frame is not hello")

    def drained(self) -> None:
        """Nothing."""

    def lost(self, reason: str) -> None:
        """Gone."""
        if not self.done:
            self._end(reason)

    def _late(self) -> None:
        if not self.done:
            self._end(f"no hello within {HELLO_SECONDS:g} s")

    def _end(self, reason: str) -> None:
        self._hub.forget(self)
        self._hub.refuse(self, reason)
