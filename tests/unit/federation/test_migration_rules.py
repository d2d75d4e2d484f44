"""Rules about the migration: each is broken here alone, and what only just holds is not refused."""

from __future__ import annotations

import pytest
from tests.unit.federation.documents import changed, examine, problems

from xmppgw.federation import Severity
from xmppgw.federation.model import Product, Serves

Change = tuple[str, str]
PIN = "0" * 64


def before(section: str, text: str) -> Change:
    """Lines put before a section of the root."""
    return f"  {section}:", f"  {text}\n  {section}:"


def window(start: str, end: str) -> Change:
    return before("legacy", f"maintenance_window: {{start: '{start}', end: '{end}'}}")


def users(text: str) -> Change:
    return before("access_policies", f"users: {text}")


def policies(text: str) -> Change:
    return "    global:", f"    {text}\n    global:"


def pilot(text: str) -> Change:
    return before("legacy", f"pilot: {text}")


EXPORT = users("{export: users.table}")
PARTNER = "{domain: partner1.example, type: federated, tls: required, sasl: required, dialback: false}"
GOOGLE_TALK = "{domain: gmail.com, tls: not_supported, sasl: not_supported, keep_alive: false, preset: google_talk}"
TO_2019 = ("product: lync2013\n    pool", "product: sfb2019\n    pool")
NOT_THE_LAB = (
    ("homing: {provider: lab}", "homing: {provider: manual}"),
    ("routes: {provider: lab}", "routes: {provider: manual}"),
    ("drain: {provider: lab}", "drain: {provider: wait}"),
)
PUBLIC = "public: {issuer: private_ca, authority: public}"
INTERNAL = "internal: {issuer: private_ca, authority: private}"
VAULT_KEY = "https://kv.example/keys/private-ca"
ACME = "public: {issuer: acme, directory: 'https://ca.example/directory'}"
MANUAL_DNS = ("provider: rfc2136", "provider: manual")
OWNED_BY_LEGACY = "    - name: corp.example\n    - {name: sub.corp.example, owner: legacy}\n"

