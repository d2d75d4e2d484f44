"""SIP messages on a stream transport: framing, typed headers, and an encoder that can only emit what its lists allow.

Called by `sip.connection` (which feeds bytes and sends bytes) and by `xmppgw inspect`. It knows no transactions, and it
never repairs a message: what the grammar does not allow is reported, with as much of the message as is needed to
answer 400.

Two rules carry the security of this file:

* Reading: only CRLF ends a line; control characters are refused outside quoted pairs; every count and size has a bound.
* Writing: `encode` takes typed values and headers from `EMITTED_HEADERS` alone, and checks each against its pattern.
  No CR, LF or NUL can leave in a start line or a header, whatever came in on the other side of the gateway.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from .uri import OtherUri, SipUri, UnknownSchemeError, UriError, parse_any, parse_host_port

Field = tuple[str, str]
"""A header field: (canonical name, unfolded value without surrounding white space)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what a peer can make us hold. Every one is a security limit, none is part of the protocol.

    Precedents: Kamailio reads at most 64 KiB per message; CVE-2016-2385 and CVE-2018-8828 were unbounded headers.
    """

    header_block_bytes: int = 32_768
    """Start line and headers up to the empty line. Beyond it the framing is lost and the connection is closed."""
    header_fields: int = 128
    value_characters: int = 8192
    """One unfolded header value."""
    via_fields: int = 70
    """Via values, one per hop; Max-Forwards starts at 70."""
    body_bytes: int = 65_536
    """A larger body is skipped and answered with 413; the connection lives."""
    skipped_body_bytes: int = 1_048_576
    """A body that says it is larger than this closes the connection."""


class SipSyntaxError(ValueError):
    """The message breaks the grammar.

    Attributes:
        status: the status code a request is answered with (400, 413, 505).
        code: short stable word for logs and metrics.
        reason: for people; never holds line ends.
    """

    def __init__(self, code: str, reason: str, status: int = 400) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason
        self.status = status


class UnsafeValueError(ValueError):
    """We were about to emit something that the allow-list of the encoder does not hold. Nothing was emitted."""


# --------------------------------------------------------------------------------------------------- grammar

TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+")
METHOD_CHARACTERS = 64
"""Longest method name that is read; the longest registered one has nine letters."""

_CALL_ID_WORD = r"[A-Za-z0-9\-.!%*_+`'~()<>:\\\"/\[\]?{}]+"
_CALL_ID = re.compile(rf"{_CALL_ID_WORD}(?:@{_CALL_ID_WORD})?")
_LWS = r"[ \t]*"
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PARAMETER = re.compile(
    rf"{_LWS};{_LWS}([A-Za-z0-9\-.!%*_+`'~]+)(?:{_LWS}={_LWS}({_QUOTED}|[^\s;,\"<>=?@\\{{}}]+))?{_LWS}",
    re.DOTALL,
)
_NAME_ADDR = re.compile(rf"(?:({_QUOTED}){_LWS}|([A-Za-z0-9\-.!%*_+`'~ \t]*))<([^<>\"]*)>(.*)", re.DOTALL)
_VIA = re.compile(
    rf"SIP{_LWS}/{_LWS}([0-9.]+){_LWS}/{_LWS}([A-Za-z0-9\-.!%*_+`'~]+)[ \t]([^;]+)((?:;.*)?)", re.DOTALL | re.IGNORECASE
)
_CSEQ = re.compile(r"([0-9]{1,20})[ \t]+([A-Za-z0-9\-.!%*_+`'~]+)")
_SENT_BY_COLON = re.compile(r"[ \t]*:[ \t]*")
_DIGITS = re.compile(r"[0-9]{1,20}")
_MEDIA_TYPE = re.compile(r"([A-Za-z0-9\-.!%*_+`'~]+)[ \t]*/[ \t]*([A-Za-z0-9\-.!%*_+`'~]+)[ \t]*((?:;.*)?)", re.DOTALL)
_REQUEST_LINE = re.compile(r"([A-Za-z0-9\-.!%*_+`'~]+) ([^ ]+) (SIP/[0-9]+\.[0-9]+)", re.IGNORECASE)
_STATUS_LINE = re.compile(r"(SIP/[0-9]+\.[0-9]+) ([0-9]{3}) (.*)", re.IGNORECASE | re.DOTALL)
# A control character is legal in a header only behind a backslash inside quotes, and CR and LF not even there.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_LENGTH_LINE = re.compile(r"(?:Content-Length|l)[ \t]*:", re.IGNORECASE)
_FIRST_WORD = re.compile(rb"[A-Za-z0-9\-.!%*_+`'~/]*")

# Free text that may leave: printable ASCII, tab, and other characters except C1 controls, line and paragraph
# separators, surrogates and U+FEFF.
TEXT = re.compile("[\t\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]*")
_ASCII_TEXT = re.compile("[\\x20-\\x7e]*")

_COMPACT = {
    "a": "Accept-Contact",
    "b": "Referred-By",
    "c": "Content-Type",
    "d": "Request-Disposition",
    "e": "Content-Encoding",
    "f": "From",
    "i": "Call-ID",
    "j": "Reject-Contact",
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "n": "Identity-Info",
    "o": "Event",
    "r": "Refer-To",
    "s": "Subject",
    "t": "To",
    "u": "Allow-Events",
    "v": "Via",
    "x": "Session-Expires",
    "y": "Identity",
}
_KNOWN = (
    *_COMPACT.values(),
    "Accept",
    "Accept-Encoding",
    "Allow",
    "CSeq",
    "Content-Disposition",
    "Content-Language",
    "Date",
    "Expires",
    "In-Reply-To",
    "Max-Forwards",
    "Proxy-Require",
    "Reason",
    "Record-Route",
    "Require",
    "Retry-After",
    "Route",
    "Server",
    "Unsupported",
    "User-Agent",
    "Warning",
)
_CANONICAL: Mapping[str, str] = MappingProxyType({**{name.lower(): name for name in _KNOWN}, **_COMPACT})

_CANONICAL_SPELLING: Mapping[str, str] = MappingProxyType({name: name for name in _KNOWN})
"""The usual spelling alone: a name that is found here needs no further check."""

_ONCE = frozenset({"From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Length", "Content-Type"})
"""Headers of which a second one makes the message ambiguous (CVE-2018-14767, RFC 4475 section 3.3.8)."""

_MANDATORY = ("Via", "From", "To", "Call-ID", "CSeq")

REASONS: Mapping[int, str] = MappingProxyType(
    {
        100: "Trying",
        200: "OK",
        202: "Accepted",
        301: "Moved Permanently",
        302: "Moved Temporarily",
        400: "Bad Request",
        403: "Forbidden",
        404: "Not Found",
        405: "Method Not Allowed",
        406: "Not Acceptable",
        410: "Gone",
        413: "Request Entity Too Large",
        415: "Unsupported Media Type",
        416: "Unsupported URI Scheme",
        420: "Bad Extension",
        480: "Temporarily Unavailable",
        481: "Call/Transaction Does Not Exist",
        482: "Loop Detected",
        483: "Too Many Hops",
        486: "Busy Here",
        488: "Not Acceptable Here",
        489: "Bad Event",
        491: "Request Pending",
        500: "Server Internal Error",
        501: "Not Implemented",
        504: "Server Time-out",
        505: "Version Not Supported",
        513: "Message Too Large",
    }
)
"""Reason phrases of the status codes we send."""


def canonical_name(name: str) -> str:
    """The usual spelling of a header name, compact forms written out; unknown names keep theirs."""
    return _CANONICAL.get(name.lower(), name)


# --------------------------------------------------------------------------------------------- typed headers

Parameters = tuple[tuple[str, str | None], ...]


def parse_parameters(text: str) -> Parameters:
    """Parse `;name=value;name` of a header. Names come out in lower case, quoted values without their quotes.

    Raises:
        SipSyntaxError: anything that is not a list of parameters, or a name that stands there twice.
    """
    parameters: list[tuple[str, str | None]] = []
    seen: set[str] = set()
    position = 0
    while position < len(text):
        found = _PARAMETER.match(text, position)
        if found is None:
            raise SipSyntaxError("parameter", f"{text[position : position + 64]!r} is not a header parameter")
        name, value = found[1].lower(), found[2]
        if name in seen:
            raise SipSyntaxError("parameter", f"the parameter {name[:64]!r} stands there twice")
        seen.add(name)
        parameters.append((name, _unquote(value) if value is not None and value.startswith('"') else value))
        position = found.end()
    return tuple(parameters)


def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _parameter_value(parameters: Parameters, name: str) -> str | None:
    for key, value in parameters:
        if key == name:
            return value or ""
    return None


def _format_parameters(parameters: Parameters) -> str:
    parts: list[str] = []
    for name, value in parameters:
        if value is None:
            parts.append(f";{name}")
        elif TOKEN.fullmatch(value):
            parts.append(f";{name}={value}")
        else:
            parts.append(f";{name}={_quote(value)}")
    return "".join(parts)


@dataclass(frozen=True, slots=True)
class NameAddr:
    """From, To, Contact, Route: an address with an optional display name and header parameters (RFC 3261 20.10).

    Attributes:
        uri: the address.
        display_name: without quotes; None where there was none.
        parameters: header parameters such as `tag`.
    """

    uri: SipUri | OtherUri
    display_name: str | None = None
    parameters: Parameters = ()

    @classmethod
    def parse(cls, text: str) -> NameAddr:
        """Parse name-addr or addr-spec with header parameters. Raises `SipSyntaxError`."""
        try:
            found = _NAME_ADDR.fullmatch(text)
            if found is not None:
                quoted, plain, uri, rest = found.groups()
                display = _unquote(quoted) if quoted is not None else " ".join(plain.split())
                return cls(parse_any(uri), display or None, parse_parameters(rest))
            address, semicolon, rest = text.partition(";")
            if "," in address or "?" in address or '"' in address:
                raise SipSyntaxError("address", "an address with a comma, question mark or quote needs angle brackets")
            return cls(parse_any(address.strip()), None, parse_parameters(semicolon + rest))
        except UriError as problem:
            raise SipSyntaxError("address", str(problem)) from None

    @property
    def tag(self) -> str | None:
        """The tag, "" where the parameter has no value, None where there is none."""
        return _parameter_value(self.parameters, "tag")

    def __str__(self) -> str:
        name = "" if self.display_name is None else f"{_quote(self.display_name)} "
        return f"{name}<{self.uri}>{_format_parameters(self.parameters)}"


@dataclass(frozen=True, slots=True)
class Via:
    """One hop of a request (RFC 3261 section 20.42).

    Attributes:
        transport: upper case, "TLS" and the like.
        host: host part of sent-by.
        port: port of sent-by, None where it names none.
        parameters: `branch`, `received` and so on.
    """

    transport: str
    host: str
    port: int | None
    parameters: Parameters

    @classmethod
    def parse(cls, text: str) -> Via:
        """Parse one Via value. Raises `SipSyntaxError`."""
        found = _VIA.fullmatch(text)
        if found is None:
            raise SipSyntaxError("via", f"{text[:64]!r} is not a Via")
        version, transport, sent_by, rest = found.groups()
        if version != "2.0":
            raise SipSyntaxError("via", f"a Via of SIP {version[:16]}")
        try:
            host, port = parse_host_port(_SENT_BY_COLON.sub(":", sent_by.strip(" \t")))
        except UriError as problem:
            raise SipSyntaxError("via", str(problem)) from None
        return cls(transport.upper(), host, port, parse_parameters(rest))

    @property
    def branch(self) -> str | None:
        """The transaction identifier, or None."""
        return _parameter_value(self.parameters, "branch")

    @property
    def sent_by(self) -> str:
        """`host:port` in lower case, for comparison; without a port where the Via names none."""
        return self.host.lower() if self.port is None else f"{self.host.lower()}:{self.port}"

    def __str__(self) -> str:
        port = "" if self.port is None else f":{self.port}"
        return f"SIP/2.0/{self.transport} {self.host}{port}{_format_parameters(self.parameters)}"


@dataclass(frozen=True, slots=True)
class CSeq:
    """Sequence number (0..2^31-1, RFC 3261 section 8.1.1.5) and method."""

    number: int
    method: str

    @classmethod
    def parse(cls, text: str) -> CSeq:
        """Parse a CSeq value. Raises `SipSyntaxError`."""
        found = _CSEQ.fullmatch(text)
        if found is None or int(found[1]) >= 2**31:
            raise SipSyntaxError("cseq", f"{text[:64]!r} is not a CSeq")
        return cls(int(found[1]), found[2])

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


@dataclass(frozen=True, slots=True)
class MediaType:
    """A Content-Type value: type and subtype in lower case, and parameters."""

    type: str
    subtype: str
    parameters: Parameters = ()

    @classmethod
    def parse(cls, text: str) -> MediaType:
        """Parse a Content-Type value. Raises `SipSyntaxError`."""
        found = _MEDIA_TYPE.fullmatch(text)
        if found is None:
            raise SipSyntaxError("content-type", f"{text[:64]!r} is not a media type")
        return cls(found[1].lower(), found[2].lower(), parse_parameters(found[3]))

    @property
    def essence(self) -> str:
        """`type/subtype`."""
        return f"{self.type}/{self.subtype}"

    @property
    def charset(self) -> str | None:
        """The charset in lower case, or None."""
        value = _parameter_value(self.parameters, "charset")
        return None if value is None else value.lower()

    def __str__(self) -> str:
        return f"{self.type}/{self.subtype}{_format_parameters(self.parameters)}"


TEXT_PLAIN = MediaType("text", "plain", (("charset", "utf-8"),))


def split_list(value: str) -> list[str]:
    """Split a comma-separated header value, minding quotes and angle brackets. Empty items are left out."""
    if "," not in value:
        return [value] if value else []
    items: list[str] = []
    start = 0
    quoted = bracketed = escaped = False
    for position, character in enumerate(value):
        if escaped:
            escaped = False
        elif quoted:
            if character == "\\":
                escaped = True
            elif character == '"':
                quoted = False
        elif character == '"':
            quoted = True
        elif character == "<":
            bracketed = True
        elif character == ">":
            bracketed = False
        elif character == "," and not bracketed:
            items.append(value[start:position].strip())
            start = position + 1
    items.append(value[start:].strip())
    return [item for item in items if item]


# -------------------------------------------------------------------------------------------------- messages


@dataclass(frozen=True)
class Message:
    """What requests and responses share.

    Attributes:
        headers: every field in order, names canonical.
        body: as it came; never decoded here. Neither is part of `repr`: what people write stays out of logs.
    """

    headers: tuple[Field, ...] = field(repr=False)
    body: bytes = field(repr=False)

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        index: dict[str, list[str]] = {}
        for name, value in self.headers:
            index.setdefault(name.lower(), []).append(value)
        return index

    def header(self, name: str) -> str | None:
        """The first value of a header, or None."""
        values = self._by_name.get(name.lower())
        return values[0] if values else None

    def header_list(self, name: str) -> list[str]:
        """All items of a comma-separated header, over all its fields."""
        return [item for value in self._by_name.get(name.lower(), ()) for item in split_list(value)]

    @cached_property
    def vias(self) -> tuple[Via, ...]:
        """Every Via, topmost first. Checked when the message was parsed."""
        return tuple(Via.parse(item) for item in self.header_list("Via"))

    @cached_property
    def from_(self) -> NameAddr:
        """The From header. Checked when the message was parsed."""
        return NameAddr.parse(self.header("From") or "")

    @cached_property
    def to(self) -> NameAddr:
        """The To header. Checked when the message was parsed."""
        return NameAddr.parse(self.header("To") or "")

    @cached_property
    def cseq(self) -> CSeq:
        """The CSeq header. Checked when the message was parsed."""
        return CSeq.parse(self.header("CSeq") or "")

    @property
    def call_id(self) -> str:
        """The Call-ID header."""
        return self.header("Call-ID") or ""

    @cached_property
    def content_type(self) -> MediaType | None:
        """The Content-Type header, None where there is none. Checked when the message was parsed."""
        value = self.header("Content-Type")
        return None if value is None else MediaType.parse(value)


@dataclass(frozen=True)
class Request(Message):
    """A request.

    Attributes:
        method: as it came (methods are case-sensitive).
        target: the Request-URI as it stands in the message.
    """

    method: str
    target: str

    @cached_property
    def uri(self) -> SipUri | OtherUri:
        """The Request-URI. Checked when the message was parsed."""
        return parse_any(self.target)

    @cached_property
    def max_forwards(self) -> int | None:
        """Hops left, or None where the sender gives none (RFC 3261 section 16.3 lets that pass)."""
        value = self.header("Max-Forwards")
        return None if value is None else int(value)

    @cached_property
    def key(self) -> str:
        """What stays the same when a request arrives twice over different ways: From tag, Call-ID and CSeq."""
        return f"{self.from_.tag or ''}|{self.call_id}|{self.cseq}"


@dataclass(frozen=True)
class Response(Message):
    """A response: status 100..699 and the reason phrase."""

    status: int
    reason: str


# --------------------------------------------------------------------------------------------------- framing


@dataclass(frozen=True, slots=True)
class LineEnd:
    """A CRLF between two messages: half a keep-alive ping or a whole pong (RFC 5626 section 4.4.1)."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message cut out of the stream, not yet parsed beyond its fields.

    Attributes:
        start_line: first line.
        fields: the fields that could be read, in order.
        body: the body, empty where it was skipped.
        problem: what is wrong already at this level; the message is to be answered with it, and not used.
    """

    start_line: str
    fields: tuple[Field, ...]
    body: bytes
    problem: SipSyntaxError | None = None


@dataclass(frozen=True, slots=True)
class FramingLost:
    """Where the next message begins can no longer be known: answer what can be answered, then close.

    Attributes:
        problem: why.
        frame: what could be read of the message that broke the stream, or None.
    """

    problem: SipSyntaxError
    frame: Frame | None = None


@dataclass(slots=True)
class Framer:
    """Cuts a byte stream into messages (RFC 3261 section 18.3).

    The same bytes give the same items however they are chunked. After `FramingLost` nothing more is read.

    Attributes:
        limits: see `Limits`.
    """

    limits: Limits = field(default_factory=Limits)
    _buffer: bytearray = field(default_factory=bytearray)
    _searched: int = 0
    _pending: Frame | None = None
    _body_left: int = 0
    _lost: bool = False

    @property
    def in_message(self) -> bool:
        """Whether a message has begun and is not complete."""
        return bool(self._buffer) or self._pending is not None

    def feed(self, data: bytes) -> list[LineEnd | Frame | FramingLost]:
        """Take in bytes; give back what is complete. Never raises."""
        items: list[LineEnd | Frame | FramingLost] = []
        if self._lost:
            return items
        self._buffer += data
        while not self._lost:
            item = self._next()
            if item is None:
                break
            items.append(item)
            if isinstance(item, FramingLost):
                self._lost = True
                self._buffer.clear()
                self._pending = None
        return items

    def _next(self) -> LineEnd | Frame | FramingLost | None:
        if self._pending is not None:
            return self._body()
        buffer = self._buffer
        if not buffer:
            return None
        if buffer[0] == 0x0D:
            if len(buffer) < 2:
                return None
            if buffer[1] == 0x0A:
                del buffer[:2]
                return LineEnd()
        lost = self._not_sip()
        if lost is not None:
            return lost
        end = buffer.find(b"\r\n\r\n", self._searched)
        if (end if end >= 0 else len(buffer) - 4) > self.limits.header_block_bytes:
            limit = self.limits.header_block_bytes
            return FramingLost(SipSyntaxError("header-size", f"start line and headers exceed {limit} bytes", 413))
        if end < 0:
            self._searched = max(0, len(buffer) - 3)
            return None
        block = bytes(buffer[:end])
        del buffer[: end + 4]
        self._searched = 0
        return self._headers(block)

    def _not_sip(self) -> FramingLost | None:
        """Close at the first byte that cannot begin a SIP message, so that nobody can make us wait for more of it."""
        if self._searched > METHOD_CHARACTERS:
            return None
        head = bytes(self._buffer[: METHOD_CHARACTERS + 1])
        found = _FIRST_WORD.match(head)
        length = found.end() if found is not None else 0
        if length == len(head) and length <= METHOD_CHARACTERS:
            return None
        if 0 < length <= METHOD_CHARACTERS and head[length] == 0x20:
            return None
        # White space and line ends after a word are left to the start line's own check, which can still answer.
        if 0 < length <= METHOD_CHARACTERS and head[length] in b"\t\r\n":
            return None
        return FramingLost(SipSyntaxError("not-sip", "the first bytes are no SIP message"))

    def _headers(self, block: bytes) -> Frame | FramingLost | None:
        frame = _read_block(block, self.limits)
        lengths = [value for name, value in frame.fields if name == "Content-Length"]
        problem: SipSyntaxError | None = None
        if len(lengths) != 1:
            what = "no Content-Length on a stream" if not lengths else "more than one Content-Length"
            problem = SipSyntaxError("content-length", what)
        elif _DIGITS.fullmatch(lengths[0]) is None:
            problem = SipSyntaxError("content-length", f"{lengths[0][:32]!r} is not a length")
        elif int(lengths[0]) > self.limits.skipped_body_bytes:
            problem = SipSyntaxError("body-size", f"a body of {lengths[0]} bytes", 413)
        if problem is not None:
            return FramingLost(problem, frame)
        self._body_left = int(lengths[0])
        if self._body_left > self.limits.body_bytes and frame.problem is None:
            limit = self.limits.body_bytes
            large = SipSyntaxError("body-size", f"a body of {self._body_left} bytes, at most {limit} are read", 413)
            frame = Frame(frame.start_line, frame.fields, b"", large)
        self._pending = frame
        return self._body()

    def _body(self) -> Frame | None:
        frame = self._pending
        assert frame is not None
        if frame.problem is not None:
            skipped = min(self._body_left, len(self._buffer))
            del self._buffer[:skipped]
            self._body_left -= skipped
            if self._body_left:
                return None
            self._pending = None
            return frame
        if len(self._buffer) < self._body_left:
            return None
        body = bytes(self._buffer[: self._body_left])
        del self._buffer[: self._body_left]
        self._pending = None
        self._body_left = 0
        return Frame(frame.start_line, frame.fields, body) if body else frame


def _read_block(block: bytes, limits: Limits) -> Frame:
    """Read start line and header fields; the first fault is kept in the frame, sound fields are read on."""
    problem: SipSyntaxError | None = None
    try:
        text = block.decode("utf-8")
    except UnicodeDecodeError:
        text = block.decode("utf-8", "replace")
        problem = SipSyntaxError("encoding", "the headers are not UTF-8")
    start_line, *lines = text.split("\r\n")
    unfolded: list[str] = []
    for line in lines:
        if line[:1] in (" ", "\t"):
            if unfolded:
                unfolded[-1] = unfolded[-1].rstrip(" \t") + " " + line.strip(" \t")
            else:
                problem = problem or SipSyntaxError("fold", "the start line is folded")
        else:
            unfolded.append(line)
    if len(unfolded) > limits.header_fields:
        problem = problem or SipSyntaxError("header-count", f"more than {limits.header_fields} header fields")
        # Of what is too much, only the length is still of use: it says where the next message begins.
        beyond = unfolded[limits.header_fields :]
        unfolded[limits.header_fields :] = [line for line in beyond if _LENGTH_LINE.match(line)]
    if _CONTROL.search(start_line):
        problem = problem or SipSyntaxError("control-character", "a control character in the start line")
    # One look at the whole block spares a look at each value; CR and LF outside of line ends count as controls.
    suspicious = any(_CONTROL.search(line) is not None for line in unfolded)
    fields: list[Field] = []
    for line in unfolded:
        name, colon, value = line.partition(":")
        value = value.strip(" \t")
        known = _CANONICAL_SPELLING.get(name)
        if known is None or not colon or suspicious or len(value) > limits.value_characters:
            name = name.rstrip(" \t")
            fault = _field_fault(name, colon, value, limits)
            if fault is not None:
                problem = problem or fault
                continue
            known = canonical_name(name)
        fields.append((known, value))
    return Frame(start_line, tuple(fields), b"", problem)


def _field_fault(name: str, colon: str, value: str, limits: Limits) -> SipSyntaxError | None:
    if not colon or TOKEN.fullmatch(name) is None:
        return SipSyntaxError("header-name", f"{name[:64]!r} is not a header name")
    if len(value) > limits.value_characters:
        return SipSyntaxError("header-size", f"{name[:64]} has more than {limits.value_characters} characters")
    if _CONTROL.search(value) is not None and not _controls_are_quoted_pairs(value):
        return SipSyntaxError("control-character", f"a control character in {name[:64]}")
    return None


def _controls_are_quoted_pairs(value: str) -> bool:
    """Whether every control character stands behind a backslash inside quotes, and none of them is CR or LF."""
    quoted = escaped = False
    for character in value:
        if _CONTROL.match(character) and (not escaped or character in "\r\n"):
            return False
        if escaped:
            escaped = False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
    return not quoted


# --------------------------------------------------------------------------------------------------- parsing


def is_response(frame: Frame) -> bool:
    """Whether the frame claims to be a response. One that cannot be parsed is dropped, never answered."""
    return frame.start_line[:4].upper() == "SIP/"


def parse_request(frame: Frame, limits: Limits) -> Request:
    """Check a frame as a request and give it its type.

    Raises:
        SipSyntaxError: what to answer it with (400, 413 or 505).
    """
    if frame.problem is not None:
        raise frame.problem
    found = _REQUEST_LINE.fullmatch(frame.start_line)
    if found is None or len(found[1]) > METHOD_CHARACTERS:
        raise SipSyntaxError("start-line", "the start line is neither a request line nor a status line")
    method, target, version = found.groups()
    if version.upper() != "SIP/2.0":
        raise SipSyntaxError("version", f"version {version[:16]} is not spoken here", 505)
    request = Request(frame.fields, frame.body, method, target)
    _check_headers(request, limits)
    if request.cseq.method != method:
        raise SipSyntaxError("cseq", f"the CSeq is of {request.cseq.method[:32]}, the request is {method[:32]}")
    hops = request.header("Max-Forwards")
    if hops is not None and (_DIGITS.fullmatch(hops) is None or int(hops) > 255):
        raise SipSyntaxError("max-forwards", f"{hops[:32]!r} is not 0..255")
    try:
        uri = request.uri
    except UriError as problem:
        raise SipSyntaxError("request-uri", str(problem)) from None
    if isinstance(uri, SipUri) and uri.headers:
        # RFC 3261 table 1: headers have no place in a Request-URI; RFC 4475 3.1.2.11 smuggles a Route that way.
        raise SipSyntaxError("request-uri", "a Request-URI with headers")
    for contact in request.header_list("Contact"):
        if contact != "*":
            NameAddr.parse(contact)
    if request.from_.tag == "" or request.to.tag == "":
        raise SipSyntaxError("tag", "a tag without a value")
    return request


def parse_response(frame: Frame, limits: Limits) -> Response:
    """Check a frame as a response and give it its type.

    Raises:
        SipSyntaxError: it is to be dropped.
    """
    if frame.problem is not None:
        raise frame.problem
    found = _STATUS_LINE.fullmatch(frame.start_line)
    if found is None or found[1].upper() != "SIP/2.0" or not 100 <= int(found[2]) <= 699:
        raise SipSyntaxError("start-line", "not a status line of SIP/2.0")
    response = Response(frame.fields, frame.body, int(found[2]), found[3])
    _check_headers(response, limits)
    return response


def _check_headers(message: Message, limits: Limits) -> None:
    seen: set[str] = set()
    for name, _ in message.headers:
        if name in _ONCE:
            if name in seen:
                raise SipSyntaxError("header-repeated", f"more than one {name}")
            seen.add(name)
    for name in _MANDATORY:
        if not message.header(name):
            raise SipSyntaxError("header-missing", f"{name} is missing or empty")
    if not message.vias:
        raise SipSyntaxError("via", "a Via without a value")
    if len(message.vias) > limits.via_fields:
        raise SipSyntaxError("via-count", f"more than {limits.via_fields} Via values")
    if _CALL_ID.fullmatch(message.call_id) is None:
        raise SipSyntaxError("call-id", f"{message.call_id[:64]!r} is not a Call-ID")
    _ = message.from_, message.to, message.cseq, message.content_type


# --------------------------------------------------------------------------------------------------- writing

_LANGUAGE = r"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*"
_TOKENS = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+(?:, [A-Za-z0-9\-.!%*_+`'~]+)*|")
_PATTERN_DIGITS = re.compile(r"[0-9]{1,10}")
_MEDIA_RANGE = re.compile(r"[A-Za-z0-9\-.!%*_+]+/[A-Za-z0-9\-.!%*_+]+(?:;[A-Za-z0-9\-]+=[A-Za-z0-9\-.]+)*")

EMITTED_HEADERS: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {
        "Accept": re.compile(rf"{_MEDIA_RANGE.pattern}(?:, {_MEDIA_RANGE.pattern})*"),
        "Accept-Encoding": _TOKENS,
        "Allow": _TOKENS,
        "CSeq": _CSEQ,
        "Call-ID": _CALL_ID,
        "Contact": re.compile(r"<sips?:[!#-;=?-~]+>"),
        "Content-Language": re.compile(rf"{_LANGUAGE}(?:, {_LANGUAGE})*"),
        "Content-Type": re.compile(rf"{_MEDIA_RANGE.pattern}"),
        "From": TEXT,
        "In-Reply-To": re.compile(rf"{_CALL_ID.pattern}(?:, {_CALL_ID.pattern})*"),
        "Max-Forwards": _PATTERN_DIGITS,
        "Retry-After": _PATTERN_DIGITS,
        "Route": re.compile(r"<sips?:[!#-;=?-~]+>(?:, <sips?:[!#-;=?-~]+>)*"),
        "Server": _ASCII_TEXT,
        "Subject": TEXT,
        "Supported": _TOKENS,
        "To": TEXT,
        "Unsupported": _TOKENS,
        "User-Agent": _ASCII_TEXT,
        "Via": TEXT,
        "Warning": re.compile(r'[0-9]{3} [A-Za-z0-9.\-:\[\]]+ "[\x20\x21\x23-\x5b\x5d-\x7e]*"'),
    }
)
"""The only headers that ever leave, each with what its value may be. From, To and Via come from typed values or are
echoed from a request that was parsed, so their pattern only has to keep line ends and controls in."""

_TARGET = re.compile(r"[!-~]+")


def encode(message: Request | Response) -> bytes:
    """Serialise a message; Content-Length is written here, from the body.

    Raises:
        UnsafeValueError: a header that is not in `EMITTED_HEADERS`, or a value its pattern does not allow.
    """
    if isinstance(message, Request):
        if TOKEN.fullmatch(message.method) is None or _TARGET.fullmatch(message.target) is None:
            raise UnsafeValueError("the request line holds what a request line cannot hold")
        start_line = f"{message.method} {message.target} SIP/2.0"
    else:
        if not 100 <= message.status <= 699 or TEXT.fullmatch(message.reason) is None:
            raise UnsafeValueError("the status line holds what a status line cannot hold")
        start_line = f"SIP/2.0 {message.status} {message.reason}"
    lines = [start_line]
    for name, value in message.headers:
        pattern = EMITTED_HEADERS.get(name)
        if pattern is None:
            raise UnsafeValueError(f"the header {name[:64]!r} is not on the list of those we send")
        if pattern.fullmatch(value) is None:
            raise UnsafeValueError(f"the value of {name} holds what {name} cannot hold")
        lines.append(f"{name}: {value}")
    lines.append(f"Content-Length: {len(message.body)}\r\n\r\n")
    return "\r\n".join(lines).encode("utf-8") + message.body


def answer(
    frame: Frame, status: int, to_tag: str, *, reason: str | None = None, headers: Iterable[Field] = ()
) -> Response | None:
    """Build the response to a request, sound or not (RFC 3261 section 8.2.6).

    Via, From, To, Call-ID and CSeq are copied where they are there; a To without a tag gets `to_tag`. A From or To
    that is sound but holds what may not leave is written anew without its display name.

    Returns:
        None where no Via can be read, so that nobody could match the response.
    """
    copied: list[Field] = []
    for name in _MANDATORY:
        for value in (value for key, value in frame.fields if key == name):
            safe = _echoed(name, value, to_tag if status > 100 else None)
            if safe is None:
                if name == "Via":
                    return None
                continue
            copied.append((name, safe))
            if name != "Via":
                break
    if not copied or copied[0][0] != "Via":
        return None
    phrase = reason if reason is not None and TEXT.fullmatch(reason) else REASONS.get(status, "Unspecified")
    return Response((*copied, *headers), b"", status, phrase)


def _echoed(name: str, value: str, to_tag: str | None) -> str | None:
    """A header value of a request as it may stand in the response, or None where it may not."""
    pattern = EMITTED_HEADERS[name]
    if name not in ("From", "To"):
        return value if value and pattern.fullmatch(value) else None
    if name == "From" and pattern.fullmatch(value):
        return value
    try:
        address = NameAddr.parse(value)
    except SipSyntaxError:
        return value if pattern.fullmatch(value) else None
    if pattern.fullmatch(value) is None:
        address = NameAddr(address.uri, None, address.parameters)
        value = str(address)
    if name == "To" and to_tag is not None and not address.tag:
        bare = NameAddr(address.uri, address.display_name, tuple(p for p in address.parameters if p[0] != "tag"))
        value = f"{bare};tag={to_tag}" if address.tag is not None or "<" not in value else f"{value};tag={to_tag}"
    return value if pattern.fullmatch(value) else None


__all__ = [
    "EMITTED_HEADERS",
    "REASONS",
    "TEXT",
    "TEXT_PLAIN",
    "CSeq",
    "Field",
    "Frame",
    "Framer",
    "FramingLost",
    "Limits",
    "LineEnd",
    "MediaType",
    "Message",
    "NameAddr",
    "Request",
    "Response",
    "SipSyntaxError",
    "UnknownSchemeError",
    "UnsafeValueError",
    "Via",
    "answer",
    "canonical_name",
    "encode",
    "is_response",
    "parse_parameters",
    "parse_request",
    "parse_response",
    "split_list",
]
