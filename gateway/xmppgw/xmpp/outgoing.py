"""The originating side of a server-to-server stream: we connected to a partner and want to send.

Driven by the edge daemon, in two ways: to carry stanzas of one (our domain, partner) pair, authenticated by SASL
EXTERNAL or by dialback; or, verify-only, to ask an authoritative server whether a dialback key is its own. The queue of
what waits for `Authorised` is the driver's. See `stream`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from . import sasl
from .address import AddressError, prepare_domain
from .dialback import (
    MAX_STREAM_ID_LENGTH,
    OutstandingRequests,
    dialback_key,
    result_element,
    verify_element,
)
from .element import NS_DIALBACK, NS_SASL, NS_STREAM, NS_STREAM_LIMITS, NS_TLS, Element
from .errors import DIALBACK_ERROR_TYPES, SASL_FAILURES, read_dialback_error
from .machine import StreamMachine, parse_version
from .parser import StreamHeader
from .stream import (
    Authorised,
    CertificateVerdict,
    Closed,
    DialbackChecked,
    DialbackOutcome,
    DialbackRequest,
    LocalProtocolError,
    Method,
    Origin,
    Output,
    Pair,
    PeerPolicy,
    Phase,
    SendData,
    StartTls,
    StreamLimits,
    VerifyCertificate,
)

_Handler = Callable[["OutgoingStream", Element], None]
_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class OutgoingSettings:
    """One outgoing stream's purpose.

    Attributes:
        local: our domain, normalised.
        remote: the partner's domain, normalised.
        policy: what may authenticate us there, and whether its certificate has to be valid.
        dialback_secret: makes our keys (XEP-0185).
        limits: named bounds.
        tls_available: whether TLS may be used at all.
        has_certificate: whether we present a certificate; without one EXTERNAL is not tried.
        try_external: switched off for a second attempt at a partner that hung up on our certificate.
    """

    local: str
    remote: str
    policy: PeerPolicy
    dialback_secret: str
    limits: StreamLimits = field(default_factory=StreamLimits)
    tls_available: bool = True
    has_certificate: bool = True
    try_external: bool = True


class OutgoingStream(StreamMachine):
    """One connection that we opened.

    Args:
        settings: what it is for.
        verify_only: carry db:verify questions and close when all are answered; never authenticate.
    """

    def __init__(self, settings: OutgoingSettings, *, verify_only: bool = False) -> None:
        super().__init__(settings.limits)
        self.settings = settings
        self.verify_only = verify_only
        self.pair = Pair(settings.local, settings.remote)
        self.method = Method.NONE
        """How the pair was authorised."""
        self.stream_id = ""
        """Id of the peer's current response header: dialback keys are made for it."""
        self.peer_max_bytes: int | None = None
        """Largest stanza the peer takes, if it said so (XEP-0478). The driver bounces larger ones."""
        self._peer_version = (0, 9)
        self._features_read = False
        self._starttls_sent = False
        self._sasl_sent = False
        self._external_done = False
        self._external_refused = False
        self._result_sent = False
        self._bounce = "remote-server-timeout"
        self._last_sent = 0.0
        self._may_verify = False
        self._unsent: list[DialbackRequest] = []
        self._asked: OutstandingRequests[DialbackRequest] = OutstandingRequests(settings.limits.pending_dialback)

    # --- driver ---------------------------------------------------------------------------------------------------

    @property
    def can_send(self) -> bool:
        """Whether `send` is allowed now."""
        return self.phase is Phase.OPEN

    def start(self, now: float) -> list[Output]:
        """The connection to one of the partner's servers is there; we speak first."""
        if self.phase is not Phase.NEW:
            raise LocalProtocolError("started twice")
        self._now = now
        self._negotiate_by = now + self.limits.negotiation_seconds
        self.phase = Phase.HEADER
        self._send_header()
        return self._take()

    def send(self, stanza: Element | bytes, now: float) -> list[Output]:
        """Send one stanza.

        Args:
            stanza: a stanza of this stream's pair; as bytes only in the form that `Element.to_bytes` writes.
            now: the time.

        Raises:
            LocalProtocolError: the pair is not authorised, or the stream is closing. Nothing was sent.
            SerialisationError: the stanza cannot be written as XML. Nothing was sent.
        """
        if self.phase is not Phase.OPEN:
            raise LocalProtocolError(f"a stanza in phase {self.phase}")
        data = stanza if isinstance(stanza, bytes) else stanza.to_bytes()
        self._last_sent = now
        self.stanzas += 1
        return [SendData(data)]

    def verify(self, request: DialbackRequest, now: float) -> list[Output]:
        """Ask the authoritative server about a key; `DialbackChecked` follows in any case.

        May be called before `start`; the question is sent as soon as policy allows (after TLS where that is required).
        """
        self._now = now
        if self.phase in (Phase.CLOSING, Phase.ENDING, Phase.CLOSED):
            self._answer(request, DialbackOutcome.ERROR, "remote-connection-failed", "the stream is closing")
        elif not self._asked.add(request, now + self.limits.verify_seconds):
            if request not in self._asked:
                self._answer(request, DialbackOutcome.ERROR, "resource-constraint", "too many questions at once")
        elif self._may_verify:
            self._ask(request)
        else:
            self._unsent.append(request)
        return self._take()

    # --- header -----------------------------------------------------------------------------------------------------

    def _header_attributes(self) -> dict[str, str | None]:
        return {"from": self.settings.local, "to": self.settings.remote, "version": "1.0"}

    def _on_header(self, header: StreamHeader) -> None:
        try:
            self._peer_version = parse_version(header.attributes.get("version"))
            sender = header.attributes.get("from")
            # COMPAT: servers before RFC 6120 leave `from` out. The certificate, or dialback, proves the name anyway.
            if sender and prepare_domain(sender) != self.settings.remote:
                self._fail("improper-addressing", "the answer to our header comes from another domain")
                return
        except (ValueError, AddressError) as error:
            self._fail("improper-addressing", f"the answer to our header is wrong: {error}")
            return
        self.stream_id = header.attributes.get("id", "")
        if len(self.stream_id) > MAX_STREAM_ID_LENGTH:
            self._fail("policy-violation", f"a stream id of more than {MAX_STREAM_ID_LENGTH} characters")
            return
        self.phase = Phase.NEGOTIATING
        self._features_read = False
        if self._peer_version < (1, 0):
            # COMPAT: no features will come (RFC 6120 4.7.5). Only dialback over TCP is left.
            self._after_security()

    # --- features ---------------------------------------------------------------------------------------------------

    def _on_features(self, features: Element) -> None:
        if self._features_read:
            self._fail("unsupported-stanza-type", "features were announced twice")
            return
        self._features_read = True
        self._read_limits(features)
        if self._external_done:
            self._authorise(Method.EXTERNAL)
            return
        if not self.encrypted:
            self._choose_tls(features)
            return
        usable = self.settings.try_external and self.settings.has_certificate and self.settings.policy.sasl_over_tls
        if usable and not self.verify_only and sasl.offers_external(features):
            self._sasl_sent = True
            self._send(sasl.auth_element(self.settings.local))
        else:
            self._after_security()

    def _read_limits(self, features: Element) -> None:
        """XEP-0478: nothing below 10000 bytes is a limit (RFC 6120 13.12)."""
        limits = features.child("limits", NS_STREAM_LIMITS)
        largest = limits.child("max-bytes") if limits is not None else None
        if largest is not None:
            text = largest.text.strip()
            if text.isascii() and text.isdigit() and len(text) <= 12 and int(text) >= 10_000:
                self.peer_max_bytes = int(text)

    def _choose_tls(self, features: Element) -> None:
        policy = self.settings.policy
        offered = features.child("starttls", NS_TLS) is not None
        # Where TLS is required it is tried even if not offered: the offer may have been stripped (RFC 7590 3.1).
        if policy.tls_allowed and self.settings.tls_available and (offered or policy.tls_required):
            self._starttls_sent = True
            self._send(Element("starttls", NS_TLS))
        else:
            self._after_security()

    def _after_security(self) -> None:
        """Neither TLS nor EXTERNAL will change any more: ask what has to be asked, authenticate by dialback."""
        allowed = self.settings.policy.dialback_allowed(self.encrypted)
        if self.verify_only:
            if not allowed:
                self._fail("policy-violation", self._why_not())
                return
            self._allow_verify()
        elif not allowed:
            self._fail("not-authorized", self._why_not())
        elif not self.stream_id:
            self._fail("improper-addressing", "without a stream id dialback is impossible")
        else:
            key = dialback_key(self.settings.dialback_secret, self.settings.remote, self.settings.local, self.stream_id)
            self._result_sent = True
            self._send(result_element(self.settings.local, self.settings.remote, key=key))
            self._allow_verify()

    def _why_not(self) -> str:
        if not self.encrypted and self.settings.policy.tls_required:
            return "TLS is required and was not offered"
        if not self.encrypted:
            return "dialback over TCP is not allowed with this partner"
        if self._external_refused:
            return "our certificate was refused, and dialback is not allowed with this partner"
        return "SASL EXTERNAL was not offered to our certificate, and dialback is not allowed with this partner"

    # --- TLS and SASL -------------------------------------------------------------------------------------------------

    def _on_proceed(self, _: Element) -> None:
        if not self._starttls_sent:
            self._fail("not-authorized", "a <proceed/> that answers nothing")
            return
        if not self._clean:
            self._fail("policy-violation", "bytes in the clear behind <proceed/>")
            return
        self.phase = Phase.TLS
        self._emit(StartTls(server_side=False, local=self.settings.local, remote=self.settings.remote))

    def _on_tls_failure(self, _: Element) -> None:
        self._finish(Origin.PEER, None, "the partner refused to start TLS", graceful=False)

    def _on_tls(self) -> None:
        assert self.tls is not None
        if self.tls.has_certificate:
            self.phase = Phase.CERTIFICATE
            self._emit(VerifyCertificate(self.settings.remote))
        else:
            self._judge(trusted=False, reason="was not presented")

    def _on_verdict(self, verdict: CertificateVerdict) -> None:
        self._judge(trusted=verdict.trusted, reason=verdict.reason)

    def _judge(self, *, trusted: bool, reason: str) -> None:
        policy = self.settings.policy
        self.phase = Phase.HEADER
        if not trusted and (policy.verified_tls or not policy.dialback_over_tls):
            self._fail("not-authorized", f"Your server's certificate {reason}")
            return
        if not trusted:
            self._remark("unverified-certificate", f"the certificate of {self.settings.remote} {reason}")
        self._send_header()

    def _on_success(self, _: Element) -> None:
        if not self._sasl_sent:
            self._fail("not-authorized", "a <success/> that answers nothing")
            return
        if not self._clean:
            self._fail("policy-violation", "bytes behind <success/> before our new header")
            return
        self._external_done = True
        self._restart()
        self._send_header()

    def _on_sasl_failure(self, failure: Element) -> None:
        if not self._sasl_sent:
            self._fail("not-authorized", "a <failure/> that answers nothing")
            return
        self._sasl_sent = False
        self._external_refused = True
        condition = next((child.name for child in failure.elements() if child.name in SASL_FAILURES), "not-authorized")
        self._remark("external-refused", f"{self.settings.remote} refused our certificate: {condition}")
        # RFC 6120 6.4.5 lets the receiving server go on; Prosody and ejabberd both do (XEP-0178 3).
        self._after_security()

    def _authorise(self, method: Method) -> None:
        self.method = method
        self.phase = Phase.OPEN
        self._last_sent = self._now
        self._lift_budget()
        self._emit(Authorised(self.pair, method, self.encrypted))
        self._allow_verify()

    # --- dialback -----------------------------------------------------------------------------------------------------

    def _on_result(self, element: Element) -> None:
        """The receiving server judged our key (XEP-0220 2.2.1)."""
        outcome = element.attributes.get("type")
        if outcome is None:
            self._remark("unsolicited-dialback", "a db:result on a stream that only we may use was ignored")
            return
        if not self._result_sent or not self._is_for_us(element):
            self._remark("unsolicited-dialback", "an answer to a db:result that was never sent was ignored")
            return
        self._result_sent = False
        if outcome == "valid":
            self._authorise(Method.DIALBACK)
        elif outcome == "invalid":
            self._bounce = "internal-server-error"
            self._close(None, "the partner says that our dialback key is invalid: who answers for our domain?")
        else:
            self._close(None, f"the partner could not check our dialback key: {read_dialback_error(element)}")

    def _on_verify(self, element: Element) -> None:
        """The authoritative server judged a key (XEP-0220 2.2.2)."""
        outcome = element.attributes.get("type")
        if outcome is None:
            self._remark("unsolicited-dialback", "a db:verify on a stream that only we may use was ignored")
            return
        identifier = element.attributes.get("id")
        request = None
        if self._is_for_us(element):
            request = next((asked for asked in self._asked if asked.stream_id == identifier), None)
        if request is None or request in self._unsent:
            self._remark("unsolicited-dialback", "an answer to a db:verify that was never sent was ignored")
            return
        self._asked.take(request)
        if outcome == "valid":
            self._answer(request, DialbackOutcome.VALID, "", "the key is valid")
        elif outcome == "invalid":
            self._answer(request, DialbackOutcome.INVALID, "", "the key is not valid")
        else:
            condition = read_dialback_error(element)
            text = f"the authoritative server answered with the error {condition}"
            # XEP-0220 2.4.1: whatever went wrong there is, for the originating server, a server not found.
            self._answer(request, DialbackOutcome.ERROR, "remote-server-not-found", text)
        self._close_if_answered()

    def _is_for_us(self, element: Element) -> bool:
        try:
            sender = prepare_domain(element.attributes.get("from", ""))
            receiver = prepare_domain(element.attributes.get("to", ""))
        except AddressError:
            return False
        return sender == self.settings.remote and receiver == self.settings.local

    def _allow_verify(self) -> None:
        self._may_verify = True
        unsent, self._unsent = self._unsent, []
        for request in unsent:
            self._ask(request)
        self._close_if_answered()

    def _ask(self, request: DialbackRequest) -> None:
        self._send(verify_element(request.receiving, request.originating, request.stream_id, key=request.key))

    def _answer(self, request: DialbackRequest, outcome: DialbackOutcome, condition: str, text: str) -> None:
        assert not condition or condition in DIALBACK_ERROR_TYPES
        self._emit(DialbackChecked(request, outcome, condition, text))

    def _close_if_answered(self) -> None:
        if self.verify_only and not len(self._asked):
            self._close(None, "all dialback questions are answered")

    # --- dispatch -----------------------------------------------------------------------------------------------------

    def _on_element(self, element: Element) -> None:
        handler = _TABLES[self.phase, self.encrypted].get((element.namespace, element.name))
        if handler is not None:
            handler(self, element)
        elif self.phase is Phase.CLOSING:
            self._remark("late-negotiation", f"<{element.name[:64]}/> came after we had closed the stream")
        elif element.name in ("message", "presence", "iq"):
            self._fail("not-authorized", "stanzas travel only from the server that opened the connection")
        else:
            self._fail("unsupported-stanza-type", "an element that is not part of the negotiation")

    # --- time and end -------------------------------------------------------------------------------------------------

    def _heard(self) -> None:
        """Nothing: TCP tells us about a dead partner as soon as we send."""

    def _own_deadline(self) -> float | None:
        overdue = self._asked.next_deadline()
        keepalive = self._last_sent + self.limits.keepalive_seconds if self.phase is Phase.OPEN else None
        if overdue is None or keepalive is None:
            return overdue if keepalive is None else keepalive
        return min(overdue, keepalive)

    def _on_time(self) -> None:
        overdue = self._asked.take_overdue(self._now)
        for request in overdue:
            if request in self._unsent:
                self._unsent.remove(request)
            self._answer(request, DialbackOutcome.ERROR, "remote-server-timeout", "no answer in time")
        if overdue:
            self._close_if_answered()
        if self.phase is Phase.OPEN and self._now >= self._last_sent + self.limits.keepalive_seconds:
            self._last_sent = self._now
            self._emit(SendData(b" "))

    def _on_negotiation_timeout(self) -> None:
        self._negotiate_by = None
        self._fail("connection-timeout", "the stream was not authenticated in time", Origin.TIMER)

    def _result(self, origin: Origin, condition: str | None, text: str, *, graceful: bool) -> Closed:
        authorised = self.method is not Method.NONE
        return Closed(
            origin,
            condition,
            text,
            graceful,
            bounce=self._bounce,
            authorised=authorised,
            external_refused=self._external_refused and not authorised and origin in (Origin.PEER, Origin.TRANSPORT),
        )

    def _before_closed(self) -> None:
        self._unsent.clear()
        for request in self._asked.take_all():
            self._answer(request, DialbackOutcome.ERROR, "remote-server-timeout", "the stream ended without an answer")


