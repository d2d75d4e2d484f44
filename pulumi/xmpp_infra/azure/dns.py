"""Component: public DNS. Zones are made or adopted, never recreated; an SRV record is made once and then left alone.

Exactly one writer per RRset: step 6 of the migration owns the SRV records from the first `up` on, so a later `up` moves
nothing (`ignore_changes`), and removing the stack does not take the federation off the air (`retain_on_delete`).
"""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
from pulumi import Input, Output, ResourceOptions
from pulumi_azure_native import dns

from xmpp_infra.azure.config import AzureConfig, DnsZone
from xmpp_infra.azure.hosts import AzureHost
from xmpp_infra.azure.roles import DNS_ZONE_CONTRIBUTOR, assign
from xmppgw.federation import DnsRecord, Document, records

# What step 6 writes. Azure's provider calls these properties so.
SRV_OWNED_BY_THE_MIGRATION = ["srvRecords", "ttl", "metadata"]
CHALLENGE = "_acme-challenge"


class AzureDns(pulumi.ComponentResource):
    """Zones, the hosts' address records, and the initial SRV records, which name the legacy gateway."""

    def __init__(
        self,
        name: str,
        config: AzureConfig,
        document: Document,
        *,
        group: Input[str],
        edges: Mapping[str, AzureHost],
        tags: dict[str, str],
        opts: ResourceOptions | None = None,
    ) -> None:
        super().__init__("xmppgw:azure:Dns", name, None, opts)
        self._child = ResourceOptions(parent=self)
        self._document, self._group, self._tags, self._deployers = document, group, tags, config.deployers
        self.zones: dict[str, Output[str]] = {}
        self._groups: dict[str, Input[str]] = {}
        for zone, wanted in sorted(config.dns.zones.items()):
            self._zone(zone, wanted)
        for edge in document.federation.edges:
            self._edge_addresses(edge.fqdn, edges[edge.host])
        plan = records(document)
        addresses = {edge.fqdn for edge in document.federation.edges}
        for record in plan.now:
            zone = zone_of(record.name, self._groups)
            if record.type == "SRV":
                self._service(record, zone, config.dns.zones[zone])
            elif (
                record.type in ("A", "AAAA")
                and record.name not in addresses
                and config.dns.zones[zone].mode == "create"
            ):
                self._addresses(record.name, record.type, zone, list(record.values), record.ttl)
        if config.dns.acme:
            self._challenges(edges)
        self.register_outputs({})

    def _zone(self, zone: str, wanted: DnsZone) -> None:
        if wanted.mode == "adopt":
            # Its owner manages it; we add records to it, by name.
            self.zones[zone] = Output.from_input(zone)
            self._groups[zone] = wanted.resource_group or ""
            return
        made = dns.Zone(
            zone,
            zone_name=zone,
            zone_type=dns.ZoneType.PUBLIC,
            resource_group_name=self._group,
            location="global",
            tags=self._tags,
            opts=ResourceOptions.merge(self._child, ResourceOptions(protect=True, retain_on_delete=True)),
        )
        self.zones[zone] = made.name
        self._groups[zone] = self._group
        if wanted.dnssec:
            dns.DnssecConfig(
                zone,
                zone_name=made.name,
                resource_group_name=self._group,
                opts=ResourceOptions(parent=self, protect=True, deleted_with=made),
            )

    def _edge_addresses(self, fqdn: str, host: AzureHost) -> None:
        """From the public addresses that Azure gave, not from the document, which may not know them yet."""
        zone = zone_of(fqdn, self._groups)
        ttl = self._document.federation.dns.ttl.normal
        for family, address in sorted(host.public_addresses.items()):
            kind = "A" if family == 4 else "AAAA"
            self._addresses(fqdn, kind, zone, [address.ip_address.apply(lambda text: text or "")], ttl)

    def _addresses(self, name: str, kind: str, zone: str, values: list[Input[str]], ttl: int) -> None:
        dns.RecordSet(
            f"{name}-{kind.lower()}",
            zone_name=self.zones[zone],
            resource_group_name=self._groups[zone],
            relative_record_set_name=relative(name, zone),
            record_type=kind,
            ttl=float(ttl),
            a_records=[dns.ARecordArgs(ipv4_address=value) for value in values] if kind == "A" else None,
            aaaa_records=[dns.AaaaRecordArgs(ipv6_address=value) for value in values] if kind == "AAAA" else None,
            metadata={"managed-by": "pulumi"},
            opts=self._child,
        )

    def _service(self, record: DnsRecord, zone: str, wanted: DnsZone) -> None:
        services = [value.split() for value in record.values]
        kept = ResourceOptions(
            parent=self, protect=True, retain_on_delete=True, ignore_changes=SRV_OWNED_BY_THE_MIGRATION
        )
        if wanted.adopt_srv:
            # The value in Azure is taken over whatever it is; what stands here only has to be well formed.
            kept = ResourceOptions.merge(kept, ResourceOptions(import_=self._id_of(record, zone)))
        made = dns.RecordSet(
            record.name,
            zone_name=self.zones[zone],
            resource_group_name=self._groups[zone],
            relative_record_set_name=relative(record.name, zone),
            record_type="SRV",
            ttl=float(record.ttl),
            srv_records=[
                dns.SrvRecordArgs(priority=int(priority), weight=int(weight), port=int(port), target=target.rstrip("."))
                for priority, weight, port, target in services
            ],
            metadata={"managed-by": "migration"},
            opts=kept,
        )
        self._let_deployers_write(record.name, made.id, "step 6 of the migration changes this record, and no other")

    def _let_deployers_write(self, name: str, scope: Input[str], reason: str) -> None:
        for number, deployer in enumerate(self._deployers):
            assign(
                f"deployer-{number}-may-write-{name}",
                role=DNS_ZONE_CONTRIBUTOR,
                principal=deployer,
                scope=scope,
                reason=reason,
                opts=self._child,
            )

    def _id_of(self, record: DnsRecord, zone: str) -> str:
        subscription = pulumi.Config("azure-native").require("subscriptionId")
        return (
            f"/subscriptions/{subscription}/resourceGroups/{self._groups[zone]}/providers/Microsoft.Network/dnsZones/"
            f"{zone}/SRV/{relative(record.name, zone)}"
        )

    def _challenges(self, edges: Mapping[str, AzureHost]) -> None:
        """A zone per edge for ACME's DNS-01, which only that edge may write: not the zone that everybody depends on."""
        for edge in self._document.federation.edges:
            parent = zone_of(edge.fqdn, self._groups)
            challenge = f"{CHALLENGE}.{edge.fqdn}"
            made = dns.Zone(
                challenge,
                zone_name=challenge,
                zone_type=dns.ZoneType.PUBLIC,
                resource_group_name=self._group,
                location="global",
                tags=self._tags,
                opts=self._child,
            )
            dns.RecordSet(
                f"{challenge}-ns",
                zone_name=self.zones[parent],
                resource_group_name=self._groups[parent],
                relative_record_set_name=relative(challenge, parent),
                record_type="NS",
                ttl=3600.0,
                ns_records=made.name_servers.apply(
                    lambda servers: [dns.NsRecordArgs(nsdname=server) for server in servers or []]
                ),
                metadata={"managed-by": "pulumi"},
                opts=self._child,
            )
            assign(
                f"{edge.host}-may-answer-challenges",
                role=DNS_ZONE_CONTRIBUTOR,
                principal=edges[edge.host].identity.principal_id,
                scope=made.id,
                reason="ACME DNS-01 for this edge's own name",
                opts=self._child,
            )
            self._let_deployers_write(challenge, made.id, "renewals are ordered by the pipeline")


def zone_of(name: str, zones: Mapping[str, object]) -> str:
    """Return the longest of `zones` that `name` lies in. Raises ValueError if there is none."""
    found = [zone for zone in zones if name == zone or name.endswith(f".{zone}")]
    if not found:
        raise ValueError(f"{name} lies in none of the zones {', '.join(sorted(zones))}")
    return max(found, key=len)


def relative(name: str, zone: str) -> str:
    """Return a record's name inside its zone, `@` for the zone's own."""
    return "@" if name == zone else name.removesuffix(f".{zone}")
