"""The configuration of an Azure stack as one typed model: key `xmppgw:azure` of Pulumi.<stack>.yaml.

`xmpp_infra.config` parses it once and reports everything that is wrong with it at once, with the key and what is
allowed. What the federation document says already (hosts, names, addresses, zones) is not said again here.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from xmppgw.federation import Document

MAXIMUM_EDGES: Final = 4
MAXIMUM_FRONT_ENDS: Final = 8
# Azure keeps the first four and the last address of every subnet for itself.
RESERVED_FIRST: Final = 4
# Azure's own: at most 24 characters and unique worldwide, which leaves this much for the workload's name.
Workload = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{1,9}$", description="2 to 10 letters and digits")]
Zone = Literal["1", "2", "3"]
TagName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,127}$")]
REQUIRED_TAGS: Final = ("cost-center", "owner")
# RFC 1918: what Key Vault's firewall does not take.
PRIVATE: Final = tuple(map(ipaddress.IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
# Under these Azure manages what stands in them; the first is what Bastion insists on.
BASTION_SUBNET: Final = "AzureBastionSubnet"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Subnet(_Strict):
    """A subnet, dual stack. Azure gives every IPv6 subnet exactly 64 bits."""

    ipv4: ipaddress.IPv4Network
    ipv6: ipaddress.IPv6Network

    @model_validator(mode="after")
    def _sizes(self) -> Subnet:
        if self.ipv4.prefixlen > 29:
            raise ValueError(f"ipv4: found /{self.ipv4.prefixlen}, Azure allows /29 and larger")
        if self.ipv6.prefixlen != 64:
            raise ValueError(f"ipv6: found /{self.ipv6.prefixlen}, Azure allows /64 only")
        return self

    def holds(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        """Whether a host may have this address: inside, and not one that Azure keeps for itself."""
        network = self.ipv4 if address.version == 4 else self.ipv6
        if address not in network:
            return False
        offset = int(address) - int(network.network_address)
        return RESERVED_FIRST <= offset < network.num_addresses - 1


class Network(_Strict):
    """The virtual network. `perimeter` faces the Internet, `internal` holds front ends and the edges' inner side."""

    ipv4: ipaddress.IPv4Network
    ipv6: ipaddress.IPv6Network
    perimeter: Subnet
    internal: Subnet
    database: ipaddress.IPv4Network | None = None
    """delegated to PostgreSQL; needed with `postgresql`"""
    bastion: ipaddress.IPv4Network | None = None
    """at least /26; needed with `access.bastion`"""

    def ipv4_subnets(self) -> Iterator[tuple[str, ipaddress.IPv4Network]]:
        """Every IPv4 subnet with its key."""
        yield "perimeter.ipv4", self.perimeter.ipv4
        yield "internal.ipv4", self.internal.ipv4
        if self.database is not None:
            yield "database", self.database
        if self.bastion is not None:
            yield "bastion", self.bastion

    @model_validator(mode="after")
    def _fits(self) -> Network:
        problems = []
        subnets = list(self.ipv4_subnets())
        for key, subnet in subnets:
            if not subnet.subnet_of(self.ipv4):
                problems.append(f"{key}: {subnet} does not fit into the network {self.ipv4}")
        for number, (key, subnet) in enumerate(subnets):
            problems += [
                f"{key}: {subnet} overlaps {other}" for other, taken in subnets[:number] if subnet.overlaps(taken)
            ]
        for key, own in (("perimeter.ipv6", self.perimeter.ipv6), ("internal.ipv6", self.internal.ipv6)):
            if not own.subnet_of(self.ipv6):
                problems.append(f"{key}: {own} does not fit into the network {self.ipv6}")
        if self.perimeter.ipv6.overlaps(self.internal.ipv6):
            problems.append(f"internal.ipv6: {self.internal.ipv6} overlaps perimeter.ipv6")
        if self.bastion is not None and self.bastion.prefixlen > 26:
            problems.append(f"bastion: found /{self.bastion.prefixlen}, Azure Bastion needs /26 or larger")
        if problems:
            raise ValueError("\n".join(problems))
        return self


class Machines(_Strict):
    """What the hosts of one role are made of. Hosts are spread over `zones` in the order of their names."""

    size: Annotated[str, Field(pattern=r"^Standard_[A-Za-z0-9_]+$")] = "Standard_D2s_v5"
    zones: Annotated[tuple[Zone, ...], Field(min_length=1)] = ("1", "2", "3")
    disk_gib: Annotated[int, Field(ge=30, le=1024)] = 64


class Access(_Strict):
    """How operators and pipelines reach the hosts by SSH: named networks, or Azure Bastion; never the Internet."""

    user: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,30}$")] = "operator"
    public_keys: Annotated[tuple[str, ...], Field(min_length=1)]
    admin_networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()
    bastion: bool = False

    @model_validator(mode="after")
    def _closed(self) -> Access:
        problems = [
            f"admin_networks: found {network}, expected /16 (IPv4) or /32 (IPv6) or smaller: SSH is never open to "
            "the Internet"
            for network in self.admin_networks
            if network.prefixlen < (16 if network.version == 4 else 32)
        ]
        if not self.admin_networks and not self.bastion:
            problems.append("admin_networks: found none and no bastion, expected one of the two: nobody could log in")
        for number, key in enumerate(self.public_keys):
            if key.split(" ", 1)[0] not in ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ssh-rsa"):
                problems.append(f"public_keys[{number}]: expected an OpenSSH public key, such as `ssh-ed25519 AAAA…`")
        if problems:
            raise ValueError("\n".join(problems))
        return self


