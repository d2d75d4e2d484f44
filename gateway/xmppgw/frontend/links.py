"""The front end's end of the links: dials every edge, takes stanzas and outcomes, gives deliveries.

Called by the daemon and the lanes. Acknowledges what it took only when the store has it, together with the link's
position, so that a restart asks the edge to go on exactly there.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import deque

from xmppgw.frontend.context import FrontEndContext
from xmppgw.frontend.intake import Intake
from xmppgw.frontend.settings import LinkTarget
from xmppgw.frontend.sip_lanes import adopted
from xmppgw.link.connection import Connection
from xmppgw.link.driver import LinkDriver
from xmppgw.link.messages import Deliver, MessageError, StanzaArrived, decode_for_front_end, encode_message
from xmppgw.link.protocol import LinkFull, LinkLimits, LinkMachine, Opened, Received
from xmppgw.store.interface import Position
from xmppgw.telemetry.control import Json
from xmppgw.tls.memory import MemoryTls
from xmppgw.tls.reload import ReloadableContext
from xmppgw.tls.verify import dns_peer


class EdgeLink:
    """One edge: its address, its link, and what was sent to it and is not acknowledged."""

    def __init__(self, links: Links, target: LinkTarget, resume: tuple[str, int] | None) -> None:
        self.target = target
        self.name = target.server_name.lower()
        settings = links.gateway.settings
        machine = LinkMachine(settings.node, secrets.token_hex(12), limits=LinkLimits(), resume=resume, one_life=True)
        self.driver = LinkDriver(self.name, machine, links)
        #: Deliveries in the order of sending; the last `machine.held` of them are not acknowledged.
        self.sent: deque[str] = deque()
        #: The edge's process has said goodbye: nothing more may be given to it.
        self.over = False
        #: Its link is lost, and for how long it is still waited for; afterwards other edges take over its lanes.
        self.given_up = False
        self.patience: asyncio.TimerHandle | None = None
        self.problem = ""
        self.down: asyncio.Event = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    @property
    def session(self) -> str:
        """The edge's process as we know it."""
        return self.driver.machine.peer_session

    @property
    def usable(self) -> bool:
        """Whether deliveries can be given to it now."""
        return self.driver.open and self.driver.machine.writable and not self.over

    def may_write(self, session: str) -> bool:
        """Whether that process may still write to partners what it was given; an empty name: not heard of yet."""
        return not self.over and not self.given_up and self.session in ("", session)

    def calm(self) -> None:
        """It need not be waited for, or not any more."""
        if self.patience is not None:
            self.patience.cancel()
            self.patience = None


