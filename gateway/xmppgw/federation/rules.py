"""Rules that span several fields of a document: one small function each, in one table.

Validation runs them on whatever part of the document is well formed. A rule may use nothing but the sections that it
names; what it finds is dropped where a broken field lies beneath, so that one mistake is reported once. To add a rule:
a function, a row in RULES, a code in problems.py, a test. What the migration itself asks for (scenario, users, window,
issuers, products) is in `migration_rules.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from xmppgw.federation.findings import Finding, Path, Rule
from xmppgw.federation.findings import rule as _rule
from xmppgw.federation.migration_rules import MIGRATION_RULES
from xmppgw.federation.model import Federation, Partner, Switch
from xmppgw.federation.outcome import Method, partner_outcome


def _domains_listed_once(federation: Federation) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for index, domain in enumerate(federation.sip_domains):
        path: Path = ("sip_domains", index, "name")
        if domain.name in seen:
            yield Finding("duplicate-domain", path, f"found {domain.name} again; it is {seen[domain.name]} already")
        seen.setdefault(domain.name, "a SIP domain")


def _partners_listed_once(federation: Federation) -> Iterator[Finding]:
    own = {domain.name for domain in federation.sip_domains}
    owner: dict[str, str] = {}
    for index, partner in enumerate(federation.partners):
        for position, domain in enumerate(partner.domains):
            path: Path = ("partners", index, *(("domain",) if position == 0 else ("additional_domains", position - 1)))
            if domain in own:
                yield Finding("own-domain-is-partner", path, f"found {domain}, which is one of our SIP domains")
            elif domain in owner:
                yield Finding(
                    "duplicate-domain", path, f"found {domain} again; it belongs to partner {owner[domain]} already"
                )
            owner.setdefault(domain, partner.domain)


def _partners_can_authenticate(federation: Federation) -> Iterator[Finding]:
    for index, partner in enumerate(federation.partners):
        outcome = partner_outcome(partner.tls, partner.sasl, partner.dialback)
        path: Path = ("partners", index)
        reads = _settings_of(path)
        settings = f"tls {partner.tls}, sasl {partner.sasl}, dialback {str(partner.dialback).lower()}"
        if not outcome.valid:
            yield Finding(
                "partner-unreachable", path, f"found {settings} for {partner.domain}: {outcome.rationale}", reads=reads
            )
            continue
        for warning in outcome.warnings:
            yield Finding("partner-settings", path, f"found {settings} for {partner.domain}: {warning}", reads=reads)
        if Method.DIALBACK_OVER_TCP in outcome.allowed:
            found = f"found {settings} for {partner.domain}: {outcome.rationale}"
            yield Finding("partner-plain-tcp", path, found, reads=reads)
        yield from _switch_fits(path, partner, outcome.allowed, reads)


def _switch_fits(
    path: Path, partner: Partner, allowed: frozenset[Method], reads: tuple[Path, ...]
) -> Iterator[Finding]:
    if partner.switch is Switch.BEFORE_DNS and Method.SASL_OVER_TLS not in allowed:
        found = f"found before_dns for {partner.domain}, whose dialback would ask whoever DNS names: the legacy gateway"
        yield Finding("partner-switch", (*path, "switch"), found, reads=reads)


def _settings_of(path: Path) -> tuple[Path, ...]:
    return ((*path, "tls"), (*path, "sasl"), (*path, "dialback"))


def _hosts_differ(federation: Federation) -> Iterator[Finding]:
    hosts: dict[str, str] = {}
    names: dict[str, str] = {}
    addresses: dict[str, str] = {}

    def claim(taken: dict[str, str], code: str, value: str, who: str, path: Path) -> Iterator[Finding]:
        if value in taken:
            yield Finding(code, path, f"found {value} for {who}; {taken[value]} has it already")
        taken.setdefault(value, who)

    if federation.legacy is not None:
        gateway, path = federation.legacy.gateway, ("legacy", "gateway")
        yield from claim(hosts, "duplicate-host", gateway.host, "the legacy gateway", (*path, "host"))
        # The new SRV target must differ from the old: where both were one name, no record could tell them apart.
        yield from claim(names, "duplicate-fqdn", gateway.fqdn, "the legacy gateway", (*path, "fqdn"))
        for number, value in enumerate(gateway.addresses):
            yield from claim(addresses, "duplicate-address", value, "the legacy gateway", (*path, "addresses", number))
    for index, edge in enumerate(federation.edges):
        path_of_edge: Path = ("edges", index)
        yield from claim(hosts, "duplicate-host", edge.host, f"edge {edge.host}", (*path_of_edge, "host"))
        yield from claim(names, "duplicate-fqdn", edge.fqdn, f"edge {edge.host}, outside", (*path_of_edge, "fqdn"))
        yield from claim(
            names, "duplicate-fqdn", edge.internal_fqdn, f"edge {edge.host}, inside", (*path_of_edge, "internal_fqdn")
        )
        for key, values in (
            ("external_addresses", edge.external_addresses),
            ("internal_addresses", edge.internal_addresses),
        ):
            for number, value in enumerate(values):
                who = f"edge {edge.host}, {key.partition('_')[0]} side"
                yield from claim(addresses, "duplicate-address", value, who, (*path_of_edge, key, number))
    for pool_index, pool in enumerate(federation.pools):
        path_of_pool: Path = ("pools", pool_index)
        yield from claim(names, "duplicate-fqdn", pool.fqdn, f"pool {pool.fqdn}", (*path_of_pool, "fqdn"))
        for index, front_end in enumerate(pool.front_ends):
            path_of_front_end: Path = (*path_of_pool, "front_ends", index)
            who = f"front end {front_end.host}"
            yield from claim(hosts, "duplicate-host", front_end.host, who, (*path_of_front_end, "host"))
            yield from claim(names, "duplicate-fqdn", front_end.fqdn, who, (*path_of_front_end, "fqdn"))
            for number, value in enumerate(front_end.addresses):
                yield from claim(addresses, "duplicate-address", value, who, (*path_of_front_end, "addresses", number))
    for index, peer in enumerate(federation.sip.peers):
        yield from claim(names, "duplicate-fqdn", peer.fqdn, f"SIP peer {peer.fqdn}", ("sip", "peers", index, "fqdn"))
        for number, value in enumerate(peer.addresses):
            yield from claim(
                addresses,
                "duplicate-address",
                value,
                f"SIP peer {peer.fqdn}",
                ("sip", "peers", index, "addresses", number),
            )


def _next_hop_may_answer(federation: Federation) -> Iterator[Finding]:
    hop, peers = federation.sip.next_hop.fqdn, [peer.fqdn for peer in federation.sip.peers]
    if hop not in peers:
        found = f"found {hop}, expected one of sip.peers: {', '.join(sorted(peers)[:5])}"
        yield Finding("next-hop-not-peer", ("sip", "next_hop", "fqdn"), found, reads=(("sip", "peers"),))
    if hop != federation.target.pool:
        found = f"found {hop}, expected the target platform's pool {federation.target.pool}"
        yield Finding("next-hop-not-target", ("sip", "next_hop", "fqdn"), found, reads=(("target", "pool"),))


DNS_NEEDS = {
    "rfc2136": ("primary", "tsig", "authoritative"),
    "azure": ("azure", "authoritative"),
    "manual": ("authoritative",),
}
"""Provider to the keys of `dns` that it cannot do without: every change is read back from the authoritative servers."""


def _dns_is_complete(federation: Federation) -> Iterator[Finding]:
    dns = federation.dns
    for key in DNS_NEEDS[dns.provider]:
        if not getattr(dns, key):
            found = f"found no dns.{key}; the provider {dns.provider} needs it"
            yield Finding("dns-incomplete", ("dns",), found, f"add `{key}` below `dns`", reads=(("dns", key),))
    if dns.provider == "rfc2136" and dns.primary and dns.authoritative and dns.primary not in dns.authoritative:
        found = f"found {dns.primary}, expected one of {', '.join(dns.authoritative[:5])}"
        yield Finding("dns-primary", ("dns", "primary"), found, reads=(("dns", "authoritative"),))
    # With `manual` they may stay: it is what one changes to for a day.
    for key in {"azure": ("primary", "tsig"), "rfc2136": ("azure",)}.get(dns.provider, ()):
        if getattr(dns, key) is not None:
            found = f"found dns.{key} with the provider {dns.provider}; it has no use there"
            yield Finding("dns-settings", ("dns", key), found, reads=(("dns", "provider"), ("dns", key)))
    if dns.ttl.migration > dns.ttl.normal:
        found = f"found {dns.ttl.migration} s, expected at most the normal {dns.ttl.normal} s"
        yield Finding("dns-ttl", ("dns", "ttl", "migration"), found, reads=(("dns", "ttl"),))


def _partners_can_be_found(federation: Federation) -> Iterator[Finding]:
    if not federation.dns.resolvers and any(not partner.servers for partner in federation.partners):
        found = "found no dns.resolvers; the edges ask them for the partners' servers"
        yield Finding("dns-incomplete", ("dns",), found, "add `resolvers` below `dns`", reads=(("dns", "resolvers"),))


def _names_lie_in_zones(federation: Federation) -> Iterator[Finding]:
    zones = federation.dns.zones

    def outside(name: str, path: Path) -> Iterator[Finding]:
        if not any(name == zone or name.endswith(f".{zone}") for zone in zones):
            found = f"found {name}, expected a name in {', '.join(zones[:5])}"
            yield Finding("dns-zone", path, found, reads=(("dns", "zones"),))

    for index, domain in enumerate(federation.sip_domains):
        yield from outside(domain.name, ("sip_domains", index, "name"))
    for index, edge in enumerate(federation.edges):
        yield from outside(edge.fqdn, ("edges", index, "fqdn"))


def _legacy_is_described(federation: Federation) -> Iterator[Finding]:
    if federation.legacy is None:
        yield Finding(
            "legacy-missing",
            (),
            f"found no legacy gateway; the scenario {federation.scenario} needs one",
            reads=(("legacy",),),
        )
    elif federation.legacy.single_edge_fqdn:
        found = "found single_edge_fqdn: true; the route transition is not supported for such an edge"
        yield Finding("migration-r7", ("legacy", "single_edge_fqdn"), found)
    elif federation.legacy.edge is not None and federation.legacy.edge.single_name:
        found = f"found {federation.legacy.edge.access_fqdn} for Access, Web Conferencing and A/V"
        yield Finding("migration-r7", ("legacy", "edge"), found)


def _policy_is_open_or_shut(federation: Federation) -> Iterator[Finding]:
    policy = federation.access_policies.global_
    if not policy.open:
        found = (
            f"found enable_federation_access {str(policy.enable_federation_access).lower()}, "
            f"enable_xmpp_access {str(policy.enable_xmpp_access).lower()}: nobody may use XMPP federation"
        )
        yield Finding("policy-closed", ("access_policies",), found)


def _this_version_can(federation: Federation) -> Iterator[Finding]:
    # Each front end has a store of its own (SQLite). Two would each deliver, order and return messages without knowing
    # of the other's, and nothing takes over the store of one that is gone: neither side by side nor active and standby.
    if len(federation.front_ends) > 1:
        hosts = ", ".join(sorted(front_end.host for _pool, front_end in federation.front_ends))
        found = f"found {hosts}: this version has no store that several front ends could share"
        yield Finding("not-in-this-version", ("pools",), found, "name one front end; a second edge needs no store")


RULES: Final[tuple[Rule, ...]] = (
    _rule(_domains_listed_once, "sip_domains"),
    _rule(_partners_listed_once, "sip_domains", "partners"),
    _rule(_partners_can_authenticate, "partners"),
    _rule(_hosts_differ, "legacy", "edges", "pools", "sip"),
    _rule(_next_hop_may_answer, "sip", "target"),
    _rule(_dns_is_complete, "dns"),
    _rule(_partners_can_be_found, "dns", "partners"),
    _rule(_names_lie_in_zones, "dns", "sip_domains", "edges"),
    _rule(_legacy_is_described, "scenario", "legacy"),
    _rule(_policy_is_open_or_shut, "access_policies"),
    _rule(_this_version_can, "pools"),
    *MIGRATION_RULES,
)
