"""A small XML tree and its only serialiser.

The parser builds it, stanza and stream code read it, and whatever leaves the gateway as XML is written by `to_bytes`:
bytes of a peer are never passed on. No processing instruction, comment, entity or CDATA section can be represented, so
none can be written. Does no parsing and knows no XMPP beyond the namespaces below.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping

NS_SERVER = "jabber:server"
NS_CLIENT = "jabber:client"
NS_STREAM = "http://etherx.jabber.org/streams"
NS_DIALBACK = "jabber:server:dialback"
NS_DIALBACK_FEATURE = "urn:xmpp:features:dialback"
NS_TLS = "urn:ietf:params:xml:ns:xmpp-tls"
NS_SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
NS_STREAM_ERRORS = "urn:ietf:params:xml:ns:xmpp-streams"
NS_STANZA_ERRORS = "urn:ietf:params:xml:ns:xmpp-stanzas"
NS_STREAM_LIMITS = "urn:xmpp:stream-limits:0"
NS_PING = "urn:xmpp:ping"
NS_XML = "http://www.w3.org/XML/1998/namespace"

XML_LANG = "{" + NS_XML + "}lang"
"""Key of `xml:lang` in `Element.attributes`."""

WIRE_PREFIXES: Mapping[str, str] = {NS_STREAM: "stream", NS_DIALBACK: "db"}
"""Prefixes that our stream headers declare. XEP-0220 2.1 asks for the literal `db`; peers match `stream:` literally."""
# `xml` is declared everywhere, and its namespace must not be declared as the default (Namespaces in XML 3).
_PREFIXES: Mapping[str, str] = {**WIRE_PREFIXES, NS_XML: "xml"}

# XML 1.0 production [2]; what is not listed cannot be written, not even as a character reference.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TEXT_SPECIAL = re.compile("[&<>\r]")
_VALUE_SPECIAL = re.compile("[&<>'\"\t\n\r]")
_ESCAPES = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    "'": "&apos;",
    '"': "&quot;",
    # Written literally, a parser would normalise these away (XML 1.0 2.11 and 3.3.3).
    "\t": "&#9;",
    "\n": "&#10;",
    "\r": "&#13;",
}
_START = (
    "A-Z_a-z\xc0-\xd6\xd8-\xf6\xf8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c\u200d\u2070-\u218f\u2c00-\u2fef"
    "\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
_NAME = re.compile(f"[{_START}][{_START}\\-.0-9\xb7\u0300-\u036f\u203f-\u2040]*")


class SerialisationError(ValueError):
    """A tree holds something that XML cannot carry (a control character, a name that is none), or too much of it.

    Nothing was written.
    """


class Element:
    """One element: a local name in a namespace, attributes, and children in document order.

    Attributes:
        name: local name, without prefix.
        namespace: namespace name; empty string for none.
        attributes: values by name; a name in a namespace is written `{namespace}local`.
        children: elements and text; the parser never yields two texts in a row.
    """

    __slots__ = ("attributes", "children", "name", "namespace")

    def __init__(
        self,
        name: str,
        namespace: str = NS_SERVER,
        attributes: dict[str, str] | None = None,
        children: list[Element | str] | None = None,
    ) -> None:
        self.name = name
        self.namespace = namespace
        self.attributes: dict[str, str] = {} if attributes is None else attributes
        self.children: list[Element | str] = [] if children is None else children

    def get(self, name: str) -> str | None:
        """The value of an attribute, or None."""
        return self.attributes.get(name)

    def elements(self) -> Iterator[Element]:
        """The child elements, without text."""
        return (child for child in self.children if isinstance(child, Element))

    def child(self, name: str, namespace: str | None = None) -> Element | None:
        """The first child element of that name; in this element's own namespace unless another is given."""
        wanted = self.namespace if namespace is None else namespace
        for child in self.children:
            if isinstance(child, Element) and child.name == name and child.namespace == wanted:
                return child
        return None

    @property
    def text(self) -> str:
        """The element's own character data; text of descendants is not part of it."""
        return "".join(child for child in self.children if isinstance(child, str))

    def copy(self) -> Element:
        """A deep copy."""
        return Element(
            self.name,
            self.namespace,
            dict(self.attributes),
            [child if isinstance(child, str) else child.copy() for child in self.children],
        )

    def renamespaced(self, old: str, new: str) -> Element:
        """A deep copy in which every element of namespace `old` is of namespace `new`.

        Stanzas that cross between `jabber:server` and `jabber:client` streams need it (RFC 6120 4.8.3).
        """
        return Element(
            self.name,
            new if self.namespace == old else self.namespace,
            dict(self.attributes),
            [child if isinstance(child, str) else child.renamespaced(old, new) for child in self.children],
        )

    def to_string(self, default_namespace: str = NS_SERVER, maximum: int = sys.maxsize) -> str:
        """Serialise for a place where `default_namespace` and `WIRE_PREFIXES` are declared.

        Args:
            default_namespace: declared where it will stand.
            maximum: characters beyond which it is given up, while they are written: declarations that a tree shares
                are written wherever they are needed, so it may become many times what was read.

        Raises:
            SerialisationError: a name or a character is not allowed in XML, or there are too many of them.
        """
        parts: list[str] = []
        _write(self, default_namespace, parts, maximum)
        text = "".join(parts)
        wrong = _FORBIDDEN.search(text)
        if wrong:
            raise SerialisationError(f"character U+{ord(wrong.group()):04X} is not allowed in XML")
        return text

    def to_bytes(self, default_namespace: str = NS_SERVER, maximum: int = sys.maxsize) -> bytes:
        """`to_string` in UTF-8: the form on the wire; `maximum` in bytes."""
        data = self.to_string(default_namespace, maximum).encode("utf-8")
        _room(maximum - len(data))
        return data

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Element):
            return NotImplemented
        return (
            self.name == other.name
            and self.namespace == other.namespace
            and self.attributes == other.attributes
            and self.children == other.children
        )

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        size = f"{len(self.attributes)} attributes, {len(self.children)} children"
        return f"<{self.name} xmlns={self.namespace!r} {size}>"


