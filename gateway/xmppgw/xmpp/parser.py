"""The restricted XML parser of a stream: headers and first-level elements out of bytes, counted while they are read.

One `StreamParser` serves one stream between two restarts. It refuses whatever XMPP forbids (RFC 6120 11.1: DTDs,
entities, comments, processing instructions), counts bytes, elements, depth, attributes, namespaces and name lengths
as they appear rather than when a stanza is complete, and reports the first violation as a `ParseFailure` with the
stream error to send. `parse_stanza` reads one stanza that came by another road than a stream (the link).

The parser knows no stanza, no domain and no authentication.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from xml.parsers import expat

from .element import NS_DIALBACK, NS_SERVER, WIRE_PREFIXES, XML_LANG, Element, escape_value

# U+0001 cannot occur in XML at all, so it cannot occur in a namespace name: a separator that a peer can write would
# blur where the namespace ends (CVE-2022-25236 and the stanza smuggling of CVE-2022-22784).
_SEPARATOR = "\x01"
_PIECE = 16_384
"""Bytes given to expat at a time, so that size limits are looked at between them."""
_NAMES_PER_PARSER = 2048
"""Distinct names and declared prefixes after which the expat parser is replaced at the next stanza boundary. Expat
keeps every one it has seen until it is freed, used or not; on a stream that lives for months a peer would otherwise
grow it without bound. Of namespace names it keeps room for the longest that were declared at once: they count by their
length, in units of the longest name that may be used (`ParserLimits.name_bytes`)."""
_RESCANNED_BYTES = 64 << 20
"""Bytes of one incomplete tag that expat may look at again because it came in crumbs (CVE-2023-52425: the cost of a
large tag grows with the square of the number of its fragments). About a tenth of a second of work."""
_TARGET = re.compile(rb"(?<=>)")


class ParserLimits(Protocol):
    """The part of `stream.StreamLimits` that concerns XML."""

    @property
    def unauthenticated_bytes(self) -> int:
        """Decrypted bytes before authentication."""

    @property
    def unauthenticated_elements(self) -> int:
        """Elements before authentication."""

    @property
    def stanza_bytes(self) -> int:
        """Bytes of one first-level element."""

    @property
    def stanza_elements(self) -> int:
        """Elements of one first-level element, itself included."""

    @property
    def depth(self) -> int:
        """Nesting below the stream header."""

    @property
    def attributes(self) -> int:
        """Attributes of one element."""

    @property
    def namespaces(self) -> int:
        """Namespace declarations of one first-level element."""

    @property
    def name_bytes(self) -> int:
        """Length of one name."""


@dataclass(frozen=True, slots=True)
class StreamHeader:
    """`<stream:stream ...>` as received.

    Attributes:
        name: local name of the root element; anything but `stream` is wrong.
        namespace: of the root element.
        prefix: of the root element, empty string for none.
        content_namespace: the default namespace declared, or None.
        declares_dialback: `xmlns:db='jabber:server:dialback'` is there, under any prefix (XEP-0220 2.4.1).
        attributes: the attributes, `xml:lang` under `element.XML_LANG`.
    """

    name: str
    namespace: str
    prefix: str
    content_namespace: str | None
    declares_dialback: bool
    attributes: dict[str, str]


@dataclass(frozen=True, slots=True)
class ElementRead:
    """A complete first-level element.

    Attributes:
        element: the tree.
    """

    element: Element


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """`</stream:stream>`."""


@dataclass(frozen=True, slots=True)
class ParseFailure:
    """The stream cannot go on. Nothing follows.

    Attributes:
        condition: the stream error to send.
        text: for the peer's administrator.
    """

    condition: str
    text: str


ParserEvent = StreamHeader | ElementRead | StreamEnd | ParseFailure


class _Refused(Exception):  # noqa: N818 - never leaves this module
    """Raised inside expat's callbacks to stop it at once."""

    def __init__(self, condition: str, text: str) -> None:
        super().__init__(text)
        self.failure = ParseFailure(condition, text)


@dataclass(slots=True)
class Budget:
    """What an unauthenticated peer may still send on this connection; carried from parser to parser over restarts."""

    bytes: int
    elements: int


