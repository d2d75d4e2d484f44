"""Streams that partners open to us: admitted, authenticated by the machine, their stanzas handed to the front end.

Made by `edge.arrival` for connections that are ours to answer. A stanza that cannot be handed over is answered with a
typed error; while the front end is slow or away, reading stops instead.
"""

from __future__ import annotations

import secrets

from xmppgw.edge.context import EdgeContext, monotonic_to_epoch
from xmppgw.edge.driver import Event, PublicTls, StreamDriver, log_closed
from xmppgw.edge.partners import Partner
from xmppgw.edge.streams import StreamFacts, network_of
from xmppgw.link.connection import Connection
from xmppgw.link.messages import StanzaArrived
from xmppgw.link.protocol import LinkFull
from xmppgw.tls.memory import MemoryTls
from xmppgw.xmpp.incoming import IncomingSettings, IncomingStream
from xmppgw.xmpp.stanza import error_reply
from xmppgw.xmpp.stream import (
    HANDED_OVER,
    Authorised,
    CheckDialback,
    Closed,
    DialbackChecked,
    DialbackOutcome,
    DialbackRequest,
    Pair,
    PeerPolicy,
    RelayDialback,
    Remarked,
    SendReply,
    StanzaReceived,
)

#: A stream is best closed when nothing has come for this long, but within the second time in any case. ejabberd 23
#: loses a message that is sent just when the other side's `</stream:stream>` arrives.
QUIET_SECONDS = 0.05
MAXIMUM_WAIT_FOR_QUIET_SECONDS = 1.0


