"""What happens to a message that cannot be delivered: an error stanza or a notice to its sender, never silence.

Called by the lanes and by intake. Nothing is ever made for an error or a notice itself: those end here.
"""

from __future__ import annotations

from xmppgw.frontend.context import FrontEndContext
from xmppgw.frontend.payloads import NoticeKept, OutgoingKept, StanzaKept, keep, kept
from xmppgw.store.interface import Item
from xmppgw.translate.errors import one_line
from xmppgw.translate.messages import error_stanza
from xmppgw.translate.neutral import Failure
from xmppgw.xmpp.element import Element
from xmppgw.xmpp.stanza import Stanza, read_stanza

#: An error that the partner does not take within this many seconds is of no use to anyone any more.
ERROR_TTL_SECONDS = 900.0
#: The same for a notice to a SIP user.
NOTICE_TTL_SECONDS = 3600.0


def stanza_of(gateway: FrontEndContext, data: bytes) -> Stanza:
    """Read a stanza that an edge handed over, or that was checked when it was kept.

    Raises ValueError (not one well-formed element within the limits), StanzaError or FatalStanzaError.
    """
    return read_stanza(gateway.reader.read(data))


def sip_lane(recipient: str) -> str:
    """Return the lane of a SIP user: RFC 3428 8 wants one MESSAGE at a time towards one target."""
    return recipient


def xmpp_lane(local: str, remote: str) -> str:
    """Return the lane of a pair of domains: what one stream carries, in order."""
    return f"{local}>{remote}"


def xmpp_item(
    gateway: FrontEndContext, element: Element, *, local: str, remote: str, correlation: str, at: float
) -> Item | None:
    """Make the item that carries an error or a reply to a partner; None if the domain is no partner (any more)."""
    partner = gateway.rules.partner(remote)
    if partner is None or local not in gateway.rules.own_domains:
        return None
    number = gateway.next_id()
    payload = OutgoingKept(
        data=element.to_bytes(),
        local=local,
        remote=remote,
        sender=element.get("from") or local,
        recipient=element.get("to") or remote,
        stanza_id=element.get("id") or "",
        call_id="",
    )
    return Item(
        id=number,
        direction="to_xmpp",
        kind="error",
        lane=xmpp_lane(local, remote),
        partner=partner,
        correlation=correlation,
        payload=keep(payload),
        created=at,
        expires=at + ERROR_TTL_SECONDS,
    )


def notice_item(
    gateway: FrontEndContext,
    *,
    sender: str,
    recipient: str,
    failure: Failure,
    reference: str,
    in_reply_to: str | None,
    partner: str,
    correlation: str,
    at: float,
) -> Item:
    """Make the item that tells a SIP user (bare `recipient`) that a message to `sender` was not delivered."""
    payload = NoticeKept(
        sender=sender,
        recipient=recipient,
        condition=failure.condition,
        text=one_line(failure.text)[:200],
        error_type=failure.error_type,
        reference=reference,
        in_reply_to=in_reply_to,
    )
    return Item(
        id=gateway.next_id(),
        direction="to_sip",
        kind="notice",
        lane=sip_lane(recipient),
        partner=partner,
        correlation=correlation,
        payload=keep(payload),
        created=at,
        expires=at + NOTICE_TTL_SECONDS,
    )


def returned(gateway: FrontEndContext, item: Item, failure: Failure) -> tuple[Item, ...]:
    """Return what follows when `item` ends with `failure`; nothing for errors and notices."""
    now = gateway.clock()
    label = gateway.counters.partners.label(item.partner)
    gateway.log.warning(
        "message-returned" if item.kind == "message" else "reply-dropped",
        correlation=item.correlation,
        direction=item.direction,
        partner=item.partner,
        condition=failure.condition,
        reason=failure.text,
        attempts=item.attempts,
    )
    if item.kind != "message":
        return ()
    gateway.counters.returned.labels(item.direction, label, failure.condition).inc()
    if item.direction == "to_xmpp":
        sent = kept(item.payload, OutgoingKept)
        return (
            notice_item(
                gateway,
                sender=sent.recipient,
                recipient=sent.sender,
                failure=failure,
                reference=sent.stanza_id,
                in_reply_to=sent.call_id,
                partner=item.partner,
                correlation=item.correlation,
                at=now,
            ),
        )
    stanza = stanza_of(gateway, kept(item.payload, StanzaKept).data)
    element = error_stanza(stanza, failure)
    if element is None:
        return ()
    follow = xmpp_item(
        gateway,
        element,
        local=stanza.recipient.domain,
        remote=stanza.sender.domain,
        correlation=item.correlation,
        at=now,
    )
    return (follow,) if follow is not None else ()