class StreamParser:
    """Incremental parser of one stream.

    Args:
        limits: bounds; see `stream.StreamLimits` for their sizes and reasons.
        budget: what is left before authentication, or None once authenticated. Shared with the caller.
    """

    def __init__(self, limits: ParserLimits, budget: Budget | None = None) -> None:
        self.budget = budget
        self._limits = limits
        # Looked at for every element: one step instead of two.
        self._max_attributes = limits.attributes
        self._max_elements = limits.stanza_elements
        self._max_depth = limits.depth
        self._events: list[ParserEvent] = []
        self._stack: list[Element] = []
        self._text: list[str] = []
        self._depth = 0
        self._elements = 0
        self._namespaces = 0
        self._stanza_start = 0
        self._fed = 0
        self._rescanned = 0
        self._trailing = False
        self._dead = False
        self._header_declarations: list[tuple[str | None, str]] = []
        self._header_tag = ""
        self._names: dict[str, tuple[str, str, str]] = {}
        self._prefixes: set[str] = set()
        self._long_uris = 0
        self._expat = self._new_expat()

    # --- in ------------------------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> list[ParserEvent]:
        """Parse more bytes. After a `ParseFailure` or `StreamEnd`, further bytes yield nothing."""
        if self._dead or not data:
            return []
        over_budget = False
        if self.budget is not None:
            over_budget = len(data) > self.budget.bytes
            data = data[: self.budget.bytes]
            self.budget.bytes -= len(data)
        try:
            for start in range(0, len(data), _PIECE):
                self._feed_piece(data if len(data) <= _PIECE else data[start : start + _PIECE])
                if self._dead:
                    break
            if over_budget and not self._dead:
                raise _Refused("policy-violation", "too many bytes before authentication")
        except _Refused as refused:
            self._fail(refused.failure)
        except expat.ExpatError as error:
            self._fail(self._first_fault(error))
        events, self._events = self._events, []
        return events

    @property
    def at_boundary(self) -> bool:
        """Whether nothing at all, not even white space, was read behind the last complete first-level element."""
        return self._depth == 1 and not self._trailing and self._pending() == 0

    # --- expat ---------------------------------------------------------------------------------------------------

    def _new_expat(self) -> expat.XMLParserType:
        # The encoding is imposed: UTF-8 is the only one (RFC 6120 11.6). `intern=None` keeps peers' strings out of a
        # table that would live as long as the stream.
        parser = expat.ParserCreate("utf-8", _SEPARATOR, intern=None)
        parser.namespace_prefixes = True
        parser.buffer_text = True
        # COMPAT: expat >= 2.6 may hold back the end of a token; a stanza would arrive one read too late
        # (CPython gh-115398). The cost it guards against is bounded by our own size limits.
        defer: Callable[[bool], None] | None = getattr(parser, "SetReparseDeferralEnabled", None)
        if defer is not None:
            defer(False)
        parser.XmlDeclHandler = self._on_declaration
        parser.StartDoctypeDeclHandler = self._on_doctype
        parser.EntityDeclHandler = self._on_entity
        parser.CommentHandler = self._on_comment
        parser.ProcessingInstructionHandler = self._on_instruction
        parser.SkippedEntityHandler = self._on_skipped_entity
        parser.StartNamespaceDeclHandler = self._on_namespace
        parser.StartElementHandler = self._on_start
        parser.EndElementHandler = self._on_end
        parser.CharacterDataHandler = self._on_text
        return parser

    def _feed_piece(self, data: bytes) -> None:
        if self._kept > _NAMES_PER_PARSER:
            # Cut behind each '>' so that the end of a first-level element is the end of what expat has been given.
            for part in _TARGET.split(data):
                if part and not self._dead:
                    self._parse(part)
                    if self._kept > _NAMES_PER_PARSER and self._depth == 1 and self._pending() == 0:
                        self._renew()
            return
        self._parse(data)

    def _parse(self, data: bytes) -> None:
        self._fed += len(data)
        self._expat.Parse(data, False)
        pending = self._pending()
        self._rescanned = self._rescanned + pending if pending else 0
        if self._rescanned > _RESCANNED_BYTES:
            raise _Refused("policy-violation", "a large tag in very small pieces")
        held = self._fed - self._stanza_start if self._depth > 1 else pending
        if held > self._limits.stanza_bytes:
            raise _Refused("policy-violation", f"an element of more than {self._limits.stanza_bytes} bytes")

    @property
    def _kept(self) -> int:
        """How much expat holds on to until it is freed; see `_NAMES_PER_PARSER`."""
        return len(self._names) + len(self._prefixes) + self._long_uris

    def _pending(self) -> int:
        """Bytes expat holds of a token that is not complete."""
        return self._fed - max(self._expat.CurrentByteIndex, 0)

    def _renew(self) -> None:
        """Replace expat between two stanzas; the new one has read an equivalent header."""
        declarations = "".join(
            f" xmlns{':' + prefix if prefix else ''}='{escape_value(uri)}'" for prefix, uri in self._header_declarations
        )
        header = f"<{self._header_tag}{declarations}>".encode()
        self._names.clear()
        self._prefixes.clear()
        self._long_uris = 0
        self._expat = self._new_expat()
        depth, self._depth = self._depth, 0
        kept, self._header_declarations = self._header_declarations, []
        self._fed = len(header)
        self._expat.Parse(header, False)
        self._events.pop()  # the header's own event
        self._depth, self._header_declarations = depth, kept
        self._trailing = False

    def _fail(self, failure: ParseFailure) -> None:
        self._events.append(failure)
        self._dead = True
        self._stack.clear()
        self._text.clear()

    def _first_fault(self, error: expat.ExpatError) -> ParseFailure:
        """Text that pyexpat still held back came before the error; if it was wrong, that is the fault to report."""
        try:
            self._expat.buffer_text = False
        except _Refused as refused:
            return refused.failure
        return self._explain(error)

    def _explain(self, error: expat.ExpatError) -> ParseFailure:
        if error.code == expat.errors.codes[expat.errors.XML_ERROR_UNDEFINED_ENTITY]:
            return ParseFailure("restricted-xml", "an entity reference")
        if error.code == expat.errors.codes[expat.errors.XML_ERROR_XML_DECL] or self._depth > 0:
            return ParseFailure("not-well-formed", expat.ErrorString(error.code) or "not well-formed")
        return ParseFailure("not-well-formed", f"before the stream header: {expat.ErrorString(error.code)}")

    # --- callbacks -----------------------------------------------------------------------------------------------

    def _on_declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.upper() != "UTF-8":
            raise _Refused("unsupported-encoding", "XMPP is written in UTF-8")
        if version != "1.0":
            raise _Refused("not-well-formed", "XMPP uses XML 1.0")

    def _on_doctype(self, *_: object) -> None:
        raise _Refused("restricted-xml", "a document type declaration")

    def _on_entity(self, *_: object) -> None:
        raise _Refused("restricted-xml", "an entity declaration")

    def _on_skipped_entity(self, *_: object) -> None:
        raise _Refused("restricted-xml", "an entity reference")

    def _on_comment(self, _: str) -> None:
        raise _Refused("restricted-xml", "a comment")

    def _on_instruction(self, *_: object) -> None:
        raise _Refused("restricted-xml", "a processing instruction")

    def _on_namespace(self, prefix: str | None, uri: str | None) -> None:
        self._namespaces += 1
        if self._namespaces > self._limits.namespaces:
            raise _Refused("policy-violation", f"more than {self._limits.namespaces} namespace declarations")
        if prefix is not None and len(prefix) > self._limits.name_bytes:
            raise _Refused("policy-violation", f"a name of more than {self._limits.name_bytes} bytes")
        if prefix is not None:
            self._prefixes.add(prefix)
        self._long_uris += len(uri or "") // self._limits.name_bytes
        if self._depth == 0:
            self._header_declarations.append((prefix, uri or ""))

    def _name(self, raw: str) -> tuple[str, str, str]:
        """Namespace, local name and prefix of an expat name; remembered, as few names make most of a stream."""
        if len(raw.encode("utf-8")) > self._limits.name_bytes:
            raise _Refused("policy-violation", f"a name of more than {self._limits.name_bytes} bytes")
        parts = raw.split(_SEPARATOR)
        if len(parts) == 1:
            result = ("", raw, "")
        elif len(parts) == 2:
            result = (parts[0], parts[1], "")
        else:
            result = (parts[0], parts[1], parts[2])
        self._names[raw] = result
        return result

    def _on_start(self, raw: str, attributes: dict[str, str]) -> None:
        if self.budget is not None:
            self.budget.elements -= 1
            if self.budget.elements < 0:
                raise _Refused("policy-violation", "too many elements before authentication")
        names = self._names
        namespace, name, prefix = names.get(raw) or self._name(raw)
        if attributes:
            if len(attributes) > self._max_attributes:
                raise _Refused("policy-violation", f"more than {self._max_attributes} attributes")
            for key in attributes:
                if (names.get(key) or self._name(key))[0]:
                    attributes = self._qualified(attributes)
                    break
        if self._depth == 0:
            self._depth = 1
            self._on_header(namespace, name, prefix, attributes)
            return
        stack = self._stack
        element = Element(name, namespace, attributes)
        if stack:
            parent = stack[-1].children
            if self._text:
                parent.append("".join(self._text))
                self._text.clear()
            parent.append(element)
        else:
            if prefix and namespace == NS_SERVER:
                raise _Refused("bad-namespace-prefix", "stanzas are written without a prefix")
            self._stanza_start = self._expat.CurrentByteIndex
            self._elements = 0
            self._text.clear()
        stack.append(element)
        self._depth += 1
        self._elements += 1
        if self._elements > self._max_elements:
            raise _Refused("policy-violation", f"more than {self._max_elements} elements in one stanza")
        if self._depth - 1 > self._max_depth:
            raise _Refused("policy-violation", f"elements nested more than {self._max_depth} deep")

    def _qualified(self, attributes: dict[str, str]) -> dict[str, str]:
        result: dict[str, str] = {}
        for key, value in attributes.items():
            namespace, name, _ = self._names.get(key) or self._name(key)
            result[f"{{{namespace}}}{name}" if namespace else name] = value
        return result

    def _on_header(self, namespace: str, name: str, prefix: str, attributes: dict[str, str]) -> None:
        declared = dict(self._header_declarations)
        self._header_tag = f"{prefix}:{name}" if prefix else name
        self._events.append(
            StreamHeader(
                name=name,
                namespace=namespace,
                prefix=prefix,
                content_namespace=declared.get(None),
                declares_dialback=NS_DIALBACK in declared.values(),
                attributes=attributes,
            )
        )
        self._namespaces = 0

    def _on_end(self, _: str) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._events.append(StreamEnd())
            self._dead = True
            return
        element = self._stack.pop()
        if self._text:
            element.children.append("".join(self._text))
            self._text.clear()
        if self._depth == 1:
            self._namespaces = 0
            self._trailing = False
            if self._expat.CurrentByteIndex - self._stanza_start > self._limits.stanza_bytes:
                raise _Refused("policy-violation", f"an element of more than {self._limits.stanza_bytes} bytes")
            self._events.append(ElementRead(element))

    def _on_text(self, text: str) -> None:
        if self._depth > 1:
            self._text.append(text)
            return
        self._trailing = True
        if not text.isspace():
            raise _Refused("not-well-formed", "text between stanzas")


