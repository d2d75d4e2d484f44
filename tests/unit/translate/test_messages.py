"""Messages both ways: what is carried, what is refused, what is left in silence (RFC 7572, RFC 6121)."""

from __future__ import annotations

import pytest
from tests.unit.translate.stanzas import body, parsed_request, stanza

from xmppgw.sip.connection import Identity, SipConnection
from xmppgw.translate.losses import LOSSES
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
    notice_request,
    notice_text,
    to_request,
    to_stanza,
)
from xmppgw.translate.neutral import Failure, Message, MessageKind, Notice
from xmppgw.xmpp.address import JID
from xmppgw.xmpp.element import NS_PING, NS_STANZA_ERRORS, XML_LANG, Element
from xmppgw.xmpp.errors import read_stanza_error, stanza_error
from xmppgw.xmpp.stanza import Stanza

POLICY = StanzaPolicy()
CHAT_STATES = "http://jabber.org/protocol/chatstates"
RECEIPTS = "urn:xmpp:receipts"


def delivered(one: Stanza, policy: StanzaPolicy = POLICY) -> Message:
    decision = from_stanza(one, policy)
    assert isinstance(decision, Deliver), decision
    return decision.message


def wire(message: Message) -> bytes:
    sip = SipConnection(Identity("fe1.corp.example"), new_token=lambda: "token", now=0.0)
    sip.send_request(to_request(message, call_id="c1@fe1.corp.example", from_tag="f1"), 0.0)
    return sip.data_to_send()


# ------------------------------------------------------------------------------------------------ XMPP to SIP


def test_a_chat_message_becomes_a_message_request() -> None:
    subject = Element("subject", children=["About\r\nX-Injected: yes"])
    thread = Element("thread", children=["t1"])
    one = stanza("message", body("Hallo\nWelt"), subject, thread, type="chat", lang="de")
    message = delivered(one)
    assert (message.kind, message.thread, message.subject) == (MessageKind.CHAT, "t1", "About X-Injected: yes")
    assert wire(message).decode().split("\r\n") == [
        "MESSAGE sip:alice@corp.example SIP/2.0",
        "Via: SIP/2.0/TLS fe1.corp.example;branch=z9hG4bKtoken",
        "Max-Forwards: 70",
        "From: <sip:juliet@partner1.example>;tag=f1",
        "To: <sip:alice@corp.example>",
        "Call-ID: c1@fe1.corp.example",
        "CSeq: 1 MESSAGE",
        "User-Agent: xmppgw",
        "Content-Language: de",
        "Subject: About X-Injected: yes",
        "Content-Type: text/plain;charset=utf-8",
        "Content-Length: 11",
        "",
        "Hallo",
        "Welt",
    ]


def test_a_character_reference_cannot_add_a_header() -> None:
    """XML carries CR and LF through the parser as references; they end in the body or not at all."""
    message = delivered(stanza("message", body("a\r\nVia: x\r\n\r\nMESSAGE"), id="x\r\nX: y", lang="de\r\nX: y"))
    sent = wire(message)
    head, _, rest = sent.partition(b"\r\n\r\n")
    assert b"X: y" not in head and head.count(b"Via") == 1
    assert rest == b"a\r\nVia: x\r\n\r\nMESSAGE"
    assert b"Content-Length: 20" in head


