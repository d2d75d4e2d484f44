"""A world of bytes around the two daemons: authorities, partners on X's machines, a platform on S's machines.

Everything runs in the test's own event loop, on loopback ports that the kernel chooses. Nothing of the daemons is
replaced: what is fake is at the far end of a socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import io
import json
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from xmppgw.edge.daemon import Edge
from xmppgw.edge.settings import decode_edge_settings
from xmppgw.frontend.daemon import FrontEnd
from xmppgw.frontend.settings import decode_front_end_settings
from xmppgw.link.connection import Connection
from xmppgw.sip.connection import Identity as SipIdentity
from xmppgw.sip.connection import (
    MustClose,
    OutgoingRequest,
    RequestReceived,
    ResponseReceived,
    SipConnection,
)
from xmppgw.sip.message import TEXT_PLAIN, NameAddr, Request
from xmppgw.sip.uri import SipUri
from xmppgw.telemetry.log import Log
from xmppgw.tls.context import mutual_context, s2s_context
from xmppgw.tls.identity import Identity
from xmppgw.tls.verify import TrustStore, verify_server
from xmppgw.xmpp.element import Element
from xmppgw.xmpp.incoming import IncomingSettings, IncomingStream
from xmppgw.xmpp.outgoing import OutgoingSettings, OutgoingStream
from xmppgw.xmpp.stanza import Stanza, message
from xmppgw.xmpp.stream import (
    Authorised,
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
    TlsFacts,
    VerifyCertificate,
)

Found = TypeVar("Found")
#: Seconds until a test gives up on what has to come, however slow the machine is. No test that passes waits so long.
PATIENCE = 120.0
OWN = "corp.example"
#: A second domain of ours, for the tests that want one.
BRANCH = "branch.example"


class Happenings:
    """A list that can be waited on."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self._waiters: list[asyncio.Future[None]] = []

    def add(self, item: object) -> None:
        self.items.append(item)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def until(self, condition: Callable[[list[Any]], bool], what: str = "") -> list[Any]:
        try:
            async with asyncio.timeout(PATIENCE):
                while not condition(self.items):
                    waiter = asyncio.get_running_loop().create_future()
                    self._waiters.append(waiter)
                    await waiter
        except TimeoutError:
            raise AssertionError(f"waited in vain for {what or 'a condition'}; seen: {self.items[-20:]!r}") from None
        return self.items

    async def first(self, kind: type[Found], number: int = 1) -> Found:
        await self.until(lambda items: sum(isinstance(item, kind) for item in items) >= number, kind.__name__)
        return [item for item in self.items if isinstance(item, kind)][number - 1]

    async def count(self, number: int) -> list[Any]:
        return await self.until(lambda items: len(items) >= number, f"{number} things")


async def eventually(condition: Callable[[], bool], what: str) -> None:
    """For states of the daemons that no event tells of."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while not condition():
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"waited in vain until {what}")
        await asyncio.sleep(0.01)


class Authority:
    """A CA with files on disk."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self._build(self._name, self._key.public_key(), [], [], authority=True)
        self.path = folder / f"{name}.pem"
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM)
        self.path.write_bytes(self.pem)

    def issue(self, file: str, names: list[str], *, client: bool = True, days: int = 30) -> tuple[str, str]:
        key = ec.generate_private_key(ec.SECP256R1())
        usages = [ExtendedKeyUsageOID.SERVER_AUTH] + ([ExtendedKeyUsageOID.CLIENT_AUTH] if client else [])
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "not looked at")])
        certificate = self._build(subject, key.public_key(), names, usages, days=days)
        certificate_path, key_path = self.folder / f"{file}.crt", self.folder / f"{file}.key"
        certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return str(certificate_path), str(key_path)

    def _build(
        self,
        subject: x509.Name,
        public: ec.EllipticCurvePublicKey,
        names: list[str],
        usages: list[x509.ObjectIdentifier],
        *,
        authority: bool = False,
        days: int = 30,
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=60))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if authority:
            usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), False)
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        return builder.sign(self._key, hashes.SHA256())