class Links:
    """All edges."""

    def __init__(self, gateway: FrontEndContext, context: ReloadableContext, intake: Intake) -> None:
        self.gateway = gateway
        self.context = context
        self._intake = intake
        self._loop = asyncio.get_running_loop()
        self._links: dict[str, EdgeLink] = {}
        self._positions: dict[str, tuple[str, int]] = {}

    def start(self, positions: dict[str, tuple[str, int]]) -> None:
        """Dial every edge. `positions`: where each link stands according to the store."""
        self._positions = positions
        self.reconcile()

    def reconcile(self) -> None:
        """Dial edges that are new in the settings, leave those that are gone."""
        wanted = {target.server_name.lower(): target for target in self.gateway.settings.links}
        for name, link in list(self._links.items()):
            if name not in wanted:
                if link.task is not None:
                    link.task.cancel()
                link.driver.close("removed", "this edge is no longer configured")
                link.calm()
                del self._links[name]
                self.gateway.xmpp_lanes.pump_all()
            else:
                link.target = wanted[name]
        for name, target in wanted.items():
            if name not in self._links:
                link = self._links[name] = EdgeLink(self, target, self._positions.get(name))
                link.task = self._loop.create_task(self._dial(link))
                self._wait_for(link)

    def stop(self) -> None:
        """Say goodbye to all edges."""
        for link in self._links.values():
            if link.task is not None:
                link.task.cancel()
            link.driver.close("shutdown", "the front end is shutting down")
            link.calm()

    @property
    def connected(self) -> bool:
        """Whether every edge is connected."""
        return all(link.driver.open for link in self._links.values())

    def describe(self) -> list[dict[str, Json]]:
        """One entry per edge, sorted."""
        return [
            {
                "edge": name,
                "state": "up" if link.driver.open else "down",
                "address": link.driver.address or None,
                "unacknowledged": link.driver.machine.held,
                "uncommitted": link.driver.machine.unprocessed,
                "reason": link.problem if not link.driver.open else "",
            }
            for name, link in sorted(self._links.items())
        ]

    # Deliveries.

    def choose(self, lane: str, earlier: tuple[str, str] | None = None) -> tuple[str, str] | None:
        """Return the edge (and its process) that carries a lane now, None if none can.

        `earlier`: who has messages of the lane. While it may still write them, no other gets later ones.
        """
        if earlier is not None:
            link = self._links.get(earlier[0])
            if link is not None and link.may_write(earlier[1]):
                return earlier if link.usable else None
        usable = [link for link in self._links.values() if link.usable]
        if not usable:
            return None
        key = lane.encode()[:64]
        best = max(usable, key=lambda link: hashlib.blake2b(link.name.encode(), key=key, digest_size=8).digest())
        return best.name, best.session

    def send(self, edge: str, session: str, message: Deliver) -> bool:
        """Give a delivery to that process of that edge; false if it will never see it."""
        link = self._links.get(edge)
        if link is None or link.over or link.session != session:
            return False
        try:
            link.driver.send(encode_message(message))
        except LinkFull:
            return False
        link.sent.append(message.delivery)
        while len(link.sent) > link.driver.machine.held:
            link.sent.popleft()
        return True

    # What the links say.

    def link_opened(self, link: LinkDriver, opened: Opened) -> None:
        """An edge is there."""
        mine = self._links.get(link.name)
        if mine is None:
            return
        mine.problem = ""
        mine.over = mine.given_up = False
        mine.calm()
        if opened.new_session:
            mine.sent.clear()
        write = self.gateway.log.failure if opened.missing else self.gateway.log.info
        write("link-up", peer=link.name, address=link.address, new_session=opened.new_session, missing=opened.missing)
        self.gateway.xmpp_lanes.edge_opened(link.name, opened.session)

    def link_writable(self, link: LinkDriver) -> None:
        """An edge takes deliveries again."""
        self.gateway.xmpp_lanes.pump_all()

    def link_closed(self, link: LinkDriver, code: str, reason: str, *, by_peer: bool) -> None:
        """An edge is gone; it is dialled again."""
        self.gateway.log.warning("link-down", peer=link.name, code=code, reason=reason)
        mine = self._links.get(link.name)
        if mine is None:
            return
        mine.problem = reason
        mine.down.set()
        self._wait_for(mine)
        if by_peer and code == "shutdown":
            # It acknowledged all that it looked at before it said goodbye; the rest is as if it was never sent.
            mine.over = True
            held = link.machine.forget()
            untouched = list(mine.sent)[len(mine.sent) - held :] if held else []
            mine.sent.clear()
            self.gateway.xmpp_lanes.untouched(untouched)

    def link_received(self, link: LinkDriver, received: Received) -> None:
        """A stanza or an outcome: commit it with the position, then acknowledge."""
        gateway = self.gateway
        position = Position(link.name, received.session, received.sequence)
        self._positions[link.name] = (received.session, received.sequence)

        def acknowledge() -> None:
            link.processed(received.session, received.sequence)

        try:
            message = decode_for_front_end(received.payload)
        except MessageError as error:
            gateway.counters.faults.labels("link-message").inc()
            gateway.log.failure("link-message-refused", peer=link.name, reason=str(error))
            gateway.commit([position], lambda _: acknowledge())
            return
        if isinstance(message, StanzaArrived):
            self._intake.stanza(message, position, acknowledge)
            return
        change = gateway.xmpp_lanes.outcome(message)

        def done(_: tuple[bool, ...]) -> None:
            acknowledge()
            adopted(gateway, change.follow)

        gateway.commit([*change.operations, position], done)

    def _wait_for(self, link: EdgeLink) -> None:
        """Give an edge some time to come back, from when it was lost."""

        def give_up() -> None:
            link.patience = None
            link.given_up = True
            self.gateway.log.warning("link-given-up", peer=link.name, reason=link.problem)
            self.gateway.xmpp_lanes.pump_all()

        if link.patience is None and not link.given_up:
            link.patience = self._loop.call_later(self.gateway.settings.limits.edge_patience_seconds, give_up)

    # Dialling.

    async def _dial(self, link: EdgeLink) -> None:
        limits = self.gateway.settings.limits
        pause = limits.reconnect_seconds
        while True:
            link.down.clear()
            problem = await self._try(link)
            if problem:
                if problem != link.problem:
                    self.gateway.log.warning("link-unreachable", peer=link.name, reason=problem)
                link.problem = problem
                await asyncio.sleep(pause)
                pause = min(pause * 2, limits.reconnect_maximum_seconds)
                continue
            pause = limits.reconnect_seconds
            await link.down.wait()
            await asyncio.sleep(pause)

    async def _try(self, link: EdgeLink) -> str:
        limits = self.gateway.settings.limits
        problems: list[str] = []
        for address in link.target.addresses:
            try:
                async with asyncio.timeout(limits.connect_seconds):
                    _, connection = await self._loop.create_connection(Connection, address, link.target.port)
            except (OSError, TimeoutError) as error:
                problems.append(f"{address}: {error or 'no answer in time'}")
                continue
            handshake = _Handshake(connection, self.context, link.name)
            try:
                async with asyncio.timeout(limits.handshake_seconds):
                    await handshake.done
            except TimeoutError:
                connection.abort()
                problems.append(f"{address}: no TLS handshake in time")
                continue
            if handshake.problem:
                problems.append(f"{address}: {handshake.problem}")
                continue
            link.driver.attach(connection)
            if handshake.early:
                link.driver.received(bytes(handshake.early))
            return ""
        return "; ".join(problems) or "no address"


class _Handshake:
    """The user of a connection until its TLS handshake is done."""

    def __init__(self, connection: Connection, context: ReloadableContext, name: str) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.problem = ""
        self.early = bytearray()
        connection.use(self)
        connection.start_tls(context.context, server_side=False, server_name=name, check_peer=dns_peer([name]))

    def secured(self, tls: MemoryTls) -> None:
        """Up."""
        if not self.done.done():
            self.done.set_result(None)

    def received(self, data: bytes) -> None:
        """Keep what comes before the link takes over."""
        self.early += data

    def drained(self) -> None:
        """Nothing."""

    def lost(self, reason: str) -> None:
        """Failed."""
        self.problem = reason
        if not self.done.done():
            self.done.set_result(None)
