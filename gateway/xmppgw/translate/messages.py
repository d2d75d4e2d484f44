"""XMPP messages as SIP MESSAGE requests and back, page mode (RFC 7572, `simple` dialect).

Called by the front end with stanzas and requests that are known to be sound and allowed. Reading decides what a stanza
or request asks for; writing builds what goes out. Nothing here knows partners, policies or stores, and no text of one
protocol is ever copied into the markup of the other: everything passes through `neutral`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from xmppgw.sip.connection import OutgoingRequest
from xmppgw.sip.message import EMITTED_HEADERS, TEXT_PLAIN, Field, NameAddr, Request
from xmppgw.sip.uri import SipUri
from xmppgw.xmpp.address import JID, domain_to_ascii
from xmppgw.xmpp.element import NS_PING, NS_SERVER, NS_STANZA_ERRORS, XML_LANG, Element
from xmppgw.xmpp.errors import read_stanza_error
from xmppgw.xmpp.stanza import Stanza, error_reply, iq_result

from .addresses import UnmappableAddressError, jid_from_sip, sip_from_jid
from .errors import EXPLANATIONS, one_line
from .neutral import Failure, Message, MessageKind, Notice

NS_CARBONS = "urn:xmpp:carbons:2"
NS_CHAT_STATES = "http://jabber.org/protocol/chatstates"
NS_MARKERS = "urn:xmpp:chat-markers:0"
NS_RECEIPTS = "urn:xmpp:receipts"

ENCRYPTED_NAMESPACES = frozenset(
    {"eu.siacs.conversations.axolotl", "urn:xmpp:omemo:2", "urn:xmpp:openpgp:0", "jabber:x:encrypted", "urn:xmpp:otr:0"}
)
"""Payloads that carry the text itself, for the recipient's XMPP device only."""

MAXIMUM_BODY_BYTES = 8192
"""Default for what one MESSAGE may carry. RFC 3428 section 8: 1300 unless the path is congestion-safe, as TLS is."""
MAXIMUM_SUBJECT_CHARACTERS = 256
MAXIMUM_REFERENCE_CHARACTERS = 1024
"""A stanza id that X reads may have so many characters; the notice must carry all of them."""

_NOT_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LANGUAGE = re.compile(r"[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*")

CHARSETS: Mapping[str, str] = MappingProxyType({"utf-8": "utf-8", "us-ascii": "utf-8", "iso-8859-1": "latin-1"})
"""Charsets of a SIP body that are read, with Python's codec for each."""


@dataclass(frozen=True, slots=True)
class StanzaPolicy:
    """What depends on the site.

    Attributes:
        preferred_languages: which body is taken of several, best first (BCP 47, by prefix).
        maximum_body_bytes: of the MESSAGE's body in UTF-8.
    """

    preferred_languages: tuple[str, ...] = ("en",)
    maximum_body_bytes: int = MAXIMUM_BODY_BYTES


# -------------------------------------------------------------------------------------------------- decisions


@dataclass(frozen=True, slots=True)
class Deliver:
    """There is a message to carry over."""

    message: Message


@dataclass(frozen=True, slots=True)
class Bounced:
    """A message of ours, or of the other gateway, came back: tell the SIP user (`notice_request`).

    Attributes:
        stanza_id: id of the message that came back; "" where the error carries none.
        sender: who could not be reached.
        recipient: the SIP user who had written.
        failure: why.
    """

    stanza_id: str
    sender: JID
    recipient: JID
    failure: Failure