class InboundStream(StreamDriver):
    """One connection that a partner made."""

    def __init__(self, edge: EdgeContext, connection: Connection, tls: PublicTls) -> None:
        settings = IncomingSettings(
            own_domains=edge.partners.own_domains,
            policy=self._policy,
            dialback_secret=edge.dialback_secret,
            limits=edge.stream_limits(),
            relays=edge.relay.possible,
        )
        self._stream = IncomingStream(settings, _new_stream_id)
        super().__init__(self._stream, connection, tls)
        self._edge = edge
        self._network = network_of(connection.peer_address)
        self._waiting = True
        self._last_stanza = 0.0

    def _policy(self, own: str, remote: str) -> PeerPolicy | None:
        return self._edge.partners.policy(own, remote)

    def partner_of(self, domain: str) -> Partner | None:
        """Find the partner."""
        return self._edge.partners.find(domain)

    def describe(self) -> list[StreamFacts]:
        """One entry per authorised pair."""
        return [
            StreamFacts(
                local=pair.receiver,
                remote=pair.sender,
                direction="in",
                method=method.value,
                encrypted=self._stream.encrypted,
                since=round(monotonic_to_epoch(self.connection.made), 3),
                stanzas=self._stream.stanzas,
                address=self.connection.peer_address,
            )
            for pair, method in self._stream.authorised.items()
        ]

    def close_quietly(self, text: str) -> None:
        """End the stream gracefully at a moment in which nothing comes, or when the time for that is over."""
        self._close_when_quiet(text, self._loop.time() + MAXIMUM_WAIT_FOR_QUIET_SECONDS)

    def _close_when_quiet(self, text: str, deadline: float) -> None:
        due = min(self._last_stanza + QUIET_SECONDS, deadline)
        if self._loop.time() >= due:
            self.close(None, text)
        elif self.closed is None:
            self._loop.call_at(due, self._close_when_quiet, text, deadline)

    def lost_permission(self) -> bool:
        """Whether the settings no longer allow what was authorised on this stream."""
        for pair, method in self._stream.authorised.items():
            policy = self._edge.partners.policy(pair.receiver, pair.sender)
            if policy is None or not still_allowed(policy, method.value, self._stream.encrypted):
                return True
        return False

    def happened(self, event: Event) -> None:
        """Act on what the stream produced."""
        edge = self._edge
        match event:
            case StanzaReceived():
                self._hand_over(event)
            case SendReply(pair=pair, element=element):
                edge.outbound.send_reply(pair, element)
            case CheckDialback(request=request):
                edge.dialback.check(request, self._dialback_answer)
            case Authorised(pair=pair, method=method, encrypted=encrypted):
                self._authorised(pair, method.value, encrypted)
            case Remarked(code=code, text=text):
                edge.counters.remarks.labels(code).inc()
                edge.log.warning(
                    "peer-fault",
                    code=code,
                    reason=text,
                    remote=self._stream.remote,
                    address=self.connection.peer_address,
                )
            case RelayDialback(request=request):
                edge.relay.pass_on(request, self._relay_answer)
            case DialbackChecked():
                raise AssertionError("an incoming stream asks nobody")

    def over(self, closed: Closed) -> None:
        """Count it, and say why."""
        edge = self._edge
        if self._waiting:
            self._waiting = False
            edge.admission.release(self._network)
        edge.registry.remove(self)
        if not closed.graceful and not closed.authorised:
            edge.counters.refused.labels(closed.condition or closed.origin.value).inc()
        log_closed(edge, self, closed, local=self._stream.local, remote=self._stream.remote)

    def _authorised(self, pair: Pair, method: str, encrypted: bool) -> None:
        edge = self._edge
        partner = edge.partners.find(pair.sender)
        label = edge.counters.partners.label(pair.sender)
        if self._waiting:
            self._waiting = False
            edge.admission.release(self._network)
        limit = edge.settings.limits.streams_per_partner
        held = edge.registry.count(pair.sender)
        edge.registry.authorised(self, pair, pair.sender)
        if partner is None or held >= limit:
            # Outputs of one call are obeyed in order: closing waits until this one is done.
            self._loop.call_soon(self.close, "resource-constraint", f"{limit} streams of this partner are open already")
            return
        edge.counters.authorised.labels("in", method, label).inc()
        tls = self.connection.tls
        edge.log.info(
            "stream-authenticated",
            direction="in",
            local=pair.receiver,
            remote=pair.sender,
            method=method,
            encrypted=encrypted,
            tls=tls.protocol if tls is not None else None,
            address=self.connection.peer_address,
        )

    def _hand_over(self, event: StanzaReceived) -> None:
        edge = self._edge
        self._last_stanza = self._loop.time()
        stanza = event.stanza
        label = edge.counters.partners.label(event.pair.sender)
        edge.counters.stanzas_in.labels(label, stanza.kind).inc()
        if edge.pings.answered(event.pair, stanza):
            return
        if stanza.kind == "presence":
            # Presence of any type is ignored and counted in this release; the front end has no use for it.
            return
        correlation = edge.correlations.mint()
        try:
            data = stanza.to_bytes(HANDED_OVER.stanza_bytes)
            edge.reader.read(data)
            edge.hub.hand_over(
                StanzaArrived(
                    correlation=correlation,
                    remote=event.pair.sender,
                    local=event.pair.receiver,
                    method=event.method.value,
                    data=data,
                    at=edge.clock(),
                )
            )
        except LinkFull as full:
            self._refuse(event, correlation, str(full), "resource-constraint", "the gateway is overloaded")
            return
        except ValueError as problem:
            # It cannot be written, fills more than a frame, or is more than the front end would read. One user sent
            # it; the stream carries everybody's.
            edge.counters.remarks.labels("stanza-refused").inc()
            text = "the gateway cannot pass this stanza on: it is too large or too intricate"
            self._refuse(event, correlation, str(problem), "policy-violation", text)
            return
        edge.log.info(
            "stanza-received",
            correlation=correlation,
            remote=event.pair.sender,
            local=event.pair.receiver,
            kind=stanza.kind,
            type=stanza.type,
            id=stanza.id,
            octets=len(data),
        )

    def _refuse(self, event: StanzaReceived, correlation: str, reason: str, condition: str, text: str) -> None:
        """Say `reason` to the log, and `condition` and `text` to the sender, if it may be answered."""
        edge, stanza = self._edge, event.stanza
        edge.log.warning(
            "stanza-refused", correlation=correlation, remote=event.pair.sender, kind=stanza.kind, reason=reason
        )
        reply = error_reply(stanza.element, condition, text)
        if reply is not None and stanza.wants_reply:
            edge.outbound.send_reply(Pair(event.pair.receiver, event.pair.sender), reply)

    def _dialback_answer(self, request: DialbackRequest, outcome: DialbackOutcome, condition: str) -> None:
        if self.closed is None:
            self.obey(self._stream.dialback_checked(request, outcome, condition, self._loop.time()))

    def _relay_answer(self, request: DialbackRequest, outcome: DialbackOutcome, condition: str) -> None:
        if self.closed is None:
            self.obey(self._stream.dialback_relayed(request, outcome, condition, self._loop.time()))

    def secured(self, tls: MemoryTls) -> None:
        """Report the handshake, unless the stream has ended meanwhile."""
        if self.closed is None:
            super().secured(tls)


def still_allowed(policy: PeerPolicy, method: str, encrypted: bool) -> bool:
    """Whether `policy` would authenticate a stream that was authenticated by `method`."""
    if method == "external":
        return policy.sasl_over_tls
    return policy.dialback_allowed(encrypted)


def _new_stream_id() -> str:
    return secrets.token_urlsafe(24)