_FRAGMENT_HEADER = (
    f"<stream:stream xmlns='{NS_SERVER}'"
    + "".join(f" xmlns:{prefix}='{uri}'" for uri, prefix in WIRE_PREFIXES.items())
    + ">"
).encode()


class StanzaReader:
    """Reads stanzas that come one by one by another road than a stream: the front end's side of the link.

    A parser is kept from stanza to stanza (making one costs more than using it) and thrown away after any fault.

    Args:
        limits: bounds per stanza.
    """

    def __init__(self, limits: ParserLimits) -> None:
        self._limits = limits
        self._parser: StreamParser | None = None

    def read(self, data: bytes) -> Element:
        """Read exactly one first-level element in the form `Element.to_bytes` writes.

        Raises:
            ValueError: not exactly one element, not well-formed, or beyond a limit. The message says which.
        """
        parser, self._parser = self._parser, None
        if parser is None:
            parser = StreamParser(self._limits)
            parser.feed(_FRAGMENT_HEADER)
        events = parser.feed(data)
        if len(events) == 1 and isinstance(events[0], ElementRead) and parser.at_boundary:
            self._parser = parser
            return events[0].element
        failures = [f"{event.condition}: {event.text}" for event in events if isinstance(event, ParseFailure)]
        raise ValueError(failures[0] if failures else "not exactly one complete element")


def parse_stanza(data: bytes, limits: ParserLimits) -> Element:
    """Read one stanza; see `StanzaReader.read`, which is cheaper for many.

    Raises:
        ValueError: not exactly one element, not well-formed, or beyond a limit.
    """
    return StanzaReader(limits).read(data)


__all__ = [
    "XML_LANG",
    "Budget",
    "ElementRead",
    "ParseFailure",
    "ParserEvent",
    "ParserLimits",
    "StanzaReader",
    "StreamEnd",
    "StreamHeader",
    "StreamParser",
    "parse_stanza",
]
