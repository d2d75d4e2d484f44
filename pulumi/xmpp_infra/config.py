"""The stack's configuration, parsed once into a typed model; everything wrong with it is reported in one go.

Called by `__main__.py` before any resource is registered. Addresses are checked here; components may trust them.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Protocol

from pulumi import RunError
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from xmppgw.federation import Document, DocumentProblems, load_document

PLATFORMS = ("azure", "lab")
KEYS = ("platform", "federation", "networks", "controller", "firewall", "hosts", "with", "legacy_gateway", "dns")
HostName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,11}[a-z0-9]$")]


CODE = "infra-configuration"  # docs/codes.md


class ConfigurationError(RunError):
    """Everything that is wrong with a stack's configuration, one line each; shown without a traceback."""

    def __init__(self, stack: str, problems: list[str]) -> None:
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"[{CODE}] Pulumi.{stack}.yaml cannot be used; nothing was changed:\n{lines}")
        self.problems = problems


class Source(Protocol):
    """What is needed of `pulumi.Config`."""

    def get(self, key: str) -> str | None:
        """A configuration value as text."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NetworkConfig(_Strict):
    """A network of the lab, dual stack."""

    ipv4: ipaddress.IPv4Network
    ipv6: ipaddress.IPv6Network

    def paired(self, address: ipaddress.IPv4Address) -> ipaddress.IPv6Address:
        """The IPv6 address beside an IPv4 one: its last part has the digits of the IPv4 address's last number."""
        return self.ipv6[int(str(address).rpartition(".")[2], 16)]


class ControllerConfig(_Strict):
    """Where the operator stands: a network, and the addresses of the lab's own namespace on it."""

    network: str
    ipv4: ipaddress.IPv4Address
    ipv6: ipaddress.IPv6Address


class HostConfig(_Strict):
    """A host: image, inventory groups, IPv4 addresses by network (in this order; the first is where SSH answers).

    An optional one is made only if the stack asks for it by name (`with`).
    """

    image: Literal["plain", "servers", "acme"]
    groups: list[str] = Field(min_length=1)
    addresses: dict[str, list[ipaddress.IPv4Address]] = Field(min_length=1)
    optional: bool = False


def _as_several(value: object) -> object:
    return [value] if isinstance(value, str) else value


Targets = Annotated[tuple[str, ...], BeforeValidator(_as_several), Field(min_length=1)]
"""The values of one SRV RRset; a single one may stand without brackets."""


class ZoneConfig(_Strict):
    """Records of a zone beyond those that follow from the federation document."""

    addresses: dict[str, ipaddress.IPv4Address] = Field(default_factory=dict)
    services: dict[str, Targets] = Field(default_factory=dict)


class DnsConfig(_Strict):
    """Servers, update key and zones. `server` is the host that runs the primary."""

    resolver: ipaddress.IPv4Address
    primary: ipaddress.IPv4Address
    authoritative: list[ipaddress.IPv4Address]
    server: str
    key: str
    ttl: int = Field(ge=1, le=86400)
    zones: dict[str, ZoneConfig]


