"""We connect to partners: what the outgoing stream machine does in each situation."""

from __future__ import annotations

import pytest
from tests.unit.xmpp.playbook import (
    ANSWER,
    DIALBACK_OVER_TCP,
    DIALBACK_OVER_TLS,
    EXTERNAL_OR_DIALBACK,
    LOCAL,
    MESSAGE,
    ONLY_EXTERNAL,
    PARTNER,
    PROCEED,
    SECRET,
    SUCCESS,
    TLS,
    TLS_WITHOUT_CERTIFICATE,
    Verdict,
    only,
    outgoing,
    sent,
)

from xmppgw.xmpp.dialback import dialback_key
from xmppgw.xmpp.element import Element, SerialisationError
from xmppgw.xmpp.outgoing import OutgoingStream
from xmppgw.xmpp.stanza import message
from xmppgw.xmpp.stream import (
    Authorised,
    Closed,
    DialbackChecked,
    DialbackOutcome,
    DialbackRequest,
    LocalProtocolError,
    Method,
    Origin,
    Pair,
    PeerPolicy,
    Phase,
    SendData,
    StartTls,
    StreamLimits,
    VerifyCertificate,
)

PAIR = Pair(LOCAL, PARTNER)
REQUEST = DialbackRequest(LOCAL, PARTNER, "their-stream", "their-key")
TLS_FEATURES = (
    b"<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>"
)
EXTERNAL_FEATURES = (
    b"<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism>"
    b"</mechanisms><dialback xmlns='urn:xmpp:features:dialback'/></stream:features>"
)
DIALBACK_FEATURES = b"<stream:features><dialback xmlns='urn:xmpp:features:dialback'/></stream:features>"
NO_FEATURES = b"<stream:features/>"
FAILURE = b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>"
VALID = b"<db:result from='partner.example' to='corp.example' type='valid'/>"


def encrypted(policy: PeerPolicy = ONLY_EXTERNAL, **more) -> OutgoingStream:
    """Behind TLS and the second header, waiting for features."""
    stream = outgoing(policy, **more)
    stream.start(0.0)
    stream.receive(ANSWER + TLS_FEATURES, 0.0)
    stream.receive(PROCEED, 0.0)
    stream.tls_done(TLS, 0.0)
    stream.certificate_verified(Verdict(True), 0.0)
    stream.receive(ANSWER.replace(b"abc", b"second"), 0.0)
    return stream


def opened() -> OutgoingStream:
    stream = encrypted()
    stream.receive(EXTERNAL_FEATURES, 0.0)
    stream.receive(SUCCESS, 0.0)
    stream.receive(ANSWER + NO_FEATURES, 0.0)
    assert stream.can_send
    return stream


def closed_with(outputs, condition: str | None) -> None:
    data = sent(outputs)
    if condition is not None:
        assert f"<{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>".encode() in data, data
    assert data.endswith(b"</stream:stream>"), data
    assert not only(outputs, Authorised)


# --- the good ways ---------------------------------------------------------------------------------------------------


def test_the_first_header_names_both_domains_and_declares_dialback():
    (header,) = outgoing().start(0.0)
    assert isinstance(header, SendData)
    assert b"from='corp.example' to='partner.example' version='1.0'>" in header.data
    assert b"xmlns:db='jabber:server:dialback'" in header.data
    assert b"id=" not in header.data


def test_external_from_header_to_open():
    stream = outgoing()
    stream.start(0.0)
    assert b"<starttls " in sent(stream.receive(ANSWER + TLS_FEATURES, 0.0))
    assert stream.receive(PROCEED, 0.0) == [StartTls(server_side=False, local=LOCAL, remote=PARTNER)]
    assert stream.tls_done(TLS, 0.0) == [VerifyCertificate(PARTNER)]
    assert b"<stream:stream" in sent(stream.certificate_verified(Verdict(True), 0.0))
    auth = sent(stream.receive(ANSWER + EXTERNAL_FEATURES, 0.0))
    assert auth == b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>Y29ycC5leGFtcGxl</auth>"
    assert b"<stream:stream" in sent(stream.receive(SUCCESS, 0.0))
    assert stream.receive(ANSWER + NO_FEATURES, 0.0) == [Authorised(PAIR, Method.EXTERNAL, True)]
    assert stream.can_send


def test_dialback_over_tls_makes_the_key_for_the_second_stream():
    stream = encrypted(DIALBACK_OVER_TLS)
    key = dialback_key(SECRET, PARTNER, LOCAL, "second")
    assert sent(stream.receive(DIALBACK_FEATURES, 0.0)) == (
        f"<db:result from='corp.example' to='partner.example'>{key}</db:result>".encode()
    )
    assert not stream.can_send
    assert only(stream.receive(VALID, 0.0), Authorised) == [Authorised(PAIR, Method.DIALBACK, True)]