BROKEN: dict[str, list[tuple[tuple[Change, ...], str]]] = {
    "domain-owner": [
        ((("scenario: replace", "scenario: coexist"),), "federation.sip_domains"),
        (
            (("scenario: replace", "scenario: coexist"), ("name: corp.example", "{name: corp.example, owner: legacy}")),
            "federation.sip_domains",
        ),
        ((("    - name: corp.example\n", OWNED_BY_LEGACY),), "federation.sip_domains[1].owner"),
    ],
    "maintenance-window": [
        ((window(start, end),), "federation.maintenance_window.end")
        for start, end in (
            ("2026-12-05T22:00:00+01:00", "2026-12-05T21:00:00+00:00"),
            ("2026-12-05T22:00:00+01:00", "2026-12-05T22:00:00+01:00"),
            ("2026-12-05T22:00:00-01:00", "2026-12-05T22:59:00Z"),
        )
    ],
    "foreign-user": [
        (
            (users("{exceptions: [{user: eve@partner1.example, reason: cloud}]}"),),
            "federation.users.exceptions[0].user",
        ),
        ((users("{waves: {pilot: [alice@corp.example, eve@other.example]}}"),), "federation.users.waves.pilot[1]"),
        ((pilot("{users: [alice@sub.corp.example]}"),), "federation.pilot.users[0]"),
    ],
    "duplicate-user": [
        (
            (users("{exceptions: [{user: a@corp.example, reason: cloud}, {user: A@Corp.example, reason: disabled}]}"),),
            "federation.users.exceptions[1].user",
        ),
        ((users("{waves: {pilot: [a@corp.example, a@corp.example]}}"),), "federation.users.waves.pilot[1]"),
    ],
    "interruption": [
        ((users("{exceptions: [{user: a@corp.example, reason: interruption}]}"),), "federation.users.exceptions[0]"),
        (
            (users("{exceptions: [{user: a@corp.example, reason: interruption, by: Ann}]}"),),
            "federation.users.exceptions[0]",
        ),
    ],
    "pilot-unknown": [
        ((pilot("{sip_domain: pilot.example}"),), "federation.pilot.sip_domain"),
        ((pilot("{partner: partner3.example}"),), "federation.pilot.partner"),
    ],
    "duplicate-policy": [
        (
            (policies("sites: [{name: Redmond}, {name: REDMOND}]"), EXPORT),
            "federation.access_policies.sites[1].name",
        ),
        (
            (policies("users: [{name: FedPic}, {name: A}, {name: FedPic}]"), EXPORT),
            "federation.access_policies.users[2].name",
        ),
    ],
    "policy-users": [
        ((policies("sites: [{name: Redmond}]"),), "federation.access_policies.sites"),
        ((policies("users: [{name: FedPic}]"), users("{waves: {size: 10}}")), "federation.access_policies.users"),
    ],
    "preset": [
        (
            (
                (
                    PARTNER,
                    PARTNER[:-1].replace("dialback: false", "preset: google_talk, keep_alive: false, dialback: false")
                    + "}",
                ),
            ),
            "federation.partners[0].preset",
        ),
    ],
    "partner-pins": [
        (
            ((PARTNER, f"{{domain: p.example, tls: optional, sasl: not_supported, pins: ['{PIN}']}}"),),
            "federation.partners[0].pins",
        ),
        (
            ((PARTNER, "{domain: p.example, tls: optional, sasl: not_supported, authority: theirs}"),),
            "federation.partners[0].authority",
        ),
        (((PARTNER, PARTNER[:-1] + f", authority: theirs, pins: ['{PIN}']}}"),), "federation.partners[0].pins"),
    ],
    "issuer-incomplete": [
        (((PUBLIC, "public: {issuer: acme}"),), "federation.certificates.public"),
        (((PUBLIC, "public: {issuer: import}"),), "federation.certificates.public"),
        (((PUBLIC, "public: {issuer: private_ca}"),), "federation.certificates.public"),
        (((INTERNAL, "internal: {issuer: key_vault, authority: private}"),), "federation.certificates.internal"),
    ],
    "issuer-settings": [
        (
            ((INTERNAL, f"internal: {{issuer: private_ca, authority: private, key: '{VAULT_KEY}'}}"),),
            "federation.certificates.internal.key",
        ),
        (
            ((PUBLIC, "public: {issuer: import, authority: public, email: ca@corp.example}"),),
            "federation.certificates.public.email",
        ),
    ],
    "issuer-dns": [(((PUBLIC, ACME), MANUAL_DNS), "federation.certificates.public.issuer")],
    "drain-quiet-minute": [((("drain: {provider: lab}", "drain: {provider: powershell}"),), "federation.drain")],
    "preset-obsolete": [(((PARTNER, GOOGLE_TALK),), "federation.partners[0].preset")],
    "text-only": [((("platform: other", "platform: microsoft"),), "federation.sip.next_hop")],
    "moved-users-unserved": [((TO_2019,), "federation.legacy.gateway")],
    "migration-r7-unknown": [((("    single_edge_fqdn: false\n", ""),), "federation.legacy")],
    "federation-forbidden": [
        (
            (("single_edge_fqdn: false", "single_edge_fqdn: false\n    allow_federated_users: false"),),
            "federation.legacy.allow_federated_users",
        )
    ],
    "public-private-ca": [
        (NOT_THE_LAB, "federation.certificates.public.issuer"),
        (
            (*NOT_THE_LAB, (PARTNER, PARTNER[:-1] + ", pins_our_certificate: true}")),
            "federation.certificates.public.issuer",
        ),
    ],
}
CASES = [(code, changes, path) for code, cases in BROKEN.items() for changes, path in cases]
# Where the rule under test cannot be broken without a second finding of another kind.
ALSO = {"preset": {"preset"}, "preset-obsolete": {"partner-plain-tcp"}, "partner-pins": {"partner-plain-tcp"}}


@pytest.mark.parametrize(
    ("code", "changes", "path"), CASES, ids=[f"{code}-{number}" for number, (code, _, _) in enumerate(CASES)]
)
def test_a_broken_rule(code: str, changes: tuple[Change, ...], path: str) -> None:
    examination = examine(changed(*changes))
    found = [
        (problem.code, problem.path)
        for problem in examination.problems
        if problem.code not in ALSO.get(code, ()) or problem.code == code
    ]
    assert set(found) == {(code, path)}, [str(problem) for problem in examination.problems]
    problem = next(problem for problem in examination.problems if problem.code == code)
    assert problem.line > 0
    assert problem.message.startswith(("found ", "from "))
    assert (examination.document is None) == (problem.severity is Severity.ERROR)