class Leg:
    """One S2S stream of a partner: a machine on a connection, whose events are kept."""

    def __init__(self, partner: FakePartner, machine: IncomingStream | OutgoingStream, connection: Connection) -> None:
        self.machine = machine
        self.connection = connection
        self.events = Happenings()
        self._partner = partner
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def start(self) -> Leg:
        self.connection.use(self)
        self.obey(self.machine.start(self._loop.time()))
        return self

    def received(self, data: bytes) -> None:
        self.obey(self.machine.receive(data, self._loop.time()))

    def secured(self, tls: Any) -> None:
        self.obey(self.machine.tls_done(TlsFacts(tls.protocol, tls.cipher, bool(tls.peer_chain())), self._loop.time()))

    def drained(self) -> None: ...

    def lost(self, reason: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.obey(self.machine.connection_lost(self._loop.time(), reason))

    def close(self, condition: str | None = None) -> None:
        self.obey(self.machine.close(self._loop.time(), condition, "by the partner"))

    def send(self, stanza: Element | bytes) -> None:
        assert isinstance(self.machine, OutgoingStream)
        self.obey(self.machine.send(stanza, self._loop.time()))

    def obey(self, outputs: list[Output]) -> None:
        for output in outputs:
            match output:
                case SendData(data=data):
                    self.connection.write(data)
                case StartTls(server_side=server_side):
                    self.connection.start_tls(self._partner.context, server_side=server_side)
                case VerifyCertificate(domain=domain):
                    assert self.connection.tls is not None
                    now = datetime.datetime.now(datetime.UTC)
                    verdict = verify_server(self.connection.tls.peer_chain(), domain, now, self._partner.trust)
                    if self._partner.wants_client_auth and isinstance(self.machine, IncomingStream):
                        verdict = verify_server([], domain, now, self._partner.trust)
                    self.obey(self.machine.certificate_verified(verdict, self._loop.time()))
                case CheckDialback(request=request):
                    self._partner.ask(self, request)
                case SendReply(element=element):
                    if self._partner.answers_pings_on is not None:
                        self._partner.answers_pings_on.send(element)
                case StanzaReceived(stanza=stanza):
                    self._partner.stanzas.add(stanza)
                case Closed():
                    self.connection.close()
            if not isinstance(output, SendData):
                self.events.add(output)


class FakePartner:
    """An XMPP server of one domain."""

    def __init__(
        self,
        world: World,
        domain: str,
        *,
        policy: PeerPolicy,
        wants_client_auth: bool = False,
        certificate: tuple[str, str] | None = None,
    ) -> None:
        self.domain = domain
        self.policy = policy
        #: COMPAT lesson of ejabberd 23.01: our certificate is not accepted for EXTERNAL.
        self.wants_client_auth = wants_client_auth
        files = certificate or world.public.issue(domain, [domain])
        # Read as they were valid two days ago, so that a partner may hold an expired one.
        then = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=2)
        self.context = s2s_context(Identity.from_files(Path(files[0]), Path(files[1]), then))
        self.trust = TrustStore.from_pem(world.public.pem)
        self.secret = secrets.token_hex(32)
        self.stanzas = Happenings()
        self.legs: list[Leg] = []
        #: The stream on which its server answers pings and refusals.
        self.answers_pings_on: Leg | None = None
        #: Whose streams it takes.
        self.takes = frozenset({OWN, BRANCH})
        self.port = 0
        self._world = world
        self._server: asyncio.Server | None = None

    async def listen(self, port: int = 0) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, "127.0.0.1", port or self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def close(self) -> None:
        self.stop_listening()
        for leg in self.legs:
            leg.connection.abort()

    def _accept(self) -> Connection:
        machine = IncomingStream(
            IncomingSettings(
                frozenset({self.domain}),
                lambda own, remote: self.policy if remote in self.takes else None,
                self.secret,
            ),
            lambda: secrets.token_urlsafe(24),
        )

        def begin(connection: Connection) -> None:
            leg = Leg(self, machine, connection)
            self.legs.append(leg)
            leg.start()

        return Connection(begin)

    async def connect(self, *, local: str | None = None, remote: str = OWN, port: int | None = None) -> Leg:
        """Open a stream to the edge; not yet authenticated."""
        _, connection = await asyncio.get_running_loop().create_connection(
            Connection, "127.0.0.1", port or self._world.sockets[0].getsockname()[1]
        )
        settings = OutgoingSettings(local or self.domain, remote, self.policy, self.secret)
        leg = Leg(self, OutgoingStream(settings), connection)
        self.legs.append(leg)
        return leg.start()

    async def authenticated(self) -> Leg:
        leg = await self.connect()
        await leg.events.until(lambda items: any(isinstance(i, Authorised | Closed) for i in items), "authentication")
        assert any(isinstance(item, Authorised) for item in leg.events.items), leg.events.items
        return leg

    def ask(self, leg: Leg, request: Any) -> None:
        async def check() -> None:
            answer = await self.asks(request)
            now = asyncio.get_running_loop().time()
            assert isinstance(leg.machine, IncomingStream)
            leg.obey(leg.machine.dialback_checked(request, answer.outcome, answer.condition, now))

        self._world.tasks.append(asyncio.get_running_loop().create_task(check()))

    async def asks(self, request: DialbackRequest) -> DialbackChecked:
        """Ask whoever answers for our domain, as DNS would say, about a key."""
        _, connection = await asyncio.get_running_loop().create_connection(
            Connection, "127.0.0.1", self._world.sockets[0].getsockname()[1]
        )
        settings = OutgoingSettings(request.receiving, request.originating, self.policy, self.secret)
        machine = OutgoingStream(settings, verify_only=True)
        asking = Leg(self, machine, connection)
        machine.verify(request, asyncio.get_running_loop().time())
        asking.start()
        return await asking.events.first(DialbackChecked)

    def message(self, text: str, *, number: str = "m1", user: str = "juliet", to: str = f"alice@{OWN}") -> Element:
        return message(f"{user}@{self.domain}/chamber", to, text, identifier=number)

    def bodies(self) -> list[str]:
        found = []
        for stanza in self.stanzas.items:
            assert isinstance(stanza, Stanza)
            body = stanza.element.child("body")
            found.append(body.text if body is not None else f"<{stanza.type}>")
        return found


