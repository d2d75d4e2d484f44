"""One SIP connection with one trusted peer: bytes and time in, events and bytes out.

The front end daemon makes one `SipConnection` per TLS connection, in either direction, feeds it what arrives, obeys its
events and writes `data_to_send()`. It opens nothing, reads no clock, draws no random number (`new_token` is given), and
no input makes it raise.

Which answer a request gets before the daemon hears of it is `_verdict`, in the order of RFC 3261 section 8.2; which
methods a dialect takes is the table `SIMPLE`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from . import message as wire
from .message import (
    EMITTED_HEADERS,
    REASONS,
    TOKEN,
    Field,
    Frame,
    Framer,
    FramingLost,
    Limits,
    LineEnd,
    MediaType,
    NameAddr,
    Request,
    Response,
    SipSyntaxError,
    UnsafeValueError,
)
from .transaction import (
    MAGIC_COOKIE,
    ClientTransactions,
    OngoingRequests,
    ServerTransactions,
    TooManyTransactionsError,
    server_identifier,
)
from .uri import SipUri

MAXIMUM_OPEN_REQUESTS = 4096
"""Our requests without an answer on one connection."""
MAXIMUM_SERVER_TRANSACTIONS = 4096
"""The peer's requests without an answer on one connection; beyond it 500 with Retry-After (503 would make the platform
fail over the whole gateway)."""
INCOMPLETE_MESSAGE_SECONDS = 32.0
"""How long the rest of a message may take; after that timer F has fired for it anyway."""
KEEPALIVE_SECONDS = 100.0
"""Our ping, within the 95..120 s of RFC 5626 section 4.4.1."""
PONG_SECONDS = 10.0
"""Time for the answer to a ping (RFC 5626 section 4.4.1)."""
OVERLOAD_RETRY_SECONDS = 5

_PING: Final = b"\r\n\r\n"
_PONG: Final = b"\r\n"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are in SIP.

    Attributes:
        sent_by: host name written into our Via.
        port: port written beside it, or None for the default of the transport.
        own_names: every host name under which a Via may be ours; a request that carries one has gone in a circle.
        user_agent: value of User-Agent and Server; no version, which would help only an attacker.
    """

    sent_by: str
    port: int | None = None
    own_names: frozenset[str] = frozenset()
    user_agent: str = "xmppgw"


@dataclass(frozen=True, slots=True)
class Dialect:
    """Which requests a next hop may send us, as data.

    Attributes:
        name: as in the federation document.
        handed_on: methods that become `RequestReceived`.
        answered: known methods that are answered here, with their status. Any other known or unknown one gets 501.
        media_types: what a body may be.
    """

    name: str
    handed_on: frozenset[str]
    answered: Mapping[str, int]
    media_types: tuple[str, ...]

    @property
    def allow(self) -> str:
        """Value of the Allow header."""
        methods = self.handed_on | {method for method, status in self.answered.items() if status == 200}
        return ", ".join(sorted(methods))


SIMPLE = Dialect(
    name="simple",
    handed_on=frozenset({"MESSAGE"}),
    answered=MappingProxyType(
        {
            "OPTIONS": 200,
            # Page mode has no sessions (RFC 7572). 405 names MESSAGE in Allow; 488 would only speak of the media.
            "INVITE": 405,
            "BYE": 481,
            "CANCEL": 481,
            "INFO": 481,
            "PRACK": 481,
            "UPDATE": 481,
            "NOTIFY": 481,
            "BENOTIFY": 481,
            "SUBSCRIBE": 405,
            "PUBLISH": 405,
            "REFER": 405,
            "REGISTER": 405,
            "SERVICE": 405,
        }
    ),
    media_types=("text/plain",),
)
"""Page-mode messaging (RFC 3428, RFC 7572)."""


