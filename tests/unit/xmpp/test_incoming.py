"""Partners connect to us: what the incoming stream machine answers in each situation.

Playbooks: bytes in, outputs compared. Certificates, TLS and the authoritative server are scripted by the test.
"""

from __future__ import annotations

import gc
import tracemalloc

import pytest
from tests.unit.xmpp.playbook import (
    AUTH,
    DIALBACK_OVER_TCP,
    DIALBACK_OVER_TLS,
    EXTERNAL_OR_DIALBACK,
    HEADER,
    LOCAL,
    MESSAGE,
    ONLY_EXTERNAL,
    PARTNER,
    SECRET,
    STARTTLS,
    TLS,
    TLS_WITHOUT_CERTIFICATE,
    Verdict,
    authenticated_incoming,
    encrypted_incoming,
    incoming,
    only,
    sent,
)

from xmppgw.xmpp.address import CACHED_ADDRESSES
from xmppgw.xmpp.dialback import dialback_key
from xmppgw.xmpp.stream import (
    Authorised,
    CheckDialback,
    Closed,
    DialbackOutcome,
    DialbackRequest,
    LocalProtocolError,
    Method,
    Origin,
    Pair,
    PeerPolicy,
    Phase,
    Remarked,
    SendReply,
    StanzaReceived,
    StartTls,
    StreamLimits,
    VerifyCertificate,
)

PAIR = Pair(PARTNER, LOCAL)
RESULT = b"<db:result from='partner.example' to='corp.example'>key</db:result>"
REQUEST = DialbackRequest(LOCAL, PARTNER, "id2", "key")


def header(**attributes: str) -> bytes:
    """A stream header of the partner with other attributes; an empty value leaves one out."""
    values = {"from": PARTNER, "to": LOCAL, "version": "1.0"} | attributes
    text = "".join(f" {name}='{value}'" for name, value in values.items() if value)
    return (
        "<stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback'"
        f" xmlns:stream='http://etherx.jabber.org/streams'{text}>"
    ).encode()


def refused_with(outputs, condition: str) -> None:
    """The stream error was sent, with a header before it and the end behind it, and nothing was let through."""
    data = sent(outputs)
    assert f"<{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>".encode() in data, data
    assert data.endswith(b"</stream:stream>"), data
    assert not only(outputs, StanzaReceived)
    assert not only(outputs, Authorised)


# --- the first header ------------------------------------------------------------------------------------------------


def test_the_answer_swaps_the_domains_and_carries_an_id():
    outputs = incoming().receive(HEADER, 0.0)
    assert b" from='corp.example' to='partner.example' id='id1' version='1.0'>" in sent(outputs)
    assert b"xmlns:db='jabber:server:dialback'" in sent(outputs)


def test_nothing_but_required_tls_is_offered_in_the_clear():
    data = sent(incoming(EXTERNAL_OR_DIALBACK).receive(HEADER, 0.0))
    features = data[data.index(b"<stream:features") :]
    assert features == (
        b"<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>"
    )


def test_dialback_in_the_clear_is_offered_only_where_agreed():
    data = sent(incoming(DIALBACK_OVER_TCP).receive(HEADER, 0.0))
    assert b"<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>" in data
    assert b"starttls" not in data


@pytest.mark.parametrize(
    ("wrong", "condition"),
    [
        (header(to="elsewhere.example"), "host-unknown"),
        (header(to=""), "improper-addressing"),
        (header(to="not a domain"), "improper-addressing"),
        (header(**{"from": "a@b@c"}), "improper-addressing"),
        (header(**{"from": "stranger.example"}), "policy-violation"),
        (header(**{"from": LOCAL}), "policy-violation"),
        (header(version="one"), "unsupported-version"),
        (header(version=""), "unsupported-version"),
        (HEADER.replace(b"'jabber:server'", b"'jabber:client'"), "invalid-namespace"),
        (HEADER.replace(b"etherx", b"other"), "invalid-namespace"),
        (HEADER.replace(b"stream:stream", b"flow:stream").replace(b"xmlns:stream", b"xmlns:flow"), "bad-namespace-pre"),
        (b"<!DOCTYPE x []>" + HEADER, "restricted-xml"),
        (b"<!-- hello -->" + HEADER, "restricted-xml"),
        (b"GET / HTTP/1.1\r\n\r\n", "not-well-formed"),
        (b"<" * 1_000_000, "not-well-formed"),
        (b"<?xml version='1.0' encoding='ISO-8859-1'?>" + HEADER, "unsupported-encoding"),
    ],
)
def test_a_wrong_header_gets_a_header_an_error_and_an_end(wrong, condition):
    stream = incoming()
    outputs = stream.receive(wrong, 0.0)
    data = sent(outputs)
    assert data.startswith(b"<?xml version='1.0'?><stream:stream ")
    assert f"<{condition}".encode() in data, data
    assert data.endswith(b"</stream:stream>")
    assert stream.phase is Phase.ENDING


