"""The DNS table: every record that the federation rests on, as it is before the migration and as it is after.

`xmppgw plan`, the step that moves the SRV records, the Pulumi program (initial records) and the verification read it.
Pure: what is really served is asked elsewhere.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from xmppgw.federation.model import S2S_PORT, Document, Federation

S2S_SERVICE = "_xmpp-server._tcp"


@dataclass(frozen=True, slots=True, order=True)
class DnsRecord:
    """One RRset: owner name and type without a final dot, its values in master-file form, sorted."""

    name: str
    type: str
    ttl: int
    values: tuple[str, ...]
    purpose: str = ""


@dataclass(frozen=True, slots=True)
class RecordPlan:
    """All RRsets now and after; sorted. `moving` are those whose values differ."""

    now: tuple[DnsRecord, ...]
    after: tuple[DnsRecord, ...]

    @property
    def moving(self) -> tuple[tuple[DnsRecord | None, DnsRecord | None], ...]:
        """Pairs (now, after) that differ, by owner name and type."""
        before = {(record.name, record.type): record for record in self.now}
        later = {(record.name, record.type): record for record in self.after}
        keys = sorted(before.keys() | later.keys())
        return tuple((before.get(key), later.get(key)) for key in keys if before.get(key) != later.get(key))


def srv_name(domain: str) -> str:
    """Owner name of a domain's S2S service record (RFC 6120 3.2.1)."""
    return f"{S2S_SERVICE}.{domain}"


def records(document: Document) -> RecordPlan:
    """The records of this document, before the first step and after the last."""
    federation = document.federation
    staying = [*_legacy_srv(federation, federation.legacy_domains), *_legacy_addresses(federation)]
    now = [*_legacy_srv(federation, federation.own_domains), *staying]
    after = [*_edge_srv(federation), *staying, *_our_addresses(federation)]
    return RecordPlan(tuple(sorted(now)), tuple(sorted(after)))


def _legacy_srv(federation: Federation, domains: tuple[str, ...]) -> list[DnsRecord]:
    if federation.legacy is None:
        return []
    gateway = federation.legacy.gateway
    value = f"{gateway.priority} {gateway.weight} {gateway.port} {gateway.fqdn}."
    return [
        DnsRecord(srv_name(domain), "SRV", federation.dns.ttl.normal, (value,), "partners find the legacy gateway")
        for domain in domains
    ]


def _edge_srv(federation: Federation) -> list[DnsRecord]:
    values = tuple(sorted(f"{edge.priority} {edge.weight} {S2S_PORT} {edge.fqdn}." for edge in federation.edges))
    return [
        DnsRecord(srv_name(domain), "SRV", federation.dns.ttl.normal, values, "partners find the edges")
        for domain in federation.own_domains
    ]


def _legacy_addresses(federation: Federation) -> list[DnsRecord]:
    if federation.legacy is None:
        return []
    gateway = federation.legacy.gateway
    return _addresses(gateway.fqdn, gateway.addresses, federation.dns.ttl.normal, "the legacy gateway")


def _our_addresses(federation: Federation) -> list[DnsRecord]:
    ttl = federation.dns.ttl.normal
    found: list[DnsRecord] = []
    for edge in federation.edges:
        found += _addresses(
            edge.fqdn, edge.public_addresses or edge.external_addresses, ttl, "edge, as partners see it"
        )
        found += _addresses(edge.internal_fqdn, edge.internal_addresses, ttl, "edge, as front ends see it")
    for pool in federation.pools:
        members = tuple(address for front_end in pool.front_ends for address in front_end.addresses)
        found += _addresses(pool.fqdn, members, ttl, "pool of front ends")
        for front_end in pool.front_ends:
            found += _addresses(front_end.fqdn, front_end.addresses, ttl, "front end")
    return found


def _addresses(name: str, addresses: tuple[str, ...], ttl: int, purpose: str) -> list[DnsRecord]:
    kinds = {"A": 4, "AAAA": 6}
    sets = {
        kind: tuple(sorted(a for a in addresses if ipaddress.ip_address(a).version == version))
        for kind, version in kinds.items()
    }
    return [DnsRecord(name, kind, ttl, values, purpose) for kind, values in sets.items() if values]
