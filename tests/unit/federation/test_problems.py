"""Every problem of a document in one run: code, line, path, what was found, what was expected, what to do."""

from __future__ import annotations

import pytest
from tests.unit.federation.documents import NAME, SMALL, changed, examine, line_of, only, problems, with_partners

from xmppgw.federation import CODES, DocumentProblems, Severity


def test_a_problem_says_everything() -> None:
    text = changed(("sasl: required, dialback: false", "sasl: requierd, dialback: false"))
    problem = only(text)
    assert problem.as_json() == {
        "code": "wrong-value",
        "severity": "error",
        "file": NAME,
        "line": line_of(text, "requierd"),
        "path": "federation.partners[0].sasl",
        "message": "found `requierd`, expected 'required', 'optional' or 'not_supported'",
        "hint": "did you mean `required`?",
    }


@pytest.mark.parametrize(
    ("old", "new", "meant"),
    [
        ("scenario: replace", "scenarios: replace", "scenario"),
        ("  partners:\n", "  partner:\n", "partners"),
        ("  sip_domains:\n", "  sip-domains:\n", "sip_domains"),
        ("dialback: false}", "dial_back: false}", "dialback"),
        ("product: lync2013\n    gateway", "produkt: lync2013\n    gateway", "product"),
        ("global: {", "Global: {", "global"),
        ("enable_xmpp_access: true", "enable_xmmp_access: true", "enable_xmpp_access"),
        ("federation:\n", "federatoin:\n", "federation"),
        ("priority: 10", "prioritty: 10", "priority"),
        ("algorithm: hmac", "algoritm: hmac", "algorithm"),
    ],
)
def test_an_unknown_key_suggests_the_nearest_known_one(old: str, new: str, meant: str) -> None:
    found = [problem for problem in problems(changed((old, new))) if problem.code == "unknown-key"]
    assert [problem.hint for problem in found] == [f"did you mean `{meant}`?"]


def test_a_key_like_no_other_gets_no_suggestion() -> None:
    problem = only(changed(("scenario: replace", "qqqqqqqq: replace")))
    assert (problem.code, problem.hint) == ("unknown-key", CODES["unknown-key"].remedy)


@pytest.mark.parametrize(
    ("old", "new", "code", "path", "part"),
    [
        ("port: 5061", "port: '5061'", "wrong-type", "federation.sip.next_hop.port", "`5061`"),
        ("port: 5061", "port: .nan", "wrong-type", "federation.sip.next_hop.port", "`.nan`"),
        ("port: 5061", "port: .inf", "wrong-type", "federation.sip.next_hop.port", "`.inf`"),
        ("port: 5061", "port: 5061.5", "wrong-type", "federation.sip.next_hop.port", "`5061.5`"),
        ("port: 5061", "port: true", "wrong-type", "federation.sip.next_hop.port", "`true`"),
        ("port: 5061", "port: 0", "wrong-value", "federation.sip.next_hop.port", "`0`"),
        ("port: 5061", "port: -1", "wrong-value", "federation.sip.next_hop.port", "`-1`"),
        ("port: 5061", "port: 65536", "wrong-value", "federation.sip.next_hop.port", "`65536`"),
        ("port: 5061", "port: 99999999999999999999999", "wrong-value", "federation.sip.next_hop.port", "99999"),
        ("port: 5061", "port: [5061]", "wrong-type", "federation.sip.next_hop.port", "a list"),
        ("port: 5061", "port: {a: 1}", "wrong-type", "federation.sip.next_hop.port", "a mapping"),
        ("port: 5061", "port: ~", "wrong-type", "federation.sip.next_hop.port", "`~`"),
        ("version: 1", "version: 2", "wrong-value", "federation.version", "`2`"),
        ("version: 1", "version: one", "wrong-value", "federation.version", "`one`"),
        ("version: 1", "version: true", "wrong-value", "federation.version", "`true`"),
        ("dialback: false}", "dialback: 'no'}", "wrong-type", "federation.partners[0].dialback", "`no`"),
        ("dialback: false}", "dialback: 0}", "wrong-type", "federation.partners[0].dialback", "`0`"),
        ("normal: 15", "normal: -5", "wrong-value", "federation.dns.ttl.normal", "`-5`"),
        ("product: lync2013", "product: lync2099", "wrong-value", "federation.legacy.product", "`lync2099`"),
        ("zones: [corp.example]", "zones: []", "wrong-value", "federation.dns.zones", "0 items"),
        ("zones: [corp.example]", "zones: corp.example", "wrong-type", "federation.dns.zones", "a list"),
        ("zones: [corp.example]", "zones: {corp.example: 1}", "wrong-type", "federation.dns.zones", "a mapping"),
        ("secret: lab-update", "secret: 'not a name'", "wrong-value", "federation.dns.tsig.secret", "`not a name`"),
        ("dialect: simple", "dialect: sfb", "wrong-value", "federation.sip.dialect", "`sfb`"),
        ("- name: corp.example", "- corp.example", "wrong-type", "federation.sip_domains[0]", "`corp.example`"),
    ],
)
def test_wrong_types_and_values(old: str, new: str, code: str, path: str, part: str) -> None:
    text = changed((old, new))
    problem = only(text)
    assert (problem.code, problem.path) == (code, path)
    assert part in problem.message
    assert problem.line == line_of(text, new.split("\n", maxsplit=1)[0])


