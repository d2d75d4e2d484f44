"""The receiving side of a server-to-server stream: a partner connected to us and wants to send.

Driven by the edge daemon. It authenticates partners (SASL EXTERNAL, or dialback as the receiving server), answers
`db:verify` as the authoritative server, checks every stanza against the set of authorised (from, to) pairs, and hands
on what is left. It never sends a stanza: answers travel on our own outgoing stream. See `stream`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from . import sasl
from .address import AddressError, prepare_domain
from .dialback import (
    MAX_KEY_LENGTH,
    MAX_STREAM_ID_LENGTH,
    OutstandingRequests,
    key_is_ours,
    result_element,
    verify_element,
)
from .element import (
    NS_DIALBACK,
    NS_DIALBACK_FEATURE,
    NS_SASL,
    NS_SERVER,
    NS_STREAM,
    NS_STREAM_LIMITS,
    NS_TLS,
    Element,
)
from .errors import DIALBACK_ERROR_TYPES, dialback_error, sasl_failure
from .machine import StreamMachine, parse_version
from .parser import StreamHeader
from .stanza import FatalStanzaError, Stanza, StanzaError, iq_result, is_ping, read_stanza
from .stream import (
    Authorised,
    CertificateVerdict,
    CheckDialback,
    Closed,
    DialbackOutcome,
    DialbackRequest,
    LocalProtocolError,
    Method,
    Origin,
    Output,
    Pair,
    PeerPolicy,
    Phase,
    PolicyLookup,
    RelayDialback,
    SendReply,
    StanzaReceived,
    StartTls,
    StreamLimits,
    VerifyCertificate,
)

_BIDI_NAMESPACES = frozenset({"urn:xmpp:bidi", "urn:xmpp:features:bidi"})

_Handler = Callable[["IncomingStream", Element], None]
_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class IncomingSettings:
    """What all incoming streams share; a reload makes a new one, open streams keep theirs but see the new policies.

    Attributes:
        own_domains: normalised domains that we serve.
        policy: who is a partner and what may authenticate it.
        dialback_secret: shared by all edges (XEP-0185).
        limits: named bounds.
        tls_available: whether a certificate is loaded; without one only dialback over TCP can work.
        relays: `(own domain, partner domain)`: whether another gateway of ours may have made keys for that pair; then a
            foreign key is not answered but asked about (`RelayDialback`).
    """

    own_domains: frozenset[str]
    policy: PolicyLookup
    dialback_secret: str
    limits: StreamLimits = field(default_factory=StreamLimits)
    tls_available: bool = True
    relays: Callable[[str, str], bool] = lambda own, partner: False


class IncomingStream(StreamMachine):
    """One accepted connection.

    Args:
        settings: shared settings.
        new_id: gives an unpredictable text that was never given before, for stream ids (RFC 6120 4.7.3): at least 128
            random bits, no spaces.
    """

    def __init__(self, settings: IncomingSettings, new_id: Callable[[], str]) -> None:
        super().__init__(settings.limits)
        self.settings = settings
        self.local: str | None = None
        """Our domain of the first header; fixed for the life of the connection."""
        self.remote: str | None = None
        """The peer's domain of the first header that named one; fixed from then on."""
        self.stream_id = ""
        """Id of the current response header."""
        self._new_id = new_id
        self._authorised: dict[_Key, tuple[Pair, Method]] = {}
        self._pending: OutstandingRequests[DialbackRequest] = OutstandingRequests(settings.limits.pending_dialback)
        self._relayed: OutstandingRequests[DialbackRequest] = OutstandingRequests(settings.limits.pending_dialback)
        self._certificate_trusted = False
        self._certificate_reason = "was not presented"
        self._external_offered = False
        self._external_done = False
        self._sasl_attempts = 0
        self._peer_version = (1, 0)
        self._silent_since = 0.0
        self._verify_answers = 0

    # --- driver ---------------------------------------------------------------------------------------------------

    @property
    def authorised(self) -> Mapping[Pair, Method]:
        """The pairs that may travel on this stream, with how each was proved."""
        return dict(self._authorised.values())

    def start(self, now: float) -> list[Output]:
        """The connection was accepted; the peer speaks first."""
        if self.phase is not Phase.NEW:
            raise LocalProtocolError("started twice")
        self._now = now
        self._silent_since = now
        self._negotiate_by = now + self.limits.negotiation_seconds
        self.phase = Phase.HEADER
        return []

    def dialback_checked(
        self, request: DialbackRequest, outcome: DialbackOutcome, condition: str, now: float
    ) -> list[Output]:
        """The answer to `CheckDialback`.

        Args:
            request: the request of the command.
            outcome: what the authoritative server said, or ERROR.
            condition: with ERROR, a dialback error condition; anything else reads as `remote-connection-failed`.
            now: the time.
        """
        self._now = now
        if self.phase in (Phase.ENDING, Phase.CLOSED) or not self._pending.take(request):
            return []
        self._conclude_dialback(request, outcome, condition)
        return self._take()

    def dialback_relayed(
        self, request: DialbackRequest, outcome: DialbackOutcome, condition: str, now: float
    ) -> list[Output]:
        """The answer to `RelayDialback`; arguments as for `dialback_checked`."""
        self._now = now
        if self.phase in (Phase.CLOSING, Phase.ENDING, Phase.CLOSED) or not self._relayed.take(request):
            return []
        self._conclude_relay(request, outcome, condition)
        return self._take()

    # --- headers and features -------------------------------------------------------------------------------------

    def _on_header(self, header: StreamHeader) -> None:
        try:
            self._peer_version = parse_version(header.attributes.get("version"))
        except ValueError as error:
            self._fail("unsupported-version", str(error))
            return
        if not self._fix_domains(header):
            return
        policy = self._policy()
        if self.remote is not None and policy is None:
            self._fail("policy-violation", "your domain is not among the partners of this domain")
            return
        if self._peer_version < (1, 0) and policy is not None and not policy.dialback_over_tcp:
            self._fail("unsupported-version", "TLS is required, so the stream's version has to be 1.0")
            return
        self._send_header()
        if self._external_done:
            self._open_after_external()
        elif self._wants_certificate(policy):
            assert self.remote is not None
            self.phase = Phase.CERTIFICATE
            self._emit(VerifyCertificate(self.remote))
        else:
            self._send_features()

    def _fix_domains(self, header: StreamHeader) -> bool:
        """Take `from` and `to`; once known, neither may change, not even over a restart (CVE-2018-10847)."""
        to, sender = header.attributes.get("to"), header.attributes.get("from")
        if not to:
            self._fail("improper-addressing", "the stream header names no 'to'")
            return False
        try:
            local = prepare_domain(to)
            remote = prepare_domain(sender) if sender else None
        except AddressError as error:
            self._fail("improper-addressing", f"a domain in the stream header {error}")
            return False
        if (self.local is not None and local != self.local) or (self.remote is not None and remote != self.remote):
            self._fail("improper-addressing", "from and to may not change when a stream is restarted")
            return False
        if local not in self.settings.own_domains:
            self._fail("host-unknown", "this domain is not served here")
            return False
        self.local, self.remote = local, remote
        return True

    def _policy(self) -> PeerPolicy | None:
        if self.local is None or self.remote is None:
            return None
        return self.settings.policy(self.local, self.remote)

    def _wants_certificate(self, policy: PeerPolicy | None) -> bool:
        return policy is not None and policy.sasl_over_tls and self.tls is not None and self.tls.has_certificate

    def _header_attributes(self) -> dict[str, str | None]:
        self.stream_id = self._new_id()
        version = "1.0" if self._peer_version >= (1, 0) else None
        # `to` may be unknown or malformed when the first header is being refused (RFC 6120 4.9.1.3).
        return {"from": self.local, "to": self.remote, "id": self.stream_id, "version": version}

    def _send_features(self) -> None:
        self.phase = Phase.NEGOTIATING
        if self._peer_version < (1, 0):
            return  # RFC 6120 4.7.5: no features for a peer that cannot know them
        features = Element("features", NS_STREAM)
        # A peer that does not say who it is gets what everybody gets: TLS, then dialback for the names it gives there.
        policy = self._policy() or PeerPolicy(sasl_over_tls=False, dialback_over_tls=True)
        self._external_offered = False
        if not self.encrypted:
            if policy.tls_allowed and self.settings.tls_available:
                starttls = Element("starttls", NS_TLS)
                if policy.tls_required:
                    starttls.children.append(Element("required", NS_TLS))
                features.children.append(starttls)
            elif policy.tls_required:
                self._fail("policy-violation", "TLS is required and not available here")
                return
        elif policy.sasl_over_tls and self._certificate_trusted:
            self._external_offered = True
            features.children.append(sasl.mechanisms())
        if policy.dialback_allowed(self.encrypted):
            features.children.append(_dialback_feature())
        elif self.encrypted and not self._external_offered:
            self._fail("not-authorized", f"Your server's certificate {self._certificate_reason}")
            return
        if self.encrypted or not policy.tls_required:
            features.children.append(self._limits_feature())
        self._send(features)

    def _limits_feature(self) -> Element:
        """XEP-0478: what we take, so that nobody finds out by losing a stream."""
        return Element(
            "limits",
            NS_STREAM_LIMITS,
            None,
            [Element("max-bytes", NS_STREAM_LIMITS, None, [str(self.limits.stanza_bytes)])],
        )

    def _open_after_external(self) -> None:
        assert self.local is not None
        assert self.remote is not None
        self._authorise(Pair(self.remote, self.local), Method.EXTERNAL)
        features = Element("features", NS_STREAM)
        policy = self._policy()
        if policy is not None and policy.dialback_over_tls:
            features.children.append(_dialback_feature())
        features.children.append(self._limits_feature())
        self._send(features)

    # --- TLS and SASL -----------------------------------------------------------------------------------------------

    def _on_tls(self) -> None:
        """The peer speaks first again. What it said in the clear counts no more, but may not be contradicted."""

    def _on_verdict(self, verdict: CertificateVerdict) -> None:
        self._certificate_trusted = verdict.trusted
        self._certificate_reason = verdict.reason
        self._send_features()

    def _on_starttls(self, _: Element) -> None:
        policy = self._policy()
        if not self.settings.tls_available or (policy is not None and not policy.tls_allowed):
            self._send(Element("failure", NS_TLS))
            self._fail("policy-violation", "TLS is not available here")
        elif not self._clean:
            self._fail("policy-violation", "bytes in the clear behind <starttls/>")
        else:
            self._send(Element("proceed", NS_TLS))
            self.phase = Phase.TLS
            self._emit(StartTls(server_side=True, local=self.local, remote=self.remote))

    def _on_auth(self, auth: Element) -> None:
        self._sasl_attempts += 1
        if self._sasl_attempts > self.limits.sasl_attempts:
            self._fail("policy-violation", "too many authentication attempts")
            return
        if not self._external_offered or self.remote is None:
            condition = "invalid-mechanism" if self.encrypted else "encryption-required"
            self._send(sasl_failure(condition, f"Your server's certificate {self._certificate_reason}"))
            return
        if not self._clean:
            self._fail("policy-violation", "bytes behind <auth/> before it was answered")
            return
        try:
            sasl.check_auth(auth, self.remote)
        except sasl.SaslRefusedError as refused:
            self._send(sasl_failure(refused.condition, refused.text))
            return
        self._send(Element("success", NS_SASL))
        self._external_done = True
        self._restart()

    def _authorise(self, pair: Pair, method: Method) -> None:
        self._authorised[pair.sender, pair.receiver] = (pair, method)
        self._lift_budget()
        if self.phase is not Phase.CLOSING:
            self.phase = Phase.OPEN
        self._emit(Authorised(pair, method, self.encrypted))

    # --- dialback ---------------------------------------------------------------------------------------------------

    def _on_result(self, element: Element) -> None:
        """A key is presented (XEP-0220 2.1.1): we are the receiving server."""
        if "type" in element.attributes:
            self._remark("unsolicited-dialback", "an answer to a db:result that was never sent was ignored")
            return
        domains = self._dialback_domains(element)
        if domains is None:
            return
        sender, receiver = domains
        key = element.text.strip()
        names = {"from": receiver, "to": sender}
        known = receiver in self.settings.own_domains
        condition = self._dialback_refusal(receiver, sender) if known else "item-not-found"
        if condition is None and (sender, receiver) in self._authorised:
            self._send(result_element(receiver, sender, outcome="valid"))
            return
        if condition is None and not 0 < len(key) <= MAX_KEY_LENGTH:
            condition = "not-acceptable"
        if condition is None and len(self._authorised) + len(self._pending) >= self.limits.pairs:
            condition = "resource-constraint"
        if condition is None:
            if any((asked.originating, asked.receiving) == (sender, receiver) for asked in self._pending):
                self._remark("repeated-dialback", f"{sender} presented a key while another is being checked")
                return
            request = DialbackRequest(receiver, sender, self.stream_id, key)
            if self._pending.add(request, self._now + self.limits.verify_seconds):
                self._emit(CheckDialback(request))
                return
            condition = "resource-constraint"
        self._remark("dialback-refused", f"{condition} for {sender} to {receiver}")
        self._send(dialback_error("result", names, condition))

    def _on_verify(self, element: Element) -> None:
        """Somebody asks whether a key is ours (XEP-0220 2.1.2): we are the authoritative server.

        Answered on any stream, authenticated or not: the answer says nothing but what the asker brought along.
        """
        if "type" in element.attributes:
            self._remark("unsolicited-dialback", "an answer to a db:verify that was never sent was ignored")
            return
        domains = self._dialback_domains(element)
        if domains is None:
            return
        asker, ours = domains
        stream_id, key = element.attributes.get("id", ""), element.text.strip()
        if not 0 < len(stream_id) <= MAX_STREAM_ID_LENGTH:
            self._fail("improper-addressing", "a db:verify needs the id of the stream it is about")
            return
        known = ours in self.settings.own_domains
        condition = self._dialback_refusal(ours, asker) if known else "item-not-found"
        self._verify_answers += 1
        if condition is not None:
            self._remark("dialback-refused", f"{condition} for a question of {asker} about {ours}")
            self._send(dialback_error("verify", {"from": ours, "to": asker, "id": stream_id}, condition))
            return
        readable = 0 < len(key) <= MAX_KEY_LENGTH
        valid = readable and key_is_ours(self.settings.dialback_secret, asker, ours, stream_id, key)
        if not valid and readable and self.settings.relays(ours, asker):
            self._relay(DialbackRequest(asker, ours, stream_id, key))
            return
        if not valid:
            self._remark("foreign-key", f"{asker} asked about a key of {ours} that was not made here")
        self._send(verify_element(ours, asker, stream_id, outcome="valid" if valid else "invalid"))

    def _relay(self, request: DialbackRequest) -> None:
        if request in self._relayed:
            self._remark("repeated-dialback", f"{request.receiving} asked again about a key that is being checked")
        elif self._relayed.add(request, self._now + self.limits.verify_seconds):
            self._emit(RelayDialback(request))
        else:
            self._conclude_relay(request, DialbackOutcome.ERROR, "resource-constraint")

    def _conclude_relay(self, request: DialbackRequest, outcome: DialbackOutcome, condition: str) -> None:
        asker, ours = request.receiving, request.originating
        if outcome is DialbackOutcome.ERROR:
            if condition not in DIALBACK_ERROR_TYPES:
                condition = "remote-connection-failed"
            self._remark("relay-failed", f"{condition} when the other gateway was asked about a key of {ours}")
            self._send(dialback_error("verify", {"from": ours, "to": asker, "id": request.stream_id}, condition))
        else:
            self._send(verify_element(ours, asker, request.stream_id, outcome=outcome.value))

    def _dialback_domains(self, element: Element) -> tuple[str, str] | None:
        """`from` and `to` of a dialback element; ends the stream where they are none."""
        try:
            return prepare_domain(element.attributes.get("from", "")), prepare_domain(element.attributes.get("to", ""))
        except AddressError as error:
            self._fail("improper-addressing", f"a domain in a dialback element {error}")
            return None

    def _dialback_refusal(self, local: str, remote: str) -> str | None:
        """The dialback error that policy demands, or None."""
        policy = self.settings.policy(local, remote)
        if policy is None:
            return "not-authorized"
        return None if policy.dialback_allowed(self.encrypted) else "policy-violation"

    def _conclude_dialback(self, request: DialbackRequest, outcome: DialbackOutcome, condition: str) -> None:
        receiver, sender = request.receiving, request.originating
        if outcome is DialbackOutcome.VALID:
            self._send(result_element(receiver, sender, outcome="valid"))
            self._authorise(Pair(sender, receiver), Method.DIALBACK)
        elif outcome is DialbackOutcome.INVALID:
            self._remark("dialback-invalid", f"{sender} says that the key presented for it is not its own")
            self._send(result_element(receiver, sender, outcome="invalid"))
            if not self._authorised and self.phase is not Phase.CLOSING:
                # XEP-0220 2.2.1: nothing valid is left, the connection must go.
                self._close(None, "the dialback key is not valid")
        else:
            if condition not in DIALBACK_ERROR_TYPES:
                condition = "remote-connection-failed"
            self._remark("dialback-failed", f"{condition} when asking {sender}")
            self._send(dialback_error("result", {"from": receiver, "to": sender}, condition))

    # --- stanzas ----------------------------------------------------------------------------------------------------

    def _on_stanza(self, element: Element) -> None:
        try:
            stanza = read_stanza(element)
        except FatalStanzaError as error:
            self._fail(error.condition, error.text)
            return
        except StanzaError as error:
            self._refuse_stanza(element, error)
            return
        sender, receiver = stanza.sender.domain, stanza.recipient.domain
        found = self._authorised.get((sender, receiver))
        if found is None:
            self._refuse_pair(sender, receiver)
            return
        self.stanzas += 1
        pair, method = found
        if is_ping(stanza):
            self._reply(pair, iq_result(stanza))
            return
        self._deliver(pair, method, stanza)

    def _deliver(self, pair: Pair, method: Method, stanza: Stanza) -> None:
        self._emit(StanzaReceived(pair, method, stanza))

    def _refuse_pair(self, sender: str, receiver: str) -> None:
        """RFC 6120 8.1.1.2 and 8.1.2.2: which half of the pair was wrong."""
        if not any(pair.sender == sender for pair, _ in self._authorised.values()):
            self._fail("invalid-from", "the sender's domain has not been proved on this stream")
        else:
            self._fail("host-unknown", "the recipient's domain is not what this stream was opened for")

    def _refuse_stanza(self, element: Element, error: StanzaError) -> None:
        """One stanza is wrong. Its sender is told, if the sender is one this stream may speak for."""
        sender = prepare_domain(element.attributes["from"].partition("/")[0].rpartition("@")[2])
        pair = next((pair for pair, _ in self._authorised.values() if pair.sender == sender), None)
        if pair is None:
            self._refuse_pair(sender, "")
            return
        self.stanzas += 1
        self._remark("stanza-refused", f"{error.condition}: {error.text}")
        if error.reply is not None:
            error.reply.attributes.setdefault("from", pair.receiver)
            self._reply(pair, error.reply)

    def _reply(self, pair: Pair, element: Element) -> None:
        self._emit(SendReply(Pair(pair.receiver, pair.sender), element))

    def _on_bidi(self, _: Element) -> None:
        # COMPAT: ejabberd 24.10 to 26.05 asked for bidi in a wrong namespace and where it was not offered
        # (ejabberd issue 4300). Ignoring it costs nothing. May go when none of those versions is left.
        self._remark("bidi-ignored", "bidirectional streams are not offered")

    # --- dispatch ---------------------------------------------------------------------------------------------------

    def _on_element(self, element: Element) -> None:
        key = (element.namespace, element.name)
        table = _TABLES[self.phase, self.encrypted]
        handler = table.get(key)
        if handler is not None:
            handler(self, element)
        elif self.phase is Phase.CLOSING:
            self._remark("late-negotiation", f"<{element.name[:64]}/> came after we had closed the stream")
        elif element.namespace in _BIDI_NAMESPACES:
            self._on_bidi(element)
        elif key in _STANZAS:
            self._fail("not-authorized", "stanzas are not accepted before authentication")
        elif element.namespace in (NS_TLS, NS_SASL):
            self._fail("not-authorized", f"<{element.name[:64]}/> is not possible at this point")
        else:
            self._fail("unsupported-stanza-type", "an element that is neither a stanza nor part of the negotiation")

    # --- time and end -------------------------------------------------------------------------------------------------

    def _heard(self) -> None:
        self._silent_since = self._now

    def _own_deadline(self) -> float | None:
        idle = self._silent_since + self.limits.idle_seconds if self.phase is Phase.OPEN else None
        times = (self._pending.next_deadline(), self._relayed.next_deadline(), idle)
        return min((time for time in times if time is not None), default=None)

    def _on_time(self) -> None:
        for request in self._pending.take_overdue(self._now):
            self._conclude_dialback(request, DialbackOutcome.ERROR, "remote-server-timeout")
        for request in self._relayed.take_overdue(self._now):
            self._conclude_relay(request, DialbackOutcome.ERROR, "remote-server-timeout")
        if self.phase is Phase.OPEN and self._now >= self._silent_since + self.limits.idle_seconds:
            self._close(None, "nothing was heard for too long")

    def _on_negotiation_timeout(self) -> None:
        self._negotiate_by = None
        if self._verify_answers and self.phase is Phase.NEGOTIATING:
            self._close(None, "dialback questions were answered, nothing else was asked")
        else:
            self._fail("connection-timeout", "the stream was not authenticated in time", Origin.TIMER)

    def _result(self, origin: Origin, condition: str | None, text: str, *, graceful: bool) -> Closed:
        return Closed(origin, condition, text, graceful, bounce="", authorised=bool(self._authorised))

    def _before_closed(self) -> None:
        self._pending.take_all()
        self._relayed.take_all()


