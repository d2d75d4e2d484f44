"""Component: the store that several front ends share: PostgreSQL flexible server, private, two zones, no password."""

from __future__ import annotations

import pulumi
from pulumi import Input, ResourceOptions
from pulumi_azure_native import dbforpostgresql, privatedns

from xmpp_infra.azure.config import AzureConfig, PostgreSql
from xmpp_infra.azure.naming import Naming
from xmpp_infra.azure.network import AzureNetwork

DATABASE = "xmppgw"
# TLS 1.2 and newer only; the service's default allows 1.2, this also says so to whoever reads the parameters.
MINIMUM_TLS = "TLSv1.2"


class AzureDatabase(pulumi.ComponentResource):
    """Server, database and the private zone that names it inside the network."""

    def __init__(
        self,
        name: str,
        config: AzureConfig,
        wanted: PostgreSql,
        *,
        network: AzureNetwork,
        naming: Naming,
        group: Input[str],
        tags: dict[str, str],
        opts: ResourceOptions | None = None,
    ) -> None:
        super().__init__("xmppgw:azure:Database", name, None, opts)
        child, kept = ResourceOptions(parent=self), ResourceOptions(parent=self, protect=True)
        if network.database is None:
            raise ValueError("the database needs its subnet")
        zone = privatedns.PrivateZone(
            "database",
            private_zone_name=f"{config.workload}-{config.environment}.private.postgres.database.azure.com",
            resource_group_name=group,
            location="global",
            tags=tags,
            opts=child,
        )
        link = privatedns.VirtualNetworkLink(
            "database",
            virtual_network_link_name=naming.of("link", "database"),
            private_zone_name=zone.name,
            resource_group_name=group,
            location="global",
            registration_enabled=False,
            virtual_network=privatedns.SubResourceArgs(id=network.network.id),
            tags=tags,
            opts=child,
        )
        zones = config.front_ends.zones
        redundant = wanted.zone_redundant and len(zones) > 1
        self.server = dbforpostgresql.Server(
            "database",
            server_name=naming.worldwide("psql"),
            resource_group_name=group,
            location=config.location,
            version=wanted.version,
            sku=dbforpostgresql.SkuArgs(name=wanted.size, tier="GeneralPurpose"),
            storage=dbforpostgresql.StorageArgs(storage_size_gb=wanted.storage_gib, auto_grow="Enabled"),
            availability_zone=zones[0],
            high_availability=dbforpostgresql.HighAvailabilityArgs(
                mode="ZoneRedundant" if redundant else "Disabled",
                standby_availability_zone=zones[1] if redundant else None,
            ),
            network=dbforpostgresql.NetworkArgs(
                delegated_subnet_resource_id=network.database.id,
                private_dns_zone_arm_resource_id=zone.id,
                public_network_access="Disabled",
            ),
            auth_config=dbforpostgresql.AuthConfigArgs(
                active_directory_auth="Enabled",
                password_auth="Disabled",  # noqa: S106 - that there is none
                tenant_id=config.tenant,
            ),
            backup=dbforpostgresql.BackupArgs(
                backup_retention_days=wanted.backup_days, geo_redundant_backup="Disabled"
            ),
            create_mode="Default",
            tags=tags,
            opts=ResourceOptions.merge(kept, ResourceOptions(depends_on=[link])),
        )
        dbforpostgresql.Database(
            "database",
            database_name=DATABASE,
            server_name=self.server.name,
            resource_group_name=group,
            charset="UTF8",
            collation="en_US.utf8",
            opts=kept,
        )
        dbforpostgresql.Configuration(
            "minimum-tls",
            configuration_name="ssl_min_protocol_version",
            server_name=self.server.name,
            resource_group_name=group,
            source="user-override",
            value=MINIMUM_TLS,
            opts=child,
        )
        dbforpostgresql.AdministratorsMicrosoftEntra(
            "administrators",
            object_id=wanted.administrators_group,
            principal_name=naming.of("administrators"),
            principal_type="Group",
            tenant_id=config.tenant,
            server_name=self.server.name,
            resource_group_name=group,
            opts=child,
        )
        self.register_outputs({"host": self.server.fully_qualified_domain_name})
