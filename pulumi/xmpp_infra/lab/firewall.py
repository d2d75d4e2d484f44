"""Component: the firewall's rules, from the federation's port table and the lab's own plumbing; nothing else passes."""

from __future__ import annotations

import pulumi
from pulumi import ResourceOptions

from xmpp_infra.config import StackConfig
from xmpp_infra.lab import acme
from xmpp_infra.lab.resources import FirewallRules, Host, RuleArgs
from xmppgw.federation import ports
from xmppgw.federation.ports import Endpoint, Zone


def rules(config: StackConfig) -> list[RuleArgs]:
    """Every rule of the firewall host, sorted by purpose and addresses."""
    networks = {name: [str(wire.ipv4), str(wire.ipv6)] for name, wire in config.networks.items()}
    everywhere = [address for addresses in networks.values() for address in addresses]
    found: list[RuleArgs] = [
        _rule("the operator's SSH", "tcp", networks[config.controller.network], everywhere, 22),
    ]
    if config.dns is not None:
        servers = sorted({config.dns.resolver, config.dns.primary, *config.dns.authoritative})
        addresses = [address for server in servers for address in config.both(server)]
        found += [_rule("DNS of every host", protocol, everywhere, addresses, 53) for protocol in ("tcp", "udp")]
    for host in config.hosts.values():
        if "authorities" in host.groups:
            ends = [address for own in host.addresses.values() for one in own for address in config.both(one)]
            found += [
                _rule("the ACME authority", "tcp", everywhere, ends, port)
                for port in (acme.DIRECTORY_PORT, acme.MANAGEMENT_PORT)
            ]
    if config.federation is not None:
        for row in ports(config.federation):
            source, destination = (_addresses(end, networks, everywhere) for end in (row.source, row.destination))
            found.append(_rule(f"{row.code}: {row.purpose}", row.transport, source, destination, row.port))
    return sorted(found, key=lambda rule: (rule["purpose"], rule["sources"], rule["destinations"], rule["protocol"]))


def _addresses(end: Endpoint, networks: dict[str, list[str]], everywhere: list[str]) -> list[str]:
    if end.addresses:
        return list(end.addresses)
    return everywhere if end.zone is Zone.ANY else networks[end.zone.value]


def _rule(purpose: str, protocol: str, sources: list[str], destinations: list[str], port: int) -> RuleArgs:
    return {
        "purpose": purpose,
        "protocol": protocol,
        "sources": sources,
        "destinations": destinations,
        "ports": [port],
    }


class LabFirewall(pulumi.ComponentResource):
    """The rule set of the firewall host."""

    def __init__(self, name: str, config: StackConfig, host: Host, opts: ResourceOptions | None = None) -> None:
        super().__init__("xmppgw:lab:Firewall", name, None, opts)
        self.rules = FirewallRules(
            config.firewall,
            host=config.firewall,
            host_key=host.host_key,
            rules=rules(config),
            opts=ResourceOptions(parent=self, depends_on=[host], deleted_with=host),
        )
        self.register_outputs({})
