"""The least there must be around the stream machines to meet real servers: sockets, TLS, DNS overrides, one event log.

The tests here are about the machines against other people's servers; the real daemon has its own tests.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from xmppgw.tls.context import s2s_context
from xmppgw.tls.identity import Identity
from xmppgw.tls.memory import MemoryTls, TlsError
from xmppgw.tls.verify import TrustStore, Verdict, verify_server
from xmppgw.xmpp.element import Element
from xmppgw.xmpp.incoming import IncomingSettings, IncomingStream
from xmppgw.xmpp.outgoing import OutgoingSettings, OutgoingStream
from xmppgw.xmpp.stream import (
    CheckDialback,
    Closed,
    DialbackChecked,
    DialbackRequest,
    Output,
    PeerPolicy,
    SendData,
    SendReply,
    StanzaReceived,
    StartTls,
    StreamLimits,
    TlsFacts,
    VerifyCertificate,
)

Machine = IncomingStream | OutgoingStream
WAIT_SECONDS = 120.0


class Session(asyncio.Protocol):
    """One machine on one socket."""

    def __init__(self, edge: SmallEdge, machine: Machine, name: str) -> None:
        self.edge, self.machine, self.name = edge, machine, name
        self.tls: MemoryTls | None = None
        self.secured = False
        self.verdict: Verdict | None = None
        self.closed: asyncio.Future[Closed] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.obey(self.machine.start(self.now))

    def connection_lost(self, error: Exception | None) -> None:
        self.obey(self.machine.connection_lost(self.now, str(error or "end of file")))

    def data_received(self, data: bytes) -> None:
        if self.tls is None:
            self.obey(self.machine.receive(data, self.now))
            return
        try:
            plain = self.tls.receive(data)
        except TlsError as error:
            self._flush()
            self.obey(self.machine.connection_lost(self.now, f"TLS: {error}"))
            return
        self._flush()
        if self.tls.handshake_done and not self.secured:
            self.secured = True
            facts = TlsFacts(self.tls.protocol, self.tls.cipher, bool(self.tls.peer_chain()))
            self.obey(self.machine.tls_done(facts, self.now))
        if plain:
            self.obey(self.machine.receive(plain, self.now))
        if self.tls.closed_by_peer:
            self.obey(self.machine.connection_lost(self.now, "close_notify"))

    def send(self, stanza: Element) -> None:
        assert isinstance(self.machine, OutgoingStream)
        self.obey(self.machine.send(stanza, self.now))

    def close(self) -> None:
        self.obey(self.machine.close(self.now))

    def obey(self, outputs: list[Output]) -> None:
        for output in outputs:
            if not isinstance(output, SendData):
                self.edge.happened(self, output)
            match output:
                case SendData(data=data):
                    self._write(data)
                case StartTls(server_side=server_side, remote=remote):
                    self.tls = MemoryTls(self.edge.context, server_side=server_side, server_name=remote)
                    self._flush()
                case VerifyCertificate(domain=domain):
                    assert self.tls is not None
                    verdict = verify_server(self.tls.peer_chain(), domain, datetime.now(UTC), self.edge.trust)
                    self.verdict = verdict
                    self.obey(self.machine.certificate_verified(verdict, self.now))
                case CheckDialback(request=request):
                    self.edge.ask(self, request)
                case Closed():
                    self._end(output)
        self._arm()

    def _write(self, data: bytes) -> None:
        assert self.transport is not None
        if self.tls is None:
            self.transport.write(data)
        else:
            self.tls.write(data)
            self._flush()

    def _flush(self) -> None:
        assert self.tls is not None
        assert self.transport is not None
        self.transport.write(self.tls.data_to_send())

    def _end(self, closed: Closed) -> None:
        assert self.transport is not None
        if self.tls is not None:
            self.tls.close()
            self._flush()
        self.transport.close()
        if not self.closed.done():
            self.closed.set_result(closed)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self.machine.next_deadline()
        if deadline is not None:
            self._timer = asyncio.get_running_loop().call_at(deadline, self._tick)

    def _tick(self) -> None:
        self.obey(self.machine.handle_time(self.now))


@dataclass
class SmallEdge:
    """Listens, connects, remembers what happened.

    Attributes:
        domain: ours.
        door: a listening socket, lent.
        hosts: address of each partner's server.
        policies: what may authenticate each partner.
        log: every output but bytes, with its session.
    """

    domain: str
    identity: Identity | None
    trust: TrustStore
    door: socket.socket
    hosts: dict[str, str]
    policies: dict[str, PeerPolicy]
    limits: StreamLimits = field(default_factory=StreamLimits)
    log: list[tuple[Session, Output]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.context = s2s_context(self.identity)
        self.secret = secrets.token_hex(32)
        self.sessions: list[Session] = []
        self.outgoing: dict[str, Session] = {}
        self._server: asyncio.Server | None = None
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self) -> None:
        loop = asyncio.get_running_loop()
        settings = IncomingSettings(
            frozenset({self.domain}), lambda _, remote: self.policies.get(remote), self.secret, self.limits
        )

        def accept() -> Session:
            session = Session(self, IncomingStream(settings, lambda: secrets.token_urlsafe(24)), "in")
            self.sessions.append(session)
            return session

        self._server = await loop.create_server(accept, sock=self.door.dup())

    async def connect(self, remote: str, request: DialbackRequest | None = None) -> Session:
        settings = OutgoingSettings(
            self.domain,
            remote,
            self.policies[remote],
            self.secret,
            self.limits,
            has_certificate=self.identity is not None,
        )
        machine = OutgoingStream(settings, verify_only=request is not None)
        name = "out" if request is None else "verify"
        session = Session(self, machine, name)
        if request is not None:
            session.obey(machine.verify(request, session.now))
        else:
            self.outgoing[remote] = session
        self.sessions.append(session)
        await asyncio.get_running_loop().create_connection(lambda: session, self.hosts[remote], 5269)
        return session

    def ask(self, session: Session, request: DialbackRequest) -> None:
        async def ask() -> None:
            verifying = await self.connect(request.originating, request)
            checked = await self.wait(DialbackChecked, by=verifying)
            machine = session.machine
            assert isinstance(machine, IncomingStream)
            assert isinstance(checked, DialbackChecked)
            session.obey(machine.dialback_checked(request, checked.outcome, checked.condition, session.now))

        task = asyncio.get_running_loop().create_task(ask())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def happened(self, session: Session, output: Output) -> None:
        self.log.append((session, output))
        if isinstance(output, SendReply):
            carrier = self.outgoing.get(output.pair.receiver)
            if carrier is not None:
                carrier.send(output.element)
        self._changed.set()

    def seen(
        self,
        kind: type[Output],
        *,
        name: str | None = None,
        by: Session | None = None,
        where: Callable[[Output], bool] = lambda _: True,
    ) -> list[Output]:
        return [
            output
            for session, output in self.log
            if isinstance(output, kind) and where(output) and name in (None, session.name) and by in (None, session)
        ]

    async def wait(
        self,
        kind: type[Output],
        *,
        count: int = 1,
        name: str | None = None,
        by: Session | None = None,
        where: Callable[[Output], bool] = lambda _: True,
    ) -> Output:
        """The `count`-th output of a kind; fails with the log if it does not come."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while len(found := self.seen(kind, name=name, by=by, where=where)) < count:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            log = "\n".join(f"{session.name}: {output}" for session, output in self.log)
            raise AssertionError(f"no {kind.__name__}; seen:\n{log}") from None
        return found[count - 1]

    async def message(self, text: str, *, count: int = 1) -> StanzaReceived:
        """The message whose body is `text`."""

        def has_body(output: Output) -> bool:
            assert isinstance(output, StanzaReceived)
            body = output.stanza.element.child("body")
            return body is not None and body.text == text

        found = await self.wait(StanzaReceived, count=count, where=has_body)
        assert isinstance(found, StanzaReceived)
        return found

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for session in self.sessions:
            session.close()
        async with asyncio.timeout(WAIT_SECONDS):
            await asyncio.gather(*(session.closed for session in self.sessions if session.transport is not None))
        for task in list(self._tasks):
            task.cancel()
