"""SIP URIs: what is read, what is refused, what is equal (RFC 3261 section 19.1)."""

from __future__ import annotations

import pytest

from xmppgw.sip.uri import OtherUri, SipUri, UnknownSchemeError, UriError, escape_user, parse_any


@pytest.mark.parametrize(
    ("text", "user", "host", "port"),
    [
        ("sip:alice@corp.example", "alice", "corp.example", None),
        ("SIP:alice@corp.example:5061", "alice", "corp.example", 5061),
        ("sips:alice:secret@corp.example", "alice", "corp.example", None),
        ("sip:corp.example", None, "corp.example", None),
        ("sip:alice@[2001:db8::1]:5061;transport=tls", "alice", "[2001:db8::1]", 5061),
        ("sip:o'malley@corp.example", "o'malley", "corp.example", None),
        ("sip:user;par=u%40example.net@example.com", "user;par=u%40example.net", "example.com", None),
        ("sip:null-%00-null@example.com", "null-%00-null", "example.com", None),
        ("sip:f%C3%BC@corp.example;gr=x%20y;lr?Subject=hi&Priority=urgent", "f%C3%BC", "corp.example", None),
        ("sip:a@HOST_WITH_UNDERSCORE.corp.example", "a", "HOST_WITH_UNDERSCORE.corp.example", None),
    ],
)
def test_sound_uri_is_read_and_written_unchanged(text: str, user: str | None, host: str, port: int | None) -> None:
    uri = SipUri.parse(text)
    assert (uri.user, uri.host, uri.port) == (user, host, port)
    assert str(uri).lower() == text.lower()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "alice@corp.example",
        "sip:",
        "sip:@corp.example",
        "sip:alice@",
        "sip:alice@corp.example:0",
        "sip:alice@corp.example:65536",
        "sip:alice@corp.example:",
        "sip:al ice@corp.example",
        "sip:alice@corp.example; lr",
        "sip:alice@corp.example;;lr",
        "sip:alice@corp.example;lr;lr",
        "sip:alice@corp.example?",
        "sip:alice@corp.example?x",
        "sip:alice@b@corp.example",
        "sip:al%ice@corp.example",
        "sip:al%4@corp.example",
        "sip:alice@-corp.example",
        "sip:alice@corp..example",
        "sip:alice@[::1",
        "sip:fü@corp.example",
        "sip:alice@c\u00f6rp.example",
        "sip:a\r\nb@corp.example",
        "sip:a\x00b@corp.example",
        "sip:" + "a" * 3000 + "@corp.example",
    ],
)
def test_what_the_grammar_does_not_allow_is_refused(text: str) -> None:
    with pytest.raises(UriError):
        SipUri.parse(text)


def test_other_schemes_are_told_apart_from_nonsense() -> None:
    with pytest.raises(UnknownSchemeError) as caught:
        SipUri.parse("nobodyKnowsThisScheme:totallyopaquecontent")
    assert caught.value.scheme == "nobodyknowsthisscheme"
    assert parse_any("tel:+358-555-1234567") == OtherUri("tel", "tel:+358-555-1234567")
    with pytest.raises(UriError):
        parse_any("tel:<5>")


def test_escapes_are_undone_once() -> None:
    assert SipUri.parse("sip:sips%3Auser%40example.com@example.net").user_text == "sips:user@example.com"
    assert SipUri.parse("sip:%2541@example.net").user_text == "%41"
    with pytest.raises(UriError):
        _ = SipUri.parse("sip:%ff%fe@example.net").user_text
    with pytest.raises(UriError):
        _ = SipUri.parse("sip:example.net").user_text
    with pytest.raises(UriError):
        escape_user("\ud800")


EQUAL = [
    ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
    ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5"),
    ("sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com", None),
    (
        "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
        "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
    ),
]
DIFFERENT = [
    ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
    ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=tcp"),
    ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
    ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
    ("sip:bob@biloxi.com", "sips:bob@biloxi.com"),
    ("sip:a%3Bb@biloxi.com", "sip:a;b@biloxi.com"),
]


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_equivalent_uris_of_rfc_3261(one: str, other: str | None) -> None:
    assert SipUri.parse(one).equivalent(SipUri.parse(other or one))
    assert SipUri.parse(other or one).equivalent(SipUri.parse(one))


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_uris_of_rfc_3261(one: str, other: str) -> None:
    assert not SipUri.parse(one).equivalent(SipUri.parse(other))
    assert not SipUri.parse(other).equivalent(SipUri.parse(one))