def test_a_peer_that_names_nobody_is_offered_tls_and_no_more():
    stream = incoming()
    assert b"<required/>" in sent(stream.receive(header(**{"from": ""}), 0.0))
    stream.receive(STARTTLS, 0.0)
    stream.tls_done(TLS, 0.0)
    outputs = stream.receive(header(**{"from": ""}), 0.0)
    assert not only(outputs, VerifyCertificate)
    assert b"mechanism" not in sent(outputs)
    assert b"features:dialback" in sent(outputs)


def test_a_higher_version_is_answered_with_ours():
    assert b"version='1.0'" in sent(incoming().receive(header(version="2.5"), 0.0))


def test_an_old_peer_gets_dialback_without_features():
    outputs = incoming(DIALBACK_OVER_TCP).receive(header(version=""), 0.0)
    assert b"features>" not in sent(outputs)
    assert b"version=" not in sent(outputs).replace(b"<?xml version=", b"")


# --- STARTTLS --------------------------------------------------------------------------------------------------------


def test_starttls_is_answered_before_the_handshake_begins():
    stream = incoming()
    stream.receive(HEADER, 0.0)
    outputs = stream.receive(STARTTLS, 0.0)
    assert sent(outputs) == b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
    assert outputs[-1] == StartTls(server_side=True, local=LOCAL, remote=PARTNER)
    assert stream.phase is Phase.TLS


@pytest.mark.parametrize("injected", [MESSAGE, b" ", b"<", b"\x16\x03\x01", RESULT])
def test_plaintext_behind_starttls_ends_the_stream(injected):
    stream = incoming()
    stream.receive(HEADER, 0.0)
    outputs = stream.receive(STARTTLS + injected, 0.0)
    assert not only(outputs, StartTls)
    assert b"<proceed" not in sent(outputs)
    refused_with(outputs, "policy-violation")


def test_starttls_twice_is_refused():
    outputs = encrypted_incoming().receive(STARTTLS, 0.0)
    refused_with(outputs, "not-authorized")


def test_compression_before_tls_is_refused():
    stream = incoming()
    stream.receive(HEADER, 0.0)
    compress = b"<compress xmlns='http://jabber.org/protocol/compress'><method>zlib</method></compress>"
    refused_with(stream.receive(compress, 0.0), "unsupported-stanza-type")


def test_the_driver_may_not_pass_plaintext_while_tls_is_being_negotiated():
    stream = incoming()
    stream.receive(HEADER + STARTTLS, 0.0)
    with pytest.raises(LocalProtocolError):
        stream.receive(b"x", 0.0)


def test_the_second_header_gets_a_new_id():
    stream = incoming()
    stream.receive(HEADER + STARTTLS, 0.0)
    stream.tls_done(TLS, 0.0)
    outputs = stream.receive(HEADER, 0.0)
    assert b"id='id2'" in sent(outputs)
    assert outputs[-1] == VerifyCertificate(PARTNER)


@pytest.mark.parametrize("changed", [header(to="other.example"), header(**{"from": "other.example"})])
def test_a_restart_with_other_domains_is_refused_after_tls(changed):
    stream = incoming(own=frozenset({LOCAL, "other.example"}))
    stream.receive(HEADER + STARTTLS, 0.0)
    stream.tls_done(TLS, 0.0)
    refused_with(stream.receive(changed, 0.0), "improper-addressing")


@pytest.mark.parametrize("changed", [header(to="other.example"), header(**{"from": "other.example"})])
def test_a_restart_with_other_domains_is_refused_after_sasl(changed):
    stream = encrypted_incoming(own=frozenset({LOCAL, "other.example"}))
    stream.receive(AUTH, 0.0)
    refused_with(stream.receive(changed, 0.0), "improper-addressing")
    assert not stream.authorised


# --- certificate and EXTERNAL ----------------------------------------------------------------------------------------


def test_external_is_offered_when_the_certificate_is_valid_for_from():
    stream = incoming()
    stream.receive(HEADER + STARTTLS, 0.0)
    stream.tls_done(TLS, 0.0)
    stream.receive(HEADER, 0.0)
    assert b"<mechanism>EXTERNAL</mechanism>" in sent(stream.certificate_verified(Verdict(True), 0.0))


