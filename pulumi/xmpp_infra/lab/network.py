"""Component: the lab's networks, all in one namespace that no packet leaves."""

from __future__ import annotations

import pulumi
from pulumi import ResourceOptions

from xmpp_infra.config import StackConfig
from xmpp_infra.lab.resources import Network, RouteArgs


class LabNetwork(pulumi.ComponentResource):
    """Bridges, the controller's address, and its routes through the firewall host."""

    def __init__(self, name: str, config: StackConfig, opts: ResourceOptions | None = None) -> None:
        super().__init__("xmppgw:lab:Network", name, None, opts)
        own = config.networks[config.controller.network]
        firewall = config.hosts[config.firewall].addresses[config.controller.network][0]
        routes: list[RouteArgs] = []
        for network, wire in config.networks.items():
            if network != config.controller.network:
                ipv4, ipv6 = config.both(firewall)
                routes += [{"to": str(wire.ipv4), "via": ipv4}, {"to": str(wire.ipv6), "via": ipv6}]
        self.network = Network(
            name,
            namespace=config.namespace,
            bridges=sorted(config.networks),
            controller_bridge=config.controller.network,
            controller_addresses=[
                f"{config.controller.ipv4}/{own.ipv4.prefixlen}",
                f"{config.controller.ipv6}/{own.ipv6.prefixlen}",
            ],
            routes=routes,
            opts=ResourceOptions(parent=self),
        )
        self.register_outputs({})
