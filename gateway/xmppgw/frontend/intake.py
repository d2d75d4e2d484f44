"""Where messages come in, from partners and from the platform: checked again, allowed or refused, committed, answered.

Called by `frontend.links` with what an edge handed over and by `frontend.sip_leg` with requests. Nothing is
acknowledged (link, SIP 202) before the store has it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from xmppgw.frontend.context import FULL, FrontEndContext
from xmppgw.frontend.payloads import OutgoingKept, StanzaKept, keep
from xmppgw.frontend.returns import notice_item, sip_lane, stanza_of, xmpp_item, xmpp_lane
from xmppgw.frontend.sip_lanes import adopt, adopted
from xmppgw.link.messages import StanzaArrived
from xmppgw.sip.message import Field, Request
from xmppgw.store.interface import Accept, Item, Position, Sent
from xmppgw.translate.errors import status_for
from xmppgw.translate.messages import (
    Bounced,
    Deliver,
    Ignore,
    Refuse,
    RefuseRequest,
    Reply,
    StanzaPolicy,
    error_stanza,
    from_request,
    from_stanza,
    to_stanza,
)
from xmppgw.translate.neutral import Failure, Message
from xmppgw.xmpp.element import Element, SerialisationError
from xmppgw.xmpp.stanza import FatalStanzaError, Stanza, StanzaError

#: (status, headers) of the answer to a SIP request.
Answer = Callable[[int, tuple[Field, ...]], None]

#: Octets of a message's stanza. It is kept whole, and its text is the smallest part of what an extension can be.
MAXIMUM_KEPT = 65_536
TOO_LARGE = Failure("policy-violation", f"a message may have at most {MAXIMUM_KEPT} bytes, extensions included")


class Intake:
    """Takes messages in."""

    def __init__(self, gateway: FrontEndContext) -> None:
        self._gateway = gateway
        self._policy = StanzaPolicy()

    # From partners.

    def stanza(self, arrived: StanzaArrived, position: Position, acknowledge: Callable[[], None]) -> None:
        """Take a stanza that an edge handed over; `acknowledge` once its fate is in the store."""
        gateway = self._gateway
        items, key = self._decide(arrived)
        prepared = adopt(gateway, items)

        def done(results: tuple[bool, ...]) -> None:
            acknowledge()
            new = bool(results[0])
            if prepared and not new:
                gateway.counters.repeated.labels("to_sip").inc()
                gateway.log.info("repetition-dropped", correlation=arrived.correlation, direction="to_sip")
            adopted(gateway, prepared, new=new)

        gateway.commit([Accept(prepared, gateway.clock(), key), position], done)

    def _decide(self, arrived: StanzaArrived) -> tuple[tuple[Item, ...], bytes | None]:
        gateway = self._gateway
        try:
            stanza = stanza_of(gateway, arrived.data)
        except (StanzaError, FatalStanzaError, ValueError) as error:
            self._fault(arrived, "unreadable", str(error))
            return (), None
        if stanza.sender.domain != arrived.remote or stanza.recipient.domain != arrived.local:
            self._fault(arrived, "pair", "the stanza's domains are not those that were authenticated")
            return (), None
        refusal = gateway.rules.refuse(stanza.recipient, stanza.sender)
        if refusal is not None and not refusal.of_policy:
            # The edge's partner list is older than ours: there is nobody to answer through.
            self._refused(arrived, refusal.code, refusal.failure)
            return (), None
        decision = from_stanza(stanza, self._policy)
        if refusal is not None and isinstance(decision, Deliver | Refuse):
            self._refused(arrived, refusal.code, refusal.failure, refusal.detail)
            return self._error(stanza, refusal.failure, arrived), None
        match decision:
            case Deliver(message=message):
                return self._to_sip(stanza, message, arrived)
            case Bounced():
                return self._bounced(decision, arrived)
            case Refuse(failure=failure):
                self._refused(arrived, failure.condition, failure)
                return self._error(stanza, failure, arrived), None
            case Reply(element=element):
                return self._back(element, stanza, arrived), None
            case Ignore(reason=reason):
                gateway.counters.ignored.labels(reason).inc()
                gateway.log.info("stanza-ignored", correlation=arrived.correlation, reason=reason)
                return (), None

    def _to_sip(
        self, stanza: Stanza, message: Message, arrived: StanzaArrived
    ) -> tuple[tuple[Item, ...], bytes | None]:
        gateway = self._gateway
        partner = gateway.rules.partner(stanza.sender.domain) or ""
        now = gateway.clock()
        created = min(arrived.at, now)
        expires = created + gateway.settings.message_ttl_seconds
        if expires <= now:
            late = Failure("remote-server-timeout", "it waited too long before it could be looked at")
            self._refused(arrived, "expired", late)
            return self._error(stanza, late, arrived), None
        if len(arrived.data) > MAXIMUM_KEPT:
            self._refused(arrived, TOO_LARGE.condition, TOO_LARGE)
            return self._error(stanza, TOO_LARGE, arrived), None
        if gateway.full(partner):
            self._refused(arrived, "queue-full", FULL)
            return self._error(stanza, FULL, arrived), None
        item = Item(
            id=gateway.next_id(),
            direction="to_sip",
            kind="message",
            lane=sip_lane(str(stanza.recipient.bare)),
            partner=partner,
            correlation=arrived.correlation,
            payload=keep(StanzaKept(arrived.data)),
            created=created,
            expires=expires,
        )
        gateway.sip_lanes.read(item.id, message)
        gateway.counters.accepted.labels("to_sip", gateway.counters.partners.label(partner)).inc()
        gateway.log.info(
            "message-accepted",
            correlation=arrived.correlation,
            direction="to_sip",
            partner=partner,
            method=arrived.method,
            octets=len(message.text),
            id=stanza.id,
        )
        return (item,), _stanza_key(stanza, arrived.data)

    def _bounced(self, bounced: Bounced, arrived: StanzaArrived) -> tuple[tuple[Item, ...], bytes | None]:
        gateway = self._gateway
        partner = gateway.rules.partner(bounced.sender.domain) or ""
        if bounced.recipient.local == "" or gateway.full(partner):
            # An error for the domain itself (a ping of ours, a reply) has no user to be shown to.
            gateway.counters.ignored.labels("error").inc()
            return (), None
        gateway.log.info(
            "message-bounced",
            correlation=arrived.correlation,
            partner=partner,
            condition=bounced.failure.condition,
            reference=bounced.stanza_id,
        )
        item = notice_item(
            gateway,
            sender=str(bounced.sender),
            recipient=str(bounced.recipient.bare),
            failure=bounced.failure,
            reference=bounced.stanza_id,
            in_reply_to=None,
            partner=partner,
            correlation=arrived.correlation,
            at=gateway.clock(),
        )
        key = _digest("bounce", str(bounced.sender), str(bounced.recipient), bounced.stanza_id, arrived.data)
        return (item,), key if bounced.stanza_id else None

    def _error(self, stanza: Stanza, failure: Failure, arrived: StanzaArrived) -> tuple[Item, ...]:
        element = error_stanza(stanza, failure)
        return self._back(element, stanza, arrived) if element is not None else ()

    def _back(self, element: Element, stanza: Stanza, arrived: StanzaArrived) -> tuple[Item, ...]:
        gateway = self._gateway
        if gateway.overfull:
            gateway.log.failure("reply-dropped", correlation=arrived.correlation, reason="the queues are full")
            return ()
        item = xmpp_item(
            gateway,
            element,
            local=stanza.recipient.domain,
            remote=stanza.sender.domain,
            correlation=arrived.correlation,
            at=gateway.clock(),
        )
        return (item,) if item is not None else ()

    def _refused(self, arrived: StanzaArrived, code: str, failure: Failure, detail: str = "") -> None:
        gateway = self._gateway
        gateway.counters.refused.labels("to_sip", code).inc()
        gateway.log.warning(
            "stanza-refused",
            correlation=arrived.correlation,
            remote=arrived.remote,
            local=arrived.local,
            code=code,
            condition=failure.condition,
            reason=detail or failure.text,
        )

    def _fault(self, arrived: StanzaArrived, code: str, reason: str) -> None:
        gateway = self._gateway
        gateway.counters.faults.labels(f"edge-{code}").inc()
        gateway.log.failure(
            "edge-fault", correlation=arrived.correlation, remote=arrived.remote, code=code, reason=reason
        )

    # From the platform.

    def request(self, request: Request, peer: str, answer: Answer) -> None:
        """Take a MESSAGE of the platform; `answer` is called once, after the commit where there is one."""
        gateway = self._gateway
        correlation = gateway.correlations.mint()
        decision = from_request(request)
        if isinstance(decision, RefuseRequest):
            self._refuse_request(correlation, request, peer, decision.status, decision.reason)
            answer(decision.status, decision.headers)
            return
        if isinstance(decision, Ignore):
            gateway.counters.ignored.labels(decision.reason).inc()
            answer(200, ())
            return
        message = decision.message
        refusal = gateway.rules.refuse(message.sender, message.recipient)
        if refusal is not None:
            status = 403 if refusal.code != "not-a-partner" else 404
            self._refuse_request(correlation, request, peer, status, refusal.detail or refusal.failure.text)
            answer(status, _warning(gateway.settings.node, refusal.detail))
            return
        partner = gateway.rules.partner(message.recipient.domain) or ""
        if gateway.full(partner):
            status = status_for(FULL)
            self._refuse_request(correlation, request, peer, status, FULL.text)
            answer(status, ())
            return
        self._to_xmpp(message, request, partner, correlation, answer)

    def _to_xmpp(self, message: Message, request: Request, partner: str, correlation: str, answer: Answer) -> None:
        gateway = self._gateway
        now = gateway.clock()
        number = gateway.next_id()
        stanza_id = gateway.delivery_name(number)
        try:
            data = to_stanza(message, stanza_id=stanza_id).to_bytes()
        except SerialisationError as error:
            self._refuse_request(correlation, request, "", 400, str(error))
            answer(400, ())
            return
        local, remote = message.sender.domain, message.recipient.domain
        sender, recipient = str(message.sender.bare), str(message.recipient.bare)
        payload = OutgoingKept(data, local, remote, sender, recipient, stanza_id, request.call_id)
        (item,) = adopt(
            gateway,
            (
                Item(
                    id=number,
                    direction="to_xmpp",
                    kind="message",
                    lane=xmpp_lane(local, remote),
                    partner=partner,
                    correlation=correlation,
                    payload=keep(payload),
                    created=now,
                    expires=now + gateway.settings.message_ttl_seconds,
                ),
            ),
        )
        key = _digest("sip", request.key, "", "", request.body)

        def done(results: tuple[bool, ...]) -> None:
            new = bool(results[0])
            # A repetition was accepted the first time: the same answer again.
            answer(202, ())
            if new:
                gateway.counters.accepted.labels("to_xmpp", gateway.counters.partners.label(partner)).inc()
                gateway.log.info(
                    "message-accepted",
                    correlation=correlation,
                    direction="to_xmpp",
                    partner=partner,
                    call_id=request.call_id,
                    id=stanza_id,
                    octets=len(message.text),
                )
            else:
                gateway.counters.repeated.labels("to_xmpp").inc()
                gateway.log.info(
                    "repetition-dropped", correlation=correlation, direction="to_xmpp", call_id=request.call_id
                )
            adopted(gateway, (item,), new=new)

        gateway.commit([Accept((item,), now, key, Sent(stanza_id, request.call_id, sender, recipient, now))], done)

    def _refuse_request(self, correlation: str, request: Request, peer: str, status: int, reason: str) -> None:
        gateway = self._gateway
        gateway.counters.refused.labels("to_xmpp", str(status)).inc()
        gateway.log.warning(
            "request-refused", correlation=correlation, peer=peer, status=status, reason=reason, call_id=request.call_id
        )


def _warning(node: str, text: str) -> tuple[tuple[str, str], ...]:
    """The reason for the platform's own user, as a Warning (RFC 3261 20.43: 399, any text)."""
    plain = "".join(c for c in text[:400] if c.isascii() and c.isprintable() and c not in '"\\')
    return (("Warning", f'399 {node} "{plain}"'),) if plain else ()


def _stanza_key(stanza: Stanza, data: bytes) -> bytes | None:
    """What makes two stanzas the same: addresses, id and content. Without an id every stanza is its own."""
    if not stanza.id:
        return None
    return _digest("xmpp", str(stanza.sender), str(stanza.recipient), stanza.id, data)


def _digest(kind: str, first: str, second: str, third: str, data: bytes) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for part in (kind.encode(), first.encode(), second.encode(), third.encode(), data):
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part)
    return digest.digest()