class SipEnd:
    """One SIP connection of the platform."""

    def __init__(self, platform: FakePlatform, connection: Connection, *, server_side: bool) -> None:
        self.platform = platform
        self.connection = connection
        self.machine: SipConnection | None = None
        self.gone = False
        self.up = asyncio.get_running_loop().create_future()
        self._loop = asyncio.get_running_loop()
        connection.use(self)
        connection.start_tls(platform.context, server_side=server_side)

    def secured(self, tls: Any) -> None:
        self.machine = SipConnection(
            SipIdentity("pool.corp.example"), new_token=lambda: secrets.token_hex(12), now=self._loop.time()
        )
        self.up.set_result(None)

    def received(self, data: bytes) -> None:
        assert self.machine is not None
        for event in self.machine.receive(data, self._loop.time()):
            if isinstance(event, RequestReceived):
                self.platform.requests.add(event.request)
                status = self.platform.answer(event.request)
                if status:
                    self.machine.respond(event.transaction, status, self._loop.time())
            elif isinstance(event, ResponseReceived):
                self.platform.warnings += event.response.header_list("Warning")
                self.platform.responses.add((event.transaction, event.response.status))
            elif isinstance(event, MustClose):
                self.connection.close()
        self.flush()

    def flush(self) -> None:
        assert self.machine is not None
        data = self.machine.data_to_send()
        if data:
            self.connection.write(data)

    def drained(self) -> None: ...

    def lost(self, reason: str) -> None:
        self.gone = True
        self.platform.lost.add(reason)
        if self in self.platform.ends:
            self.platform.ends.remove(self)
        if not self.up.done():
            self.up.set_exception(ConnectionError(reason))
            self.up.exception()