@pytest.mark.parametrize(
    ("bodies", "preferred", "lang", "expected"),
    [
        ([("Hello", "en"), ("Hallo", "de")], ("de",), "", ("Hallo", "de")),
        ([("Hello", "en"), ("Hallo", "de-AT")], ("de", "en"), "", ("Hallo", "de-AT")),
        ([("Hello", "en"), ("Hallo", "de")], ("fr",), "de", ("Hallo", "de")),
        ([("Hello", None), ("Hallo", "de")], ("fr",), "", ("Hello", None)),
        ([("Salut", "fr"), ("Hallo", "de")], ("nl",), "", ("Salut", "fr")),
        ([("", "en"), ("Hallo", "de")], ("en",), "", ("Hallo", "de")),
        ([("Hello", None)], ("de",), "en-GB", ("Hello", "en-GB")),
        ([("Hello", "not a language!")], (), "", ("Hello", None)),
    ],
)
def test_one_body_is_chosen_and_none_are_joined(
    bodies: list[tuple[str, str | None]], preferred: tuple[str, ...], lang: str, expected: tuple[str, str | None]
) -> None:
    one = stanza("message", *(body(text, language) for text, language in bodies), lang=lang)
    message = delivered(one, StanzaPolicy(preferred_languages=preferred))
    assert (message.text, message.language) == expected


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (stanza("presence"), "presence"),
        (stanza("presence", type="subscribe"), "presence"),
        (stanza("presence", type="unsubscribed"), "presence"),
        (stanza("presence", type="probe"), "presence"),
        (stanza("presence", type="error"), "presence"),
        (stanza("iq", type="result"), "iq-response"),
        (stanza("iq", type="error"), "iq-response"),
        (stanza("message", Element("composing", CHAT_STATES), type="chat"), "chat-state"),
        (stanza("message", Element("received", RECEIPTS, {"id": "x"})), "receipt"),
        (stanza("message", Element("displayed", "urn:xmpp:chat-markers:0", {"id": "x"})), "marker"),
        (stanza("message", Element("subject", children=["new subject"])), "subject"),
        (stanza("message"), "no-body"),
        (stanza("message", body(" \n ")), "no-body"),
        (stanza("message", Element("body", "urn:other", children=["not ours"])), "no-body"),
        (stanza("message", Element("received", "urn:xmpp:carbons:2"), body("forged")), "carbon"),
        (stanza("message", Element("sent", "urn:xmpp:carbons:2")), "carbon"),
    ],
)
def test_what_is_counted_and_left_in_silence(one: Stanza, reason: str) -> None:
    assert from_stanza(one, POLICY) == Ignore(reason)


@pytest.mark.parametrize(
    ("one", "condition"),
    [
        (stanza("message", body("x"), type="groupchat"), "service-unavailable"),
        (stanza("message", body("x" * 8193)), "policy-violation"),
        (stanza("message", body("ü" * 4097)), "policy-violation"),
        (stanza("message", body("\n" * 4090 + "xxxxxxxxxxxxx")), "policy-violation"),
        (stanza("message", Element("encrypted", "eu.siacs.conversations.axolotl")), "not-acceptable"),
        (stanza("message", body("x"), to="corp.example"), "service-unavailable"),
        (stanza("message", body("x"), from_="partner1.example"), "service-unavailable"),
        (stanza("message", body("x"), to="\\5cfoo@corp.example"), "service-unavailable"),
    ],
)
def test_what_is_refused_comes_back_to_its_sender(one: Stanza, condition: str) -> None:
    decision = from_stanza(one, POLICY)
    assert isinstance(decision, Refuse)
    assert decision.failure.condition == condition
    reply = error_stanza(one, decision.failure)
    assert reply is not None
    assert (reply.get("from"), reply.get("to"), reply.get("id")) == (
        one.element.get("to"),
        one.element.get("from"),
        "m1",
    )
    assert read_stanza_error(reply)[0] == condition


def test_a_text_at_the_limit_passes() -> None:
    assert len(delivered(stanza("message", body("x" * 8192))).text) == 8192


def test_an_encrypted_message_with_a_readable_body_is_carried_as_that() -> None:
    one = stanza("message", Element("encrypted", "eu.siacs.conversations.axolotl"), body("You received ..."))
    assert delivered(one).text == "You received ..."


def test_a_private_hint_is_no_carbon() -> None:
    one = stanza("message", Element("private", "urn:xmpp:carbons:2"), body("x"))
    assert delivered(one).text == "x"