@pytest.mark.parametrize(
    ("written", "part"),
    [
        ("' corp.example'", "blanks"),
        ("'corp.example '", "blanks"),
        ('"corp.example\\t"', "blanks"),
        ("corp.example.", "final dot"),
        ("corp", "two labels"),
        ("''", "empty"),
        ("198.51.100.5", "IP address"),
        ("'2001:db8::5'", "IP address"),
        ("https://corp.example", "plain domain name"),
        ("corp.example:5269", "plain domain name"),
        ("user@corp.example", "plain domain name"),
        ("'*.corp.example'", "plain domain name"),
        ("corp..example", "not a domain name"),
        ("-corp.example", "not a domain name"),
        ("corp-.example", "not a domain name"),
        ("co_rp.example", "not a domain name"),
        ("'corp example.org'", "not a domain name"),
        (f"{'a' * 64}.example", "not a domain name"),
        (f"{'a.' * 130}example", "not a domain name"),
        ("xn--a.example", "not a domain name"),
        ('"corp\\u202e.example"', "not a domain name"),
    ],
)
def test_names_that_are_none(written: str, part: str) -> None:
    found = problems(changed(("{domain: partner1.example,", f"{{domain: {written},")))
    assert [problem.code for problem in found] == ["wrong-name"], [str(problem) for problem in found]
    assert found[0].path == "federation.partners[0].domain"
    assert part in found[0].message


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("PARTNER1.Example", "partner1.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
    ],
)
def test_names_are_kept_in_one_form(written: str, kept: str) -> None:
    document = examine(changed(("{domain: partner1.example,", f"{{domain: {written},"))).require()
    assert document.federation.partners[0].domain == kept


@pytest.mark.parametrize(
    ("written", "part"),
    [
        ("198.51.100.300", "IPv4 or IPv6"),
        ("198.51.100.010", "IPv4 or IPv6"),
        ("198.51.100", "IPv4 or IPv6"),
        ("198.51.100.0/24", "network"),
        ("'[2001:db8::1]'", "brackets"),
        ("'2001:db8::1%eth0'", "zone"),
        ("'2001:db8:::1'", "IPv4 or IPv6"),
        ("'::ffff:198.51.100.5'", "IPv4 address 198.51.100.5"),
        ("' 198.51.100.5'", "blanks"),
        ("0.0.0.0", "one host"),
        ("'::'", "one host"),
        ("224.0.0.1", "one host"),
        ("legacy1.corp.example", "IPv4 or IPv6"),
    ],
)
def test_addresses_that_are_none(written: str, part: str) -> None:
    problem = only(changed(("addresses: [198.51.100.5,", f"addresses: [{written},")))
    assert (problem.code, problem.path) == ("wrong-address", "federation.legacy.gateway.addresses[0]")
    assert part in problem.message


@pytest.mark.parametrize("written", ["2001:0DB8:2:0:0:0:0:5", "2001:db8:2::0005", "2001:DB8:2::5"])
def test_ipv6_addresses_are_kept_in_one_form(written: str) -> None:
    document = examine(changed(('"2001:db8:2::5"', f"'{written}'"))).require()
    assert document.federation.legacy is not None
    assert document.federation.legacy.gateway.addresses[1] == "2001:db8:2::5"


def test_an_address_that_yaml_takes_for_a_number_in_base_sixty_should_be_quoted() -> None:
    problem = only(changed(('"2001:db8:2::5"', "2001:10:2:3:4:5:6:7")))
    assert (problem.code, problem.hint) == ("wrong-type", "put it in quotes")
    assert "`2001:10:2:3:4:5:6:7`" in problem.message


def test_a_word_that_yaml_takes_for_false_should_be_quoted() -> None:
    problem = only(changed(("scenario: replace", "scenario: off")))
    assert (problem.code, problem.hint) == ("wrong-value", "put it in quotes")