class FakePlatform:
    """A SIP platform: next hop and sender of messages."""

    def __init__(self, world: World, name: str = "pool.corp.example") -> None:
        certificate, key = world.private.issue(name, [name])
        identity = Identity.from_files(Path(certificate), Path(key), datetime.datetime.now(datetime.UTC))
        self.context = mutual_context(identity, world.private.pem)
        self.requests = Happenings()
        self.responses = Happenings()
        #: Warning headers of responses.
        self.warnings: list[str] = []
        self.lost = Happenings()
        self.ends: list[SipEnd] = []
        self.answer: Callable[[Request], int] = lambda request: 200
        self.port = 0
        self._world = world
        self._server: asyncio.Server | None = None
        self._client: SipEnd | None = None
        #: Which connection a request went out on.
        self._carried: dict[str, SipEnd] = {}

    async def listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for end in list(self.ends):
            end.connection.abort()

    def close(self) -> None:
        self.stop_listening()
        if self._client is not None:
            self._client.connection.abort()

    def _accept(self) -> Connection:
        return Connection(lambda connection: self.ends.append(SipEnd(self, connection, server_side=True)))

    async def connect(self) -> SipEnd:
        _, connection = await asyncio.get_running_loop().create_connection(
            Connection, "127.0.0.1", self._world.sockets[1].getsockname()[1]
        )
        end = SipEnd(self, connection, server_side=False)
        await end.up
        return end

    async def send(
        self,
        text: str,
        *,
        to: str = "juliet@partner1.example",
        user: str = f"alice@{OWN}",
        call_id: str | None = None,
        tag: str | None = None,
    ) -> str:
        """Send a MESSAGE to the front end; the transaction."""
        if self._client is None or self._client.connection.closing:
            self._client = await self.connect()
        request = OutgoingRequest(
            "MESSAGE",
            SipUri.parse(f"sip:{to}"),
            NameAddr(SipUri.parse(f"sip:{user}"), None, (("tag", tag or secrets.token_hex(6)),)),
            NameAddr(SipUri.parse(f"sip:{to}")),
            call_id or f"{secrets.token_hex(8)}@pool.corp.example",
            content_type=TEXT_PLAIN,
            body=text.encode(),
        )
        assert self._client.machine is not None
        transaction = self._client.machine.send_request(request, asyncio.get_running_loop().time())
        self._client.flush()
        self._carried[transaction] = self._client
        return transaction

    async def status(self, transaction: str) -> int:
        items = await self.responses.until(
            lambda items: any(known == transaction for known, _ in items), f"a response to {transaction}"
        )
        return int(next(status for known, status in items if known == transaction))

    async def answered(self, transactions: Iterable[str]) -> dict[str, int]:
        """Which of the requests were answered, and how; each was, or was cut off with its connection."""
        asked = set(transactions)

        def over() -> bool:
            found = {known for known, _ in self.responses.items}
            return all(each in found or self._carried[each].gone for each in asked)

        await eventually(over, "each request is answered or cut off")
        return {known: status for known, status in self.responses.items if known in asked}

    def bodies(self) -> list[str]:
        return [request.body.decode() for request in self.requests.items]


class Journal(io.StringIO):
    """Where a daemon's log goes."""

    def lines(self, event: str | None = None) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.getvalue().splitlines()]
        return [line for line in found if event is None or line["event"] == event]