@dataclass(frozen=True, slots=True)
class OutgoingRequest:
    """A request to send outside of a dialog; Via, User-Agent and Content-Length are added by the connection.

    Attributes:
        method: "MESSAGE" or "OPTIONS".
        uri: Request-URI.
        from_: with its tag.
        to: without a tag.
        call_id: globally unique.
        cseq: sequence number.
        headers: further headers, each of `message.EMITTED_HEADERS`.
        content_type: None where there is no body.
        body: bytes as they go out.
        route: addresses of a preloaded route, outermost first (loose routers).
        max_forwards: hops.
    """

    method: str
    uri: SipUri
    from_: NameAddr
    to: NameAddr
    call_id: str
    cseq: int = 1
    headers: tuple[Field, ...] = ()
    content_type: MediaType | None = None
    body: bytes = b""
    route: tuple[SipUri, ...] = ()
    max_forwards: int = 70


# ----------------------------------------------------------------------------------------------------- events


@dataclass(frozen=True, slots=True)
class RequestReceived:
    """A request for the daemon, which must call `respond` within 32 seconds."""

    transaction: str
    request: Request


@dataclass(frozen=True, slots=True)
class RequestAnswered:
    """A sound request that was answered here; for the log and the counters."""

    request: Request
    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class ResponseReceived:
    """The final response to a request of ours."""

    transaction: str
    response: Response


@dataclass(frozen=True, slots=True)
class TransactionTimeout:
    """A request of ours had no final response for 32 seconds."""

    transaction: str


@dataclass(frozen=True, slots=True)
class TransactionAborted:
    """The connection ended before a request of ours was answered; whether it arrived is unknown."""

    transaction: str


@dataclass(frozen=True, slots=True)
class TransactionAbandoned:
    """The daemon did not answer a request in time; the peer has given it up."""

    transaction: str


@dataclass(frozen=True, slots=True)
class StrayResponse:
    """A response that belongs to nothing and was dropped (RFC 3261 section 18.1.2)."""

    response: Response
    reason: str


@dataclass(frozen=True, slots=True)
class Malformed:
    """Something that is not sound SIP.

    Attributes:
        code: stable word for logs and metrics.
        reason: for people.
        status: the status it was answered with, or None where nothing could be answered.
    """

    code: str
    reason: str
    status: int | None


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """The peer pinged (answered already) or answered our ping. `kind` is "ping" or "pong"."""

    kind: str


@dataclass(frozen=True, slots=True)
class MustClose:
    """Write what is left, then close the connection. Always the last event that bytes or time bring."""

    code: str
    reason: str


Event = (
    RequestReceived
    | RequestAnswered
    | ResponseReceived
    | TransactionTimeout
    | TransactionAborted
    | TransactionAbandoned
    | StrayResponse
    | Malformed
    | KeepAlive
    | MustClose
)


@dataclass(frozen=True, slots=True)
class _Verdict:
    status: int
    reason: str
    headers: tuple[Field, ...] = field(default=())


