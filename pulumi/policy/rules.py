"""The policies: each a plain function over the stack's resources, with a code, a severity, a sentence and a link.

Used by the CrossGuard pack, by the offline preview, and by tests. Pure: resources in, violations out. A value that is
not known before `up` cannot violate anything; what must be decided before is written so that it is known (tag `role`).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

Value: TypeAlias = "bool | int | float | str | Sequence[Value] | Mapping[str, Value] | None"

S2S_PORTS: Final = frozenset({5269, 5270})
LINK_AND_SIP_PORTS: Final = frozenset({23456, 5061})
SSH_PORT: Final = 22
ANYWHERE: Final = frozenset({"*", "internet", "any", "0.0.0.0/0", "::/0"})
REQUIRED_TAGS: Final = ("cost-center", "environment", "managed-by", "owner", "workload")
# Kinds that Azure lets carry tags, of those that this project makes.
TAGGED: Final = frozenset(
    {
        "azure-native:compute:DiskEncryptionSet",
        "azure-native:compute:VirtualMachine",
        "azure-native:dbforpostgresql:Server",
        "azure-native:dns:Zone",
        "azure-native:keyvault:Vault",
        "azure-native:managedidentity:UserAssignedIdentity",
        "azure-native:monitor:ActionGroup",
        "azure-native:monitor:DataCollectionRule",
        "azure-native:network:BastionHost",
        "azure-native:network:NetworkInterface",
        "azure-native:network:NetworkSecurityGroup",
        "azure-native:network:PublicIPAddress",
        "azure-native:network:VirtualNetwork",
        "azure-native:operationalinsights:Workspace",
        "azure-native:resources:ResourceGroup",
    }
)
# Losing one of these loses an address that partners have opened their firewalls for, a zone, or data.
PROTECTED: Final = frozenset(
    {
        "azure-native:dbforpostgresql:Database",
        "azure-native:dbforpostgresql:Server",
        "azure-native:dns:Zone",
        "azure-native:keyvault:Key",
        "azure-native:keyvault:Vault",
    }
)
OLD_TLS: Final = frozenset({"tls1_0", "tls1_1", "1.0", "1.1", "tlsv1", "tlsv1.0", "tlsv1.1", "tlsenforcementdisabled"})
SECRET_NAME: Final = re.compile(r"(password|passphrase|secret|private_?key|access_?key|token)$", re.IGNORECASE)
# Names that end so and are no secret: what something is called, or that there is none.
NO_SECRET: Final = frozenset({"password_auth", "disable_password_authentication"})
PRIVATE_KEY: Final = re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-{5}")


class Severity(StrEnum):
    """What a violation means: the run stops, or a person is told."""

    MANDATORY = "mandatory"
    ADVISORY = "advisory"


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource as the program wants it; properties in the provider's own spelling (camel case)."""

    urn: str
    type: str
    name: str
    properties: Mapping[str, Value]
    protect: bool = False

    @property
    def role(self) -> str:
        """The tag `role`: `edge`, `front-end`, or empty for what hosts share."""
        tags = self.properties.get("tags")
        role = tags.get("role") if isinstance(tags, Mapping) else None
        return role if isinstance(role, str) else ""


@dataclass(frozen=True, slots=True)
class Violation:
    """What is wrong with which resource; the message ends with what to do."""

    code: str
    severity: Severity
    urn: str
    message: str


Check: TypeAlias = Callable[[Resource], Iterator[str]]


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy: `check` yields one message per violation of one resource."""

    code: str
    severity: Severity
    sentence: str
    link: str
    check: Check


POLICIES: list[Policy] = []


def policy(code: str, severity: Severity, sentence: str, link: str) -> Callable[[Check], Check]:
    """Register a policy."""

    def register(check: Check) -> Check:
        POLICIES.append(Policy(code, severity, sentence, link, check))
        return check

    return register


def judge(resources: Sequence[Resource]) -> list[Violation]:
    """Return every violation, sorted by code, resource and message."""
    found = [
        Violation(each.code, each.severity, resource.urn, message)
        for each in POLICIES
        for resource in resources
        for message in each.check(resource)
    ]
    return sorted(found, key=lambda violation: (violation.code, violation.urn, violation.message))


_DOCS: Final = "docs/policies.md#"


@policy(
    "policy-internet-ports",
    Severity.MANDATORY,
    "The Internet reaches nothing but XMPP federation (5269, and 5270 if asked for), and only on edges.",
    f"{_DOCS}policy-internet-ports",
)
def internet_ports(resource: Resource) -> Iterator[str]:
    """DESIGN rule of the perimeter; RFC 6120 section 13 on the port, XEP-0368 for 5270."""
    for rule in _inbound_allowed(resource):
        if not _from_anywhere(rule):
            continue
        reached = _ports(rule)
        if reached is None or not reached <= S2S_PORTS:
            wanted = ", ".join(map(str, sorted(S2S_PORTS)))
            yield f"rule {_name(rule)} opens {_shown(reached)} to the Internet; allowed are {wanted}: narrow its source"
        if resource.role != "edge":
            yield (
                f"rule {_name(rule)} opens a {resource.role or 'shared'} group to the Internet; only edges face it: "
                f"remove the rule"
            )


@policy(
    "policy-public-address",
    Severity.MANDATORY,
    "A front end has no public address.",
    f"{_DOCS}policy-public-address",
)
def public_address(resource: Resource) -> Iterator[str]:
    """Front ends hold the store and speak to the SIP platform; nothing outside ever dials them."""
    if resource.role != "front-end":
        return
    if resource.type == "azure-native:network:PublicIPAddress":
        yield "this is a public address of a front end: remove it"
    for configuration in _mappings(resource.properties.get("ipConfigurations")):
        if configuration.get("publicIPAddress"):
            yield f"{configuration.get('name')} has a public address: remove it"


@policy(
    "policy-internal-ports",
    Severity.MANDATORY,
    "The link (23456) and SIP (5061) are open only between named private addresses.",
    f"{_DOCS}policy-internal-ports",
)
def internal_ports(resource: Resource) -> Iterator[str]:
    """Both are mutual TLS, and both still are nobody's business but the gateway's and the platform's."""
    yield from _only_private(resource, LINK_AND_SIP_PORTS, "name the hosts or subnets that need it")