_FEATURES: dict[_Key, _Handler] = {(NS_STREAM, "features"): OutgoingStream._on_features}
_STARTTLS: dict[_Key, _Handler] = {
    (NS_TLS, "proceed"): OutgoingStream._on_proceed,
    (NS_TLS, "failure"): OutgoingStream._on_tls_failure,
}
_SASL: dict[_Key, _Handler] = {
    (NS_SASL, "success"): OutgoingStream._on_success,
    (NS_SASL, "failure"): OutgoingStream._on_sasl_failure,
}
_DIALBACK: dict[_Key, _Handler] = {
    (NS_DIALBACK, "result"): OutgoingStream._on_result,
    (NS_DIALBACK, "verify"): OutgoingStream._on_verify,
}

_TABLES: dict[tuple[Phase, bool], dict[_Key, _Handler]] = {
    # (phase, encrypted): what may arrive, and what it means. Whatever is not listed ends the stream.
    (Phase.NEGOTIATING, False): {**_FEATURES, **_STARTTLS, **_DIALBACK},
    (Phase.NEGOTIATING, True): {**_FEATURES, **_SASL, **_DIALBACK},
    (Phase.OPEN, False): {**_DIALBACK},
    (Phase.OPEN, True): {**_DIALBACK},
    (Phase.CLOSING, False): {**_DIALBACK},
    (Phase.CLOSING, True): {**_DIALBACK},
}
