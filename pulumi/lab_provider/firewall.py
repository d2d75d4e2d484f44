"""The FirewallRules resource: the forwarding rules of a host, as one nftables file loaded in one transaction."""

from __future__ import annotations

import hashlib
import ipaddress

import msgspec

from lab_provider import image, machines
from lab_provider.kinds import Kind, Made, Properties, ResourceError

RULES_FILE = "/etc/nftables.d/lab.nft"
LOAD = ["nft", "--file", "/etc/nftables.conf"]
# What a firewall host boots with; the resource's file adds to its chains. Nothing is forwarded that no rule names.
BASE = """#!/usr/sbin/nft -f
flush ruleset
table inet filter {
    chain input {
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        iifname "lo" accept
        iifname "management" tcp dport 22 accept
        meta l4proto { 1, 58 } accept comment "ICMP, ICMPv6"
    }
    chain forward {
        type filter hook forward priority filter; policy drop;
        ct state established,related accept
        meta l4proto { 1, 58 } accept comment "ICMP, ICMPv6"
        counter name "dropped"
    }
    counter dropped { }
}
include "/etc/nftables.d/*.nft"
"""


class Rule(msgspec.Struct, forbid_unknown_fields=True):
    """New connections from any of the sources to any of the destinations (addresses or networks) and ports."""

    purpose: str
    protocol: str
    sources: list[str]
    destinations: list[str]
    ports: list[int]


class FirewallInputs(msgspec.Struct, forbid_unknown_fields=True):
    """The host that forwards, its SSH key (a host made anew has none of the rules), and all the rules."""

    host: str
    host_key: str
    rules: list[Rule]


class FirewallRules(Kind[FirewallInputs]):
    """Rules of one firewall host."""

    inputs_type = FirewallInputs
    replaced_by = frozenset({"host"})

    def create(self, name: str, inputs: FirewallInputs) -> Made:
        """Write the file, load it, read back what the kernel says."""
        text = render(inputs.rules)
        archive = {RULES_FILE: machines.File(text.encode())}
        machines.change(self.places, inputs.host, image.PLAIN, files=archive)
        machines.run_on(self.places, inputs.host, LOAD)
        digest = _loaded(self, inputs.host)
        if digest != _digest(inputs.rules):
            raise ResourceError(f"{inputs.host} did not take the rules: its kernel holds {digest or 'none'}")
        return Made(inputs.host, {"digest": digest})

    def update(self, identity: str, old: FirewallInputs, new: FirewallInputs) -> Made:
        """Replace the whole rule set in one transaction; open connections stay."""
        return self.create(identity, new)

    def read(self, identity: str, inputs: FirewallInputs, outputs: Properties) -> Properties | None:
        """Gone when the kernel of the host holds other rules, or none. A host that is down keeps its rules on disk."""
        if machines.running(self.places, identity) is None:
            return outputs if machines.built(self.places, identity) else None
        digest = _loaded(self, identity)
        return {"digest": digest} if digest == outputs.get("digest") else None

    def delete(self, identity: str, inputs: FirewallInputs) -> None:
        """Close everything that the rules opened."""
        if machines.running(self.places, inputs.host) is not None:
            machines.run_on(self.places, inputs.host, ["rm", "-f", RULES_FILE])
            machines.run_on(self.places, inputs.host, LOAD)


def _loaded(kind: FirewallRules, host: str) -> str:
    answer = machines.run_on(kind.places, host, ["nft", "list", "table", "inet", "lab"], check=False)
    for line in answer.splitlines():
        if line.strip().startswith("comment"):
            return line.strip().removeprefix("comment").strip(' "')
    return ""


def _digest(rules: list[Rule]) -> str:
    return hashlib.sha256(msgspec.json.encode(rules)).hexdigest()[:16]


def render(rules: list[Rule]) -> str:
    """The nftables text of the rules; each address family gets its own line, since a set holds one family."""
    lines = [f'table inet lab {{\n    comment "{_digest(rules)}"\n}}', "table inet filter {", "    chain forward {"]
    for rule in rules:
        if rule.protocol not in ("tcp", "udp"):
            raise ResourceError(f"rule {rule.purpose!r}: protocol must be tcp or udp, not {rule.protocol!r}")
        ports = ", ".join(str(port) for port in sorted(set(rule.ports)))
        for family, version in (("ip", 4), ("ip6", 6)):
            sources = _of_version(rule.sources, version)
            destinations = _of_version(rule.destinations, version)
            if sources and destinations:
                comment = "".join(letter for letter in rule.purpose if letter.isprintable() and letter != '"')
                lines.append(
                    f"        {family} saddr {{ {sources} }} {family} daddr {{ {destinations} }} "
                    f'{rule.protocol} dport {{ {ports} }} accept comment "{comment[:120]}"'
                )
    return "\n".join([*lines, "    }", "}", ""])


def _of_version(addresses: list[str], version: int) -> str:
    networks = [ipaddress.ip_network(address, strict=False) for address in addresses]
    merged = ipaddress.collapse_addresses([network for network in networks if network.version == version])  # type: ignore[type-var]
    return ", ".join(str(network) for network in merged)