class StackConfig(_Strict):
    """A whole stack."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    stack: str
    platform: Literal["lab"]
    namespace: str = Field(pattern=r"^[a-z][a-z0-9-]{0,14}$")
    federation: Document | None = None
    networks: dict[str, NetworkConfig]
    controller: ControllerConfig
    firewall: str
    hosts: dict[HostName, HostConfig]
    legacy_gateway: Literal["both", "legacy_pool"] = "both"
    """whom the old gateway serves: users of both pools, or only those who have not been moved"""
    dns: DnsConfig | None = None

    @model_validator(mode="after")
    def _references_hold(self) -> StackConfig:
        problems = [
            f"hosts.{name}: {problem}" for name, host in self.hosts.items() for problem in self._wrong_with(host)
        ]
        if self.controller.network not in self.networks:
            problems.append(f"controller: there is no network {self.controller.network}")
        if self.firewall not in self.hosts:
            problems.append(f"firewall: there is no host {self.firewall}")
        if self.dns is not None and self.dns.server not in self.hosts:
            problems.append(f"dns.server: there is no host {self.dns.server}")
        owners: dict[str, str] = {}
        for name, host in self.hosts.items():
            for address in (str(address) for addresses in host.addresses.values() for address in addresses):
                if address in owners:
                    problems.append(f"hosts.{name}: {address} belongs to {owners[address]} already")
                owners[address] = name
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _wrong_with(self, host: HostConfig) -> list[str]:
        problems = []
        for network, addresses in host.addresses.items():
            if network not in self.networks:
                problems.append(f"there is no network {network}")
                continue
            problems += [
                f"{address} is not in network {network} ({self.networks[network].ipv4})"
                for address in addresses
                if address not in self.networks[network].ipv4
            ]
        return problems

    def interface(self, host: str, network: str) -> list[str]:
        """Addresses of a host on a network, both families, with prefix lengths."""
        wire = self.networks[network]
        found = []
        for address in self.hosts[host].addresses[network]:
            found += [f"{address}/{wire.ipv4.prefixlen}", f"{wire.paired(address)}/{wire.ipv6.prefixlen}"]
        return found

    def both(self, address: ipaddress.IPv4Address) -> tuple[str, str]:
        """An IPv4 address of the lab and the IPv6 address beside it."""
        wire = next(wire for wire in self.networks.values() if address in wire.ipv4)
        return str(address), str(wire.paired(address))

    def gateways(self, host: str) -> list[str]:
        """The firewall's addresses on the host's first network; none for the firewall itself."""
        if host == self.firewall:
            return []
        network = next(iter(self.hosts[host].addresses))
        return list(self.both(self.hosts[self.firewall].addresses[network][0]))


def platform_of(source: Source, stack: str) -> str:
    """Return what the stack is built on. Raises ConfigurationError if that is none of PLATFORMS."""
    platform = source.get("platform")
    if platform not in PLATFORMS:
        allowed = ", ".join(PLATFORMS)
        raise ConfigurationError(stack, [f"platform: found {platform or 'nothing'}, expected one of {allowed}"])
    return platform


def sentences(wrong: ValidationError) -> list[str]:
    """Return what pydantic found, one sentence each: where, what, and what was found."""
    found = []
    for error in wrong.errors():
        where = ".".join(str(part) for part in error["loc"])
        lines = error["msg"].removeprefix("Value error, ").splitlines()
        found += [f"{where}: {line}" if where else line for line in lines]
    return found


DOCUMENT = "XMPPGW_LAB_DOCUMENT"
"""Another federation document for this lab; the inventory and the probe read the same variable."""

CHOICES = {"with": "XMPPGW_LAB_WITH", "legacy_gateway": "XMPPGW_LAB_LEGACY_GATEWAY"}
"""What a person, or a test, may choose for one lab without touching the stack's file."""


def _choose_hosts(values: dict[str, object]) -> list[str]:
    """Leave out the optional hosts that nobody asked for; say which names mean no optional host."""
    wanted, hosts = values.pop("with", []), values.get("hosts")
    if not isinstance(hosts, dict):
        return []
    if not isinstance(wanted, list) or not all(isinstance(name, str) for name in wanted):
        return [f"with: must be a list of optional hosts' names, found {wanted!r}"]
    optional = {name for name, host in hosts.items() if isinstance(host, dict) and host.get("optional") is True}
    values["hosts"] = {name: host for name, host in hosts.items() if name not in optional or name in wanted}
    return [
        f"with: {name} is no optional host; there are {', '.join(sorted(optional)) or 'none'}"
        for name in sorted(set(wanted) - optional)
    ]


def stack_config(
    source: Source, stack: str, directory: str, environment: Mapping[str, str] = os.environ
) -> StackConfig:
    """Parse the configuration; raises ConfigurationError with everything that is wrong."""
    problems: list[str] = []
    values: dict[str, object] = {"stack": stack, "namespace": environment.get("XMPPGW_LAB_NAMESPACE") or "xmpplab"}
    for key in KEYS:
        text = source.get(key)
        if text is None:
            continue
        if key in ("platform", "firewall", "legacy_gateway"):
            values[key] = environment.get(CHOICES.get(key, "")) or text
        elif key == "federation":
            try:
                values[key] = load_document(Path(environment.get(DOCUMENT) or Path(directory, text)))
            except DocumentProblems as wrong:
                problems += [
                    f"federation: {problem.file}:{problem.line}: {problem.message}" for problem in wrong.problems
                ]
        else:
            try:
                values[key] = json.loads(text)
            except ValueError:
                problems.append(f"{key}: must be a mapping")
    if environment.get(CHOICES["with"]):
        values["with"] = [name for name in re.split(r"[,\s]+", environment[CHOICES["with"]]) if name]
    problems += _choose_hosts(values)
    try:
        config = StackConfig.model_validate(values)
    except ValidationError as wrong:
        problems += sentences(wrong)
    if problems:
        raise ConfigurationError(stack, sorted(problems))
    return config