COEXIST = (("scenario: replace", "scenario: coexist"), ("    - name: corp.example\n", OWNED_BY_LEGACY))
FINE: dict[str, tuple[Change, ...]] = {
    "coexist with one domain each": COEXIST,
    "a window of one second across an offset": (window("2026-12-05T22:00:00+01:00", "2026-12-05T21:00:01Z"),),
    "an exception of a legacy-owned domain": (
        *COEXIST,
        users("{exceptions: [{user: a@sub.corp.example, reason: survivable_branch}]}"),
    ),
    "one user in two lists": (
        users("{waves: {pilot: [a@corp.example]}, exceptions: [{user: a@corp.example, reason: cloud}]}"),
    ),
    "a pilot partner by an additional domain": (
        ("{domain: partner2.example,", "{domain: partner2.example, additional_domains: [chat.partner2.example],"),
        pilot("{sip_domain: corp.example, partner: chat.partner2.example}"),
    ),
    "one policy name in two scopes": (policies("sites: [{name: Redmond}]\n    users: [{name: redmond}]"), EXPORT),
    "a partner with its own authority": (("dialback: false}", "dialback: false, authority: theirs}"),),
    "acme with a DNS provider that writes": ((PUBLIC, ACME),),
    "import outside the lab": (*NOT_THE_LAB, (PUBLIC, "public: {issuer: import, authority: sectigo}")),
    "a private CA that every partner pins": (
        *NOT_THE_LAB,
        ("dialback: false}", "dialback: false, pins_our_certificate: true}"),
        ("dialback: true}", "dialback: true, pins_our_certificate: true}"),
    ),
    "a pinned partner that requires TLS": (("dialback: false}", f"dialback: false, pins: ['{PIN}']}}"),),
    "a drain by powershell in its minute": (
        ("drain: {provider: lab}", "drain: {provider: powershell, quiet_minute: '02:00'}"),
    ),
    "to 2019 with a pilot": (TO_2019, pilot("{users: [alice@corp.example]}")),
    "to 2019 with an accepted interruption": (
        TO_2019,
        users("{exceptions: [{user: a@corp.example, reason: interruption, by: Ann, minutes: 90}]}"),
    ),
    "to 2019 where the legacy gateway serves both": (
        TO_2019,
        ("fqdn: legacy1.corp.example", "serves: both\n      fqdn: legacy1.corp.example"),
    ),
    "an edge with two of three names the same": (
        (
            "single_edge_fqdn: false",
            "edge: {access_fqdn: sip.corp.example, web_conferencing_fqdn: sip.corp.example, av_fqdn: av.corp.example}",
        ),
    ),
    "federated users allowed": (
        ("single_edge_fqdn: false", "single_edge_fqdn: false\n    allow_federated_users: true"),
    ),
    "an edge that is gone": (("single_edge_fqdn: false", "decommissioned: true"),),
    "records by hand": (MANUAL_DNS,),
}


@pytest.mark.parametrize("name", FINE)
def test_what_only_just_holds(name: str) -> None:
    assert [str(problem) for problem in problems(changed(*FINE[name]))] == []


@pytest.mark.parametrize(
    ("legacy", "target", "served"),
    [
        (Product.OCS2007R2, Product.LYNC2013, Serves.BOTH),
        (Product.LYNC2010, Product.LYNC2013, Serves.BOTH),
        (Product.SFB2015, Product.SFB2015, Serves.BOTH),
        (Product.LYNC2013, Product.SFB2015, Serves.LEGACY_POOL),
        (Product.LYNC2013, Product.SFB2019, Serves.LEGACY_POOL),
        (Product.SFB2015, Product.SFBSE, Serves.LEGACY_POOL),
        (Product.OCS2007R2, Product.SFB2019, Serves.LEGACY_POOL),
    ],
)
def test_whom_the_legacy_gateway_serves_follows_the_products(legacy: Product, target: Product, served: Serves) -> None:
    text = changed(
        ("product: lync2013\n    gateway", f"product: {legacy}\n    gateway"),
        ("product: lync2013\n    pool", f"product: {target}\n    pool"),
    )
    assert examine(text).require().federation.legacy_serves is served


def test_the_groups_of_partners_in_their_order() -> None:
    text = changed(
        ("{domain: partner1.example,", "{domain: partner1.example, group: banks,"),
        ("{domain: partner2.example,", "{domain: partner2.example, group: canary,"),
    )
    assert examine(text).require().federation.partner_groups == ("canary", "banks")


