"""We are the authoritative server, and the key was made by the other gateway of ours: asked about, not judged."""

from __future__ import annotations

import pytest
from tests.unit.xmpp.playbook import (
    EXTERNAL_OR_DIALBACK,
    LOCAL,
    ONLY_EXTERNAL,
    PARTNER,
    SECRET,
    encrypted_incoming,
    only,
    sent,
)

from xmppgw.xmpp.dialback import dialback_key
from xmppgw.xmpp.stream import Closed, DialbackOutcome, DialbackRequest, RelayDialback, Remarked, StreamLimits

FOREIGN = DialbackRequest(PARTNER, LOCAL, "D60", "a key of the other gateway")


def verify(key: str, identifier: str = "D60") -> bytes:
    return f"<db:verify from='partner.example' to='corp.example' id='{identifier}'>{key}</db:verify>".encode()


@pytest.mark.parametrize(
    ("outcome", "condition", "answer"),
    [
        (DialbackOutcome.VALID, "", b"type='valid'/>"),
        (DialbackOutcome.INVALID, "", b"type='invalid'/>"),
        (DialbackOutcome.ERROR, "remote-server-timeout", b"<remote-server-timeout"),
        (DialbackOutcome.ERROR, "no condition", b"<remote-connection-failed"),
    ],
)
def test_a_foreign_key_is_asked_about_and_the_answer_passed_on(
    outcome: DialbackOutcome, condition: str, answer: bytes
) -> None:
    stream = encrypted_incoming(EXTERNAL_OR_DIALBACK, relays=True)
    assert stream.receive(verify(FOREIGN.key), 0.0) == [RelayDialback(FOREIGN)]
    data = sent(stream.dialback_relayed(FOREIGN, outcome, condition, 1.0))
    assert answer in data
    assert b"from='corp.example' to='partner.example' id='D60'" in data
    assert stream.dialback_relayed(FOREIGN, outcome, condition, 1.0) == [], "answered once"


def test_our_own_key_is_judged_by_ourselves() -> None:
    stream = encrypted_incoming(EXTERNAL_OR_DIALBACK, relays=True)
    outputs = stream.receive(verify(dialback_key(SECRET, PARTNER, LOCAL, "D60")), 0.0)
    assert b"type='valid'" in sent(outputs)


@pytest.mark.parametrize("key", ["", "k" * 257], ids=["empty", "longer than any key"])
def test_what_can_be_nobodys_key_is_invalid_at_once(key: str) -> None:
    outputs = encrypted_incoming(EXTERNAL_OR_DIALBACK, relays=True).receive(verify(key), 0.0)
    assert b"type='invalid'" in sent(outputs)


def test_nothing_is_asked_for_a_partner_that_may_not_use_dialback() -> None:
    outputs = encrypted_incoming(ONLY_EXTERNAL, relays=True).receive(verify("k"), 0.0)
    assert not only(outputs, RelayDialback)
    assert b"<policy-violation" in sent(outputs)


def test_the_same_question_again_is_not_passed_on_again() -> None:
    stream = encrypted_incoming(EXTERNAL_OR_DIALBACK, relays=True)
    stream.receive(verify("k"), 0.0)
    [remark] = stream.receive(verify("k"), 0.0)
    assert isinstance(remark, Remarked)
    assert remark.code == "repeated-dialback"


def test_questions_under_way_are_bounded_per_stream() -> None:
    limits = StreamLimits(pending_dialback=2)
    stream = encrypted_incoming(EXTERNAL_OR_DIALBACK, relays=True, limits=limits)
    for number in range(2):
        assert only(stream.receive(verify("k", f"D{number}"), 0.0), RelayDialback)
    assert b"<resource-constraint" in sent(stream.receive(verify("k", "D2"), 0.0))


def test_an_answer_that_does_not_come_is_an_error_in_the_end() -> None:
    stream = encrypted_incoming(EXTERNAL_OR_DIALBACK, relays=True)
    stream.receive(verify(FOREIGN.key), 5.0)
    assert stream.next_deadline() == 5.0 + StreamLimits().verify_seconds
    assert b"<remote-server-timeout" in sent(stream.handle_time(5.0 + StreamLimits().verify_seconds))
    assert stream.dialback_relayed(FOREIGN, DialbackOutcome.VALID, "", 50.0) == []


def test_an_answer_that_comes_after_the_end_says_nothing() -> None:
    stream = encrypted_incoming(EXTERNAL_OR_DIALBACK, relays=True)
    stream.receive(verify(FOREIGN.key), 0.0)
    stream.close(0.0)
    assert stream.dialback_relayed(FOREIGN, DialbackOutcome.VALID, "", 1.0) == []
    assert only(stream.receive(b"</stream:stream>", 1.0), Closed)
