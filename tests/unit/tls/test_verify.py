"""Peers' certificates: every kind there is, judged as a server certificate."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.unit.tls.zoo import (
    CLIENT,
    DAY,
    NOW,
    SERVER,
    Authority,
    der_chain,
    dns,
    other_root,
    partner,
    root,
    srv_id,
    xmpp_addr,
)

from xmppgw.tls.identity import CertificateProblem
from xmppgw.tls.verify import (
    ChainStatus,
    IdentityStatus,
    TrustStore,
    _string,
    certificate_names,
    dns_peer,
    matches_dns_id,
    sip_names,
    sip_peer,
    verify_server,
)

DOMAIN = "partner.example"


@pytest.fixture(scope="module")
def store() -> TrustStore:
    return TrustStore([root().certificate])


@pytest.mark.parametrize(
    ("kind", "chain", "identity"),
    [
        ("server only", ChainStatus.VALID, IdentityStatus.VALID),
        ("server and client", ChainStatus.VALID, IdentityStatus.VALID),
        ("no usage", ChainStatus.VALID, IdentityStatus.VALID),
        ("SRV-ID only", ChainStatus.VALID, IdentityStatus.VALID),
        ("XmppAddr only", ChainStatus.VALID, IdentityStatus.VALID),
        ("through an intermediate", ChainStatus.VALID, IdentityStatus.VALID),
        ("client only", ChainStatus.WRONG_PURPOSE, IdentityStatus.VALID),
        ("self-signed", ChainStatus.SELF_SIGNED, IdentityStatus.VALID),
        ("expired", ChainStatus.EXPIRED, IdentityStatus.VALID),
        ("not valid yet", ChainStatus.NOT_YET_VALID, IdentityStatus.VALID),
        ("unknown issuer", ChainStatus.UNKNOWN_ISSUER, IdentityStatus.VALID),
        ("intermediate missing", ChainStatus.UNKNOWN_ISSUER, IdentityStatus.VALID),
        ("weak hash", ChainStatus.WEAK, IdentityStatus.VALID),
        ("wrong name", ChainStatus.VALID, IdentityStatus.MISMATCH),
        ("common name only", ChainStatus.VALID, IdentityStatus.MISMATCH),
        ("SRV-ID of clients", ChainStatus.VALID, IdentityStatus.MISMATCH),
        ("XmppAddr of a user", ChainStatus.VALID, IdentityStatus.MISMATCH),
        ("wildcard above", ChainStatus.VALID, IdentityStatus.MISMATCH),
    ],
)
def test_the_zoo_is_judged(store, kind, chain, identity):
    verdict = verify_server(der_chain(partner(kind)), DOMAIN, NOW, store)
    assert (verdict.chain, verdict.identity) == (chain, identity), verdict.reason
    assert verdict.trusted == (chain is ChainStatus.VALID and identity is IdentityStatus.VALID)
    assert verdict.reason


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("expired", "has expired"),
        ("self-signed", "is self-signed"),
        ("wrong name", "is not valid for your domain"),
        ("client only", "is not meant for servers"),
    ],
)
def test_the_reason_completes_a_sentence(store, kind, reason):
    assert verify_server(der_chain(partner(kind)), DOMAIN, NOW, store).reason == reason


def test_a_common_name_in_disguise_is_not_read(store):
    """CVE-2025-59154: a subject that contains the text of another subject."""
    identity = root().issue(dns("evil.example"), usages=[SERVER], common_name="CN=partner.example,OU=x")
    assert not verify_server(der_chain(identity), DOMAIN, NOW, store).trusted


@pytest.mark.parametrize(
    "name",
    ["partner.example\x00.evil.example", "partner.example.", "*", "*.", "*.*.example", "p*.example", "partner.*", ""],
)
def test_odd_names_match_nothing(store, name):
    identity = root().issue(dns(name), usages=[SERVER])
    assert not verify_server(der_chain(identity), DOMAIN, NOW, store).trusted


@pytest.mark.parametrize(
    ("presented", "wanted", "matches"),
    [
        ("im.corp.example", "im.corp.example", True),
        ("IM.Corp.Example", "im.corp.example", True),
        ("*.corp.example", "im.corp.example", True),
        ("*.corp.example", "corp.example", False),
        ("*.corp.example", "a.im.corp.example", False),
        ("i*.corp.example", "im.corp.example", False),
        ("*m.corp.example", "im.corp.example", False),
        ("im.*.example", "im.corp.example", False),
        ("*.example", "corp.example", False),
        ("*", "corp", False),
        ("xn--bcher-kva.example", "xn--bcher-kva.example", True),
    ],
)
def test_wildcards_stand_for_one_whole_left_most_label(presented, wanted, matches):
    assert matches_dns_id(presented, wanted) is matches


def test_an_international_domain_is_found_by_its_a_label(store):
    identity = root().issue(dns("xn--bcher-kva.example"), usages=[SERVER])
    assert verify_server(der_chain(identity), "bücher.example", NOW, store).trusted
    identity = root().issue([xmpp_addr("bücher.example")], usages=[SERVER])
    assert verify_server(der_chain(identity), "bücher.example", NOW, store).trusted


@pytest.mark.parametrize(
    "name",
    [
        srv_id("_xmpp-server.partner.example.evil"),
        srv_id("_xmpp-server.*"),
        srv_id("xmpp-server.partner.example"),
        x509.OtherName(x509.ObjectIdentifier("1.3.6.1.5.5.7.8.7"), b"\x0c\x1c_xmpp-server.partner.example"),
        x509.OtherName(x509.ObjectIdentifier("1.3.6.1.5.5.7.8.5"), b"\x0c\x00"),
        x509.OtherName(x509.ObjectIdentifier("1.3.6.1.5.5.7.8.5"), b"\x30\x00"),
        x509.OtherName(x509.ObjectIdentifier("1.3.6.1.5.5.7.8.5"), b"\x0c\x02\xff\xfe"),
        x509.OtherName(x509.ObjectIdentifier("1.2.3.4"), b"\x0c\x0fpartner.example"),
        x509.UniformResourceIdentifier("xmpp:partner.example"),
        x509.RFC822Name("admin@partner.example"),
    ],
)
def test_other_kinds_of_name_match_nothing(store, name):
    identity = root().issue([name], usages=[SERVER])
    assert verify_server(der_chain(identity), DOMAIN, NOW, store).identity is IdentityStatus.MISMATCH


@pytest.mark.parametrize(
    "value",
    [b"", b"\x0c", b"\x0c\x05part", b"\x0c\x82\x00", b"\x0c\x84\x00\x00\x00\x01a", b"\x0c\x80", b"\x16\x01a\x00"],
)
def test_a_damaged_string_is_no_name(value):
    assert _string(value, value[0] if value else 0x0C) == ""


def test_a_long_string_is_read():
    assert _string(b"\x0c\x81\x80" + b"x" * 128, 0x0C) == "x" * 128
    assert _string(b"\x0c\x82\x01\x00" + b"x" * 256, 0x0C) == "x" * 256


def test_no_certificate_is_a_fact_of_its_own(store):
    verdict = verify_server([], DOMAIN, NOW, store)
    assert (verdict.chain, verdict.reason) == (ChainStatus.NONE, "was not presented")


@pytest.mark.parametrize("rubbish", [b"", b"\x30\x00", b"hello", b"\x30\x82\xff\xff" * 100])
def test_rubbish_is_not_trusted(store, rubbish):
    assert verify_server([rubbish], DOMAIN, NOW, store).chain is ChainStatus.INVALID


def test_time_is_an_argument(store):
    chain = der_chain(partner("server only"))
    assert verify_server(chain, DOMAIN, NOW + 100 * DAY, store).chain is ChainStatus.EXPIRED
    assert verify_server(chain, DOMAIN, NOW, store).trusted
    assert verify_server(chain, DOMAIN, NOW - 100 * DAY, store).chain is ChainStatus.NOT_YET_VALID


def test_a_leaf_that_calls_itself_an_authority_is_none(store):
    impostor = Authority("Impostor", root())
    impostor.issuer = None
    issued = impostor.issue(dns(DOMAIN), usages=[SERVER])
    chain = [der_chain(issued)[0], der_chain(partner("server only"))[0]]
    assert not verify_server(chain, DOMAIN, NOW, store).trusted


def test_a_small_key_is_too_weak(store):
    key = rsa.generate_private_key(65537, 1024)
    identity = root().issue(dns(DOMAIN), usages=[SERVER], key=key)  # type: ignore[arg-type]
    assert verify_server(der_chain(identity), DOMAIN, NOW, store).chain is ChainStatus.WEAK


# --- pins ------------------------------------------------------------------------------------------------------------


def fingerprint(kind: str) -> str:
    return partner(kind).fingerprint


@pytest.mark.parametrize("kind", ["self-signed", "unknown issuer", "wrong name", "client only", "server only"])
def test_a_pinned_certificate_needs_neither_chain_nor_name(store, kind):
    verdict = verify_server(der_chain(partner(kind)), DOMAIN, NOW, store, pins=[fingerprint(kind)])
    assert verdict.trusted
    assert verdict.chain is ChainStatus.PINNED


def test_where_there_are_pins_the_trust_store_does_not_count(store):
    verdict = verify_server(der_chain(partner("server only")), DOMAIN, NOW, store, pins=[fingerprint("self-signed")])
    assert verdict.chain is ChainStatus.NOT_PINNED
    assert not verdict.trusted


def test_a_pin_does_not_outlive_its_certificate(store):
    pins = [fingerprint("expired")]
    assert verify_server(der_chain(partner("expired")), DOMAIN, NOW, store, pins=pins).chain is ChainStatus.EXPIRED


def test_pins_may_be_written_with_colons_and_capitals(store):
    text = fingerprint("server only").upper()
    pin = ":".join(text[place : place + 2] for place in range(0, 64, 2))
    assert verify_server(der_chain(partner("server only")), DOMAIN, NOW, store, pins=[pin]).trusted


# --- trust files -----------------------------------------------------------------------------------------------------


def test_a_trust_store_counts_every_anchor_once():
    assert TrustStore.from_pem(root().pem + other_root().pem, root().pem).size == 2


def test_one_unreadable_certificate_does_not_cost_the_others():
    broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    assert TrustStore.from_pem(broken + root().pem).size == 1


@pytest.mark.parametrize("bundle", [b"", b"hello", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_trust_file_without_certificates_is_a_problem(bundle):
    with pytest.raises(CertificateProblem):
        TrustStore.from_pem(bundle)


def test_a_missing_trust_file_is_a_problem_that_names_it(tmp_path):
    with pytest.raises(CertificateProblem, match=r"absent\.pem"):
        TrustStore.from_files(tmp_path / "absent.pem")


# --- link and SIP ----------------------------------------------------------------------------------------------------


def test_a_link_peer_is_known_by_its_literal_name():
    check = dns_peer(["FE1.corp.example", "fe2.corp.example"])
    assert check(der_chain(root().issue(dns("fe1.corp.example")))) is None
    assert check(der_chain(root().issue(dns("x.example", "fe2.corp.example")))) is None
    refusal = check(der_chain(root().issue(dns("*.corp.example"))))
    assert refusal is not None
    assert "expected fe1.corp.example, fe2.corp.example" in refusal
    assert check([]) == "was not presented"


def test_sip_uris_win_over_dns_names():
    both = [x509.UniformResourceIdentifier("sip:Corp.example"), *dns("pool.corp.example")]
    chain = der_chain(root().issue(both, usages=[SERVER, CLIENT]))
    assert sip_names(chain[0]) == ["corp.example"]
    assert sip_peer(["corp.example"])(chain) is None
    assert sip_peer(["pool.corp.example"])(chain) is not None


def test_without_sip_uris_dns_names_count_and_wildcards_do_not():
    chain = der_chain(root().issue([*dns("pool.corp.example"), x509.UniformResourceIdentifier("http://a.example")]))
    assert sip_peer(["POOL.corp.example"])(chain) is None
    wild = der_chain(root().issue(dns("*.corp.example")))
    assert sip_peer(["pool.corp.example"])(wild) is not None


@pytest.mark.parametrize("uri", ["sip:user@corp.example", "sip:corp.example;transport=tls", "sip:corp.example:5061"])
def test_sip_uris_that_are_more_than_a_domain_are_no_identity(uri):
    chain = der_chain(root().issue([x509.UniformResourceIdentifier(uri), *dns("corp.example")]))
    assert sip_names(chain[0]) == []


def test_names_are_sorted_and_lower_case():
    leaf = der_chain(root().issue(dns("B.example", "a.example", "b.example")))[0]
    assert certificate_names(leaf) == ["a.example", "b.example"]