def test_a_bounce_becomes_a_notice_with_the_reference() -> None:
    error = stanza_error("service-unavailable", 'Gone\r\nfishing "soon"')
    one = stanza("message", body("quoted"), error, type="error", id="s-17", from_="nobody@partner1.example")
    decision = from_stanza(one, POLICY)
    assert isinstance(decision, Bounced)
    assert decision.stanza_id == "s-17"
    notice = Notice(decision.sender, decision.recipient, decision.failure, decision.stanza_id, "c9@pool.corp.example")
    text = notice_text(notice)
    assert text.startswith("Message not delivered: the recipient cannot be reached")
    assert text.endswith("(reference s-17)")
    assert 'partner1.example: "Gone fishing "soon""' in text
    request = notice_request(notice, call_id="n@fe1", from_tag="f")
    assert ("In-Reply-To", "c9@pool.corp.example") in request.headers
    assert (str(request.uri), str(request.from_.uri)) == ("sip:alice@corp.example", "sip:nobody@partner1.example")
    assert request.body.decode() == text


@pytest.mark.parametrize("unknown", [None, "a b", "x\r\nX: y"])
def test_a_notice_for_a_message_of_the_other_gateway_has_the_reference_alone(unknown: str | None) -> None:
    notice = Notice(JID.parse("a@partner1.example/r"), JID.parse("alice@corp.example"), Failure("gone"), "", unknown)
    request = notice_request(notice, call_id="n@fe1", from_tag="f")
    assert not [name for name, _ in request.headers if name == "In-Reply-To"]
    assert request.body.endswith(b"(reference unknown)")


@pytest.mark.parametrize("sender", ["partner1.example", "\\5cfoo@partner1.example"])
def test_a_notice_can_come_from_a_domain(sender: str) -> None:
    notice = Notice(JID.parse(sender), JID.parse("alice@corp.example"), Failure("gone"), "s1")
    assert str(notice_request(notice, call_id="n@fe1", from_tag="f").from_) == "<sip:partner1.example>;tag=f"


@pytest.mark.parametrize("condition", ["service-unavailable", "no-such-condition"])
def test_an_error_without_a_known_condition_is_still_a_notice(condition: str) -> None:
    error = Element("error", children=[Element(condition, NS_STANZA_ERRORS)])
    decision = from_stanza(stanza("message", error, type="error", id=""), POLICY)
    assert isinstance(decision, Bounced)
    assert decision.stanza_id == ""
    assert decision.failure.condition in ("service-unavailable", "undefined-condition")


def test_pings_to_the_domain_are_answered_and_nothing_else_is() -> None:
    ping = Element("ping", NS_PING)
    answered = from_stanza(stanza("iq", ping, type="get", to="corp.example"), POLICY)
    assert isinstance(answered, Reply)
    assert (answered.element.get("type"), answered.element.get("to")) == ("result", "juliet@partner1.example/balcony")
    for one in (
        stanza("iq", ping, type="get"),
        stanza("iq", Element("query", "jabber:iq:roster"), type="set", to="corp.example"),
        stanza("iq", Element("vCard", "vcard-temp"), type="get"),
    ):
        refused = from_stanza(one, POLICY)
        assert isinstance(refused, Reply)
        assert read_stanza_error(refused.element)[0] == "service-unavailable"


@pytest.mark.parametrize(
    "one",
    [
        stanza("message", body("x"), type="headline"),
        stanza("message", body("x"), type="error"),
        stanza("presence"),
        stanza("iq", type="result"),
    ],
)
def test_what_is_never_answered_with_an_error(one: Stanza) -> None:
    assert error_stanza(one, Failure("service-unavailable")) is None


def test_gone_names_the_new_address() -> None:
    reply = error_stanza(stanza("message", body("x")), Failure("gone", new_address=JID.parse("new@corp.example")))
    assert reply is not None
    assert b"<gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>xmpp:new@corp.example</gone>" in reply.to_bytes()


