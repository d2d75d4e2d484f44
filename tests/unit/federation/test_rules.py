"""Rules across fields: each is broken once here, alone."""

from __future__ import annotations

import pytest
from tests.unit.federation.documents import SMALL, changed, examine, problems
from tests.unit.federation.test_migration_rules import BROKEN as BROKEN_MIGRATION

from xmppgw.federation import CODES, Federation, Severity
from xmppgw.federation.rules import RULES

ZONES = "{subscription: 33333333-3333-3333-3333-333333333333, resource_group: rg-dns}"
PARTNER1 = "    - {domain: partner1.example, type: federated, tls: required, sasl: required, dialback: false}\n"

BROKEN = {
    "duplicate-domain": [
        (("{domain: partner2.example,", "{domain: partner1.example,"), "federation.partners[1].domain"),
        (("{domain: partner2.example,", "{domain: PARTNER1.example,"), "federation.partners[1].domain"),
        (
            (
                "{domain: partner2.example,",
                "{domain: partner2.example, additional_domains: [chat.example, partner1.example],",
            ),
            "federation.partners[1].additional_domains[1]",
        ),
        (
            ("{domain: partner2.example,", "{domain: p2.example, additional_domains: [p2.example],"),
            "federation.partners[1].additional_domains[0]",
        ),
        (
            ("    - name: corp.example\n", "    - name: corp.example\n    - name: corp.example\n"),
            "federation.sip_domains[1].name",
        ),
    ],
    "own-domain-is-partner": [
        (("{domain: partner2.example,", "{domain: corp.example,"), "federation.partners[1].domain")
    ],
    "duplicate-host": [
        (("host: fe1\n", "host: edge1\n"), "federation.pools[0].front_ends[0].host"),
        (("host: edge1\n", "host: legacy1\n"), "federation.edges[0].host"),
    ],
    "duplicate-fqdn": [
        (("fqdn: edge1.corp.example", "fqdn: legacy1.corp.example"), "federation.edges[0].fqdn"),
        (
            ("internal_fqdn: edge1-int.corp.example", "internal_fqdn: edge1.corp.example"),
            "federation.edges[0].internal_fqdn",
        ),
        (("fqdn: fe1.corp.example", "fqdn: fe-pool.corp.example"), "federation.pools[0].front_ends[0].fqdn"),
    ],
    "duplicate-address": [
        (
            ('198.51.100.11, "2001:db8:2::11"', '198.51.100.10, "2001:db8:2::11"'),
            "federation.edges[0].internal_addresses[0]",
        ),
        (('"2001:db8:3::80"', "'2001:DB8:2:0::5'"), "federation.pools[0].front_ends[0].addresses[1]"),
    ],
    "partner-unreachable": [
        (("sasl: optional, dialback: true", "sasl: not_supported, dialback: false"), "federation.partners[1]"),
        (
            ("tls: required, sasl: required, dialback: false", "tls: not_supported, dialback: false"),
            "federation.partners[0]",
        ),
    ],
    "partner-switch": [
        (
            ("sasl: optional, dialback: true", "sasl: not_supported, dialback: true, switch: before_dns"),
            "federation.partners[1].switch",
        )
    ],
    "next-hop-not-peer": [
        (("- {fqdn: pool-target.corp.example,", "- {fqdn: pool-other.corp.example,"), "federation.sip.next_hop.fqdn")
    ],
    "dns-incomplete": [
        (("    primary: 203.0.113.53\n", ""), "federation.dns"),
        (("    authoritative: [203.0.113.53, 203.0.113.54]\n", ""), "federation.dns"),
        (("    tsig: {name", "    # tsig: {name"), "federation.dns"),
        (("    resolvers: [203.0.113.55]\n", ""), "federation.dns"),
    ],
    "dns-primary": [(("primary: 203.0.113.53", "primary: 203.0.113.99"), "federation.dns.primary")],
    "dns-zone": [(("fqdn: edge1.corp.example", "fqdn: edge1.notcorp.example"), "federation.edges[0].fqdn")],
    "dns-ttl": [(("migration: 3", "migration: 16"), "federation.dns.ttl.migration")],
    "legacy-missing": [],
    "partner-settings": [
        (("sasl: required, dialback: false", "sasl: required, dialback: true"), "federation.partners[0]"),
    ],
    "partner-plain-tcp": [
        (
            ("tls: required, sasl: optional, dialback: true", "tls: optional, sasl: not_supported, dialback: true"),
            "federation.partners[1]",
        )
    ],
    "policy-closed": [(("enable_xmpp_access: true", "enable_xmpp_access: false"), "federation.access_policies")],
    "next-hop-not-target": [
        (
            ("next_hop: {fqdn: pool-target.corp.example", "next_hop: {fqdn: pool-legacy.corp.example"),
            "federation.sip.next_hop.fqdn",
        )
    ],
    "not-in-this-version": [
        (
            (
                "  edges:\n",
                "        - {host: fe2, fqdn: fe2.corp.example, addresses: [198.51.100.81]}\n  edges:\n",
            ),
            "federation.pools",
        )
    ],
    "dns-settings": [
        (
            (
                "provider: rfc2136",
                f"provider: rfc2136\n    azure: {ZONES}",
            ),
            "federation.dns.azure",
        ),
    ],
    "migration-r7": [
        (("single_edge_fqdn: false", "single_edge_fqdn: true"), "federation.legacy.single_edge_fqdn"),
        (
            (
                "single_edge_fqdn: false",
                "edge: {access_fqdn: a.corp.example, web_conferencing_fqdn: a.corp.example, av_fqdn: A.corp.example}",
            ),
            "federation.legacy.edge",
        ),
    ],
}
CASES = [(code, change, path) for code, cases in BROKEN.items() for change, path in cases]