def test_a_bad_certificate_is_refused_with_a_reason_where_only_external_is_allowed():
    stream = incoming()
    stream.receive(HEADER + STARTTLS, 0.0)
    stream.tls_done(TLS, 0.0)
    stream.receive(HEADER, 0.0)
    outputs = stream.certificate_verified(Verdict(False, "has expired"), 0.0)
    refused_with(outputs, "not-authorized")
    assert b"Your server's certificate has expired" in sent(outputs)


def test_no_certificate_is_refused_where_only_external_is_allowed():
    stream = incoming()
    stream.receive(HEADER + STARTTLS, 0.0)
    stream.tls_done(TLS_WITHOUT_CERTIFICATE, 0.0)
    outputs = stream.receive(HEADER, 0.0)
    refused_with(outputs, "not-authorized")
    assert b"was not presented" in sent(outputs)


def test_a_bad_certificate_leaves_dialback_where_that_is_allowed():
    stream = incoming(EXTERNAL_OR_DIALBACK)
    stream.receive(HEADER + STARTTLS, 0.0)
    stream.tls_done(TLS, 0.0)
    stream.receive(HEADER, 0.0)
    features = sent(stream.certificate_verified(Verdict(False), 0.0))
    assert b"EXTERNAL" not in features
    assert b"features:dialback" in features


@pytest.mark.parametrize("identity", ["", "=", "cGFydG5lci5leGFtcGxl"])
def test_external_with_the_streams_own_identity_succeeds(identity):
    stream = encrypted_incoming()
    auth = f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>{identity}</auth>".encode()
    assert sent(stream.receive(auth, 0.0)) == b"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
    outputs = stream.receive(HEADER, 0.0)
    assert only(outputs, Authorised) == [Authorised(PAIR, Method.EXTERNAL, True)]
    assert stream.authorised == {PAIR: Method.EXTERNAL}


@pytest.mark.parametrize(
    ("mechanism", "identity", "failure"),
    [
        ("EXTERNAL", "b3RoZXIuZXhhbXBsZQ==", "invalid-authzid"),  # other.example
        ("EXTERNAL", "cGFydG5lci5leGFtcGxl!", "incorrect-encoding"),
        ("EXTERNAL", "cGFydG5lci5leGFtcGx=", "incorrect-encoding"),
        ("EXTERNAL", "=cGFydG5lci5leGFtcGxl", "incorrect-encoding"),
        ("EXTERNAL", " cGFydG5lci5leGFtcGxl", "incorrect-encoding"),
        ("PLAIN", "AGEAYg==", "invalid-mechanism"),
        ("SCRAM-SHA-1", "", "invalid-mechanism"),
    ],
)
def test_external_with_anything_else_fails(mechanism, identity, failure):
    stream = encrypted_incoming()
    auth = f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{mechanism}'>{identity}</auth>".encode()
    outputs = stream.receive(auth, 0.0)
    assert f"<{failure}/>".encode() in sent(outputs)
    assert not stream.authorised
    assert stream.phase is Phase.NEGOTIATING


def test_external_that_was_not_offered_fails():
    stream = encrypted_incoming(EXTERNAL_OR_DIALBACK, trusted=False)
    assert b"<failure" in sent(stream.receive(AUTH, 0.0))
    assert not stream.authorised


def test_external_in_the_clear_fails():
    stream = incoming(PeerPolicy(True, True, True))
    stream.receive(HEADER, 0.0)
    assert b"<encryption-required/>" in sent(stream.receive(AUTH, 0.0))


def test_too_many_attempts_end_the_stream():
    stream = encrypted_incoming()
    wrong = AUTH.replace(b"EXTERNAL", b"PLAIN")
    for _ in range(StreamLimits().sasl_attempts):
        assert b"<failure" in sent(stream.receive(wrong, 0.0))
    refused_with(stream.receive(wrong, 0.0), "policy-violation")


def test_a_stanza_pipelined_behind_auth_ends_the_stream():
    stream = encrypted_incoming()
    outputs = stream.receive(AUTH + MESSAGE, 0.0)
    refused_with(outputs, "policy-violation")
    assert b"<success" not in sent(outputs)


def test_authenticating_again_is_refused():
    refused_with(authenticated_incoming().receive(AUTH, 0.0), "not-authorized")