def a_free_port() -> int:
    """A port that nobody listens on, below those that the kernel gives to connections: it stays free until used."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class World:
    """Both daemons and everything around them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.public = Authority(folder, "public")
        self.private = Authority(folder, "private")
        self.tasks: list[asyncio.Task[None]] = []
        self.partner1 = FakePartner(self, "partner1.example", policy=PeerPolicy(True, False, False))
        self.partner2 = FakePartner(
            self, "partner2.example", policy=PeerPolicy(True, True, False), wants_client_auth=True
        )
        self.platform = FakePlatform(self)
        self.edge: Edge
        self.front_end: FrontEnd
        self.edge_journal = Journal()
        self.front_end_journal = Journal()
        self.edge_limits: dict[str, Any] = {"drain_seconds": 5, "close_seconds": 1}
        self.front_end_limits: dict[str, Any] = {
            "drain_seconds": 5,
            "reconnect_seconds": 0.05,
            "reconnect_maximum_seconds": 0.2,
            "retry_seconds": 0.05,
        }
        self.message_ttl = 3600.0
        self.policy = {"enable_federation_access": True, "enable_xmpp_access": True}
        self._edge_certificate = self.public.issue("edge1", [OWN, BRANCH, "edge1.corp.example"], client=False)
        self._edge_link = self.private.issue("edge1-int", ["edge1-int.corp.example"])
        self._front_end_link = self.private.issue("fe1", ["fe1.corp.example", "fe-pool.corp.example"])
        self.secret_file = folder / "dialback.secret"
        self.secret_file.write_text(secrets.token_hex(32))
        self.partners: list[dict[str, Any]] = []
        #: Partners beside the two that always are.
        self.more_partners: list[dict[str, Any]] = []
        self.others: dict[str, FakePartner] = {}
        #: Keys of edge.json that a test wants different.
        self.edge_changes: dict[str, Any] = {}
        #: The same of frontend.json.
        self.front_end_changes: dict[str, Any] = {}
        self._edge_port = 0
        self._link_port = a_free_port()
        self._sip_port = 0
        #: Held by "systemd": a daemon that restarts refuses nobody.
        self.sockets = [socket.create_server(("127.0.0.1", 0), backlog=64) for _ in range(2)]

    async def begin(self) -> None:
        await self.partner1.listen()
        await self.partner2.listen()
        await self.platform.listen()
        self.partners = [
            {
                "domain": "partner1.example",
                "tls": "required",
                "sasl": "required",
                "dialback": False,
                "addresses": [{"host": "127.0.0.1", "port": self.partner1.port}],
            },
            {
                "domain": "partner2.example",
                "tls": "required",
                "sasl": "optional",
                "dialback": True,
                "addresses": [{"host": "127.0.0.1", "port": self.partner2.port}],
            },
            *self.more_partners,
        ]
        await self.start_edge()
        await self.start_front_end()
        await eventually(lambda: self.edge.context.hub.connected and self.front_end.context.sip.ready, "all is up")

    def edge_settings(self, **changes: Any) -> bytes:
        settings = {
            "node": "edge1.corp.example",
            "own_domains": [OWN],
            "federation_enabled": True,
            "listen": [{"address": "127.0.0.1", "port": self._edge_port}],
            "link": {
                "listen_address": "127.0.0.1",
                "port": self._link_port,
                "certificate": self._edge_link[0],
                "key": self._edge_link[1],
                "ca": str(self.private.path),
                "peers": ["fe1.corp.example"],
            },
            "tls": {
                "certificate": self._edge_certificate[0],
                "key": self._edge_certificate[1],
                "trust": [str(self.public.path)],
            },
            "dialback_secret_file": str(self.secret_file),
            "partners": self.partners,
            "metrics": {"port": 0},
            "control_socket": str(self.folder / "edge.sock"),
            "limits": self.edge_limits,
        }
        return msgspec.json.encode({**settings, **self.edge_changes, **changes})

    def front_end_settings(self, **changes: Any) -> bytes:
        settings = {
            "node": "fe1.corp.example",
            "pool_fqdn": "fe-pool.corp.example",
            "own_domains": [OWN],
            "tls": {
                "certificate": self._front_end_link[0],
                "key": self._front_end_link[1],
                "ca": str(self.private.path),
            },
            "links": [{"server_name": "edge1-int.corp.example", "addresses": ["127.0.0.1"], "port": self._link_port}],
            "sip": {
                "listen": [{"address": "127.0.0.1", "port": self._sip_port}],
                "certificate": self._front_end_link[0],
                "key": self._front_end_link[1],
                "ca": str(self.private.path),
                "next_hop": {"host": "127.0.0.1", "port": self.platform.port, "server_name": "pool.corp.example"},
                "peers": ["pool.corp.example"],
            },
            "partners": [{"domain": each["domain"]} for each in self.partners],
            "access_policy": {"global": self.policy},
            "store": str(self.folder / "store.sqlite"),
            "message_ttl_seconds": self.message_ttl,
            "metrics": {"port": 0},
            "control_socket": str(self.folder / "frontend.sock"),
            "limits": self.front_end_limits,
        }
        return msgspec.json.encode({**settings, **self.front_end_changes, **changes})

    async def start_edge(self) -> None:
        log = Log("edge", "edge1", output=self.edge_journal)
        sockets = [self.sockets[0].dup()]
        self.edge = Edge(decode_edge_settings(self.edge_settings()), log, sockets=sockets)
        await self.edge.start()
        self._edge_port, self._link_port = self.edge.ports[0], self.edge.link_port

    async def start_front_end(self) -> None:
        log = Log("frontend", "fe1", output=self.front_end_journal)
        sockets = [self.sockets[1].dup()]
        self.front_end = FrontEnd(decode_front_end_settings(self.front_end_settings()), log, sockets=sockets)
        await self.front_end.start()
        self._sip_port = self.front_end.ports[0]

    async def control(self, command: str, **arguments: Any) -> dict[str, Any]:
        """What the edge's control socket answers."""
        reader, writer = await asyncio.open_unix_connection(str(self.folder / "edge.sock"))
        writer.write(msgspec.json.encode({"command": command, **arguments}) + b"\n")
        answer = msgspec.json.decode(await reader.readline())
        writer.close()
        assert isinstance(answer, dict)
        return answer

    async def close(self) -> None:
        await self.front_end.stop()
        await self.edge.stop()
        for closing in (self.partner1.close, self.partner2.close, self.platform.close):
            closing()
        for each in self.sockets:
            each.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        # Connections that were aborted say so in the next turns of the loop.
        for _ in range(3):
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def world_of(folder: Path, prepare: Callable[[World], Awaitable[None]] | None = None) -> AsyncIterator[World]:
    made = World(folder)
    if prepare is not None:
        await prepare(made)
    await made.begin()
    try:
        yield made
    finally:
        await made.close()