@pytest.mark.parametrize(
    ("code", "change", "path"), CASES, ids=[f"{code}-{number}" for number, (code, _, _) in enumerate(CASES)]
)
def test_a_broken_rule(code: str, change: tuple[str, str], path: str) -> None:
    examination = examine(changed(change))
    assert [(problem.code, problem.path) for problem in examination.problems] == [(code, path)]
    problem = examination.problems[0]
    assert problem.line > 0
    assert (examination.document is None) == (problem.severity is Severity.ERROR)


def test_a_document_without_a_legacy_gateway() -> None:
    start, end = SMALL.index("  legacy:\n"), SMALL.index("  target:\n")
    assert [(problem.code, problem.path) for problem in problems(SMALL[:start] + SMALL[end:])] == [
        ("legacy-missing", "federation")
    ]


def test_azure_takes_no_setting_of_rfc2136() -> None:
    found = problems(changed(("provider: rfc2136", f"provider: azure\n    azure: {ZONES}")))
    assert [(problem.code, problem.path) for problem in found] == [
        ("dns-settings", "federation.dns.primary"),
        ("dns-settings", "federation.dns.tsig"),
    ]


def test_whatever_writes_the_records_every_change_is_read_back_somewhere() -> None:
    none = ("    authoritative: [203.0.113.53, 203.0.113.54]\n", "")
    found = problems(changed(("provider: rfc2136", "provider: manual"), none))
    assert ("dns-incomplete", "federation.dns") in [(problem.code, problem.path) for problem in found]


def test_azure_needs_to_know_where_the_zones_lie() -> None:
    found = problems(changed(("provider: rfc2136", "provider: azure")))
    assert ("dns-incomplete", "federation.dns") in [(problem.code, problem.path) for problem in found]


def test_a_guard_refuses_a_document_that_is_otherwise_usable() -> None:
    examination = examine(changed(("single_edge_fqdn: false", "single_edge_fqdn: true")))
    assert examination.refused
    assert examination.document is not None


def test_every_code_of_a_rule_is_tested_here() -> None:
    first_rule = list(CODES).index("duplicate-domain")
    assert not set(BROKEN) & set(BROKEN_MIGRATION)
    assert set(BROKEN) | set(BROKEN_MIGRATION) == set(list(CODES)[first_rule:])


@pytest.mark.parametrize("rule", RULES, ids=[rule.check.__name__ for rule in RULES])
def test_a_rule_needs_no_more_sections_than_it_names(rule: object) -> None:
    """Rules run on what is left of a broken document, so that a section which they do not name may not be there."""
    chosen = next(candidate for candidate in RULES if candidate is rule)
    whole = examine(SMALL).require().federation
    some = Federation.model_construct(None, **{name: getattr(whole, name) for name in chosen.sections})
    assert list(chosen.check(some)) == []