@pytest.mark.parametrize(
    "section",
    ["version", "sip_domains", "target", "pools", "edges", "sip", "homing", "routes", "drain", "certificates", "dns"],
)
def test_a_missing_section_is_named(section: str) -> None:
    lines = SMALL.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"  {section}:"))
    end = next((n for n in range(start + 1, len(lines)) if not lines[n].startswith("   ")), len(lines))
    found = problems("\n".join(lines[:start] + lines[end:]))
    assert [(problem.code, problem.path) for problem in found] == [("missing-key", f"federation.{section}")]
    assert found[0].line == line_of(SMALL, "federation:")


def test_everything_wrong_with_a_document_is_reported_in_one_run() -> None:
    """One of every layer: YAML, model, rules beside a refused value, rules across sections, a guard."""
    text = changed(
        ("  scenario: replace\n", "  scenario: replace\n  scenario: replace\n"),  # YAML
        ("single_edge_fqdn: false", "single_edge_fqdn: true"),  # guard
        ("host: fe1\n", "host: FE 1\n"),  # model, in a list
        (
            "next_hop: {fqdn: pool-target.corp.example, port: 5061, platform: other}",
            "next_hop: {fqdn: other.corp.example, port: 5061, platform: other}",
        ),  # rule
        # A partner whose type is refused, and one that cannot authenticate: neither hides the other.
        (
            "type: federated, tls: required, sasl: required, dialback: false}",
            "type: fedrated, tls: required, sasl: required}",
        ),
        ("sasl: optional, dialback: true", "sasl: not_supported, dialback: false"),
        ("  homing: {provider: lab}\n", ""),  # a missing section
        ("migration: 3", "migration: 30"),  # rule
        ("zones: [corp.example]", "zones: [other.example]"),  # rule across sections
    )
    assert {(problem.code, problem.path) for problem in problems(text)} == {
        ("yaml-duplicate-key", "federation.scenario"),
        ("migration-r7", "federation.legacy.single_edge_fqdn"),
        ("wrong-name", "federation.pools[0].front_ends[0].host"),
        ("next-hop-not-peer", "federation.sip.next_hop.fqdn"),
        ("next-hop-not-target", "federation.sip.next_hop.fqdn"),
        ("wrong-value", "federation.partners[0].type"),
        ("partner-settings", "federation.partners[0]"),
        ("partner-unreachable", "federation.partners[1]"),
        ("missing-key", "federation.homing"),
        ("dns-ttl", "federation.dns.ttl.migration"),
        ("dns-zone", "federation.sip_domains[0].name"),
        ("dns-zone", "federation.edges[0].fqdn"),
    }


def test_a_partner_after_a_refused_one_keeps_its_number() -> None:
    text = changed(
        ("{domain: partner1.example,", "{domain: 'not a name',"),
        ("sasl: optional, dialback: true", "sasl: not_supported, dialback: false"),
    )
    found = {problem.path: problem for problem in problems(text)}
    assert found["federation.partners[1]"].code == "partner-unreachable"
    assert found["federation.partners[1]"].line == line_of(text, "partner2.example")


@pytest.mark.parametrize(
    "spoiled",
    [
        "tls: requierd, sasl: not_supported, dialback: false",  # what tls would be is not known
        "tsl: optional, sasl: not_supported, dialback: false",  # a mistyped key, for which the default stands in
        "tls: required, sasl: not_supported, dialback: 'no'",
    ],
)
def test_nothing_is_concluded_from_a_value_that_was_refused(spoiled: str) -> None:
    found = problems(changed(("tls: required, sasl: required, dialback: false", spoiled)))
    assert [problem.code for problem in found] in (["wrong-value"], ["unknown-key"], ["wrong-type"]), [
        str(p) for p in found
    ]


def test_problems_are_sorted_by_line() -> None:
    found = problems(SMALL.replace("example", "exa mple"))
    assert len(found) == 14
    assert [problem.line for problem in found] == sorted(problem.line for problem in found)


def test_problems_have_documented_codes_and_never_lack_a_hint() -> None:
    for problem in problems(SMALL.replace("example", "exa mple").replace("required", "requierd")):
        assert problem.code in CODES
        assert problem.hint
        assert problem.severity is Severity.ERROR


def test_require_raises_all_problems() -> None:
    with pytest.raises(DocumentProblems) as caught:
        examine(changed(("version: 1", "version: 2"), ("scenario: replace", "scenario: undo"))).require()
    assert [problem.code for problem in caught.value.problems] == ["wrong-value", "wrong-value"]
    assert "federation.version" in str(caught.value)


def test_a_document_is_frozen() -> None:
    document = examine(SMALL).require()
    with pytest.raises(ValueError, match="frozen"):
        document.federation.version = 1  # type: ignore[misc]


def test_thousands_of_problems_are_all_reported() -> None:
    found = problems(with_partners(3000, "type: federated, tls: requierd"))
    assert len([problem for problem in found if problem.code == "wrong-value"]) == 3000