def test_in_coexistence_our_gateway_owns_only_its_domains() -> None:
    federation = examine(changed(*COEXIST)).require().federation
    assert (federation.own_domains, federation.legacy_domains) == (("corp.example",), ("sub.corp.example",))


@pytest.mark.parametrize(
    ("written", "part"),
    [
        ("' alice@corp.example'", "blanks around"),
        ("'alice@corp.example '", "blanks around"),
        ("'alice @corp.example'", "blanks in"),
        ("'sip:alice@corp.example'", "without `sip:`"),
        ("alice", "user@domain"),
        ("'@corp.example'", "user@domain"),
        ("'a@b@corp.example'", "characters"),
        ("'al\"ice@corp.example'", "characters"),
        ("alice@corp", "two labels"),
        (f"{'a' * 257}@corp.example", "characters"),
    ],
)
def test_users_that_are_none(written: str, part: str) -> None:
    found = problems(changed(pilot(f"{{users: [{written}]}}")))
    assert [(problem.code, problem.path) for problem in found] == [("wrong-user", "federation.pilot.users[0]")]
    assert part in found[0].message


@pytest.mark.parametrize(
    ("written", "code", "part"),
    [
        ("'2026-12-05T22:00:00'", "wrong-time", "offset from UTC"),
        ("'2026-12-05'", "wrong-time", "offset from UTC"),
        ("'tomorrow'", "wrong-time", "'tomorrow'"),
        ("'2026-13-05T22:00:00Z'", "wrong-time", "expected a moment"),
        ("'1796500000'", "wrong-time", "expected a moment"),
        ("1796500000", "wrong-type", "a text"),
        ("2026-12-05T22:00:00+01:00", "yaml-tag", "quotes"),
    ],
)
def test_moments_that_are_none(written: str, code: str, part: str) -> None:
    text = changed(before("legacy", f"maintenance_window: {{start: {written}, end: '2026-12-06T00:00:00Z'}}"))
    found = problems(text)
    assert [(problem.code, problem.path) for problem in found] == [(code, "federation.maintenance_window.start")]
    assert part in found[0].message + found[0].hint


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (before("legacy", "contact: {name: ' Ann', email: ann@corp.example}"), "federation.contact.name"),
        (before("legacy", "contact: {name: Ann, email: ann}"), "federation.contact.email"),
        (("holds: []", "holds: [7]"), "federation.holds[0]"),
        (users("{waves: {size: 0}}"), "federation.users.waves.size"),
        (users("{waves: {pause_seconds: -1}}"), "federation.users.waves.pause_seconds"),
        (users("{export: ../users.table}"), "federation.users.export"),
        (users("{export: users.json}"), "federation.users.export"),
        (("{domain: partner1.example,", "{domain: partner1.example, group: all,"), "federation.partners[0].group"),
        (("{domain: partner1.example,", "{domain: partner1.example, group: A B,"), "federation.partners[0].group"),
        (("{domain: partner1.example,", "{domain: partner1.example, software: '',"), "federation.partners[0].software"),
        (
            ("{domain: partner1.example,", '{domain: partner1.example, software: "a\\nb",'),
            "federation.partners[0].software",
        ),
        (("    global:", "    sites: [{name: 'Redmond '}]\n    global:"), "federation.access_policies.sites[0].name"),
        (
            (PUBLIC, "public: {issuer: acme, directory: 'http://ca.example/'}"),
            "federation.certificates.public.directory",
        ),
        (("internal: {issuer: private_ca", "internal: {issuer: acme"), "federation.certificates.internal.issuer"),
    ],
)
def test_values_that_are_not_allowed(change: Change, path: str) -> None:
    found = problems(changed(change))
    assert [(problem.code, problem.path) for problem in found] == [("wrong-value", path)], [str(p) for p in found]


def test_a_quiet_minute_is_a_time_of_day() -> None:
    found = problems(changed(("drain: {provider: lab}", "drain: {provider: powershell, quiet_minute: '24:00'}")))
    assert [(problem.code, problem.path) for problem in found] == [("wrong-time", "federation.drain.quiet_minute")]


def test_holds_are_kept_sorted_and_once() -> None:
    assert examine(changed(("holds: []", "holds: [6, 5, 6]"))).require().federation.holds == (5, 6)


def test_holds_stand_before_five_and_six_unless_said_otherwise() -> None:
    assert examine(changed(("  holds: []\n", ""))).require().federation.holds == (5, 6)
