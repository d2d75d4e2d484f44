"""What goes into and comes out of an S2S stream machine: policy, limits, commands and events.

Used by `incoming` and `outgoing` (the machines), by the edge daemon that obeys the commands, and by every test.
This module decides nothing and does nothing.

Theory of operation
===================
XMPP S2S streams are one-way streets: stanzas travel from the server that opened the TCP connection (the *originating*
server) to the one that accepted it (the *receiving* server). Answers travel on a second stream in the other direction.
So there are two machines: `IncomingStream` (we accepted) and `OutgoingStream` (we connected).

The driver owns the socket, the TLS object, the clock and the randomness. It calls a method for whatever happened and
obeys the returned list in order:

========================  =============================================================================================
method                    when
========================  =============================================================================================
``start(now)``            the TCP connection is there
``receive(data, now)``    bytes arrived (after TLS: decrypted bytes)
``tls_done(facts, now)``  the handshake asked for by `StartTls` is complete
``certificate_verified``  the answer to `VerifyCertificate`
``dialback_checked``      the answer to `CheckDialback` (incoming only)
``dialback_relayed``      the answer to `RelayDialback` (incoming only)
``handle_time(now)``      `next_deadline()` has passed
``close(now, ...)``       we want to end the stream, gracefully or with a stream error
``connection_lost(now)``  TCP or TLS ended
========================  =============================================================================================

After `Closed` every method returns an empty list. Times are seconds of one monotonic clock of the driver's choice.

Phases (`Phase`) are rows of one table per machine: what may arrive in a phase is a white list of element names with
the method that handles each; everything else ends the stream with the error the phase names. Both machines share the
phases that belong to every stream:

- ``HEADER``: nothing is known; the only thing that may arrive is a stream header. Entered three times at most: at the
  start, after TLS and after SASL. The domains of the first header stay for the life of the connection.
- ``TLS``: plaintext is over, the handshake is the driver's. Bytes that were already behind the element that led here
  are an injection and end the stream.
- ``CERTIFICATE``: the chain is being judged; what arrives meanwhile is held, within the unauthenticated budget.
- ``NEGOTIATING``: features are known, nothing is authorised for stanzas yet.
- ``OPEN``: at least one pair is authorised.
- ``CLOSING``: we sent ``</stream:stream>`` without an error and still take what is on its way, until the peer closes.
- ``ENDING``: an error was sent; what arrives is thrown away. We wait for the peer to hang up, so that our closing does
  not destroy the error on its way.
- ``CLOSED``: nothing happens any more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from .element import Element
from .stanza import Stanza


class Phase(StrEnum):
    """Where a stream stands; see the theory of operation above."""

    NEW = "new"
    HEADER = "header"
    TLS = "tls"
    CERTIFICATE = "certificate"
    NEGOTIATING = "negotiating"
    OPEN = "open"
    CLOSING = "closing"
    ENDING = "ending"
    CLOSED = "closed"


class Method(StrEnum):
    """How a (from, to) pair was authenticated. The values appear in the daemon's status and metrics."""

    EXTERNAL = "external"
    DIALBACK = "dialback"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Pair:
    """One direction of traffic between two domains, both normalised (`address.prepare_domain`).

    Attributes:
        sender: the domain stanzas come from.
        receiver: the domain they go to.
    """

    sender: str
    receiver: str

    def __str__(self) -> str:
        return f"{self.sender}>{self.receiver}"


@dataclass(frozen=True, slots=True)
class PeerPolicy:
    """What may authenticate a stream with one partner; follows from TLS x SASL x dialback of the federation document.

    Attributes:
        sasl_over_tls: S, SASL EXTERNAL over TLS.
        dialback_over_tls: T, dialback over TLS.
        dialback_over_tcp: C, dialback without TLS.
        verified_tls: on our outgoing streams the partner's certificate must be valid for its domain even where
            dialback authenticates. Switched off only for a partner that is known to have none.
    """

    sasl_over_tls: bool = True
    dialback_over_tls: bool = False
    dialback_over_tcp: bool = False
    verified_tls: bool = True

    @classmethod
    def from_letters(cls, allowed: frozenset[str], *, verified_tls: bool = True) -> PeerPolicy:
        """Build from the outcome letters S, T and C that `xmppgw.federation.partner_outcome` allows."""
        unknown = allowed - {"S", "T", "C"}
        if unknown:
            raise ValueError(f"not an outcome: {', '.join(sorted(unknown))}")
        return cls("S" in allowed, "T" in allowed, "C" in allowed, verified_tls)

    @property
    def tls_allowed(self) -> bool:
        """Whether STARTTLS is offered and used at all."""
        return self.sasl_over_tls or self.dialback_over_tls

    @property
    def tls_required(self) -> bool:
        """Whether nothing but STARTTLS may happen on a plain connection."""
        return not self.dialback_over_tcp

    def dialback_allowed(self, encrypted: bool) -> bool:
        """Whether dialback may authenticate a stream that is, or is not, encrypted."""
        return self.dialback_over_tls if encrypted else self.dialback_over_tcp