@policy(
    "policy-ssh",
    Severity.MANDATORY,
    "SSH is open only from named administrative networks.",
    f"{_DOCS}policy-ssh",
)
def ssh(resource: Resource) -> Iterator[str]:
    """An SSH port that the Internet sees is scanned within minutes."""
    yield from _only_private(resource, frozenset({SSH_PORT}), "name the administrative network, or use the bastion")


@policy(
    "policy-disk-encryption",
    Severity.MANDATORY,
    "Disks are encrypted at the host and with a key of the organisation.",
    f"{_DOCS}policy-disk-encryption",
)
def disk_encryption(resource: Resource) -> Iterator[str]:
    """Messages wait in the front ends' store until they are delivered."""
    if resource.type != "azure-native:compute:VirtualMachine":
        return
    if _at(resource.properties, "securityProfile", "encryptionAtHost") is not True:
        yield "encryptionAtHost is not on: set securityProfile.encryptionAtHost"
    storage = resource.properties.get("storageProfile")
    disks = [_at(resource.properties, "storageProfile", "osDisk")]
    disks += list(_mappings(storage.get("dataDisks"))) if isinstance(storage, Mapping) else []
    for disk in disks:
        if isinstance(disk, Mapping) and not _at(disk, "managedDisk", "diskEncryptionSet"):
            yield f"disk {disk.get('name')} has no disk encryption set: give it the stack's"


@policy(
    "policy-protected",
    Severity.MANDATORY,
    "Zones, databases, vaults and public addresses of edges are protected from deletion.",
    f"{_DOCS}policy-protected",
)
def protected(resource: Resource) -> Iterator[str]:
    """A zone made anew has other name servers; an address made anew is closed at every partner's firewall."""
    edge_address = resource.type == "azure-native:network:PublicIPAddress" and resource.role == "edge"
    if (resource.type in PROTECTED or edge_address) and not resource.protect and not _is_challenge(resource):
        yield "it is not protected: register it with protect=True"


@policy(
    "policy-plain-secret",
    Severity.MANDATORY,
    "No secret stands in plain text in the program's inputs.",
    f"{_DOCS}policy-plain-secret",
)
def plain_secret(resource: Resource) -> Iterator[str]:
    """What stands there stands in the state and in every preview that somebody posts."""
    for path, value in _leaves(resource.properties):
        key = path.rpartition(".")[2]
        if PRIVATE_KEY.search(value):
            yield f"{path} holds a private key: keys are made where they are used"
        elif SECRET_NAME.search(key) and _snake(key) not in NO_SECRET and value not in ("[secret]", "[unknown]", ""):
            yield f"{path} is in plain text: make it a secret, or better, keep it out of the program"


@policy(
    "policy-tags",
    Severity.MANDATORY,
    "Every resource says whose it is, what it belongs to and who manages it.",
    f"{_DOCS}policy-tags",
)
def required_tags(resource: Resource) -> Iterator[str]:
    """Cloud Adoption Framework, "Define your tagging strategy"."""
    if resource.type not in TAGGED:
        return
    tags = resource.properties.get("tags")
    missing = [name for name in REQUIRED_TAGS if not (isinstance(tags, Mapping) and tags.get(name))]
    if missing:
        yield f"without the tags {', '.join(missing)}: add them to xmppgw:azure.tags"