class SipConnection:
    """The state of one connection. See the head of this file."""

    def __init__(
        self,
        identity: Identity,
        *,
        new_token: Callable[[], str],
        now: float,
        dialect: Dialect = SIMPLE,
        limits: Limits | None = None,
        ongoing: OngoingRequests | None = None,
        keepalive_seconds: float | None = None,
        maximum_open_requests: int = MAXIMUM_OPEN_REQUESTS,
        maximum_server_transactions: int = MAXIMUM_SERVER_TRANSACTIONS,
    ) -> None:
        """Begin with an established, authenticated connection.

        Args:
            identity: who we are.
            new_token: returns a fresh random token (RFC 3261 TOKEN characters, at least 64 bits) for branches and tags.
            now: seconds of the clock that every later `now` comes from.
            dialect: what the peer may ask.
            limits: bounds on what is read.
            ongoing: shared by all connections of the daemon, so that merged requests are found across them.
            keepalive_seconds: silence of ours after which a ping is sent; None for never.
            maximum_open_requests: our requests without an answer.
            maximum_server_transactions: the peer's requests without an answer.
        """
        self._identity = identity
        self._own_names = frozenset(name.lower() for name in identity.own_names | {identity.sent_by})
        self._new_token = new_token
        self._dialect = dialect
        self._limits = limits or Limits()
        self._framer = Framer(self._limits)
        self._clients = ClientTransactions(maximum_open_requests)
        self._servers = ServerTransactions(
            maximum_server_transactions, OngoingRequests() if ongoing is None else ongoing
        )
        self._out = bytearray()
        self._closed = False
        self._line_ends = 0
        self._incomplete_since: float | None = None
        self._keepalive_seconds = keepalive_seconds
        self._last_sent = now
        self._pong_due: float | None = None
        self._peer_answers_pings = False

    # ------------------------------------------------------------------------------------------------ input

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take in bytes of the peer. Never raises; nothing is read after `MustClose`."""
        events: list[Event] = []
        if self._closed:
            return events
        for item in self._framer.feed(data):
            if isinstance(item, LineEnd):
                self._line_end(events, now)
                continue
            self._line_ends = 0
            if isinstance(item, FramingLost):
                self._framing_lost(item, events, now)
                return events
            if wire.is_response(item):
                self._response(item, events)
            else:
                self._request(item, events, now)
        if not self._framer.in_message:
            self._incomplete_since = None
        elif self._incomplete_since is None:
            self._incomplete_since = now
        return events

    def handle_time(self, now: float) -> list[Event]:
        """Do what is due. To be called when `next_deadline()` has passed; harmless at any time."""
        events: list[Event] = []
        events.extend(TransactionTimeout(ended.branch) for ended in self._clients.expire(now))
        events.extend(TransactionAbandoned(ended.identifier) for ended in self._servers.expire(now))
        if self._closed:
            return events
        if self._incomplete_since is not None and now >= self._incomplete_since + INCOMPLETE_MESSAGE_SECONDS:
            return self._close(events, "incomplete", f"a message was not complete for {INCOMPLETE_MESSAGE_SECONDS} s")
        if self._pong_due is not None and now >= self._pong_due:
            if self._peer_answers_pings:
                return self._close(events, "keep-alive", f"no answer to a keep-alive for {PONG_SECONDS} s")
            # COMPAT: a peer that never answered a ping may not know RFC 5626; its silence proves nothing.
            self._pong_due = None
        if self._keepalive_seconds is not None and now >= self._last_sent + self._keepalive_seconds:
            self._send(_PING, now)
            self._pong_due = now + PONG_SECONDS
        return events

    def next_deadline(self) -> float | None:
        """When `handle_time` has something to do, or None."""
        deadlines = [self._clients.next_deadline(), self._servers.next_deadline()]
        if not self._closed:
            deadlines.append(self._pong_due)
            if self._incomplete_since is not None:
                deadlines.append(self._incomplete_since + INCOMPLETE_MESSAGE_SECONDS)
            if self._keepalive_seconds is not None:
                deadlines.append(self._last_sent + self._keepalive_seconds)
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def connection_lost(self, now: float) -> list[Event]:
        """The connection is gone, whoever ended it."""
        del now
        self._closed = True
        self._out.clear()
        self._servers.abort()
        return [TransactionAborted(ended.branch) for ended in self._clients.abort()]

    # ----------------------------------------------------------------------------------------------- output

    def data_to_send(self) -> bytes:
        """Bytes for the peer since the last call."""
        data = bytes(self._out)
        self._out.clear()
        return data

    @property
    def open_requests(self) -> int:
        """Requests of ours without a final response."""
        return len(self._clients)

    @property
    def open_server_transactions(self) -> int:
        """Requests of the peer that the daemon has not answered."""
        return len(self._servers)

    def send_request(self, request: OutgoingRequest, now: float) -> str:
        """Queue a request and begin its transaction.

        Returns:
            the transaction identifier that comes back in the event that ends it.

        Raises:
            UnsafeValueError: something in it may not leave; nothing was queued.
            TooManyTransactionsError: the table is full, or the connection is closed; nothing was queued.
        """
        if self._closed:
            raise TooManyTransactionsError("the connection is closed")
        branch = MAGIC_COOKIE + self._new_token()
        data = wire.encode(self._build(request, branch))
        self._clients.open(branch, request.method, now)
        self._send(data, now)
        return branch

    def respond(
        self, transaction: str, status: int, now: float, *, reason: str | None = None, headers: tuple[Field, ...] = ()
    ) -> bool:
        """Answer a request with a final response.

        Args:
            transaction: from `RequestReceived`.
            status: 200..699.
            now: seconds.
            reason: reason phrase; the usual one where it is absent or may not leave.
            headers: further headers, each of `message.EMITTED_HEADERS`.

        Returns:
            False where the transaction is over (answered, abandoned or connection lost); nothing is sent then.

        Raises:
            UnsafeValueError: a header may not leave; the transaction stays open.
        """
        if not 200 <= status <= 699:
            raise ValueError(f"{status} is not a final status code")
        for name, value in headers:
            pattern = EMITTED_HEADERS.get(name)
            if pattern is None or pattern.fullmatch(value) is None:
                raise UnsafeValueError(f"the header {name[:64]!r} may not be sent with this value")
        ended = self._servers.answer(transaction)
        if ended is None or self._closed:
            return False
        frame = Frame("", ended.request.headers, b"")
        return self._answer(frame, status, now, reason=reason, headers=headers, to_tag=ended.to_tag)

    # ---------------------------------------------------------------------------------------------- details

    def _build(self, request: OutgoingRequest, branch: str) -> Request:
        identity = self._identity
        port = "" if identity.port is None else f":{identity.port}"
        headers: list[Field] = [
            ("Via", f"SIP/2.0/TLS {identity.sent_by}{port};branch={branch}"),
            ("Max-Forwards", str(request.max_forwards)),
        ]
        if request.route:
            headers.append(("Route", ", ".join(f"<{uri}>" for uri in request.route)))
        headers += [
            ("From", str(request.from_)),
            ("To", str(request.to)),
            ("Call-ID", request.call_id),
            ("CSeq", f"{request.cseq} {request.method}"),
            ("User-Agent", identity.user_agent),
            *request.headers,
        ]
        if request.content_type is not None:
            headers.append(("Content-Type", str(request.content_type)))
        if TOKEN.fullmatch(branch) is None:
            raise UnsafeValueError("the token factory gave something that is not a token")
        return Request(tuple(headers), request.body, request.method, str(request.uri))

    def _send(self, data: bytes, now: float) -> None:
        self._out += data
        self._last_sent = now

    def _close(self, events: list[Event], code: str, reason: str) -> list[Event]:
        self._closed = True
        events.append(MustClose(code, reason))
        return events

    def _line_end(self, events: list[Event], now: float) -> None:
        if self._pong_due is not None:
            self._pong_due = None
            self._peer_answers_pings = True
            events.append(KeepAlive("pong"))
            return
        self._line_ends += 1
        if self._line_ends == 2:
            self._line_ends = 0
            self._send(_PONG, now)
            events.append(KeepAlive("ping"))

    def _framing_lost(self, lost: FramingLost, events: list[Event], now: float) -> None:
        problem = lost.problem
        answered = False
        if lost.frame is not None and not wire.is_response(lost.frame) and not _is_ack(lost.frame):
            answered = self._answer(lost.frame, problem.status, now, reason=None)
        events.append(Malformed(problem.code, problem.reason, problem.status if answered else None))
        self._close(events, problem.code, problem.reason)

    def _answer(
        self,
        frame: Frame,
        status: int,
        now: float,
        *,
        reason: str | None,
        headers: tuple[Field, ...] = (),
        to_tag: str | None = None,
    ) -> bool:
        extra = (*headers, ("Server", self._identity.user_agent))
        response = wire.answer(frame, status, to_tag or self._new_token(), reason=reason, headers=extra)
        if response is None:
            return False
        self._send(wire.encode(response), now)
        return True

    def _response(self, frame: Frame, events: list[Event]) -> None:
        try:
            response = wire.parse_response(frame, self._limits)
        except SipSyntaxError as problem:
            events.append(Malformed(problem.code, problem.reason, None))
            return
        top = response.vias[0]
        if top.host.lower() != self._identity.sent_by.lower() or top.port != self._identity.port:
            events.append(StrayResponse(response, "its topmost Via is not ours"))
            return
        if len(response.vias) != 1:
            events.append(StrayResponse(response, "it has more than one Via"))
            return
        transaction = self._clients.match(top, response)
        if transaction is None:
            events.append(StrayResponse(response, "no transaction waits for it"))
        elif self._clients.receive(transaction, response.status):
            events.append(ResponseReceived(transaction.branch, response))

    def _request(self, frame: Frame, events: list[Event], now: float) -> None:
        try:
            request = wire.parse_request(frame, self._limits)
        except SipSyntaxError as problem:
            # Nothing answers an ACK (RFC 3261 section 17.1.1.3).
            answered = not _is_ack(frame) and self._answer(frame, problem.status, now, reason=None)
            events.append(Malformed(problem.code, problem.reason, problem.status if answered else None))
            return
        if request.method == "ACK":
            return
        identifier = server_identifier(request)
        if self._servers.retransmitted(identifier):
            return
        verdict = self._verdict(request, identifier)
        if verdict is not None:
            self._answer(frame, verdict.status, now, reason=None, headers=verdict.headers)
            events.append(RequestAnswered(request, verdict.status, verdict.reason))
            return
        self._servers.open(identifier, request, self._new_token(), now)
        events.append(RequestReceived(identifier, request))

    def _verdict(self, request: Request, identifier: str) -> _Verdict | None:
        """What a request is answered with here, in the order of RFC 3261 section 8.2; None hands it on."""
        dialect = self._dialect
        if request.method not in dialect.handed_on:
            status = dialect.answered.get(request.method, 501)
            if status != 200:
                allow = (("Allow", dialect.allow),) if status in (405, 501) else ()
                return _Verdict(status, f"the method {request.method[:32]} is not taken", allow)
        if not isinstance(request.uri, SipUri):
            return _Verdict(416, f"the Request-URI is a {request.uri.scheme[:32]} URI")
        if request.to.tag is not None:
            return _Verdict(481, "it belongs to a dialog that does not exist")
        if self._servers.merged(request, identifier):
            return _Verdict(482, "the same request is being worked on already, by another way")
        required = request.header_list("Require") + request.header_list("Proxy-Require")
        if required:
            unsupported = ", ".join(option for option in required if TOKEN.fullmatch(option)) or "unknown"
            return _Verdict(420, f"it requires {unsupported[:128]}", (("Unsupported", unsupported),))
        if request.method == "OPTIONS":
            return _Verdict(200, "", self._capabilities())
        return self._forwarding_verdict(request) or self._content_verdict(request) or self._room_verdict()

    def _forwarding_verdict(self, request: Request) -> _Verdict | None:
        """A request that is carried on to another network must not go in circles: XMPP counts no hops."""
        if request.max_forwards == 0:
            return _Verdict(483, "Max-Forwards is 0 and the message would be carried on")
        if any(via.host.lower() in self._own_names for via in request.vias):
            return _Verdict(482, "it has passed through here already")
        return None

    def _content_verdict(self, request: Request) -> _Verdict | None:
        accept = ("Accept", ", ".join(self._dialect.media_types))
        if any(coding.lower() != "identity" for coding in request.header_list("Content-Encoding")):
            return _Verdict(415, "its body is encoded", (accept, ("Accept-Encoding", "identity")))
        content_type = request.content_type
        if content_type is None:
            return _Verdict(415, "it names no Content-Type", (accept,)) if request.body else None
        if content_type.essence not in self._dialect.media_types:
            return _Verdict(415, f"its body is {content_type.essence[:64]}", (accept,))
        return None

    def _room_verdict(self) -> _Verdict | None:
        if not self._servers.full:
            return None
        return _Verdict(500, "too many requests wait for an answer", (("Retry-After", str(OVERLOAD_RETRY_SECONDS)),))

    def _capabilities(self) -> tuple[Field, ...]:
        return (
            ("Allow", self._dialect.allow),
            ("Accept", ", ".join(self._dialect.media_types)),
            ("Accept-Encoding", "identity"),
            ("Supported", ""),
        )


def _is_ack(frame: Frame) -> bool:
    return frame.start_line.startswith("ACK ")


__all__ = [
    "REASONS",
    "SIMPLE",
    "Dialect",
    "Event",
    "Identity",
    "KeepAlive",
    "Malformed",
    "MustClose",
    "OngoingRequests",
    "OutgoingRequest",
    "RequestAnswered",
    "RequestReceived",
    "ResponseReceived",
    "SipConnection",
    "StrayResponse",
    "TooManyTransactionsError",
    "TransactionAbandoned",
    "TransactionAborted",
    "TransactionTimeout",
]