def _dialback_feature() -> Element:
    """XEP-0220 2.4.2: we know dialback and its errors."""
    return Element("dialback", NS_DIALBACK_FEATURE, None, [Element("errors", NS_DIALBACK_FEATURE)])


_STANZAS: dict[_Key, _Handler] = {
    (NS_SERVER, "message"): IncomingStream._on_stanza,
    (NS_SERVER, "presence"): IncomingStream._on_stanza,
    (NS_SERVER, "iq"): IncomingStream._on_stanza,
}
_DIALBACK: dict[_Key, _Handler] = {
    (NS_DIALBACK, "result"): IncomingStream._on_result,
    (NS_DIALBACK, "verify"): IncomingStream._on_verify,
}
_STARTTLS: dict[_Key, _Handler] = {(NS_TLS, "starttls"): IncomingStream._on_starttls}
_AUTH: dict[_Key, _Handler] = {(NS_SASL, "auth"): IncomingStream._on_auth}

_TABLES: dict[tuple[Phase, bool], dict[_Key, _Handler]] = {
    # (phase, encrypted): what may arrive, and what it means. Whatever is not listed ends the stream.
    (Phase.NEGOTIATING, False): {**_STARTTLS, **_AUTH, **_DIALBACK},
    (Phase.NEGOTIATING, True): {**_AUTH, **_DIALBACK},
    (Phase.OPEN, False): {**_DIALBACK, **_STANZAS},
    (Phase.OPEN, True): {**_DIALBACK, **_STANZAS},
    (Phase.CLOSING, False): {**_STANZAS},
    (Phase.CLOSING, True): {**_STANZAS},
}