PolicyLookup = Callable[[str, str], PeerPolicy | None]
"""`(own domain, partner domain) -> policy`, both normalised; None when the partner is not listed. Must be a constant
time look-up: it is asked on every stream header and every dialback request. It is asked anew each time, so a reload
of the partner list takes effect without touching open streams."""


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """Bounds on what one peer can make a stream hold, and for how long. Every one is a security limit.

    Precedents: ejabberd 26.04 (8192 bytes and 32 elements before authentication), RFC 6120 13.12 (never below 10000
    bytes for a stanza), Prosody 0.12 (90 s negotiation, 5 s close).
    """

    unauthenticated_bytes: int = 8192
    """Decrypted bytes a peer may send on one connection before any pair is authorised, all restarts together."""
    unauthenticated_elements: int = 32
    """Elements, at any depth, before any pair is authorised, all restarts together."""
    stanza_bytes: int = 262_144
    """One first-level element after authentication, from `<` to `>`; advertised by XEP-0478."""
    stanza_elements: int = 2000
    depth: int = 32
    attributes: int = 64
    """Per element."""
    namespaces: int = 64
    """Declarations per first-level element."""
    name_bytes: int = 512
    """One element, attribute or namespace name."""
    pairs: int = 64
    """Authorised (from, to) pairs per stream."""
    pending_dialback: int = 16
    """Dialback requests of the peer that wait for their authoritative server."""
    sasl_attempts: int = 3
    negotiation_seconds: float = 60.0
    """From TCP connection to the first authorised pair."""
    verify_seconds: float = 30.0
    """For the authoritative server to answer a dialback check."""
    close_seconds: float = 5.0
    """From our `</stream:stream>` to the peer's."""
    idle_seconds: float = 7200.0
    """Silence of the peer after which an incoming stream is closed (politely; ejabberd itself closes after 3600)."""
    keepalive_seconds: float = 240.0
    """Silence of ours after which an outgoing stream sends a space (RFC 6120 4.6.1)."""


HANDED_OVER = StreamLimits()
"""Bounds on a stanza that one daemon hands to another: both sides read it with these, whatever a stream's own are. Who
rewrites a stanza has to look at the result, for that has more declarations and references than what was read."""


class CertificateVerdict(Protocol):
    """What a driver answers to `VerifyCertificate`; `xmppgw.tls.verify.Verdict` is one."""

    @property
    def trusted(self) -> bool:
        """Chain and name are both right (or the certificate is pinned) for the domain that was asked."""

    @property
    def reason(self) -> str:
        """For people, completing "your server's certificate ...": `has expired`, `is not valid for this name`."""


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """What the handshake established.

    Attributes:
        protocol: `TLSv1.2` or `TLSv1.3`.
        cipher: the suite's name.
        has_certificate: whether the peer presented a certificate at all.
    """

    protocol: str
    cipher: str
    has_certificate: bool


class DialbackOutcome(StrEnum):
    """What an authoritative server said, or what became of asking it."""

    VALID = "valid"
    INVALID = "invalid"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class DialbackRequest:
    """A key that only the authoritative server of `originating` can judge (XEP-0220 2.1).

    Attributes:
        receiving: our domain, the one the peer wants to send to.
        originating: the domain the peer claims to be.
        stream_id: id of the incoming stream's response header on which the key was presented.
        key: as presented.
    """

    receiving: str
    originating: str
    stream_id: str
    key: str