def test_dialback_follows_a_refused_certificate_on_the_same_stream():
    stream = encrypted(EXTERNAL_OR_DIALBACK)
    stream.receive(EXTERNAL_FEATURES, 0.0)
    outputs = stream.receive(FAILURE, 0.0)
    assert b"<db:result " in sent(outputs)
    assert [remark.code for remark in outputs if not isinstance(remark, SendData)] == ["external-refused"]
    assert only(stream.receive(VALID, 0.0), Authorised)


def test_dialback_over_tcp_with_an_old_server_without_features():
    stream = outgoing(DIALBACK_OVER_TCP)
    stream.start(0.0)
    outputs = stream.receive(ANSWER.replace(b" version='1.0'>", b">"), 0.0)
    assert b"<db:result " in sent(outputs)
    assert only(stream.receive(VALID, 0.0), Authorised) == [Authorised(PAIR, Method.DIALBACK, False)]


def test_a_stanza_is_sent_as_it_was_serialised():
    stream = opened()
    stanza = message(f"a@{LOCAL}", f"b@{PARTNER}", "hi & <bye>", identifier="1")
    assert stream.send(stanza, 0.0) == stream.send(stanza.to_bytes(), 0.0)
    assert stream.stanzas == 2


def test_a_stanza_that_is_no_xml_is_not_sent_and_harms_nobody():
    stream = opened()
    with pytest.raises(SerialisationError):
        stream.send(Element("message", children=["\x00"]), 0.0)
    assert stream.can_send


def test_the_peers_size_limit_is_learned():
    stream = encrypted()
    stream.receive(EXTERNAL_FEATURES, 0.0)
    stream.receive(SUCCESS, 0.0)
    limits = b"<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>262144</max-bytes></limits>"
    stream.receive(ANSWER + b"<stream:features>" + limits + b"</stream:features>", 0.0)
    assert stream.peer_max_bytes == 262144


@pytest.mark.parametrize("nonsense", [b"-1", b"9999", b"x", b"9" * 400, b""])
def test_nonsense_is_no_size_limit(nonsense):
    stream = encrypted(DIALBACK_OVER_TLS)
    limits = b"<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>" + nonsense + b"</max-bytes></limits>"
    stream.receive(b"<stream:features>" + limits + b"</stream:features>", 0.0)
    assert stream.peer_max_bytes is None


# --- what must not work ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [outgoing(), encrypted(), encrypted(DIALBACK_OVER_TLS)])
def test_nothing_may_be_sent_before_authorisation(stream):
    with pytest.raises(LocalProtocolError):
        stream.send(message(f"a@{LOCAL}", f"b@{PARTNER}", "x"), 0.0)


@pytest.mark.parametrize("injected", [EXTERNAL_FEATURES, b" ", b"<", DIALBACK_FEATURES])
def test_plaintext_behind_proceed_ends_the_stream(injected):
    stream = outgoing()
    stream.start(0.0)
    stream.receive(ANSWER + TLS_FEATURES, 0.0)
    outputs = stream.receive(PROCEED + injected, 0.0)
    assert not only(outputs, StartTls)
    closed_with(outputs, "policy-violation")


def test_a_proceed_that_was_not_asked_for_ends_the_stream():
    stream = outgoing()
    stream.start(0.0)
    outputs = stream.receive(ANSWER + PROCEED, 0.0)
    assert not only(outputs, StartTls)
    closed_with(outputs, "not-authorized")


def test_stripped_starttls_is_tried_all_the_same_where_tls_is_required():
    stream = outgoing(EXTERNAL_OR_DIALBACK)
    stream.start(0.0)
    outputs = stream.receive(ANSWER + DIALBACK_FEATURES, 0.0)
    assert b"<starttls " in sent(outputs)
    assert b"db:result" not in sent(outputs)


def test_an_old_server_is_left_where_tls_is_required():
    stream = outgoing(EXTERNAL_OR_DIALBACK)
    stream.start(0.0)
    closed_with(stream.receive(ANSWER.replace(b" version='1.0'>", b">"), 0.0), "not-authorized")


