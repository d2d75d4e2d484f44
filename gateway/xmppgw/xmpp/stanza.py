"""Stanzas: what an element is, whether it may be routed, and the error that answers it (RFC 6120 8, RFC 6121).

Called by the incoming stream for every first-level element, by the front end for every stanza the edge hands over, and
by whoever writes a reply. Looks at one stanza at a time; knows nothing of streams, partners or SIP.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Literal

from .address import JID, AddressError
from .element import NS_PING, NS_SERVER, Element
from .errors import stanza_error

Kind = Literal["message", "presence", "iq"]

MESSAGE_TYPES = frozenset({"chat", "error", "groupchat", "headline", "normal"})
PRESENCE_TYPES = frozenset(
    {"", "unavailable", "subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe", "error"}
)
IQ_TYPES = frozenset({"get", "set", "result", "error"})
MAX_ID_LENGTH = 1024
"""Characters of a stanza id that are echoed in replies and stored as keys; longer ones are refused."""


@dataclass(frozen=True, slots=True)
class Stanza:
    """A stanza whose addresses are known to be addresses.

    Attributes:
        kind: message, presence or iq.
        type: message: unknown values read as `normal` (RFC 6121 5.2.2); presence: empty string when it has none.
        id: as received, or None.
        sender: prepared `from`.
        recipient: prepared `to`.
        element: the whole stanza.
    """

    kind: Kind
    type: str
    id: str | None
    sender: JID
    recipient: JID
    element: Element

    @property
    def is_error(self) -> bool:
        """Whether it reports an error; such a stanza is never answered (RFC 6120 8.3.1)."""
        return self.type == "error"

    @property
    def wants_reply(self) -> bool:
        """Whether a refusal has to be answered with an error: anything but errors, iq results and presence."""
        return not (self.is_error or self.kind == "presence" or self.type == "result")

    def to_bytes(self, maximum: int = sys.maxsize) -> bytes:
        """The stanza on the wire of a `jabber:server` stream, rewritten from the tree; see `Element.to_bytes`."""
        return self.element.to_bytes(maximum=maximum)


class StanzaError(Exception):
    """One stanza is wrong; the stream can go on.

    Attributes:
        condition: a stanza error condition.
        text: for the sender.
        reply: the error stanza to send back, or None where none may be sent. Without `from` if the recipient's address
            was malformed: whoever sends it puts its own domain there.
    """

    def __init__(self, condition: str, text: str, reply: Element | None) -> None:
        super().__init__(f"{condition}: {text}")
        self.condition = condition
        self.text = text
        self.reply = reply


class FatalStanzaError(Exception):
    """A stanza that ends the stream.

    Attributes:
        condition: a stream error condition.
        text: for the peer's administrator.
    """

    def __init__(self, condition: str, text: str) -> None:
        super().__init__(f"{condition}: {text}")
        self.condition = condition
        self.text = text


def read_stanza(element: Element, namespace: str = NS_SERVER) -> Stanza:
    """Classify and check one first-level element (table A.14 of RFC 6120 8.1 and 8.2).

    Raises:
        FatalStanzaError: it is no stanza, or its addressing is missing: the stream must end.
        StanzaError: one address or the iq form is wrong: only this stanza is refused.
    """
    if element.namespace != namespace or element.name not in ("message", "presence", "iq"):
        raise FatalStanzaError("unsupported-stanza-type", f"<{element.name[:64]}/> is not a stanza")
    attributes = element.attributes
    sender_text, recipient_text = attributes.get("from"), attributes.get("to")
    if not sender_text or not recipient_text:
        raise FatalStanzaError("improper-addressing", "a stanza between servers needs both from and to")
    sender = _address(sender_text, "from")
    try:
        recipient = JID.parse(recipient_text)
    except AddressError as error:
        # RFC 6120 8.1.1.2 would end the stream; one mistyped recipient must not end a federation.
        reply = error_reply(element, "jid-malformed", f"the address in 'to' {error}")
        if reply is not None:
            del reply.attributes["from"]  # echoed, the malformed address would end our own stream
        raise StanzaError("jid-malformed", f"the address in 'to' {error}", reply) from None
    kind: Kind
    stanza_type = attributes.get("type", "")
    identifier = attributes.get("id")
    if identifier is not None and len(identifier) > MAX_ID_LENGTH:
        raise FatalStanzaError("policy-violation", f"a stanza id has more than {MAX_ID_LENGTH} characters")
    if element.name == "message":
        kind = "message"
        if stanza_type not in MESSAGE_TYPES:
            stanza_type = "normal"
    elif element.name == "presence":
        kind = "presence"
        if stanza_type not in PRESENCE_TYPES:
            raise StanzaError("bad-request", "unknown presence type", error_reply(element, "bad-request"))
    else:
        kind = "iq"
        _check_iq(element, stanza_type, identifier)
    return Stanza(kind, stanza_type, identifier, sender, recipient, element)


def _address(text: str, attribute: str) -> JID:
    try:
        return JID.parse(text)
    except AddressError as error:
        # Without a sender nobody can be told, so this one is the stream's business.
        raise FatalStanzaError("improper-addressing", f"the address in '{attribute}' {error}") from None


def _check_iq(element: Element, iq_type: str, identifier: str | None) -> None:
    """RFC 6120 8.2.3."""
    children = sum(1 for child in element.children if isinstance(child, Element))
    problem = None
    if iq_type not in IQ_TYPES:
        problem = "an iq has one of the types get, set, result, error"
    elif not identifier:
        problem = "an iq needs an id"
    elif iq_type in ("get", "set") and children != 1:
        problem = f"an iq of type {iq_type} has exactly one child, this one has {children}"
    elif iq_type == "result" and children > 1:
        problem = "an iq of type result has at most one child"
    if problem is not None:
        raise StanzaError("bad-request", problem, error_reply(element, "bad-request", problem))


def error_reply(element: Element, condition: str, text: str = "", error_type: str | None = None) -> Element | None:
    """The error stanza that answers `element`: addresses swapped, id kept, nothing of its content echoed.

    Returns:
        None where no answer is allowed: to errors and to iq results (RFC 6120 8.3.1, 8.2.3). Presence that informs
        rather than asks is better dropped in silence (RFC 6121 8.5); that is for the caller to know.
    """
    stanza_type = element.attributes.get("type", "")
    if stanza_type == "error" or (element.name == "iq" and stanza_type == "result"):
        return None
    reply = Element(element.name, element.namespace, {"type": "error"})
    for ours, theirs in (("from", "to"), ("to", "from"), ("id", "id")):
        value = element.attributes.get(theirs)
        if value is not None:
            reply.attributes[ours] = value
    reply.children.append(stanza_error(condition, text, error_type, element.namespace))
    return reply


def message(
    sender: JID | str,
    recipient: JID | str,
    body: str,
    *,
    message_type: str = "chat",
    identifier: str | None = None,
) -> Element:
    """A message with one body, for a `jabber:server` stream."""
    attributes = {"from": str(sender), "to": str(recipient), "type": message_type}
    if identifier is not None:
        attributes["id"] = identifier
    return Element("message", NS_SERVER, attributes, [Element("body", NS_SERVER, None, [body])])


def iq_result(stanza: Stanza, child: Element | None = None) -> Element:
    """The result that answers an iq of type get or set."""
    attributes = {"from": str(stanza.recipient), "to": str(stanza.sender), "type": "result"}
    if stanza.id is not None:
        attributes["id"] = stanza.id
    return Element("iq", NS_SERVER, attributes, [] if child is None else [child])


def is_ping(stanza: Stanza) -> bool:
    """Whether it is a ping (XEP-0199) to the server itself."""
    if stanza.kind != "iq" or stanza.type != "get" or not stanza.recipient.is_domain:
        return False
    return stanza.element.child("ping", NS_PING) is not None
