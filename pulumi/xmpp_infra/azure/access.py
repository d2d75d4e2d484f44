"""Component: Azure Bastion, for organisations whose administrators have no network of their own into Azure."""

from __future__ import annotations

import pulumi
from pulumi import Input, ResourceOptions
from pulumi_azure_native import network

from xmpp_infra.azure.config import AzureConfig
from xmpp_infra.azure.naming import Naming


class AzureBastion(pulumi.ComponentResource):
    """A bastion with native-client tunnelling, so that Ansible's SSH goes through it; signs in with Entra."""

    def __init__(
        self,
        name: str,
        config: AzureConfig,
        *,
        subnet: network.Subnet,
        naming: Naming,
        group: Input[str],
        tags: dict[str, str],
        opts: ResourceOptions | None = None,
    ) -> None:
        super().__init__("xmppgw:azure:Bastion", name, None, opts)
        child = ResourceOptions(parent=self)
        address = network.PublicIPAddress(
            "bastion",
            public_ip_address_name=naming.of("pip", "bastion"),
            resource_group_name=group,
            location=config.location,
            public_ip_address_version="IPv4",
            public_ip_allocation_method=network.IPAllocationMethod.STATIC,
            sku=network.PublicIPAddressSkuArgs(name="Standard", tier="Regional"),
            tags=tags,
            opts=child,
        )
        self.host = network.BastionHost(
            "bastion",
            bastion_host_name=naming.of("bas"),
            resource_group_name=group,
            location=config.location,
            sku=network.SkuArgs(name="Standard"),
            enable_tunneling=True,
            enable_file_copy=False,
            disable_copy_paste=True,
            ip_configurations=[
                network.BastionHostIPConfigurationArgs(
                    name="bastion",
                    subnet=network.SubResourceArgs(id=subnet.id),
                    public_ip_address=network.SubResourceArgs(id=address.id),
                )
            ],
            tags=tags,
            opts=child,
        )
        self.register_outputs({"name": self.host.name})
