"""What an incoming and an outgoing stream have in common: bytes to events, headers, closing, timers.

`incoming.IncomingStream` and `outgoing.OutgoingStream` derive from it; nobody else uses it. It decides nothing about
authentication. See `stream` for the theory of operation.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from .element import NS_DIALBACK, NS_SERVER, NS_STREAM, Element, escape_value
from .errors import read_stream_error, stream_error
from .parser import Budget, ElementRead, ParseFailure, ParserEvent, StreamEnd, StreamHeader, StreamParser
from .stream import (
    CertificateVerdict,
    Closed,
    LocalProtocolError,
    Origin,
    Output,
    Phase,
    Remarked,
    SendData,
    StreamLimits,
    TlsFacts,
)

STREAM_END = b"</stream:stream>"
_HEADER_SENT = (
    "<?xml version='1.0'?>"
    f"<stream:stream xmlns='{NS_SERVER}' xmlns:db='{NS_DIALBACK}' xmlns:stream='{NS_STREAM}' xml:lang='en'"
)


class StreamMachine(ABC):
    """The mechanics of one S2S stream. See the table of methods in `stream`."""

    def __init__(self, limits: StreamLimits) -> None:
        self.limits = limits
        self.phase = Phase.NEW
        self.tls: TlsFacts | None = None
        """Facts of the handshake, or None while the stream is plain."""
        self.stanzas = 0
        """Stanzas received (incoming) or sent (outgoing)."""
        self._now = 0.0
        self._outputs: list[Output] = []
        self._budget = Budget(limits.unauthenticated_bytes, limits.unauthenticated_elements)
        self._parser = StreamParser(limits, self._budget)
        self._clean = False
        self._held_events: list[ParserEvent] = []
        self._held_bytes = bytearray()
        self._header_sent = False
        self._negotiate_by: float | None = None
        self._close_by: float | None = None
        self._ending = Closed(Origin.LOCAL, None, "", graceful=False, bounce="", authorised=False)

    # --- what the driver calls -----------------------------------------------------------------------------------

    @property
    def encrypted(self) -> bool:
        """Whether TLS is up."""
        return self.tls is not None

    @property
    def closed(self) -> bool:
        """Whether `Closed` has been returned."""
        return self.phase is Phase.CLOSED

    def receive(self, data: bytes, now: float) -> list[Output]:
        """Take bytes of the peer: plain ones before TLS, decrypted ones after.

        Raises:
            LocalProtocolError: the stream has not been started, or TLS was asked for and is not reported done.
        """
        self._now = now
        phase = self.phase
        if phase in (Phase.ENDING, Phase.CLOSED):
            return []
        if phase in (Phase.NEW, Phase.TLS):
            raise LocalProtocolError(f"bytes in phase {phase}")
        if phase is Phase.CERTIFICATE:
            self._hold(data)
        else:
            self._heard()
            self._handle_events(self._parser.feed(data))
        return self._take()

    def tls_done(self, facts: TlsFacts, now: float) -> list[Output]:
        """The handshake that `StartTls` asked for is complete."""
        self._now = now
        if self.phase is Phase.CLOSED:
            return []
        if self.phase is not Phase.TLS:
            raise LocalProtocolError(f"TLS done in phase {self.phase}")
        self.tls = facts
        self._restart()
        self._on_tls()
        return self._take()

    def certificate_verified(self, verdict: CertificateVerdict, now: float) -> list[Output]:
        """The answer to `VerifyCertificate`."""
        self._now = now
        if self.phase in (Phase.CLOSING, Phase.ENDING, Phase.CLOSED):
            return []
        if self.phase is not Phase.CERTIFICATE:
            raise LocalProtocolError(f"a verdict in phase {self.phase}")
        self._on_verdict(verdict)
        events, self._held_events = self._held_events, []
        self._handle_events(events)
        if self._held_bytes and self.phase not in (Phase.ENDING, Phase.CLOSED):
            data = bytes(self._held_bytes)
            self._held_bytes.clear()
            self._handle_events(self._parser.feed(data))
        return self._take()

    def close(self, now: float, condition: str | None = None, text: str = "") -> list[Output]:
        """End the stream from our side.

        Args:
            now: the time.
            condition: a stream error to send, or None for a graceful end: `</stream:stream>`, then reading on until the
                peer closes too or `StreamLimits.close_seconds` have passed. Stanzas that arrive meanwhile count.
            text: the reason, for the peer (with a condition) and for `Closed.text`.
        """
        self._now = now
        if self.phase in (Phase.CLOSING, Phase.ENDING, Phase.CLOSED):
            return []
        self._close(condition, text)
        return self._take()

    def _close(self, condition: str | None, text: str) -> None:
        if condition is not None:
            self._fail(condition, text)
        elif not self._header_sent or self.phase is Phase.TLS:
            self._finish(Origin.LOCAL, None, text or "closed before it was open", graceful=False)
        else:
            self._emit(SendData(STREAM_END))
            self.phase = Phase.CLOSING
            self._ending = self._result(Origin.LOCAL, None, text or "closed by us", graceful=True)
            self._close_by = self._now + self.limits.close_seconds

    def connection_lost(self, now: float, text: str = "the connection was closed") -> list[Output]:
        """TCP or TLS ended, for whatever reason. The machine is done."""
        self._now = now
        if self.phase is Phase.CLOSED:
            return []
        if self.phase is Phase.ENDING:
            self._conclude(self._ending)
        else:
            self._finish(Origin.TRANSPORT, None, text, graceful=False)
        return self._take()

    def next_deadline(self) -> float | None:
        """When `handle_time` wants to be called, or None."""
        if self.phase in (Phase.NEW, Phase.CLOSED):
            return None
        times = [time for time in (self._negotiate_by, self._close_by, self._own_deadline()) if time is not None]
        return min(times, default=None)

    def handle_time(self, now: float) -> list[Output]:
        """Do what is due. Calling it early does no harm."""
        self._now = now
        if self.phase in (Phase.NEW, Phase.CLOSED):
            return []
        if self._close_by is not None:
            if now >= self._close_by:
                ending = self._ending
                if self.phase is Phase.CLOSING:
                    ending = self._result(Origin.TIMER, None, f"{ending.text}; the peer did not close", graceful=False)
                self._conclude(ending)
            return self._take()
        if self._negotiate_by is not None and now >= self._negotiate_by:
            self._on_negotiation_timeout()
        else:
            self._on_time()
        return self._take()

    # --- what the two kinds of stream decide -----------------------------------------------------------------------

    @abstractmethod
    def _on_header(self, header: StreamHeader) -> None: ...

    @abstractmethod
    def _on_element(self, element: Element) -> None: ...

    @abstractmethod
    def _on_tls(self) -> None: ...

    @abstractmethod
    def _on_verdict(self, verdict: CertificateVerdict) -> None: ...

    @abstractmethod
    def _on_negotiation_timeout(self) -> None: ...

    @abstractmethod
    def _on_time(self) -> None: ...

    @abstractmethod
    def _own_deadline(self) -> float | None: ...

    @abstractmethod
    def _header_attributes(self) -> dict[str, str | None]: ...

    @abstractmethod
    def _result(self, origin: Origin, condition: str | None, text: str, *, graceful: bool) -> Closed: ...

    @abstractmethod
    def _before_closed(self) -> None: ...

    @abstractmethod
    def _heard(self) -> None: ...

    # --- events of the parser -----------------------------------------------------------------------------------

    def _handle_events(self, events: list[ParserEvent]) -> None:
        last = len(events) - 1
        for index, event in enumerate(events):
            phase = self.phase
            if phase is Phase.CERTIFICATE:
                self._held_events = events[index:]
                return
            if phase in (Phase.ENDING, Phase.CLOSED):
                return
            self._clean = index == last and self._parser.at_boundary
            if isinstance(event, ElementRead):
                element = event.element
                if element.namespace == NS_STREAM and element.name == "error":
                    self._on_stream_error(element)
                else:
                    self._on_element(element)
            elif isinstance(event, StreamHeader):
                self._check_header(event)
            elif isinstance(event, StreamEnd):
                self._on_stream_end()
            else:
                self._fail_parse(event)

    def _check_header(self, header: StreamHeader) -> None:
        """RFC 6120 4.8.1 to 4.8.5."""
        if header.namespace != NS_STREAM or header.name != "stream":
            self._fail("invalid-namespace", "not a stream header")
        elif header.prefix != "stream":
            self._fail("bad-namespace-prefix", "the stream's prefix is 'stream'")
        elif header.content_namespace != NS_SERVER:
            self._fail("invalid-namespace", "the content namespace between servers is jabber:server")
        else:
            self._on_header(header)

    def _fail_parse(self, failure: ParseFailure) -> None:
        self._fail(failure.condition, failure.text)

    def _on_stream_error(self, element: Element) -> None:
        condition, text = read_stream_error(element)
        if self._header_sent and self.phase is not Phase.CLOSING:
            self._emit(SendData(STREAM_END))
        self._finish(Origin.PEER, condition, text or "the peer ended the stream with an error", graceful=False)

    def _on_stream_end(self) -> None:
        if self.phase is Phase.CLOSING:
            self._conclude(self._ending)
            return
        if self._header_sent:
            self._emit(SendData(STREAM_END))
        self._finish(Origin.PEER, None, "the peer closed the stream", graceful=True)

    # --- for the two kinds of stream -------------------------------------------------------------------------------

    def _emit(self, output: Output) -> None:
        self._outputs.append(output)

    def _send(self, element: Element) -> None:
        self._outputs.append(SendData(element.to_bytes()))

    def _remark(self, code: str, text: str) -> None:
        self._outputs.append(Remarked(code, text))

    def _take(self) -> list[Output]:
        outputs, self._outputs = self._outputs, []
        return outputs

    def _hold(self, data: bytes) -> None:
        if len(self._held_bytes) + len(data) > self.limits.unauthenticated_bytes:
            self._fail("policy-violation", "too many bytes while the certificate is being judged")
        else:
            self._held_bytes += data

    def _restart(self) -> None:
        """A new stream begins on the same connection: new parser, new header, same budget (RFC 6120 4.3.3)."""
        self._parser = StreamParser(self.limits, self._parser.budget)
        self._header_sent = False
        self.phase = Phase.HEADER

    def _lift_budget(self) -> None:
        """The peer is authenticated: stanza limits instead of the tight ones."""
        self._parser.budget = None
        self._negotiate_by = None

    def _send_header(self) -> None:
        attributes = "".join(
            f" {name}='{escape_value(value)}'" for name, value in self._header_attributes().items() if value is not None
        )
        self._header_sent = True
        self._emit(SendData(f"{_HEADER_SENT}{attributes}>".encode()))

    def _fail(self, condition: str, text: str, origin: Origin = Origin.LOCAL) -> None:
        """End the stream because of the peer: header if none was sent, error, end; then wait for it to hang up."""
        if self.phase in (Phase.ENDING, Phase.CLOSED):
            return
        ending = self._result(origin, condition, text, graceful=False)
        if self.phase is Phase.TLS:
            # Between <proceed/> and the handshake nothing can be said (RFC 6120 5.4.3.2).
            self._conclude(ending)
            return
        if self.phase is not Phase.CLOSING:  # behind our own end nothing may be said any more
            if not self._header_sent:
                self._send_header()
            self._emit(SendData(stream_error(condition, text).to_bytes() + STREAM_END))
        self._ending = ending
        self.phase = Phase.ENDING
        self._held_events.clear()
        self._held_bytes.clear()
        self._close_by = self._now + self.limits.close_seconds

    def _finish(self, origin: Origin, condition: str | None, text: str, *, graceful: bool) -> None:
        self._conclude(self._result(origin, condition, text, graceful=graceful))

    def _conclude(self, ending: Closed) -> None:
        self._before_closed()
        self.phase = Phase.CLOSED
        self._held_events.clear()
        self._held_bytes.clear()
        self._emit(ending)


def parse_version(text: str | None) -> tuple[int, int]:
    """The `version` of a stream header; absent means 0.9 (RFC 6120 4.7.5).

    Raises:
        ValueError: not two integers.
    """
    if text is None:
        return (0, 9)
    major, dot, minor = text.partition(".")
    numbers = (major, minor)
    if not dot or not all(number.isascii() and number.isdigit() and len(number) <= 4 for number in numbers):
        raise ValueError(f"not a version: {text[:16]!r}")
    return (int(major), int(minor))
