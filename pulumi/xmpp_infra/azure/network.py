"""Component: the virtual network, its subnets, and one network security group per role."""

from __future__ import annotations

import ipaddress

import pulumi
from pulumi import Input, ResourceOptions
from pulumi_azure_native import network

from xmpp_infra.azure.config import BASTION_SUBNET, AzureConfig, Subnet
from xmpp_infra.azure.naming import Naming
from xmpp_infra.azure.rules import SecurityRule, security_rules
from xmppgw.federation import Document

# Delegation by which PostgreSQL flexible server takes a subnet for itself.
POSTGRESQL_DELEGATION = "Microsoft.DBforPostgreSQL/flexibleServers"


class AzureNetwork(pulumi.ComponentResource):
    """Network, subnets (own resources: inline ones and these would fight), security groups."""

    def __init__(
        self,
        name: str,
        config: AzureConfig,
        document: Document,
        *,
        naming: Naming,
        group: Input[str],
        tags: dict[str, str],
        opts: ResourceOptions | None = None,
    ) -> None:
        super().__init__("xmppgw:azure:Network", name, None, opts)
        self._child = ResourceOptions(parent=self)
        self._naming, self._group, self._tags, self._location = naming, group, tags, config.location
        wanted = config.network
        self.network = network.VirtualNetwork(
            "network",
            virtual_network_name=naming.of("vnet"),
            resource_group_name=group,
            location=config.location,
            address_space=network.AddressSpaceArgs(address_prefixes=[str(wanted.ipv4), str(wanted.ipv6)]),
            tags=tags,
            opts=self._child,
        )
        self.groups = {
            "edges": self._security_group("edges", security_rules(config, document, "edges")),
            "front-ends": self._security_group("front-ends", security_rules(config, document, "front-ends")),
        }
        # The groups stand at the hosts' interfaces, not here: the edges' inner side lies beside the front ends, and
        # each role would then need the other's rules as well.
        self.perimeter = self._subnet("perimeter", wanted.perimeter)
        self.internal = self._subnet("internal", wanted.internal, after=self.perimeter)
        last: network.Subnet = self.internal
        self.database: network.Subnet | None = None
        if config.postgresql is not None and wanted.database is not None:
            self.database = last = self._database(wanted.database, after=last)
        self.bastion: network.Subnet | None = None
        if config.access.bastion and wanted.bastion is not None:
            self.bastion = self._plain(BASTION_SUBNET, BASTION_SUBNET, wanted.bastion, after=last)
        self.register_outputs({"network": self.network.id})

    def _security_group(self, role: str, rules: list[SecurityRule]) -> network.NetworkSecurityGroup:
        return network.NetworkSecurityGroup(
            role,
            network_security_group_name=self._naming.of("nsg", role),
            resource_group_name=self._group,
            location=self._location,
            security_rules=[_rule(rule) for rule in rules],
            tags={**self._tags, "role": role.removesuffix("s")},
            opts=self._child,
        )

    def _subnet(self, role: str, wanted: Subnet, after: network.Subnet | None = None) -> network.Subnet:
        return network.Subnet(
            role,
            subnet_name=self._naming.of("snet", role),
            virtual_network_name=self.network.name,
            resource_group_name=self._group,
            address_prefixes=[str(wanted.ipv4), str(wanted.ipv6)],
            default_outbound_access=False,
            opts=self._next(after),
        )

    def _database(self, wanted: ipaddress.IPv4Network, after: network.Subnet) -> network.Subnet:
        return network.Subnet(
            "database",
            subnet_name=self._naming.of("snet", "database"),
            virtual_network_name=self.network.name,
            resource_group_name=self._group,
            address_prefix=str(wanted),
            default_outbound_access=False,
            delegations=[network.DelegationArgs(name="postgresql", service_name=POSTGRESQL_DELEGATION)],
            opts=self._next(after),
        )

    def _plain(self, name: str, subnet: str, wanted: ipaddress.IPv4Network, after: network.Subnet) -> network.Subnet:
        return network.Subnet(
            name,
            subnet_name=subnet,
            virtual_network_name=self.network.name,
            resource_group_name=self._group,
            address_prefix=str(wanted),
            opts=self._next(after),
        )

    def _next(self, after: network.Subnet | None) -> ResourceOptions:
        # Azure refuses two changes of one network at the same time (AnotherOperationInProgress).
        return ResourceOptions(parent=self, depends_on=[after] if after is not None else [])


def _rule(rule: SecurityRule) -> network.SecurityRuleArgs:
    one_source, one_destination = len(rule.sources) == 1, len(rule.destinations) == 1
    return network.SecurityRuleArgs(
        name=rule.name,
        description=rule.description,
        direction=rule.direction,
        access=rule.access,
        protocol=rule.protocol,
        priority=rule.priority,
        source_port_range="*",
        source_address_prefix=rule.sources[0] if one_source else None,
        source_address_prefixes=None if one_source else list(rule.sources),
        destination_address_prefix=rule.destinations[0] if one_destination else None,
        destination_address_prefixes=None if one_destination else list(rule.destinations),
        destination_port_range=rule.ports[0] if len(rule.ports) == 1 else None,
        destination_port_ranges=None if len(rule.ports) == 1 else list(rule.ports),
    )