def test_bytes_that_come_while_the_certificate_is_judged_are_held():
    stream = incoming()
    stream.receive(HEADER + STARTTLS, 0.0)
    stream.tls_done(TLS, 0.0)
    stream.receive(HEADER, 0.0)
    assert stream.receive(AUTH, 0.0) == []
    assert b"<success" in sent(stream.certificate_verified(Verdict(True), 0.0))


def test_what_is_held_while_the_certificate_is_judged_is_bounded():
    stream = incoming()
    stream.receive(HEADER + STARTTLS, 0.0)
    stream.tls_done(TLS, 0.0)
    stream.receive(HEADER, 0.0)
    outputs = []
    for _ in range(3):
        outputs += stream.receive(b" " * 4096, 0.0)
    assert b"policy-violation" in sent(outputs)


# --- limits before authentication ------------------------------------------------------------------------------------


def test_the_unauthenticated_budget_covers_all_restarts_together():
    limits = StreamLimits(unauthenticated_bytes=len(HEADER + STARTTLS) + len(HEADER) // 2)
    stream = incoming(limits=limits)
    stream.receive(HEADER + STARTTLS, 0.0)
    stream.tls_done(TLS, 0.0)
    refused_with(stream.receive(HEADER, 0.0), "policy-violation")


def test_eight_kilobytes_before_authentication_are_enough():
    stream = encrypted_incoming()
    refused_with(stream.receive(b"<auth>" + b"x" * 8192, 0.0), "policy-violation")


def test_thirty_two_elements_before_authentication_are_enough():
    stream = encrypted_incoming()
    refused_with(stream.receive(b"<auth>" + b"<a/>" * 32, 0.0), "policy-violation")


def test_the_budget_is_lifted_by_authentication():
    stream = authenticated_incoming()
    for _ in range(200):
        assert only(stream.receive(MESSAGE, 0.0), StanzaReceived)


def test_stanzas_after_authentication_have_limits_of_their_own():
    stream = authenticated_incoming(limits=StreamLimits(stanza_elements=10))
    outputs = stream.receive(MESSAGE.replace(b"hi", b"<a/>" * 10), 0.0)
    refused_with(outputs, "policy-violation")


# --- stanzas ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [b"message", b"presence", b"iq"])
def test_a_stanza_straight_after_the_header_is_refused(kind):
    stream = incoming(DIALBACK_OVER_TCP)
    stanza = b"<" + kind + b" from='a@partner.example' to='b@corp.example' id='1' type='get'/>"
    refused_with(stream.receive(HEADER + stanza, 0.0), "not-authorized")


def test_a_stanza_while_dialback_is_pending_is_refused():
    stream = encrypted_incoming(DIALBACK_OVER_TLS)
    stream.receive(RESULT, 0.0)
    refused_with(stream.receive(MESSAGE, 0.0), "not-authorized")


def test_a_stanza_of_the_authorised_pair_is_handed_on():
    stream = authenticated_incoming()
    (received,) = only(stream.receive(MESSAGE, 0.0), StanzaReceived)
    assert (received.pair, received.method) == (PAIR, Method.EXTERNAL)
    assert received.stanza.to_bytes() == MESSAGE
    assert stream.stanzas == 1


@pytest.mark.parametrize(
    ("sender", "recipient", "condition"),
    [
        ("a@evil.example", "b@corp.example", "invalid-from"),
        ("a@sub.partner.example", "b@corp.example", "invalid-from"),
        ("partner.example@evil.example", "b@corp.example", "invalid-from"),
        ("a@corp.example", "b@corp.example", "invalid-from"),
        ("a@partner.example", "b@elsewhere.example", "host-unknown"),
        ("a@partner.example", "b@second.example", "host-unknown"),
        ("", "b@corp.example", "improper-addressing"),
        ("a@partner.example", "", "improper-addressing"),
        ("a b@partner.example", "b@corp.example", "improper-addressing"),
    ],
)
def test_a_stanza_outside_the_authorised_pairs_ends_the_stream(sender, recipient, condition):
    stream = authenticated_incoming(own=frozenset({LOCAL, "second.example"}))
    addresses = (f" from='{sender}'" if sender else "") + (f" to='{recipient}'" if recipient else "")
    refused_with(stream.receive(f"<message{addresses}><body>x</body></message>".encode(), 0.0), condition)


def test_domains_are_compared_after_normalisation():
    stream = authenticated_incoming()
    stanza = "<message from='a@PARTNER.Example.' to='b@Corp．example'><body>x</body></message>".encode()
    assert only(stream.receive(stanza, 0.0), StanzaReceived)


def test_one_bad_recipient_does_not_end_the_federation():
    stream = authenticated_incoming()
    stanza = b"<message from='a@partner.example' to='b&quot;@corp.example' id='9'><body>x</body></message>"
    outputs = stream.receive(stanza, 0.0)
    (reply,) = only(outputs, SendReply)
    assert reply.pair == Pair(LOCAL, PARTNER)
    assert reply.element.get("from") == LOCAL
    assert reply.element.get("to") == "a@partner.example"
    assert reply.element.get("id") == "9"
    assert only(stream.receive(MESSAGE, 0.0), StanzaReceived)


def test_a_bad_recipient_from_a_foreign_sender_ends_the_stream_without_reply():
    stream = authenticated_incoming()
    outputs = stream.receive(b"<message from='a@evil.example' to='@@'><body>x</body></message>", 0.0)
    assert not only(outputs, SendReply)
    refused_with(outputs, "invalid-from")


def test_an_iq_without_id_is_answered_with_an_error_and_not_handed_on():
    stream = authenticated_incoming()
    outputs = stream.receive(b"<iq from='a@partner.example' to='corp.example' type='get'><q xmlns='urn:q'/></iq>", 0.0)
    assert only(outputs, SendReply)[0].element.get("type") == "error"
    assert not only(outputs, StanzaReceived)


def test_a_wrong_iq_result_is_dropped_in_silence():
    stream = authenticated_incoming()
    outputs = stream.receive(b"<iq from='a@partner.example' to='corp.example' type='result'><a/><b/></iq>", 0.0)
    assert not only(outputs, SendReply)
    assert not only(outputs, StanzaReceived)


def test_a_ping_of_our_domain_is_answered():
    ping = b"<iq from='a@partner.example/r' to='corp.example' id='p1' type='get'><ping xmlns='urn:xmpp:ping'/></iq>"
    (reply,) = only(authenticated_incoming().receive(ping, 0.0), SendReply)
    assert reply.element.to_bytes() == b"<iq from='corp.example' to='a@partner.example/r' type='result' id='p1'/>"


def test_a_ping_of_a_user_is_the_front_ends_business():
    ping = b"<iq from='a@partner.example/r' to='b@corp.example' id='p' type='get'><ping xmlns='urn:xmpp:ping'/></iq>"
    assert only(authenticated_incoming().receive(ping, 0.0), StanzaReceived)


def test_prefixed_stanzas_are_refused():
    stanza = b"<x:message xmlns:x='jabber:server' from='a@partner.example' to='b@corp.example'/>"
    refused_with(authenticated_incoming().receive(stanza, 0.0), "bad-namespace-prefix")


def test_stanzas_of_a_client_stream_are_refused():
    stanza = b"<message xmlns='jabber:client' from='a@partner.example' to='b@corp.example'/>"
    refused_with(authenticated_incoming().receive(stanza, 0.0), "unsupported-stanza-type")


def test_whitespace_between_stanzas_keeps_the_stream_alive():
    stream = authenticated_incoming()
    assert stream.receive(b" \n ", 0.0) == []
    assert only(stream.receive(MESSAGE, 0.0), StanzaReceived)


@pytest.mark.parametrize("namespace", ["urn:xmpp:bidi", "urn:xmpp:features:bidi"])
def test_bidi_that_was_not_offered_is_ignored(namespace):
    stream = encrypted_incoming(EXTERNAL_OR_DIALBACK)
    outputs = stream.receive(f"<bidi xmlns='{namespace}'/>".encode(), 0.0)
    assert [remark.code for remark in outputs] == ["bidi-ignored"]
    assert b"<success" in sent(stream.receive(AUTH, 0.0))


# --- dialback: receiving ---------------------------------------------------------------------------------------------


def test_a_key_is_checked_with_the_authoritative_server():
    stream = encrypted_incoming(DIALBACK_OVER_TLS)
    outputs = stream.receive(RESULT, 0.0)
    assert outputs == [CheckDialback(REQUEST)]
    outputs = stream.dialback_checked(REQUEST, DialbackOutcome.VALID, "", 1.0)
    assert sent(outputs) == b"<db:result from='corp.example' to='partner.example' type='valid'/>"
    assert only(outputs, Authorised) == [Authorised(PAIR, Method.DIALBACK, True)]
    assert only(stream.receive(MESSAGE, 1.0), StanzaReceived)[0].method is Method.DIALBACK


def test_an_invalid_key_ends_a_stream_that_has_nothing_else():
    stream = encrypted_incoming(DIALBACK_OVER_TLS)
    stream.receive(RESULT, 0.0)
    data = sent(stream.dialback_checked(REQUEST, DialbackOutcome.INVALID, "", 1.0))
    assert data == b"<db:result from='corp.example' to='partner.example' type='invalid'/></stream:stream>"
    assert not stream.authorised


def test_an_invalid_key_leaves_other_pairs_alone():
    stream = authenticated_incoming(EXTERNAL_OR_DIALBACK, own=frozenset({LOCAL, "second.example"}))
    stream.receive(RESULT.replace(b"corp.", b"second."), 0.0)
    request = DialbackRequest("second.example", PARTNER, stream.stream_id, "key")
    assert sent(stream.dialback_checked(request, DialbackOutcome.INVALID, "", 1.0)).endswith(b"type='invalid'/>")
    assert only(stream.receive(MESSAGE, 1.0), StanzaReceived)


def test_a_server_that_cannot_be_asked_is_an_error_not_the_end():
    stream = encrypted_incoming(DIALBACK_OVER_TLS)
    stream.receive(RESULT, 0.0)
    data = sent(stream.dialback_checked(REQUEST, DialbackOutcome.ERROR, "remote-server-not-found", 1.0))
    assert b"type='error'" in data
    assert b"<remote-server-not-found" in data
    assert stream.phase is Phase.NEGOTIATING


def test_a_check_that_takes_too_long_is_a_timeout_and_a_late_answer_counts_no_more():
    stream = encrypted_incoming(DIALBACK_OVER_TLS)
    stream.receive(RESULT, 0.0)
    assert stream.next_deadline() == StreamLimits().verify_seconds
    assert b"<remote-server-timeout" in sent(stream.handle_time(30.0))
    assert stream.dialback_checked(REQUEST, DialbackOutcome.VALID, "", 31.0) == []
    assert not stream.authorised


def test_an_answer_to_a_question_never_asked_authorises_nothing():
    stream = encrypted_incoming(DIALBACK_OVER_TLS)
    assert stream.dialback_checked(REQUEST, DialbackOutcome.VALID, "", 0.0) == []
    assert not stream.authorised


@pytest.mark.parametrize(
    "unsolicited",
    [
        b"<db:result from='partner.example' to='corp.example' type='valid'/>",
        b"<db:verify from='partner.example' to='corp.example' id='id2' type='valid'/>",
        b"<db:result from='partner.example' to='corp.example' type='valid'>key</db:result>",
    ],
)
def test_unsolicited_answers_are_ignored(unsolicited):
    stream = encrypted_incoming(DIALBACK_OVER_TLS)
    (remark,) = stream.receive(unsolicited, 0.0)
    assert remark.code == "unsolicited-dialback"
    assert not stream.authorised


@pytest.mark.parametrize(
    ("policy", "element", "condition"),
    [
        (ONLY_EXTERNAL, RESULT, "policy-violation"),
        (DIALBACK_OVER_TLS, RESULT.replace(b"partner.", b"stranger."), "not-authorized"),
        (DIALBACK_OVER_TLS, RESULT.replace(b"corp.", b"elsewhere."), "item-not-found"),
        (DIALBACK_OVER_TLS, RESULT.replace(b"key", b""), "not-acceptable"),
        (DIALBACK_OVER_TLS, RESULT.replace(b"key", b"k" * 257), "not-acceptable"),
    ],
)
def test_dialback_that_is_not_agreed_on_is_refused(policy, element, condition):
    stream = encrypted_incoming(policy)
    outputs = stream.receive(element, 0.0)
    assert f"<{condition} ".encode() in sent(outputs)
    assert not only(outputs, CheckDialback)


def test_dialback_in_the_clear_is_refused_where_tls_is_required():
    stream = incoming(DIALBACK_OVER_TLS)
    stream.receive(HEADER, 0.0)
    outputs = stream.receive(RESULT, 0.0)
    assert b"<policy-violation" in sent(outputs)
    assert not only(outputs, CheckDialback)


def test_a_valid_certificate_does_not_replace_the_check():
    """CVE-2021-32919: dialback without dialback."""
    stream = encrypted_incoming(EXTERNAL_OR_DIALBACK, trusted=True)
    assert only(stream.receive(RESULT, 0.0), CheckDialback)
    assert not stream.authorised


def test_a_second_key_while_the_first_is_checked_is_ignored():
    stream = encrypted_incoming(DIALBACK_OVER_TLS)
    stream.receive(RESULT, 0.0)
    outputs = stream.receive(RESULT.replace(b"key", b"another"), 0.0)
    assert [remark.code for remark in outputs] == ["repeated-dialback"]


def test_pending_checks_are_bounded():
    own = frozenset({f"d{number}.example" for number in range(40)} | {LOCAL})
    limits = StreamLimits(unauthenticated_bytes=100_000, unauthenticated_elements=1000)
    stream = encrypted_incoming(DIALBACK_OVER_TLS, own=own, limits=limits)
    outputs = []
    for number in range(40):
        outputs += stream.receive(RESULT.replace(b"corp.", b"d%d." % number), 0.0)
    assert len(only(outputs, CheckDialback)) == limits.pending_dialback
    assert b"<resource-constraint" in sent(outputs)


def test_authorised_pairs_are_bounded():
    own = frozenset({f"d{number}.example" for number in range(5)} | {LOCAL})
    stream = authenticated_incoming(EXTERNAL_OR_DIALBACK, own=own, limits=StreamLimits(pairs=3))
    for number in range(5):
        for check in only(stream.receive(RESULT.replace(b"corp.", b"d%d." % number), 0.0), CheckDialback):
            stream.dialback_checked(check.request, DialbackOutcome.VALID, "", 0.0)
    assert len(stream.authorised) == 3


def test_a_pair_that_is_authorised_already_is_confirmed_without_a_check():
    stream = authenticated_incoming(EXTERNAL_OR_DIALBACK)
    outputs = stream.receive(RESULT, 0.0)
    assert sent(outputs).endswith(b"type='valid'/>")
    assert not only(outputs, CheckDialback)


# --- dialback: authoritative -----------------------------------------------------------------------------------------


def verify(key: str, *, to: str = LOCAL, identifier: str = "D60") -> bytes:
    return f"<db:verify from='partner.example' to='{to}' id='{identifier}'>{key}</db:verify>".encode()


@pytest.mark.parametrize("make", [encrypted_incoming, authenticated_incoming])
def test_our_own_key_is_confirmed_on_any_stream(make):
    stream = make(EXTERNAL_OR_DIALBACK)
    key = dialback_key(SECRET, PARTNER, LOCAL, "D60")
    assert sent(stream.receive(verify(key), 0.0)) == (
        b"<db:verify from='corp.example' to='partner.example' id='D60' type='valid'/>"
    )
    assert stream.phase in (Phase.NEGOTIATING, Phase.OPEN)


def test_our_own_key_is_confirmed_after_a_failed_authentication():
    """ejabberd tries SASL first and asks whatever comes of it."""
    stream = encrypted_incoming(EXTERNAL_OR_DIALBACK, trusted=False)
    stream.receive(AUTH, 0.0)
    assert b"type='valid'" in sent(stream.receive(verify(dialback_key(SECRET, PARTNER, LOCAL, "D60")), 0.0))


@pytest.mark.parametrize(
    "key",
    [
        "",
        "0" * 64,
        dialback_key(SECRET, PARTNER, LOCAL, "D61"),
        dialback_key(SECRET, LOCAL, PARTNER, "D60"),
        dialback_key("another secret", PARTNER, LOCAL, "D60"),
        dialback_key(SECRET, PARTNER, LOCAL, "D60").upper(),
        "k" * 300,
        "schlüssel",
    ],
)
def test_any_other_key_is_invalid(key):
    outputs = encrypted_incoming(EXTERNAL_OR_DIALBACK).receive(verify(key), 0.0)
    assert b"type='invalid'" in sent(outputs)


def test_a_question_about_a_domain_that_is_not_ours_is_an_error():
    data = sent(encrypted_incoming(EXTERNAL_OR_DIALBACK).receive(verify("k", to="elsewhere.example"), 0.0))
    assert b"<item-not-found" in data


def test_a_question_without_id_ends_the_stream():
    outputs = encrypted_incoming(EXTERNAL_OR_DIALBACK).receive(verify("k", identifier=""), 0.0)
    refused_with(outputs, "improper-addressing")


def test_a_question_in_the_clear_is_refused_where_tls_is_required():
    stream = incoming(EXTERNAL_OR_DIALBACK)
    stream.receive(HEADER, 0.0)
    assert b"<policy-violation" in sent(stream.receive(verify("k"), 0.0))


# --- the end, and time -----------------------------------------------------------------------------------------------


def test_the_peers_close_is_answered():
    stream = authenticated_incoming()
    outputs = stream.receive(b"</stream:stream>", 0.0)
    assert sent(outputs) == b"</stream:stream>"
    (closed,) = only(outputs, Closed)
    assert (closed.origin, closed.graceful, closed.authorised) == (Origin.PEER, True, True)
    assert outputs[-1] is closed


def test_after_our_close_stanzas_on_their_way_still_count():
    stream = authenticated_incoming()
    assert sent(stream.close(0.0)) == b"</stream:stream>"
    assert only(stream.receive(MESSAGE, 0.0), StanzaReceived)
    (closed,) = stream.receive(b"</stream:stream>", 0.0)
    assert closed.graceful
    assert closed.origin is Origin.LOCAL


def test_a_peer_that_does_not_close_is_left_after_a_while():
    stream = authenticated_incoming()
    stream.close(100.0)
    assert stream.next_deadline() == 105.0
    (closed,) = stream.handle_time(105.0)
    assert not closed.graceful


def test_a_foreign_stanza_after_our_close_is_not_handed_on_and_nothing_more_is_said():
    stream = authenticated_incoming()
    stream.close(0.0)
    outputs = stream.receive(MESSAGE.replace(b"juliet@partner", b"juliet@evil"), 0.0)
    assert outputs == []
    assert stream.receive(MESSAGE, 0.0) == []


def test_after_an_error_the_peer_is_given_time_to_read_it():
    stream = authenticated_incoming()
    stream.receive(b"<x/>", 0.0)
    assert stream.phase is Phase.ENDING
    assert stream.receive(MESSAGE, 0.0) == []
    (closed,) = stream.connection_lost(1.0)
    assert closed.condition == "unsupported-stanza-type"


def test_an_error_of_the_peer_is_read():
    stream = authenticated_incoming()
    error = (
        b"<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
        b"<text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>bye</text></stream:error>"
    )
    closed = stream.receive(error, 0.0)[-1]
    assert (closed.origin, closed.condition, closed.text) == (Origin.PEER, "system-shutdown", "bye")


def test_a_lost_connection_is_not_graceful():
    (closed,) = authenticated_incoming().connection_lost(0.0, "reset")
    assert (closed.origin, closed.graceful, closed.text) == (Origin.TRANSPORT, False, "reset")


def test_whoever_does_not_authenticate_in_time_is_shown_out():
    stream = incoming()
    stream.receive(HEADER, 1.0)
    assert stream.next_deadline() == 60.0
    refused_with(stream.handle_time(60.0), "connection-timeout")


def test_whoever_only_asked_dialback_questions_is_closed_politely():
    stream = encrypted_incoming(EXTERNAL_OR_DIALBACK)
    stream.receive(verify("k"), 1.0)
    assert sent(stream.handle_time(60.0)) == b"</stream:stream>"


def test_a_silent_stream_is_closed_politely_after_hours():
    stream = authenticated_incoming()
    stream.receive(b" ", 1000.0)
    assert stream.next_deadline() == 8200.0
    assert stream.handle_time(8199.0) == []
    assert sent(stream.handle_time(8200.0)) == b"</stream:stream>"


def test_a_closed_stream_answers_nothing_and_wants_nothing():
    stream = authenticated_incoming()
    stream.connection_lost(0.0)
    assert stream.receive(MESSAGE, 0.0) == []
    assert stream.close(0.0) == []
    assert stream.handle_time(1e9) == []
    assert stream.connection_lost(0.0) == []
    assert stream.next_deadline() is None


def test_removing_a_partner_between_header_and_dialback_takes_effect():
    listed = [DIALBACK_OVER_TLS]
    stream = encrypted_incoming(DIALBACK_OVER_TLS)
    object.__setattr__(stream.settings, "policy", lambda _local, _remote: listed[0])
    listed[0] = None
    outputs = stream.receive(RESULT, 0.0)
    assert only(outputs, Remarked)
    assert not only(outputs, CheckDialback)


def test_thousands_of_strangers_leave_nothing_behind():
    """CVE-2026-43506: connections that never authenticate must cost nothing once they are gone."""

    def visit(number: int) -> None:
        stream = incoming()
        stream.receive(header(**{"from": f"stranger{number}.example"}), 0.0)
        stream.connection_lost(0.0)

    for number in range(3000):  # fills every bounded cache
        visit(number)
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(3000, 4000):
            visit(number)
        gc.collect()
        now, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The address cache has swapped its entries for ones that were traced; nothing else may remain.
    assert now < CACHED_ADDRESSES * 1000
