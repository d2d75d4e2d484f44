"""Component: the lab's zones and RRsets. The service records are written once and then left to the migration."""

from __future__ import annotations

import pulumi
from pulumi import ResourceOptions

from xmpp_infra.config import DnsConfig, StackConfig
from xmpp_infra.lab import acme
from xmpp_infra.lab.firewall import LabFirewall
from xmpp_infra.lab.resources import Host, RecordSet, Zone
from xmppgw.federation import records
from xmppgw.federation.records import DnsRecord


def record_sets(config: StackConfig, dns: DnsConfig) -> dict[str, list[DnsRecord]]:
    """Every RRset by zone: service records as they are before a migration, addresses as they are after it."""
    found: dict[tuple[str, str], DnsRecord] = {}
    if config.federation is not None:
        plan = records(config.federation)
        rows = [row for row in plan.now if row.type == "SRV"] + [row for row in plan.after if row.type != "SRV"]
        found |= {(row.name, row.type): row for row in rows}
    for zone in dns.zones.values():
        for name, address in zone.addresses.items():
            for kind, value in zip(("A", "AAAA"), config.both(address), strict=True):
                found.setdefault((name, kind), DnsRecord(name, kind, dns.ttl, (value,)))
        for name, values in zone.services.items():
            found.setdefault((name, "SRV"), DnsRecord(name, "SRV", dns.ttl, tuple(sorted(values))))
    for host in config.hosts.values():
        if "authorities" in host.groups:
            for kind, value in zip(("A", "AAAA"), config.both(next(iter(host.addresses.values()))[0]), strict=True):
                found.setdefault((acme.NAME, kind), DnsRecord(acme.NAME, kind, dns.ttl, (value,)))
    by_zone: dict[str, list[DnsRecord]] = {name: [] for name in dns.zones}
    for row in sorted(found.values()):
        zone_name = max((name for name in dns.zones if f".{row.name}".endswith(f".{name}")), key=len, default=None)
        if zone_name is None:
            raise ValueError(f"{row.name} is in none of the zones {', '.join(sorted(dns.zones))}")
        by_zone[zone_name].append(row)
    return by_zone


class LabDns(pulumi.ComponentResource):
    """Zones on the lab's name servers, and what the program writes into them."""

    def __init__(
        self,
        name: str,
        config: StackConfig,
        dns: DnsConfig,
        *,
        hosts: dict[str, Host],
        firewall: LabFirewall,
        opts: ResourceOptions | None = None,
    ) -> None:
        super().__init__("xmppgw:lab:Dns", name, None, opts)
        server = hosts[dns.server]
        servers = [host for name, host in hosts.items() if "dns_servers" in config.hosts[name].groups]
        authoritative = [str(address) for address in dns.authoritative]
        for zone_name, rows in record_sets(config, dns).items():
            zone = Zone(
                zone_name,
                zone=zone_name,
                primary=str(dns.primary),
                authoritative=authoritative,
                servers_identity=server.host_key,
                opts=ResourceOptions(parent=self, depends_on=[*servers, firewall.rules], deleted_with=server),
            )
            for row in rows:
                RecordSet(
                    f"{row.name}/{row.type}",
                    zone=zone,
                    zone_name=zone_name,
                    primary=str(dns.primary),
                    authoritative=authoritative,
                    owner=f"{row.name}.",
                    record_type=row.type,
                    ttl=row.ttl,
                    records=row.values,
                    key=dns.key,
                    opts=ResourceOptions(
                        parent=zone,
                        deleted_with=server,
                        # From here on the migration is the writer of these: a `pulumi up` in the middle moves nothing.
                        ignore_changes=["records", "ttl"] if row.type == "SRV" else [],
                    ),
                )
        self.register_outputs({})