@policy(
    "policy-minimum-tls",
    Severity.MANDATORY,
    "Nothing speaks TLS older than 1.2.",
    f"{_DOCS}policy-minimum-tls",
)
def minimum_tls(resource: Resource) -> Iterator[str]:
    """RFC 8996 retires TLS 1.0 and 1.1."""
    for path, value in _leaves(resource.properties):
        if path.rpartition(".")[2].lower() in ("minimumtlsversion", "mintlsversion", "minimaltlsversion"):
            yield from _too_old(path, value)
    if resource.properties.get("configurationName") == "ssl_min_protocol_version":
        yield from _too_old("value", str(resource.properties.get("value")))
    plain = resource.properties.get("configurationName") == "require_secure_transport"
    if plain and str(resource.properties.get("value")).lower() == "off":
        yield "require_secure_transport is off: the database would speak plain text"


@policy(
    "policy-srv-ttl",
    Severity.ADVISORY,
    "An SRV record that will move is not remembered for more than a day.",
    f"{_DOCS}policy-srv-ttl",
)
def srv_ttl(resource: Resource) -> Iterator[str]:
    """Step 5 of the migration waits until nobody can remember the record with its old TTL."""
    if resource.type == "azure-native:dns:RecordSet" and resource.properties.get("recordType") == "SRV":
        ttl = resource.properties.get("ttl")
        if isinstance(ttl, int | float) and ttl > 86400:
            yield f"TTL {ttl:.0f} s: a cut-over would wait more than a day for it"


def _is_challenge(resource: Resource) -> bool:
    return str(resource.properties.get("zoneName", "")).startswith("_acme-challenge.")


def _too_old(path: str, value: str) -> Iterator[str]:
    if value.lower() in OLD_TLS:
        yield f"{path} is {value}: set TLS 1.2 or newer"


def _only_private(resource: Resource, guarded: frozenset[int], what_to_do: str) -> Iterator[str]:
    for rule in _inbound_allowed(resource):
        reached = _ports(rule)
        if reached is not None and not reached & guarded:
            continue
        for source in _sources(rule):
            if not _is_private(source):
                yield f"rule {_name(rule)} opens {_shown(reached)} to {source}: {what_to_do}"


def _inbound_allowed(resource: Resource) -> Iterator[Mapping[str, Value]]:
    rules: list[Mapping[str, Value]] = []
    if resource.type == "azure-native:network:NetworkSecurityGroup":
        rules = list(_mappings(resource.properties.get("securityRules")))
    elif resource.type == "azure-native:network:SecurityRule":
        rules = [resource.properties]
    for rule in rules:
        if rule.get("direction") == "Inbound" and rule.get("access") == "Allow":
            yield rule


def _sources(rule: Mapping[str, Value]) -> list[str]:
    listed = rule.get("sourceAddressPrefixes")
    many = [str(each) for each in listed] if isinstance(listed, Sequence) and not isinstance(listed, str) else []
    one = rule.get("sourceAddressPrefix")
    return many + ([str(one)] if one else [])


def _from_anywhere(rule: Mapping[str, Value]) -> bool:
    return any(source.lower() in ANYWHERE or _is_public(source) for source in _sources(rule))


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _is_public(source: str) -> bool:
    # A network so wide that it is the Internet in all but name.
    network = _network(source)
    return network is not None and network.prefixlen <= (4 if network.version == 4 else 8)


def _is_private(source: str) -> bool:
    """An address or network that somebody named. Azure's service tags are wider than they sound."""
    network = _network(source)
    return network is not None and network.prefixlen >= (12 if network.version == 4 else 32)


def _ports(rule: Mapping[str, Value]) -> frozenset[int] | None:
    """The destination ports of a rule; None for all of them, or for so many that listing them says nothing."""
    listed = rule.get("destinationPortRanges")
    texts = [str(each) for each in listed] if isinstance(listed, Sequence) and not isinstance(listed, str) else []
    if one := rule.get("destinationPortRange"):
        texts.append(str(one))
    found: set[int] = set()
    for text in texts:
        low, _, high = text.partition("-")
        if not low.isdigit() or (high and not high.isdigit()) or int(high or low) - int(low) > 1000:
            return None
        found |= set(range(int(low), int(high or low) + 1))
    return frozenset(found)


def _shown(reached: frozenset[int] | None) -> str:
    return "every port" if reached is None else f"port {', '.join(map(str, sorted(reached)[:5]))}"


def _name(rule: Mapping[str, Value]) -> str:
    return str(rule.get("name") or rule.get("securityRuleName") or "without a name")


def _mappings(value: Value) -> Iterator[Mapping[str, Value]]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        for each in value:
            if isinstance(each, Mapping):
                yield each


def _at(value: Value, *path: str) -> Value:
    found = value
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _leaves(value: Value, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _leaves(each, f"{path}.{key}" if path else key)
    elif isinstance(value, Sequence):
        for number, each in enumerate(value):
            yield from _leaves(each, f"{path}[{number}]")


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
