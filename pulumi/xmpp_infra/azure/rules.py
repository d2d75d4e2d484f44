"""Network security rules from the federation's port table: the same rows as the lab's nftables, in Azure's form.

Pure: rows in, rules out. What no row names is denied in both directions by the last two rules of every group, because
Azure's own defaults let everything inside the virtual network talk to everything, and everything out.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from xmpp_infra.azure.config import AzureConfig
from xmppgw.federation import Document, Endpoint, PortRule, Zone, ports

INTERNET: Final = "Internet"
# Azure's limits: 4096 is the last priority a rule of ours may have; the description has 140 characters.
FIRST_PRIORITY: Final = 100
STEP: Final = 10
DENY_PRIORITY: Final = 4096
DESCRIPTION_LENGTH: Final = 140

Role = Literal["edges", "front-ends"]


@dataclass(frozen=True, slots=True)
class SecurityRule:
    """One rule of a group. Addresses are prefixes of one family, or a service tag alone."""

    name: str
    description: str
    direction: Literal["Inbound", "Outbound"]
    access: Literal["Allow", "Deny"]
    protocol: Literal["Tcp", "Udp", "*"]
    priority: int
    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    ports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Wanted:
    code: str
    rationale: str
    direction: Literal["Inbound", "Outbound"]
    protocol: Literal["Tcp", "Udp"]
    port: int
    sources: tuple[str, ...]
    destinations: tuple[str, ...]


def security_rules(config: AzureConfig, document: Document, role: Role) -> list[SecurityRule]:
    """Return the rules of one role's group, in the order of their priorities."""
    own = _addresses_of(document, role)
    wanted = [each for row in ports(document) for each in _sides(row, own, config)]
    if role == "edges" and config.direct_tls:
        wanted += _direct_tls(document)
    wanted += _ssh(config, document, role)
    found: list[SecurityRule] = []
    for direction in ("Inbound", "Outbound"):
        rows = sorted(
            {each for each in wanted if each.direction == direction},
            key=lambda each: (each.code, each.port, each.protocol, each.sources, each.destinations),
        )
        rules = [
            SecurityRule(
                name=f"allow-{direction.lower()}-{each.code}-{number:02d}",
                description=each.rationale[:DESCRIPTION_LENGTH],
                direction=each.direction,
                access="Allow",
                protocol=each.protocol,
                priority=FIRST_PRIORITY + STEP * number,
                sources=each.sources,
                destinations=each.destinations,
                ports=(str(each.port),),
            )
            for number, each in enumerate(rows)
        ]
        if rules and rules[-1].priority >= DENY_PRIORITY:
            raise ValueError(f"{len(rules)} rules for {role} are more than a network security group holds")
        found += [*rules, _deny(direction)]
    return found


def _deny(direction: Literal["Inbound", "Outbound"]) -> SecurityRule:
    return SecurityRule(
        name=f"deny-{direction.lower()}-rest",
        description="nothing that the port table does not name, also not inside the virtual network",
        direction=direction,
        access="Deny",
        protocol="*",
        priority=DENY_PRIORITY,
        sources=("*",),
        destinations=("*",),
        ports=("*",),
    )


def _addresses_of(document: Document, role: Role) -> frozenset[str]:
    federation = document.federation
    if role == "edges":
        return frozenset(
            address for edge in federation.edges for address in (*edge.external_addresses, *edge.internal_addresses)
        )
    return frozenset(address for _, front_end in federation.front_ends for address in front_end.addresses)


def _sides(row: PortRule, own: frozenset[str], config: AzureConfig) -> Iterator[_Wanted]:
    """The rules that one row needs in a group: where its hosts are the destination, where they are the source."""
    protocol: Literal["Tcp", "Udp"] = "Tcp" if row.transport == "tcp" else "Udp"
    for direction, mine, other in (("Inbound", row.destination, row.source), ("Outbound", row.source, row.destination)):
        addresses = tuple(address for address in mine.addresses if address in own)
        for family in (4, 6):
            ours = _of_family(addresses, family)
            theirs = _others(other, family, config)
            if not ours or not theirs:
                continue
            sources, destinations = (theirs, ours) if direction == "Inbound" else (ours, theirs)
            yield _Wanted(
                row.code,
                f"{row.application}: {row.purpose}",
                "Inbound" if direction == "Inbound" else "Outbound",
                protocol,
                row.port,
                sources,
                destinations,
            )


def _others(endpoint: Endpoint, family: int, config: AzureConfig) -> tuple[str, ...]:
    if endpoint.addresses:
        return _of_family(endpoint.addresses, family)
    if endpoint.zone in (Zone.INTERNET, Zone.ANY):
        return (INTERNET,)
    subnet = config.network.perimeter if endpoint.zone is Zone.PERIMETER else config.network.internal
    return (str(subnet.ipv4 if family == 4 else subnet.ipv6),)


def _of_family(addresses: Iterable[str], family: int) -> tuple[str, ...]:
    return tuple(sorted(address for address in addresses if ipaddress.ip_network(address).version == family))


def _direct_tls(document: Document) -> Iterator[_Wanted]:
    for edge in document.federation.edges:
        for family in (4, 6):
            if addresses := _of_family(edge.external_addresses, family):
                yield _Wanted(
                    "s2s-direct", "XMPP S2S over direct TLS (XEP-0368)", "Inbound", "Tcp", 5270, (INTERNET,), addresses
                )


def _ssh(config: AzureConfig, document: Document, role: Role) -> Iterator[_Wanted]:
    federation = document.federation
    # The edges' inner side: an administrator never needs the one that faces the Internet.
    addresses = (
        [address for edge in federation.edges for address in edge.internal_addresses]
        if role == "edges"
        else [address for _, front_end in federation.front_ends for address in front_end.addresses]
    )
    networks = [str(network) for network in config.access.admin_networks]
    if config.access.bastion and config.network.bastion is not None:
        networks.append(str(config.network.bastion))
    for family in (4, 6):
        sources, destinations = _of_family(networks, family), _of_family(addresses, family)
        if sources and destinations:
            yield _Wanted("ssh", "SSH of operators and pipelines", "Inbound", "Tcp", 22, sources, destinations)