@dataclass(frozen=True, slots=True)
class Refuse:
    """The stanza is to be answered with an error (`error_stanza`)."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Reply:
    """This goes back to the sender of the stanza."""

    element: Element


@dataclass(frozen=True, slots=True)
class Ignore:
    """Nothing is to be sent; count it by `reason`. A SIP request is answered with 200."""

    reason: str


@dataclass(frozen=True, slots=True)
class RefuseRequest:
    """The SIP request is to be answered like this."""

    status: int
    reason: str
    headers: tuple[Field, ...] = ()


StanzaDecision = Deliver | Bounced | Refuse | Reply | Ignore
RequestDecision = Deliver | RefuseRequest | Ignore


# ------------------------------------------------------------------------------------------------ XMPP to SIP


def from_stanza(stanza: Stanza, policy: StanzaPolicy) -> StanzaDecision:
    """Decide what a stanza for a SIP user, or for one of our domains, asks for.

    The same answer is given whether or not the SIP user exists; that is the platform's secret.
    """
    if stanza.kind == "presence":
        # Not answered either: `unsubscribed` for a subscription that we do not know would delete contacts.
        return Ignore("presence")
    if stanza.kind == "iq":
        return _from_iq(stanza)
    if stanza.type == "error":
        condition, text = read_stanza_error(stanza.element)
        failure = Failure(condition, one_line(text), _error_type(stanza.element))
        return Bounced(stanza.id or "", stanza.sender, stanza.recipient, failure)
    if stanza.type == "groupchat":
        return Refuse(Failure("service-unavailable", "there are no rooms here"))
    return _from_message(stanza, policy)


def _from_iq(stanza: Stanza) -> StanzaDecision:
    if stanza.type not in ("get", "set"):
        return Ignore("iq-response")
    if stanza.type == "get" and stanza.recipient.is_domain and stanza.element.child("ping", NS_PING) is not None:
        return Reply(iq_result(stanza))
    answer = error_reply(stanza.element, "service-unavailable")
    return Ignore("iq-response") if answer is None else Reply(answer)


def _error_type(element: Element) -> str | None:
    error = element.child("error")
    value = None if error is None else error.get("type")
    return value if value in ("auth", "cancel", "continue", "modify", "wait") else None


def _from_message(stanza: Stanza, policy: StanzaPolicy) -> StanzaDecision:
    element = stanza.element
    if any(child.namespace == NS_CARBONS and child.name != "private" for child in element.elements()):
        # Copies are a matter inside one server; across a federation they are a forgery (CVE-2017-5589).
        return Ignore("carbon")
    body, language = _choose_body(element, policy.preferred_languages)
    if not body:
        return _without_body(element)
    if len(_wire_text(body)) > policy.maximum_body_bytes:
        limit = policy.maximum_body_bytes
        return Refuse(Failure("policy-violation", f"a message may have at most {limit} bytes of text"))
    try:
        sip_from_jid(stanza.recipient)
        sip_from_jid(stanza.sender)
    except UnmappableAddressError as problem:
        return Refuse(Failure("service-unavailable", str(problem)))
    subject = element.child("subject")
    thread = element.child("thread")
    return Deliver(
        Message(
            sender=stanza.sender,
            recipient=stanza.recipient,
            text=body,
            identifier=stanza.id or "",
            language=language,
            subject=None if subject is None else _subject(subject.text),
            thread=None if thread is None else thread.text or None,
            kind=MessageKind(stanza.type) if stanza.type in ("chat", "headline") else MessageKind.NORMAL,
            receipt_wanted=stanza.id is not None and element.child("request", NS_RECEIPTS) is not None,
        )
    )


def _without_body(element: Element) -> Ignore | Refuse:
    """Why there is nothing to carry over; the reasons are metric labels."""
    namespaces = {child.namespace for child in element.elements()}
    if namespaces & ENCRYPTED_NAMESPACES:
        return Refuse(Failure("not-acceptable", "an encrypted message cannot be read on the SIP side"))
    for namespace, reason in (
        (NS_CHAT_STATES, "chat-state"),
        (NS_RECEIPTS, "receipt"),
        (NS_MARKERS, "marker"),
    ):
        if namespace in namespaces:
            return Ignore(reason)
    return Ignore("subject" if element.child("subject") is not None else "no-body")


def _choose_body(element: Element, preferred: tuple[str, ...]) -> tuple[str, str | None]:
    """Take one body of several (RFC 6121 section 5.2.3); they are never joined."""
    default = element.get(XML_LANG)
    bodies = [
        (child.text, child.get(XML_LANG) or default)
        for child in element.elements()
        if child.name == "body" and child.namespace == element.namespace and child.text.strip()
    ]
    if not bodies:
        return "", None
    chosen = bodies[0]
    if len(bodies) > 1:
        chosen = _by_language(bodies, (*preferred, default or ""))
    text, language = chosen
    return text.replace("\r\n", "\n").replace("\r", "\n"), _language(language)


def _by_language(bodies: list[tuple[str, str | None]], wanted: tuple[str, ...]) -> tuple[str, str | None]:
    for language in wanted:
        for text, offered in bodies:
            have = (offered or "").lower()
            if have == language.lower() or (language and have.startswith(language.lower() + "-")):
                return text, offered
    return bodies[0]


def _language(value: str | None) -> str | None:
    return value if value is not None and len(value) <= 64 and _LANGUAGE.fullmatch(value) else None


def _subject(text: str) -> str | None:
    return one_line(text[: 4 * MAXIMUM_SUBJECT_CHARACTERS])[:MAXIMUM_SUBJECT_CHARACTERS] or None


def _wire_text(text: str) -> bytes:
    """text/plain as MIME wants it: lines end in CRLF (RFC 2046 section 4.1.1)."""
    return text.replace("\n", "\r\n").encode("utf-8", "replace")


def to_request(
    message: Message, *, call_id: str, from_tag: str, cseq: int = 1, with_resource: bool = False
) -> OutgoingRequest:
    """The MESSAGE that carries a message to the platform (RFC 7572 section 4).

    Args:
        message: from `from_stanza`.
        call_id: globally unique, `word@host`.
        from_tag: random token.
        cseq: sequence number.
        with_resource: tell the SIP user the sender's device (`gr`).

    Raises:
        UnmappableAddressError: an address has no SIP URI. `from_stanza` has refused those already.
    """
    headers: list[Field] = []
    if message.language is not None and _language(message.language):
        headers.append(("Content-Language", message.language))
    if message.subject is not None:
        headers.append(("Subject", one_line(message.subject)))
    return _page(
        sip_from_jid(message.sender, with_resource=with_resource),
        sip_from_jid(message.recipient),
        _wire_text(message.text),
        call_id=call_id,
        from_tag=from_tag,
        cseq=cseq,
        headers=tuple(headers),
    )


def notice_text(notice: Notice) -> str:
    """What a SIP user reads when a message came back. Begins `Message not delivered`, ends with the reference."""
    why = EXPLANATIONS.get(notice.failure.condition, EXPLANATIONS["undefined-condition"])
    said = one_line(notice.failure.text)[:200]
    quoted = f' ({notice.sender.domain}: "{said}")' if said else ""
    reference = one_line(notice.reference)[:MAXIMUM_REFERENCE_CHARACTERS] or "unknown"
    return f"Message not delivered: {why}{quoted} (reference {reference})"


def notice_request(notice: Notice, *, call_id: str, from_tag: str, cseq: int = 1) -> OutgoingRequest:
    """The MESSAGE that tells a SIP user that a message came back; In-Reply-To names the message where it is known.

    Raises:
        UnmappableAddressError: the recipient has no SIP URI.
    """
    headers: list[Field] = [("Content-Language", "en")]
    known = notice.in_reply_to
    if known is not None and EMITTED_HEADERS["In-Reply-To"].fullmatch(known):
        headers.append(("In-Reply-To", known))
    return _page(
        _notice_sender(notice.sender),
        sip_from_jid(notice.recipient.bare),
        notice_text(notice).encode("utf-8"),
        call_id=call_id,
        from_tag=from_tag,
        cseq=cseq,
        headers=tuple(headers),
    )


def _notice_sender(jid: JID) -> SipUri:
    """Who a notice comes from: the address that was not reached, or its domain where that cannot be written in SIP."""
    try:
        return sip_from_jid(jid.bare)
    except UnmappableAddressError:
        return SipUri("sip", None, domain_to_ascii(jid.domain))


def _page(
    sender: SipUri,
    recipient: SipUri,
    body: bytes,
    *,
    call_id: str,
    from_tag: str,
    cseq: int,
    headers: tuple[Field, ...],
) -> OutgoingRequest:
    return OutgoingRequest(
        method="MESSAGE",
        uri=recipient,
        from_=NameAddr(sender, None, (("tag", from_tag),)),
        to=NameAddr(recipient),
        call_id=call_id,
        cseq=cseq,
        headers=headers,
        content_type=TEXT_PLAIN,
        body=body,
    )


def error_stanza(stanza: Stanza, failure: Failure) -> Element | None:
    """The error that tells the XMPP sender why a stanza went nowhere.

    Returns:
        None where silence is the rule: errors, responses, presence and headlines (RFC 6120 8.3.1, RFC 6121 8.5).
    """
    if not stanza.wants_reply or (stanza.kind == "message" and stanza.type == "headline"):
        return None
    reply = error_reply(stanza.element, failure.condition, _xml_text(failure.text), failure.error_type)
    if reply is not None and failure.new_address is not None and failure.condition in ("gone", "redirect"):
        error = reply.child("error")
        condition = None if error is None else error.child(failure.condition, NS_STANZA_ERRORS)
        if condition is not None:
            condition.children.append(f"xmpp:{failure.new_address}")
    return reply


# ------------------------------------------------------------------------------------------------ SIP to XMPP


def from_request(request: Request) -> RequestDecision:
    """Decide what a MESSAGE that the SIP connection handed on asks for."""
    uri = request.uri
    to = request.to.uri
    if isinstance(uri, SipUri) and "sips" in (uri.scheme, to.scheme):
        # RFC 7247 section 8: XMPP cannot promise TLS on every hop.
        return RefuseRequest(416, "sips cannot be kept on the XMPP side")
    try:
        recipient = jid_from_sip(uri)
    except UnmappableAddressError as problem:
        return RefuseRequest(404, f"the recipient cannot be on XMPP: {problem}")
    try:
        sender = jid_from_sip(request.from_.uri)
    except UnmappableAddressError as problem:
        return RefuseRequest(403, f"the sender cannot be on XMPP: {problem}")
    content_type = request.content_type
    charset = "utf-8" if content_type is None else content_type.charset or "utf-8"
    codec = CHARSETS.get(charset)
    if codec is None:
        return RefuseRequest(415, f"charset {charset[:32]}", (("Accept", "text/plain;charset=utf-8"),))
    try:
        text = request.body.decode(codec)
    except UnicodeDecodeError:
        return RefuseRequest(400, "the body is not what its charset says")
    text = _xml_text(text)
    if not text.strip():
        return Ignore("no-body")
    languages = request.header_list("Content-Language")
    return Deliver(
        Message(
            sender=sender,
            recipient=recipient,
            text=text,
            identifier=request.call_id,
            language=_language(languages[0]) if languages else None,
            subject=_subject(_xml_text(request.header("Subject") or "")),
            thread=thread_from_call_id(request.call_id),
        )
    )


def thread_from_call_id(call_id: str) -> str:
    """The thread that stands for a Call-ID: a digest, because a Call-ID names hosts inside."""
    return hashlib.sha256(call_id.encode("utf-8", "replace")).hexdigest()[:32]


def to_stanza(message: Message, *, stanza_id: str) -> Element:
    """The XMPP message that carries a message from the platform (RFC 7572 section 5).

    Without a type, which means `normal`: page mode must not open a chat session.
    """
    attributes = {"from": str(message.sender), "to": str(message.recipient), "id": stanza_id}
    if message.language is not None:
        attributes[XML_LANG] = message.language
    children: list[Element | str] = []
    if message.subject is not None:
        children.append(Element("subject", NS_SERVER, None, [message.subject]))
    children.append(Element("body", NS_SERVER, None, [_xml_text(message.text)]))
    if message.thread is not None:
        children.append(Element("thread", NS_SERVER, None, [message.thread]))
    return Element("message", NS_SERVER, attributes, children)


def _xml_text(text: str) -> str:
    """Text as XML can carry it: LF line ends, and U+FFFD for what it cannot hold."""
    return _NOT_XML.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))
