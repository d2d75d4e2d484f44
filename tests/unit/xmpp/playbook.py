"""Two ways to drive the machines in tests: a playbook (bytes in, outputs compared) and a pair of machines on a wire."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from xmppgw.xmpp.incoming import IncomingSettings, IncomingStream
from xmppgw.xmpp.machine import StreamMachine
from xmppgw.xmpp.outgoing import OutgoingSettings, OutgoingStream
from xmppgw.xmpp.stream import (
    CheckDialback,
    Closed,
    DialbackOutcome,
    Output,
    PeerPolicy,
    SendData,
    StartTls,
    StreamLimits,
    TlsFacts,
    VerifyCertificate,
)

LOCAL = "corp.example"
PARTNER = "partner.example"
SECRET = "s3cr3tf0rd14lb4ck"

HEADER = (
    b"<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback'"
    b" xmlns:stream='http://etherx.jabber.org/streams' from='partner.example' to='corp.example' version='1.0'>"
)
ANSWER = (
    b"<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback'"
    b" xmlns:stream='http://etherx.jabber.org/streams' to='corp.example' from='partner.example' id='abc' version='1.0'>"
)
STARTTLS = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
PROCEED = b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
AUTH = b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>"
SUCCESS = b"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
MESSAGE = b"<message from='juliet@partner.example/b' to='alice@corp.example' id='m1'><body>hi</body></message>"

TLS = TlsFacts("TLSv1.3", "TLS_AES_128_GCM_SHA256", has_certificate=True)
TLS_WITHOUT_CERTIFICATE = TlsFacts("TLSv1.3", "TLS_AES_128_GCM_SHA256", has_certificate=False)

ONLY_EXTERNAL = PeerPolicy()
EXTERNAL_OR_DIALBACK = PeerPolicy(sasl_over_tls=True, dialback_over_tls=True)
DIALBACK_OVER_TLS = PeerPolicy(sasl_over_tls=False, dialback_over_tls=True)
DIALBACK_OVER_TCP = PeerPolicy(sasl_over_tls=False, dialback_over_tls=False, dialback_over_tcp=True)


@dataclass(frozen=True)
class Verdict:
    trusted: bool
    reason: str = "has expired"


def counter() -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"id{next(numbers)}"


def incoming(
    policy: PeerPolicy | None = ONLY_EXTERNAL,
    *,
    limits: StreamLimits | None = None,
    own: frozenset[str] = frozenset({LOCAL}),
    tls_available: bool = True,
    relays: bool = False,
) -> IncomingStream:
    """A started incoming stream of which `policy` is what we agreed on with `PARTNER`.

    `relays`: whether another gateway of ours may have made a key that we did not make.
    """

    def look_up(local: str, remote: str) -> PeerPolicy | None:
        return policy if remote == PARTNER and local in own else None

    settings = IncomingSettings(own, look_up, SECRET, limits or StreamLimits(), tls_available, lambda *_: relays)
    stream = IncomingStream(settings, counter())
    assert stream.start(0.0) == []
    return stream


def outgoing(
    policy: PeerPolicy = ONLY_EXTERNAL, *, verify_only: bool = False, limits: StreamLimits | None = None, **more: bool
) -> OutgoingStream:
    settings = OutgoingSettings(LOCAL, PARTNER, policy, SECRET, limits or StreamLimits(), **more)
    return OutgoingStream(settings, verify_only=verify_only)


def sent(outputs: list[Output]) -> bytes:
    """Everything the outputs write to the peer."""
    return b"".join(output.data for output in outputs if isinstance(output, SendData))


def only(outputs: list[Output], kind: type) -> list:
    return [output for output in outputs if isinstance(output, kind)]


def encrypted_incoming(policy: PeerPolicy = ONLY_EXTERNAL, *, trusted: bool = True, **more) -> IncomingStream:
    """An incoming stream behind STARTTLS and the second header, waiting for authentication."""
    stream = incoming(policy, **more)
    stream.receive(HEADER + STARTTLS, 0.0)
    stream.tls_done(TLS, 0.0)
    outputs = stream.receive(HEADER, 0.0)
    if only(outputs, VerifyCertificate):
        stream.certificate_verified(Verdict(trusted), 0.0)
    return stream


def authenticated_incoming(policy: PeerPolicy = ONLY_EXTERNAL, **more) -> IncomingStream:
    """An incoming stream authorised by EXTERNAL."""
    stream = encrypted_incoming(policy, **more)
    stream.receive(AUTH, 0.0)
    stream.receive(HEADER, 0.0)
    assert stream.authorised
    return stream


@dataclass
class Wire:
    """Two machines, each obeying the other's bytes, with a perfect TLS in between and scripted verdicts.

    Attributes:
        chunk: how many bytes travel at a time; 0 for as many as there are.
        log: everything either machine put out that is not bytes, in order, with the side's name.
    """

    client: OutgoingStream
    server: IncomingStream
    trusts_client: bool = True
    trusts_server: bool = True
    client_has_certificate: bool = True
    dialback: DialbackOutcome = DialbackOutcome.VALID
    chunk: int = 0
    now: float = 0.0
    log: list[tuple[str, Output]] = field(default_factory=list)
    _queues: dict[str, bytearray] = field(default_factory=lambda: {"client": bytearray(), "server": bytearray()})
    _tls: set[str] = field(default_factory=set)

    def run(self) -> None:
        """Until nothing moves any more."""
        self._obey("client", self.client, self.client.start(self.now))
        self.settle()

    def settle(self) -> None:
        while True:
            moved = False
            for name, machine in (("client", self.client), ("server", self.server)):
                other = "server" if name == "client" else "client"
                queue = self._queues[other]
                if queue and machine.phase.value not in ("tls", "new"):
                    size = self.chunk or len(queue)
                    data = bytes(queue[:size])
                    del queue[:size]
                    self._obey(name, machine, machine.receive(data, self.now))
                    moved = True
            if self._tls == {"client", "server"} and not any(self._queues.values()):
                self._tls = {"up"}
                facts = TlsFacts("TLSv1.3", "suite", self.client_has_certificate)
                self._obey("server", self.server, self.server.tls_done(facts, self.now))
                self._obey("client", self.client, self.client.tls_done(TLS, self.now))
                moved = True
            if not moved:
                return

    def do(self, name: str, outputs: list[Output]) -> None:
        """Obey outputs of a method a test called itself, then run on."""
        self._obey(name, self.client if name == "client" else self.server, outputs)
        self.settle()

    def _obey(self, name: str, machine: StreamMachine, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, SendData):
                self._queues[name] += output.data
                continue
            self.log.append((name, output))
            if isinstance(output, StartTls):
                self._tls.add(name)
            elif isinstance(output, VerifyCertificate):
                trusted = self.trusts_client if name == "server" else self.trusts_server
                self._obey(name, machine, machine.certificate_verified(Verdict(trusted), self.now))
            elif isinstance(output, CheckDialback) and isinstance(machine, IncomingStream):
                self._obey(name, machine, machine.dialback_checked(output.request, self.dialback, "", self.now))
            elif isinstance(output, Closed):
                other = self.server if name == "client" else self.client
                if other.phase.value == "ending":
                    self._obey("server" if name == "client" else "client", other, other.connection_lost(self.now))

    def outputs(self, name: str, kind: type) -> list:
        return [output for side, output in self.log if side == name and isinstance(output, kind)]