def test_a_refused_starttls_closes_the_connection():
    stream = outgoing()
    stream.start(0.0)
    stream.receive(ANSWER + TLS_FEATURES, 0.0)
    outputs = stream.receive(b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>", 0.0)
    (closed,) = only(outputs, Closed)
    assert closed.bounce == "remote-server-timeout"


@pytest.mark.parametrize("policy", [ONLY_EXTERNAL, EXTERNAL_OR_DIALBACK, DIALBACK_OVER_TLS])
def test_an_invalid_server_certificate_ends_the_stream_with_a_reason(policy):
    stream = outgoing(policy)
    stream.start(0.0)
    stream.receive(ANSWER + TLS_FEATURES, 0.0)
    stream.receive(PROCEED, 0.0)
    stream.tls_done(TLS, 0.0)
    outputs = stream.certificate_verified(Verdict(False, "is not valid for your domain"), 0.0)
    closed_with(outputs, "not-authorized")
    assert b"Your server&apos;s certificate is not valid" in sent(outputs) or b"Your server's" in sent(outputs)


def test_a_server_without_certificate_is_left():
    stream = outgoing()
    stream.start(0.0)
    stream.receive(ANSWER + TLS_FEATURES, 0.0)
    stream.receive(PROCEED, 0.0)
    closed_with(stream.tls_done(TLS_WITHOUT_CERTIFICATE, 0.0), "not-authorized")


def test_an_unverified_certificate_is_accepted_only_where_policy_says_so_by_name():
    stream = outgoing(PeerPolicy(False, True, False, verified_tls=False))
    stream.start(0.0)
    stream.receive(ANSWER + TLS_FEATURES, 0.0)
    stream.receive(PROCEED, 0.0)
    stream.tls_done(TLS, 0.0)
    outputs = stream.certificate_verified(Verdict(False), 0.0)
    assert [remark.code for remark in outputs if not isinstance(remark, SendData)] == ["unverified-certificate"]
    assert b"<stream:stream" in sent(outputs)


def test_a_server_that_offers_no_external_is_left_where_dialback_is_not_allowed():
    outputs = encrypted(ONLY_EXTERNAL).receive(DIALBACK_FEATURES, 0.0)
    closed_with(outputs, "not-authorized")


def test_a_refused_certificate_without_dialback_ends_the_stream():
    stream = encrypted(ONLY_EXTERNAL)
    stream.receive(EXTERNAL_FEATURES, 0.0)
    closed_with(stream.receive(FAILURE, 0.0), "not-authorized")


def test_a_server_that_hangs_up_on_our_certificate_may_be_tried_again_without():
    stream = encrypted(EXTERNAL_OR_DIALBACK)
    stream.receive(EXTERNAL_FEATURES, 0.0)
    closed = stream.receive(FAILURE + b"</stream:stream>", 0.0)[-1]
    assert closed.external_refused
    second = encrypted(EXTERNAL_OR_DIALBACK, try_external=False)
    assert b"<db:result " in sent(second.receive(EXTERNAL_FEATURES, 0.0))


@pytest.mark.parametrize("early", [SUCCESS, FAILURE])
def test_an_answer_to_an_auth_never_sent_ends_the_stream(early):
    closed_with(encrypted(DIALBACK_OVER_TLS).receive(early, 0.0), "not-authorized")


def test_success_does_not_open_the_stream_by_itself():
    stream = encrypted()
    stream.receive(EXTERNAL_FEATURES, 0.0)
    assert not only(stream.receive(SUCCESS, 0.0), Authorised)
    assert not stream.can_send


def test_bytes_behind_success_end_the_stream():
    stream = encrypted()
    stream.receive(EXTERNAL_FEATURES, 0.0)
    closed_with(stream.receive(SUCCESS + NO_FEATURES, 0.0), "policy-violation")


def test_features_twice_end_the_stream():
    stream = encrypted(DIALBACK_OVER_TLS)
    closed_with(stream.receive(DIALBACK_FEATURES + DIALBACK_FEATURES, 0.0), "unsupported-stanza-type")


@pytest.mark.parametrize(
    "forged",
    [
        VALID.replace(b"partner.", b"evil."),
        VALID.replace(b"corp.", b"other."),
        b"<db:result from='' to='' type='valid'/>",
        b"<db:result type='valid'/>",
    ],
)
def test_a_verdict_about_other_domains_authorises_nothing(forged):
    stream = encrypted(DIALBACK_OVER_TLS)
    stream.receive(DIALBACK_FEATURES, 0.0)
    (remark,) = stream.receive(forged, 0.0)
    assert remark.code == "unsolicited-dialback"
    assert not stream.can_send


def test_a_verdict_before_the_question_authorises_nothing():
    stream = encrypted(EXTERNAL_OR_DIALBACK)
    (remark,) = stream.receive(VALID, 0.0)
    assert remark.code == "unsolicited-dialback"
    assert not stream.can_send


def test_an_invalid_key_ends_the_stream_and_is_our_fault():
    stream = encrypted(DIALBACK_OVER_TLS)
    stream.receive(DIALBACK_FEATURES, 0.0)
    stream.receive(VALID.replace(b"'valid'", b"'invalid'"), 0.0)
    closed = stream.receive(b"</stream:stream>", 0.0)[-1]
    assert closed.bounce == "internal-server-error"


def test_a_dialback_error_ends_the_stream_with_its_condition_in_the_reason():
    stream = encrypted(DIALBACK_OVER_TLS)
    stream.receive(DIALBACK_FEATURES, 0.0)
    stream.receive(
        b"<db:result from='partner.example' to='corp.example' type='error'><error type='cancel'>"
        b"<remote-server-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>",
        0.0,
    )
    closed = stream.receive(b"</stream:stream>", 0.0)[-1]
    assert closed.bounce == "remote-server-timeout"
    assert "remote-server-not-found" in closed.text


def test_stanzas_of_the_other_side_end_the_stream():
    closed_with(opened().receive(MESSAGE, 0.0), "not-authorized")


def test_an_answer_from_another_domain_ends_the_stream():
    stream = outgoing()
    stream.start(0.0)
    closed_with(stream.receive(ANSWER.replace(b"partner.", b"other."), 0.0), "improper-addressing")


def test_dialback_without_stream_id_is_impossible():
    stream = outgoing(DIALBACK_OVER_TCP)
    stream.start(0.0)
    outputs = stream.receive(ANSWER.replace(b" id='abc'", b"") + DIALBACK_FEATURES, 0.0)
    closed_with(outputs, "improper-addressing")


def test_a_stream_id_of_any_length_is_not_taken():
    stream = outgoing()
    stream.start(0.0)
    closed_with(stream.receive(ANSWER.replace(b"abc", b"x" * 300), 0.0), "policy-violation")


# --- verify-only -----------------------------------------------------------------------------------------------------


def asking() -> OutgoingStream:
    stream = outgoing(EXTERNAL_OR_DIALBACK, verify_only=True)
    assert stream.verify(REQUEST, 0.0) == []
    stream.start(0.0)
    stream.receive(ANSWER + TLS_FEATURES, 0.0)
    stream.receive(PROCEED, 0.0)
    stream.tls_done(TLS, 0.0)
    stream.certificate_verified(Verdict(True), 0.0)
    return stream


def test_a_question_is_asked_without_authentication():
    stream = asking()
    outputs = stream.receive(ANSWER + EXTERNAL_FEATURES, 0.0)
    assert sent(outputs) == (
        b"<db:verify from='corp.example' to='partner.example' id='their-stream'>their-key</db:verify>"
    )


@pytest.mark.parametrize(("kind", "outcome"), [("valid", DialbackOutcome.VALID), ("invalid", DialbackOutcome.INVALID)])
def test_the_answer_is_reported_and_the_stream_closed(kind, outcome):
    stream = asking()
    stream.receive(ANSWER + DIALBACK_FEATURES, 0.0)
    answer = f"<db:verify from='partner.example' to='corp.example' id='their-stream' type='{kind}'/>".encode()
    outputs = stream.receive(answer, 0.0)
    assert only(outputs, DialbackChecked)[0].outcome is outcome
    assert sent(outputs) == b"</stream:stream>"
    assert stream.receive(b"</stream:stream>", 0.0)[-1].graceful


@pytest.mark.parametrize(
    "forged",
    [
        b"<db:verify from='partner.example' to='corp.example' id='another' type='valid'/>",
        b"<db:verify from='evil.example' to='corp.example' id='their-stream' type='valid'/>",
        b"<db:verify from='partner.example' to='evil.example' id='their-stream' type='valid'/>",
        b"<db:verify from='partner.example' to='corp.example' type='valid'/>",
        b"<db:verify from='partner.example' to='corp.example' id='their-stream'>key</db:verify>",
        b"<db:result from='partner.example' to='corp.example' type='valid'/>",
    ],
)
def test_an_answer_that_does_not_match_the_question_is_ignored(forged):
    stream = asking()
    stream.receive(ANSWER + DIALBACK_FEATURES, 0.0)
    (remark,) = stream.receive(forged, 0.0)
    assert remark.code == "unsolicited-dialback"


def test_an_answer_before_the_question_was_sent_is_ignored():
    stream = asking()
    outputs = stream.receive(
        ANSWER + b"<db:verify from='partner.example' to='corp.example' id='their-stream' type='valid'/>", 0.0
    )
    assert [remark.code for remark in outputs] == ["unsolicited-dialback"]


def test_no_answer_is_an_error_in_time():
    stream = asking()
    stream.receive(ANSWER + DIALBACK_FEATURES, 0.0)
    assert stream.next_deadline() == 30.0
    outputs = stream.handle_time(30.0)
    (checked,) = only(outputs, DialbackChecked)
    assert (checked.outcome, checked.condition) == (DialbackOutcome.ERROR, "remote-server-timeout")


def test_a_lost_connection_is_an_error_before_the_end():
    outputs = asking().connection_lost(1.0)
    assert [type(output) for output in outputs] == [DialbackChecked, Closed]


def test_an_error_of_the_authoritative_server_is_a_server_not_found():
    stream = asking()
    stream.receive(ANSWER + DIALBACK_FEATURES, 0.0)
    outputs = stream.receive(
        b"<db:verify from='partner.example' to='corp.example' id='their-stream' type='error'><error type='cancel'>"
        b"<item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:verify>",
        0.0,
    )
    (checked,) = only(outputs, DialbackChecked)
    assert (checked.outcome, checked.condition) == (DialbackOutcome.ERROR, "remote-server-not-found")
    assert "item-not-found" in checked.text


def test_questions_are_bounded():
    stream = outgoing(EXTERNAL_OR_DIALBACK, verify_only=True, limits=StreamLimits(pending_dialback=2))
    outputs = [
        output
        for number in range(3)
        for output in stream.verify(DialbackRequest(LOCAL, PARTNER, f"s{number}", "k"), 0.0)
    ]
    assert [output.condition for output in outputs] == ["resource-constraint"]


def test_a_question_to_a_partner_without_dialback_is_an_error():
    stream = outgoing(ONLY_EXTERNAL, verify_only=True)
    stream.verify(REQUEST, 0.0)
    stream.start(0.0)
    stream.receive(ANSWER + TLS_FEATURES, 0.0)
    stream.receive(PROCEED, 0.0)
    stream.tls_done(TLS, 0.0)
    stream.certificate_verified(Verdict(True), 0.0)
    outputs = stream.receive(ANSWER + EXTERNAL_FEATURES, 0.0) + stream.connection_lost(0.0)
    assert only(outputs, DialbackChecked)[0].outcome is DialbackOutcome.ERROR


# --- time and end ----------------------------------------------------------------------------------------------------


def test_a_quiet_stream_is_kept_alive_by_a_space():
    stream = opened()
    assert stream.next_deadline() == 240.0
    assert stream.handle_time(239.0) == []
    assert stream.handle_time(240.0) == [SendData(b" ")]
    assert stream.next_deadline() == 480.0


def test_a_busy_stream_needs_no_keepalive():
    stream = opened()
    stream.send(message(f"a@{LOCAL}", f"b@{PARTNER}", "x"), 200.0)
    assert stream.handle_time(240.0) == []
    assert stream.next_deadline() == 440.0


def test_a_server_that_stalls_the_negotiation_is_left():
    stream = outgoing()
    stream.start(10.0)
    assert stream.next_deadline() == 70.0
    closed_with(stream.handle_time(70.0), "connection-timeout")
    closed = stream.handle_time(75.0)[-1]
    assert closed.bounce == "remote-server-timeout"
    assert closed.origin is Origin.TIMER, "another of its servers may do better"


def test_a_stall_in_the_handshake_ends_without_a_word():
    stream = outgoing()
    stream.start(0.0)
    stream.receive(ANSWER + TLS_FEATURES, 0.0)
    stream.receive(PROCEED, 0.0)
    (closed,) = stream.handle_time(60.0)
    assert closed.condition == "connection-timeout"


def test_our_close_waits_for_the_peers():
    stream = opened()
    assert sent(stream.close(0.0)) == b"</stream:stream>"
    assert not stream.can_send
    (closed,) = stream.receive(b"</stream:stream>", 1.0)
    assert closed == Closed(Origin.LOCAL, None, "closed by us", True, "remote-server-timeout", True)


def test_closing_before_anything_was_said_is_immediate():
    stream = outgoing()
    (closed,) = stream.close(0.0)
    assert isinstance(closed, Closed)
    assert stream.phase is Phase.CLOSED


def test_the_peers_close_ends_sending():
    stream = opened()
    outputs = stream.receive(b"</stream:stream>", 0.0)
    assert sent(outputs) == b"</stream:stream>"
    with pytest.raises(LocalProtocolError):
        stream.send(message(f"a@{LOCAL}", f"b@{PARTNER}", "x"), 0.0)