# --- Commands: the driver must do this -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SendData:
    """Write these bytes to the peer (through TLS once it is up), in order."""

    data: bytes


@dataclass(frozen=True, slots=True)
class StartTls:
    """Flush what was sent, run a TLS handshake on the connection, then call `tls_done` (or `connection_lost`).

    Attributes:
        server_side: True when we accepted the connection.
        local: our domain, if the peer named one: chooses our certificate.
        remote: the peer's domain, if known. On an outgoing stream: the server name to ask for (SNI, as A-label).
    """

    server_side: bool
    local: str | None
    remote: str | None


@dataclass(frozen=True, slots=True)
class VerifyCertificate:
    """Judge the certificate chain the peer presented as a *server* certificate for `domain`, then call
    `certificate_verified`. Asked only if the peer presented one.
    """

    domain: str


@dataclass(frozen=True, slots=True)
class CheckDialback:
    """Ask the authoritative server of `request.originating` (by a verify-only `OutgoingStream`), then call
    `dialback_checked` with the same request.
    """

    request: DialbackRequest


@dataclass(frozen=True, slots=True)
class RelayDialback:
    """A partner (`request.receiving`) asks about a key of one of our domains (`request.originating`) that we did not
    make: ask the other gateway that speaks for the domain, then call `dialback_relayed` with the same request.
    """

    request: DialbackRequest


@dataclass(frozen=True, slots=True)
class SendReply:
    """Send this stanza on *our outgoing stream* for `pair` (a ping result, a stanza error). Best effort: dropping it
    harms nobody; it must never be answered by an error of ours.
    """

    pair: Pair
    element: Element


# --- Events: this has happened ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Authorised:
    """Stanzas of this pair may travel on this stream from now on."""

    pair: Pair
    method: Method
    encrypted: bool


@dataclass(frozen=True, slots=True)
class StanzaReceived:
    """A checked stanza of an authorised pair."""

    pair: Pair
    method: Method
    stanza: Stanza


@dataclass(frozen=True, slots=True)
class DialbackChecked:
    """The authoritative server's answer to a request that this outgoing stream carried.

    Attributes:
        request: as given to `OutgoingStream.verify`.
        outcome: pass it to `IncomingStream.dialback_checked`.
        condition: pass it too; a dialback error condition where the outcome is ERROR, else the empty string.
        text: for the log.
    """

    request: DialbackRequest
    outcome: DialbackOutcome
    condition: str
    text: str


@dataclass(frozen=True, slots=True)
class Remarked:
    """Something the peer did that was refused or ignored without ending the stream; one log line and one count.

    Attributes:
        code: stable word for the metric label, such as `unsolicited-dialback`.
        text: for people; never holds a message body.
    """

    code: str
    text: str


class Origin(StrEnum):
    """Who ended a stream: we, because of something that came; the peer; the connection; or nothing came in time."""

    LOCAL = "local"
    PEER = "peer"
    TRANSPORT = "transport"
    TIMER = "timer"


@dataclass(frozen=True, slots=True)
class Closed:
    """The stream is over: send TLS close_notify, close the TCP connection, forget the machine. Always the last output.

    Attributes:
        origin: who ended it.
        condition: the stream error sent or received (RFC 6120 4.9.3), or None.
        text: the reason for a log line and for a person.
        graceful: both sides sent `</stream:stream>` and no error: nothing that was sent is in doubt.
        bounce: the stanza error for what the driver still holds for this stream (RFC 6120 10.4.3, XEP-0220 2.1.1).
        authorised: whether any pair had been authorised.
        external_refused: the peer refused our certificate and then ended the stream although dialback was to follow:
            try again with `OutgoingSettings.try_external` off.
    """

    origin: Origin
    condition: str | None
    text: str
    graceful: bool
    bounce: str
    authorised: bool
    external_refused: bool = False


Output = (
    SendData
    | StartTls
    | VerifyCertificate
    | CheckDialback
    | RelayDialback
    | SendReply
    | Authorised
    | StanzaReceived
    | DialbackChecked
    | Remarked
    | Closed
)
"""Everything a machine can return. `match` over it in one place of the driver."""


class LocalProtocolError(Exception):
    """The driver did what the stream's state does not allow, such as sending before `Authorised`. A bug of ours."""
