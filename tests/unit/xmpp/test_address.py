"""Addresses: what is accepted, in which form, and what is refused."""

from __future__ import annotations

import pytest

from xmppgw.xmpp.address import JID, AddressError, domain_to_ascii, prepare_domain, prepare_local, prepare_resource


@pytest.mark.parametrize(
    ("text", "domain", "ascii_form"),
    [
        ("corp.example", "corp.example", "corp.example"),
        ("CORP.Example.", "corp.example", "corp.example"),
        ("localhost", "localhost", "localhost"),
        ("bücher.example", "bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.Example", "bücher.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "bücher.example", "xn--bcher-kva.example"),
        ("XN--BCHER-KVA.example", "bücher.example", "xn--bcher-kva.example"),
        ("bu\u0308cher.example", "bücher.example", "xn--bcher-kva.example"),
        ("corp\u3002example", "corp.example", "corp.example"),
        ("\uff43orp.example", "corp.example", "corp.example"),
        ("ex\u00adample.test", "example.test", "example.test"),
        ("例え.テスト", "例え.テスト", "xn--r8jz45g.xn--zckzah"),
    ],
)
def test_domains_have_one_form(text, domain, ascii_form):
    assert prepare_domain(text) == domain
    assert domain_to_ascii(domain) == ascii_form


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a..b",
        ".a",
        "a.example..",
        "-a.example",
        "a-.example",
        "a_b.example",
        "a b.example",
        "a\x00.example",
        "a\n.example",
        "[::1]",
        "[2001:db8::1]",
        "user@example",
        "example/x",
        "x" * 64 + ".example",
        ".".join(["x" * 60] * 5),
        "x" * 1024,
        "xn--a",
        "xn--zzzzzz999999",
        "faß.example",
        "xn--fa-hia.example",
        "\u0661.example",
        "\ud800.example",
        "\u202ecorp.example",
        "a\u200db.example",
        "☃.example",
    ],
)
def test_what_is_no_domain_is_refused(text):
    with pytest.raises(AddressError):
        prepare_domain(text)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("corp.example", ("", "corp.example", "")),
        ("alice@corp.example", ("alice", "corp.example", "")),
        ("Alice@CORP.example/Desk", ("alice", "corp.example", "Desk")),
        ("corp.example/r", ("", "corp.example", "r")),
        ("a@corp.example/r/s@t", ("a", "corp.example", "r/s@t")),
        ("ﬀ@corp.example", ("ff", "corp.example", "")),
        ("ΑΣ@corp.example", ("ας".replace("ς", "σ"), "corp.example", "")),
        ("o\\27malley@corp.example", ("o\\27malley", "corp.example", "")),
        ("tschüss@corp.example/ⅳ", ("tschüss", "corp.example", "iv")),
        ("a@corp.example/x y", ("a", "corp.example", "x y")),
        ("a@corp.example/📱", ("a", "corp.example", "📱")),
    ],
)
def test_addresses_are_split_and_prepared(text, parts):
    address = JID.parse(text)
    assert (address.local, address.domain, address.resource) == parts
    assert JID.parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@corp.example",
        "a@",
        "a@/r",
        "corp.example/",
        "a@corp.example/",
        "a@b@corp.example",
        "a b@corp.example",
        "a:b@corp.example",
        'a"b@corp.example',
        "a&b@corp.example",
        "a'b@corp.example",
        "a<b@corp.example",
        "a\u00a0b@corp.example",
        "a\x07@corp.example",
        "\u0627a@corp.example",
        "\u0627\u0031@corp.example",
        "😀@corp.example",
        "x" * 1024 + "@corp.example",
        "ä" * 512 + "@corp.example",
        "a@corp.example/" + "x" * 1024,
        "a@corp.example/\x07",
        "a@corp.example/\u2028",
        "\ud800@corp.example",
        "x" * 5000,
    ],
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(AddressError):
        JID.parse(text)


def test_parts_of_1023_octets_are_the_longest():
    assert prepare_local("x" * 1023) == "x" * 1023
    assert prepare_resource("ä" * 511) == "ä" * 511
    with pytest.raises(AddressError):
        prepare_resource("ä" * 512)


def test_a_localpart_cannot_become_empty_or_forbidden_by_mapping():
    for text in ("\u00ad", "\uff20", "\uff0f"):
        with pytest.raises(AddressError):
            prepare_local(text)


def test_bare_and_domain_addresses():
    full = JID.parse("a@corp.example/r")
    assert full.bare == JID("a", "corp.example")
    assert str(full.bare) == "a@corp.example"
    assert full.bare.bare is full.bare or full.bare.bare == full.bare
    assert JID.parse("corp.example").is_domain
    assert not full.is_domain
    assert str(full.bare.with_resource("x")) == "a@corp.example/x"
