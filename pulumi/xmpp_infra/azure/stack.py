"""An Azure stack as a whole, and the one object that describes it to the inventory plug-in."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi
from pulumi import Output, ResourceOptions
from pulumi_azure_native import resources

from xmpp_infra.azure.access import AzureBastion
from xmpp_infra.azure.config import AzureConfig
from xmpp_infra.azure.database import AzureDatabase
from xmpp_infra.azure.dns import AzureDns
from xmpp_infra.azure.hosts import AzureHost, Common, Place, zone_of
from xmpp_infra.azure.monitoring import AzureMonitoring
from xmpp_infra.azure.naming import Naming, tags
from xmpp_infra.azure.network import AzureNetwork
from xmpp_infra.azure.vault import AzureVault
from xmppgw.federation import Document

SCHEMA = 1
"""Version of the output object; a consumer refuses versions that it does not know."""


class AzureStack(pulumi.ComponentResource):
    """Everything of one environment on Azure."""

    environment: Output[Mapping[str, object]]

    def __init__(
        self, name: str, stack: str, config: AzureConfig, document: Document, opts: ResourceOptions | None = None
    ) -> None:
        super().__init__("xmppgw:azure:Stack", name, None, opts)
        child = ResourceOptions(parent=self)
        self._config, self._document = config, document
        naming = Naming(config.workload, config.environment, config.location_code, config.tenant)
        common_tags = tags(config.environment, config.workload, dict(config.tags))
        self._group = resources.ResourceGroup(
            "group",
            resource_group_name=naming.of("rg"),
            location=config.location,
            tags=common_tags,
            opts=ResourceOptions(parent=self, protect=True),
        )
        group = self._group.name
        self._network = AzureNetwork(
            "network", config, document, naming=naming, group=group, tags=common_tags, opts=child
        )
        vault = AzureVault("vault", config, naming=naming, group=group, tags=common_tags, opts=child)
        self._common = Common(
            group=group,
            location=config.location,
            naming=naming,
            tags=common_tags,
            access=config.access,
            disk_encryption_set=vault.disk_encryption_set.id,
            zones_of_addresses=config.edges.zones,
        )
        # A disk can be made only when its key may be used.
        made = ResourceOptions(parent=self, depends_on=[vault.ready])
        edges, front_ends = self._edges(made), self._front_ends(made)
        AzureDns("dns", config, document, group=group, edges=edges, tags=common_tags, opts=child)
        self._database: AzureDatabase | None = None
        if config.postgresql is not None:
            self._database = AzureDatabase(
                "database",
                config,
                config.postgresql,
                network=self._network,
                naming=naming,
                group=group,
                tags=common_tags,
                opts=child,
            )
        if self._network.bastion is not None:
            AzureBastion(
                "bastion",
                config,
                subnet=self._network.bastion,
                naming=naming,
                group=group,
                tags=common_tags,
                opts=child,
            )
        AzureMonitoring(
            "monitoring",
            config,
            hosts={**edges, **front_ends},
            naming=naming,
            group=group,
            tags=common_tags,
            opts=child,
        )
        self.environment = Output.from_input(self._described(stack, edges, front_ends, vault))
        self.register_outputs({})

    def _edges(self, opts: ResourceOptions) -> dict[str, AzureHost]:
        machines = self._config.edges
        return {
            edge.host: AzureHost(
                edge.host,
                self._common,
                machines,
                zone=zone_of(machines, number),
                places=[
                    Place("outside", self._network.perimeter.id, edge.external_addresses, public=True),
                    Place("inside", self._network.internal.id, edge.internal_addresses),
                ],
                security_group=self._network.groups["edges"].id,
                role="edge",
                dns_name=edge.fqdn,
                opts=opts,
            )
            for number, edge in enumerate(self._document.federation.edges)
        }

    def _front_ends(self, opts: ResourceOptions) -> dict[str, AzureHost]:
        machines = self._config.front_ends
        return {
            front_end.host: AzureHost(
                front_end.host,
                self._common,
                machines,
                zone=zone_of(machines, number),
                places=[Place("inside", self._network.internal.id, front_end.addresses)],
                security_group=self._network.groups["front-ends"].id,
                role="front-end",
                opts=opts,
            )
            for number, (_, front_end) in enumerate(self._document.federation.front_ends)
        }

    def _described(
        self, stack: str, edges: Mapping[str, AzureHost], front_ends: Mapping[str, AzureHost], vault: AzureVault
    ) -> dict[str, object]:
        federation = self._document.federation
        inside = {edge.host: (edge.internal_addresses, edge.external_addresses, "edges") for edge in federation.edges}
        inside |= {each.host: (each.addresses, (), "front_ends") for _, each in federation.front_ends}
        hosts: dict[str, object] = {}
        for name, made in {**edges, **front_ends}.items():
            addresses, outer, group = inside[name]
            hosts[name] = {
                "address": addresses[0],
                "addresses": [*addresses, *outer],
                "groups": [group],
                "zone": "perimeter" if group == "edges" else "internal",
                "site": self._config.location,
                "host_key": made.host_key,
                "public_addresses": [address.ip_address for _, address in sorted(made.public_addresses.items())],
            }
        return {
            "schema": SCHEMA,
            "stack": stack,
            "hosts": hosts,
            "ssh": {"user": self._config.access.user},
            "dns": {"zones": sorted(self._config.dns.zones), "provider": "azure"},
            "vault": vault.vault.properties.vault_uri,
            "database": self._database.server.fully_qualified_domain_name if self._database is not None else None,
            "certificate_authorities": {},
        }