def test_a_receipt_is_noted_where_it_was_asked_for() -> None:
    assert delivered(stanza("message", body("x"), Element("request", RECEIPTS), type="chat")).receipt_wanted
    assert not delivered(stanza("message", body("x"))).receipt_wanted
    assert not delivered(stanza("message", body("x"), Element("request", RECEIPTS), id="")).receipt_wanted


# ------------------------------------------------------------------------------------------------ SIP to XMPP


def test_a_message_request_becomes_a_message_without_a_type() -> None:
    request = parsed_request(
        instead={"From": '"Alice" <sip:Alice@corp.example;gr=desk>;tag=1'},
        extra=("Subject: Hi\tthere", "Content-Language: de-DE, en"),
        body=b"Hallo\r\nWelt \x07 \xc3\xbc",
    )
    decision = from_request(request)
    assert isinstance(decision, Deliver)
    element = to_stanza(decision.message, stanza_id="s1")
    assert element.to_string() == (
        "<message from='alice@corp.example/desk' to='juliet@partner1.example' id='s1' xml:lang='de-DE'>"
        "<subject>Hi there</subject><body>Hallo\nWelt \ufffd ü</body>"
        f"<thread>{decision.message.thread}</thread></message>"
    )
    assert decision.message.identifier == "asd88asd77a@pool.corp.example"
    assert "pool" not in (decision.message.thread or ""), "a Call-ID names hosts inside"


@pytest.mark.parametrize(
    ("status", "spoiled"),
    [
        (416, {"line": "MESSAGE sips:juliet@partner1.example SIP/2.0"}),
        (416, {"instead": {"To": "<sips:juliet@partner1.example>"}}),
        (404, {"line": "MESSAGE sip:partner1.example SIP/2.0"}),
        (404, {"line": "MESSAGE sip:%FF@partner1.example SIP/2.0"}),
        (403, {"instead": {"From": "<tel:+491234>;tag=1"}}),
        (403, {"instead": {"From": "<sip:corp.example>;tag=1"}}),
        (415, {"instead": {"Content-Type": "text/plain;charset=utf-16"}}),
        (400, {"body": b"\xff\xfe"}),
    ],
)
def test_requests_that_cannot_be_carried(status: int, spoiled: dict[str, object]) -> None:
    decision = from_request(parsed_request(**spoiled))
    assert isinstance(decision, RefuseRequest)
    assert decision.status == status


@pytest.mark.parametrize(
    ("charset", "data", "text"),
    [
        ("text/plain", "ü".encode(), "ü"),
        ("text/plain;charset=UTF-8", "ü".encode(), "ü"),
        ('text/plain; charset="iso-8859-1"', b"\xfc", "ü"),
    ],
)
def test_charsets(charset: str, data: bytes, text: str) -> None:
    decision = from_request(parsed_request(instead={"Content-Type": charset}, body=data))
    assert isinstance(decision, Deliver)
    assert decision.message.text == text


def test_an_empty_message_is_accepted_and_carried_nowhere() -> None:
    assert from_request(parsed_request(body=b"", without=("Content-Type",))) == Ignore("no-body")


def test_one_conversation_is_one_thread() -> None:
    first, second, other = (
        from_request(parsed_request(instead={"Call-ID": call_id})) for call_id in ("a@b", "a@b", "c@b")
    )
    assert isinstance(first, Deliver) and isinstance(second, Deliver) and isinstance(other, Deliver)
    assert first.message.thread == second.message.thread != other.message.thread


def test_declared_losses_are_sorted_and_unique() -> None:
    codes = [loss.code for loss in LOSSES]
    assert codes == sorted(set(codes))
    assert all(loss.what and loss.instead and loss.because for loss in LOSSES)


def test_xml_lang_survives_both_ways() -> None:
    message = delivered(stanza("message", body("x"), lang="de-CH-1996"))
    assert to_stanza(message, stanza_id="y").get(XML_LANG) == "de-CH-1996"