class DnsZone(_Strict):
    """A public zone of ours: made here, or one that exists and is adopted. Neither is ever recreated."""

    mode: Literal["create", "adopt"] = "create"
    resource_group: Annotated[str, Field(pattern=r"^[-\w.()]{1,89}[-\w()]$")] | None = None
    """where an adopted zone lies; needed with `adopt`"""
    delegation: Literal["now", "later"] = "now"
    """`later`: other name servers answer for it still, and that is known"""
    dnssec: bool = True
    """sign the zone; of an adopted zone its owner decides"""
    adopt_srv: bool = False
    """the zone has a `_xmpp-server._tcp` record already, which is taken over as it stands"""

    @model_validator(mode="after")
    def _complete(self) -> DnsZone:
        if (self.mode == "adopt") != (self.resource_group is not None):
            raise ValueError("resource_group: needed with mode adopt, and only then")
        if self.adopt_srv and self.mode == "create":
            raise ValueError("adopt_srv: only an adopted zone has a record to take over")
        return self


class Dns(_Strict):
    """Zones by name. `acme` delegates each edge's `_acme-challenge` into a zone that only that edge may write."""

    zones: Annotated[dict[str, DnsZone], Field(min_length=1)]
    acme: bool = False


class PostgreSql(_Strict):
    """The store that front ends share when there is more than one."""

    version: Literal["15", "16", "17"] = "16"
    size: str = "Standard_D2ds_v5"
    storage_gib: Literal[32, 64, 128, 256, 512] = 64
    zone_redundant: bool = True
    backup_days: Annotated[int, Field(ge=7, le=35)] = 14
    administrators_group: Annotated[str, Field(pattern=r"^[0-9a-f-]{36}$")]
    """object id of the Entra group that administers it; there is no password"""


class Monitoring(_Strict):
    """Logs and alerts."""

    retention_days: Annotated[int, Field(ge=30, le=730)] = 30
    alert_emails: Annotated[tuple[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")], ...], Field(min_length=1)]


class AzureConfig(_Strict):
    """Everything of an Azure stack that the federation document does not say."""

    location: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{3,29}$")]
    """region, such as westeurope"""
    location_code: Annotated[str, Field(pattern=r"^[a-z0-9]{2,6}$")]
    """the region's short form in names, such as weu"""
    environment: Annotated[str, Field(pattern=r"^[a-z]{2,8}$")]
    """such as dev or prod"""
    workload: Workload = "xmppgw"
    tenant: Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
    """Entra tenant that Key Vault trusts"""
    deployers: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")], ...] = ()
    """object ids of pipelines and people who migrate: they may sign with the private CA's key, read shared secrets,
    change the SRV records and answer ACME's challenges"""
    vault_networks: tuple[ipaddress.IPv4Network, ...] = ()
    """public addresses from which deployers reach Key Vault, whose firewall lets nobody else in"""
    tags: dict[TagName, Annotated[str, Field(min_length=1, max_length=256)]]
    network: Network
    edges: Machines = Machines()
    front_ends: Machines = Machines()
    access: Access
    dns: Dns
    postgresql: PostgreSql | None = None
    monitoring: Monitoring
    direct_tls: bool = False
    """5270 as well (XEP-0368); only after the migration, since a splice cannot read inside TLS"""

    @model_validator(mode="after")
    def _whole(self) -> AzureConfig:
        problems = [
            f"tags.{name}: missing, every resource carries it" for name in REQUIRED_TAGS if name not in self.tags
        ]
        if self.postgresql is not None and self.network.database is None:
            problems.append("network.database: missing, PostgreSQL needs a subnet delegated to it")
        problems += [
            f"vault_networks: found {network}, expected public IPv4 addresses, /24 or smaller"
            for network in self.vault_networks
            if network.prefixlen < 24 or any(network.subnet_of(private) for private in PRIVATE)
        ]
        if self.access.bastion and self.network.bastion is None:
            problems.append("network.bastion: missing, the bastion needs a subnet")
        if problems:
            raise ValueError("\n".join(problems))
        return self


def problems_with(config: AzureConfig, document: Document) -> list[str]:
    """Return what in the stack's configuration does not fit its federation document; one sentence each."""
    federation = document.federation
    problems = []
    hosts = [front_end for _, front_end in federation.front_ends]
    for what, count, limit in (
        ("edges", len(federation.edges), MAXIMUM_EDGES),
        ("front ends", len(hosts), MAXIMUM_FRONT_ENDS),
    ):
        if count > limit:
            problems.append(f"the federation document has {count} {what}, expected at most {limit}")
    places = [(edge.host, "perimeter", edge.external_addresses) for edge in federation.edges]
    places += [(edge.host, "internal", edge.internal_addresses) for edge in federation.edges]
    places += [(front_end.host, "internal", front_end.addresses) for front_end in hosts]
    for host, name, addresses in places:
        subnet = config.network.perimeter if name == "perimeter" else config.network.internal
        problems += [
            f"{address} of {host} is no usable address of network.{name} ({subnet.ipv4}, {subnet.ipv6}; Azure keeps "
            f"the first {RESERVED_FIRST} and the last)"
            for address in addresses
            if not subnet.holds(ipaddress.ip_address(address))
        ]
    for zone in federation.dns.zones:
        if zone not in config.dns.zones:
            problems.append(f"dns.zones: {zone} of the federation document is missing")
    for zone in config.dns.zones:
        if zone not in federation.dns.zones:
            problems.append(f"dns.zones.{zone}: the federation document has no such zone")
    keys = (federation.certificates.internal.key, federation.certificates.of_link.key)
    if any(keys) and not (config.deployers and config.vault_networks):
        problems.append("deployers, vault_networks: missing, nobody could sign with the private CA's key in Key Vault")
    if len(hosts) > 1 and config.postgresql is None:
        problems.append(f"postgresql: missing, {len(hosts)} front ends share one store")
    return problems
