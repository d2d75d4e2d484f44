"""Joins one S2S stream machine to one connection: bytes and time in, commands obeyed in order.

Called by `edge.inbound` and `edge.outbound`, which add what differs. Decides nothing about XMPP: the machine does.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias

from OpenSSL import SSL

from xmppgw.edge.partners import Partner
from xmppgw.link.connection import Connection
from xmppgw.tls.memory import MemoryTls
from xmppgw.tls.reload import ReloadableContext
from xmppgw.tls.verify import TrustStore, Verdict, verify_server
from xmppgw.xmpp.address import domain_to_ascii
from xmppgw.xmpp.incoming import IncomingStream
from xmppgw.xmpp.outgoing import OutgoingStream
from xmppgw.xmpp.stream import (
    Authorised,
    CheckDialback,
    Closed,
    DialbackChecked,
    Output,
    RelayDialback,
    Remarked,
    SendData,
    SendReply,
    StanzaReceived,
    StartTls,
    TlsFacts,
    VerifyCertificate,
)

if TYPE_CHECKING:
    from xmppgw.edge.context import EdgeContext

Machine: TypeAlias = IncomingStream | OutgoingStream
#: What a stream says to the part of the edge that owns it.
Event: TypeAlias = StanzaReceived | SendReply | CheckDialback | DialbackChecked | RelayDialback | Remarked | Authorised

#: A machine's deadlines need no better resolution than this: an earlier timer is left as it is.
TIMER_SECONDS = 0.1


class PublicTls:
    """Our public certificate and the anchors for partners' certificates; replaced on reload.

    `authorities`: by file, the anchors of partners that have an authority of their own.
    """

    def __init__(
        self, context: ReloadableContext, trust: TrustStore, authorities: Mapping[str, TrustStore] | None = None
    ) -> None:
        self.context = context
        self.trust = trust
        self.authorities = dict(authorities or {})

    @property
    def endpoint(self) -> SSL.Context:
        """What a handshake is made with: shows our certificate."""
        return self.context.context

    def verify(self, chain: Sequence[bytes], domain: str, partner: Partner | None) -> Verdict:
        """Judge `chain` (DER, leaf first) as the server certificate of `domain`."""
        if partner is None:
            return verify_server(chain, domain, datetime.now(UTC), self.trust)
        own = partner.settings.authority
        trust = self.trust if own is None else self.authorities[own]
        return verify_server(chain, domain, datetime.now(UTC), trust, pins=partner.settings.pins)


def log_closed(
    edge: EdgeContext, driver: StreamDriver, closed: Closed, *, local: str | None, remote: str | None
) -> None:
    """Write the one line about a stream that has ended, and count it."""
    direction = "in" if isinstance(driver.machine, IncomingStream) else "out"
    edge.counters.closed.labels(direction, closed.origin.value, closed.condition or "none").inc()
    write = edge.log.info if closed.graceful or closed.authorised else edge.log.warning
    write(
        "stream-closed",
        direction=direction,
        remote=remote,
        local=local,
        address=driver.connection.peer_address,
        origin=closed.origin.value,
        condition=closed.condition,
        reason=closed.text,
        graceful=closed.graceful,
        authenticated=closed.authorised,
        stanzas=driver.machine.stanzas,
    )


class StreamDriver(ABC):
    """One machine on one connection."""

    def __init__(self, machine: Machine, connection: Connection, tls: PublicTls) -> None:
        self.machine = machine
        self.connection = connection
        self.closed: Closed | None = None
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    def start(self) -> None:
        """Begin: the TCP connection is there."""
        self.connection.use(self)
        self.obey(self.machine.start(self._loop.time()))

    def close(self, condition: str | None = None, text: str = "") -> None:
        """End the stream, gracefully without a condition."""
        self.obey(self.machine.close(self._loop.time(), condition, text))

    def close_quietly(self, text: str) -> None:
        """End the stream gracefully when it suits the peer; at once where only we send."""
        self.close(None, text)

    # What the connection says.

    def received(self, data: bytes) -> None:
        """Feed the machine."""
        self.obey(self.machine.receive(data, self._loop.time()))

    def secured(self, tls: MemoryTls) -> None:
        """Report the handshake."""
        facts = TlsFacts(tls.protocol, tls.cipher, bool(tls.peer_chain()))
        self.obey(self.machine.tls_done(facts, self._loop.time()))

    def lost(self, reason: str) -> None:
        """Report the end."""
        self.obey(self.machine.connection_lost(self._loop.time(), reason))

    def drained(self) -> None:
        """Everything written has left; only streams that carry stanzas care."""
        return

    # What the machine says.

    def obey(self, outputs: Sequence[Output]) -> None:
        """Do what the machine asks for, in order."""
        for output in outputs:
            match output:
                case SendData(data=data):
                    self.connection.write(data)
                case (
                    StanzaReceived()
                    | SendReply()
                    | CheckDialback()
                    | DialbackChecked()
                    | RelayDialback()
                    | Remarked()
                    | Authorised()
                ):
                    self.happened(output)
                case StartTls(server_side=server_side, remote=remote):
                    name = domain_to_ascii(remote) if remote is not None and not server_side else None
                    self.connection.start_tls(self._tls.endpoint, server_side=server_side, server_name=name)
                case VerifyCertificate(domain=domain):
                    self._verify(domain)
                case Closed():
                    self._over(output)
        self._schedule()

    @abstractmethod
    def happened(self, event: Event) -> None:
        """Act on what the stream produced."""

    @abstractmethod
    def over(self, closed: Closed) -> None:
        """The stream has ended."""

    @abstractmethod
    def partner_of(self, domain: str) -> Partner | None:
        """Find the partner whose certificate is to be judged."""

    def _verify(self, domain: str) -> None:
        chain = self.connection.tls.peer_chain() if self.connection.tls is not None else []
        verdict = self._tls.verify(chain, domain, self.partner_of(domain))
        self.obey(self.machine.certificate_verified(verdict, self._loop.time()))

    def _over(self, closed: Closed) -> None:
        if self.closed is not None:
            return
        self.closed = closed
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.connection.close()
        self.over(closed)

    def _schedule(self) -> None:
        if self.closed is not None:
            return
        deadline = self.machine.next_deadline()
        if deadline is None:
            return
        if self._timer is not None:
            if self._timer_at <= deadline + TIMER_SECONDS:
                return  # it fires early enough; when it does, the deadline is asked for again
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = self._loop.call_at(deadline, self._time)

    def _time(self) -> None:
        self._timer = None
        self.obey(self.machine.handle_time(self._loop.time()))
