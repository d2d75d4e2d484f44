"""Guards on DNS: TTLs, old answers, servers that agree, targets that have addresses."""

from __future__ import annotations

from dataclasses import dataclass, field

from ansible_collections.xmppgw.migration.plugins.plugin_utils import rrsets
from ansible_collections.xmppgw.migration.plugins.plugin_utils.environment import direct_tls_name
from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards.registry import Refusal, guard, some

from xmppgw.federation import srv_name


@dataclass
class Dns:
    """What these guards look at."""

    seconds_until_forgotten: float = 0.0
    """How long the world may still remember the SRV RRset with its old TTL."""
    ttl_lowered: bool = True
    """True if every SRV RRset is served with the migration's TTL everywhere, or has its normal one back."""
    disagreement: list = field(default_factory=list)
    """Sentences on authoritative servers that do not say the same."""
    missing_addresses: list = field(default_factory=list)
    """SRV targets without an address record."""
    direct_tls: list = field(default_factory=list)
    """SIP domains of ours with an SRV RRset for direct TLS."""
    bogus: list = field(default_factory=list)
    """Sentences on signatures of our SRV RRsets that are missing in a signed zone or do not hold."""
    deaf_edges: dict = field(default_factory=dict)
    """Edge to why it reaches no resolver."""


def read(picture):
    """Return the Dns of a Picture."""
    federation, lowered = picture.environment.federation, picture.environment.federation.dns.ttl.migration
    return Dns(
        seconds_until_forgotten=picture.seconds_until_forgotten(picture.now),
        # After step 6 the normal TTL may have been given back (settle_dns.yml); a late partner needs no low one.
        ttl_lowered=picture.history.settled
        or all(
            rrset is not None and rrset["ttl"] <= lowered
            for domain in federation.own_domains
            for rrset in picture.dns.rrsets[domain].values()
        ),
        disagreement=[
            sentence
            for domain in sorted(federation.own_domains)
            for sentence in rrsets.disagreements(srv_name(domain), picture.dns.rrsets[domain])
        ],
        missing_addresses=[
            f"{edge.fqdn} on {server}"
            for edge in federation.edges
            for server in federation.dns.authoritative
            if server not in picture.dns.addressed.get(edge.fqdn, set())
        ],
        direct_tls=[domain for domain in federation.own_domains if picture.dns.addressed.get(direct_tls_name(domain))],
        bogus=picture.resolvers.problems,
        deaf_edges=picture.deaf_edges(),
    )


@guard("migration-ttl")
def old_ttl_has_passed(situation):
    """Steps 5 and 6 need the TTL lowered, and the time gone by in which caches may hold the RRset with the old one."""
    if situation.step < 5 or situation.preflight:
        return []
    refusals = []
    if not situation.dns.ttl_lowered:
        refusals.append(
            Refusal(
                "migration-ttl",
                f"Step {situation.step} needs every SRV RRset at the migration's TTL on every authoritative server.",
                "at least one server still gives another TTL",
                "Run migrate.yml: step 4 lowers it.",
            )
        )
    if situation.dns.seconds_until_forgotten > 0:
        refusals.append(
            Refusal(
                "migration-ttl",
                "Resolvers may still remember the RRset with its old TTL.",
                f"{situation.dns.seconds_until_forgotten:.0f} s are left",
                "Wait that long and run migrate.yml again.",
            )
        )
    return refusals


@guard("migration-dns-disagree")
def authoritative_servers_agree(situation):
    """A change may be judged only where every authoritative server says the same to begin with."""
    if situation.step < 4 or not situation.dns.disagreement:
        return []
    return [
        Refusal(
            "migration-dns-disagree",
            "All authoritative servers must give the same answer before DNS is touched.",
            some(situation.dns.disagreement),
            "Repair the zone transfer between the servers named here; nothing was changed.",
        )
    ]


@guard("migration-dnssec")
def signatures_hold(situation):
    """Whoever validates gets no answer from a zone whose signatures do not hold, whomever its records name."""
    if situation.step < 4 or not situation.dns.bogus:
        return []
    return [
        Refusal(
            "migration-dnssec",
            "A signed zone must be valid before DNS is touched: partners that validate would find nobody.",
            some(situation.dns.bogus),
            "Repair the zone's signatures (at the primary, and what each secondary serves), and run again; nothing was "
            "changed.",
        )
    ]


@guard("migration-dns-address")
def targets_have_addresses(situation):
    """Nobody may be told of a name that has no address (RFC 2782: targets must have address records)."""
    if situation.step not in (5, 6) or not situation.dns.missing_addresses:
        return []
    return [
        Refusal(
            "migration-dns-address",
            "Every edge must have an A or AAAA record before an SRV record names it.",
            f"without: {some(situation.dns.missing_addresses)}",
            "Create the address records (the infrastructure stack does) and run migrate.yml again.",
        )
    ]


@guard("migration-direct-tls")
def direct_tls_waits(situation):
    """Direct TLS hides the partner's name from an edge that has to join it to the legacy gateway meanwhile."""
    if situation.step not in (5, 6) or situation.done >= 6 or not situation.dns.direct_tls:
        return []
    return [
        Refusal(
            "migration-direct-tls",
            "_xmpps-server may be published only once the migration is done: partners that use it cannot be left with "
            "the legacy gateway one by one.",
            f"published for {some(situation.dns.direct_tls)}",
            "Remove these SRV records, wait their TTL out, and publish them again after step 6.",
        )
    ]


@guard("migration-resolver-silent")
def edges_can_resolve(situation):
    """The port table: an edge needs DNS, TCP 53 too, or it finds no partner."""
    if situation.step not in (2, 5) or not situation.dns.deaf_edges:
        return []
    return [
        Refusal(
            "migration-resolver-silent",
            "Every edge must reach a resolver on TCP 53, or it finds no partner.",
            some(f"{edge}: {why}" for edge, why in situation.dns.deaf_edges.items()),
            "Open UDP and TCP 53 from the edges to dns.resolvers (`xmppgw plan` lists the ports), or correct them.",
        )
    ]