def _escape(match: re.Match[str]) -> str:
    return _ESCAPES[match.group()]


def escape_text(text: str) -> str:
    """Character data, safe between tags. Carriage returns survive as references."""
    return _TEXT_SPECIAL.sub(_escape, text)


def escape_value(text: str) -> str:
    """An attribute value, safe between quotes of either kind."""
    return _VALUE_SPECIAL.sub(_escape, text)


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise SerialisationError(f"{name!r} is not an XML name")
    return name


def _room(room: int) -> int:
    """Return `room` if there is any."""
    if room < 0:
        raise SerialisationError("it would become larger than it may be")
    return room


def _write(element: Element, default: str, parts: list[str], room: int) -> int:
    """Append `element` to `parts`; how many of `room` characters are left (end tags are not counted).

    Recursion is as deep as the tree: parsers cap it, our own trees are shallow.
    """
    begin = len(parts)
    namespace = element.namespace
    name = _check_name(element.name)
    inner_default = default
    prefix = _PREFIXES.get(namespace)
    if prefix is not None and namespace != default:
        name = f"{prefix}:{name}"
        parts.append(f"<{name}")
    elif namespace != default:
        inner_default = namespace
        parts.append(f"<{name} xmlns='{escape_value(namespace)}'")
    else:
        parts.append(f"<{name}")
    for number, (key, value) in enumerate(element.attributes.items()):
        if key[0] != "{":
            parts.append(f" {_check_name(key)}='{escape_value(value)}'")
            continue
        # The last brace: a namespace name may hold some, a local name none.
        uri, _, local = key[1:].rpartition("}")
        if uri == NS_XML:
            parts.append(f" xml:{_check_name(local)}='{escape_value(value)}'")
        else:
            declared = f"a{number}"
            parts.append(f" xmlns:{declared}='{escape_value(uri)}'")
            parts.append(f" {declared}:{_check_name(local)}='{escape_value(value)}'")
    room = _room(room - sum(map(len, parts[begin:])))
    if not element.children:
        parts.append("/>")
        return room
    parts.append(">")
    for child in element.children:
        if isinstance(child, str):
            text = escape_text(child)
            room = _room(room - len(text))
            parts.append(text)
        else:
            room = _write(child, inner_default, parts, room)
    parts.append(f"</{name}>")
    return room
