"""The address map: the rows of RFC 7247, the whole of XEP-0106, and what is refused."""

from __future__ import annotations

import pytest

from xmppgw.sip.uri import SipUri, parse_any
from xmppgw.translate.addresses import (
    ESCAPES,
    UnmappableAddressError,
    escape_local,
    jid_from_sip,
    sip_from_jid,
    unescape_local,
)
from xmppgw.xmpp.address import JID

ROWS = [
    # RFC 7247 section 6, both directions
    ("sip:f%C3%BC@sip.example", "fü@sip.example"),
    ("sip:o'malley@sip.example", "o\\27malley@sip.example"),
    ("sip:foo@sip.example;gr=bar", "foo@sip.example/bar"),
    ("sip:m&m@xmpp.example", "m\\26m@xmpp.example"),
    ("sip:tsch%C3%BCss@xmpp.example", "tschüss@xmpp.example"),
    ("sip:baz@xmpp.example;gr=qux", "baz@xmpp.example/qux"),
    # the rest of XEP-0106
    ("sip:a/b@corp.example", "a\\2fb@corp.example"),
    ("sip:a%20b@corp.example", "a\\20b@corp.example"),
    ("sip:a%22b@corp.example", "a\\22b@corp.example"),
    ("sip:a%3Ab@corp.example", "a\\3ab@corp.example"),
    ("sip:a%3Cb%3E@corp.example", "a\\3cb\\3e@corp.example"),
    ("sip:bob%40evil.example@corp.example", "bob\\40evil.example@corp.example"),
    ("sip:a%5C20b@corp.example", "a\\5c20b@corp.example"),
    ("sip:a%5Cb@corp.example", "a\\b@corp.example"),
    ("sip:%23%25%5B%5D%5E%60%7B%7C%7D@corp.example", "#%[]^`{|}@corp.example"),
    ("sip:a@xn--bcher-kva.example", "a@bücher.example"),
    ("sip:a@corp.example;gr=two%20words", "a@corp.example/two words"),
]


@pytest.mark.parametrize(("sip", "jid"), ROWS)
def test_rows_hold_in_both_directions(sip: str, jid: str) -> None:
    assert jid_from_sip(SipUri.parse(sip)) == JID.parse(jid)
    assert str(sip_from_jid(JID.parse(jid), with_resource=True)) == sip


def test_every_escape_of_xep_0106_is_there() -> None:
    assert set(ESCAPES) == set(" \"&'/:<>@\\")
    for character, escape in ESCAPES.items():
        assert escape == f"\\{ord(character):02x}"
        assert unescape_local(escape) == character
    assert escape_local("\\20\\zz") == "\\5c20\\zz"


@pytest.mark.parametrize(
    "sip", ["sip:Alice@Corp.Example:5061;transport=tls", "sips:ALICE@corp.example", "sip:%61lice@corp.example."]
)
def test_case_port_and_parameters_are_given_up(sip: str) -> None:
    assert jid_from_sip(SipUri.parse(sip)) == JID("alice", "corp.example")


@pytest.mark.parametrize(
    "sip",
    [
        "sip:corp.example",
        "sip:%20alice@corp.example",
        "sip:alice%20@corp.example",
        "sip:al%00ice@corp.example",
        "sip:al%0D%0Aice@corp.example",
        "sip:%FF@corp.example",
        "sip:stra%C3%9Fe@corp.example",  # ß folds to ss: strasse would be somebody else
        "sip:%EF%AC%81sh@corp.example",  # the ligature fi
        "sip:alice@[2001:db8::1]",
        "sip:alice@HOST_NAME.example",
        "sip:alice@corp.example;gr=%00",
        "sip:" + "a" * 1030 + "@corp.example",
        "tel:+4930123456",
    ],
)
def test_sip_addresses_that_would_not_come_back_are_refused(sip: str) -> None:
    with pytest.raises(UnmappableAddressError):
        jid_from_sip(parse_any(sip))


@pytest.mark.parametrize(
    "jid", ["corp.example", "\\20a@corp.example", "a\\20@corp.example", "\\5cfoo@corp.example", "a\\5c@corp.example"]
)
def test_jids_that_would_not_come_back_are_refused(jid: str) -> None:
    with pytest.raises(UnmappableAddressError):
        sip_from_jid(JID.parse(jid))


def test_the_resource_stays_at_home_unless_asked_for() -> None:
    assert str(sip_from_jid(JID.parse("juliet@partner1.example/balcony"))) == "sip:juliet@partner1.example"


def test_a_user_part_never_becomes_another_domain() -> None:
    """sms-over-xmpp 27: an identity that took only the localpart."""
    evil = jid_from_sip(SipUri.parse("sip:alice%40corp.example@evil.example"))
    assert (evil.domain, evil.local) == ("evil.example", "alice\\40corp.example")
    assert sip_from_jid(evil).host == "evil.example"
