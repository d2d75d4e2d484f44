"""Each policy bites on what violates it, and leaves what does not; the message says what to do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from policy.rules import POLICIES, Resource, Severity, judge

TAGS = {"cost-center": "1", "environment": "dev", "managed-by": "pulumi", "owner": "us", "workload": "xmppgw"}
GROUP = "azure-native:network:NetworkSecurityGroup"
MACHINE = "azure-native:compute:VirtualMachine"
ADDRESS = "azure-native:network:PublicIPAddress"
INTERFACE = "azure-native:network:NetworkInterface"


def resource(kind: str, properties: Mapping[str, object], *, role: str = "", protect: bool = True) -> Resource:
    tags = {**TAGS, "role": role} if role else TAGS
    return Resource(f"urn:pulumi:dev::p::{kind}::x", kind, "x", {"tags": tags, **properties}, protect)


def rule(source: str, port: str, **more: object) -> dict[str, object]:
    return {
        "name": "r",
        "direction": "Inbound",
        "access": "Allow",
        "sourceAddressPrefix": source,
        "destinationPortRange": port,
        **more,
    }


def group(*rules: Mapping[str, object], role: str = "edge") -> Resource:
    return resource(GROUP, {"securityRules": list(rules)}, role=role)


def machine(**more: object) -> Resource:
    properties: dict[str, object] = {
        "securityProfile": {"encryptionAtHost": True},
        "storageProfile": {"osDisk": {"name": "d", "managedDisk": {"diskEncryptionSet": {"id": "[unknown]"}}}},
        **more,
    }
    return resource(MACHINE, properties, role="edge")


FRONT_END_INTERFACE = {"ipConfigurations": [{"name": "ipv4-0", "publicIPAddress": {"id": "x"}}]}
VIOLATIONS = [
    ("policy-internet-ports", group(rule("Internet", "443"))),
    ("policy-internet-ports", group(rule("0.0.0.0/1", "5222"))),
    ("policy-internet-ports", group(rule("*", "*"))),
    ("policy-internet-ports", group(rule("Internet", "5200-5300"))),
    ("policy-internet-ports", group(rule("Internet", "5269"), role="front-end")),
    ("policy-public-address", resource(INTERFACE, FRONT_END_INTERFACE, role="front-end")),
    ("policy-public-address", resource(ADDRESS, {}, role="front-end")),
    ("policy-internal-ports", group(rule("VirtualNetwork", "5061"), role="front-end")),
    ("policy-internal-ports", group(rule("Internet", "23456"))),
    ("policy-ssh", group(rule("Internet", "22"))),
    ("policy-ssh", group(rule("10.0.0.0/8", "20-30"))),
    ("policy-ssh", group(rule("10.1.0.0/16", "22", sourceAddressPrefixes=["*"]))),
    ("policy-disk-encryption", machine(securityProfile={"encryptionAtHost": False})),
    ("policy-disk-encryption", machine(storageProfile={"osDisk": {"name": "d", "managedDisk": {}}})),
    (
        "policy-disk-encryption",
        machine(
            storageProfile={
                "osDisk": {"name": "d", "managedDisk": {"diskEncryptionSet": {"id": "x"}}},
                "dataDisks": [{"name": "e"}],
            }
        ),
    ),
    ("policy-protected", resource("azure-native:dns:Zone", {"zoneName": "corp.example"}, protect=False)),
    ("policy-protected", resource("azure-native:dbforpostgresql:Server", {}, protect=False)),
    ("policy-protected", resource(ADDRESS, {}, role="edge", protect=False)),
    ("policy-plain-secret", machine(osProfile={"adminPassword": "hunter2"})),
    ("policy-plain-secret", machine(userData="-----BEGIN EC PRIVATE " + "KEY-----\nMH...")),
    ("policy-tags", Resource("urn:pulumi:dev::p::t::x", MACHINE, "x", {"tags": {"owner": "us"}})),
    ("policy-minimum-tls", machine(minimumTlsVersion="TLS1_0")),
    (
        "policy-minimum-tls",
        resource(
            "azure-native:dbforpostgresql:Configuration",
            {"configurationName": "ssl_min_protocol_version", "value": "TLSv1"},
        ),
    ),
    (
        "policy-minimum-tls",
        resource(
            "azure-native:dbforpostgresql:Configuration",
            {"configurationName": "require_secure_transport", "value": "off"},
        ),
    ),
    ("policy-srv-ttl", resource("azure-native:dns:RecordSet", {"recordType": "SRV", "ttl": 172800})),
]
FINE = [
    group(rule("Internet", "5269"), rule("Internet", "5270")),
    group(rule("10.60.1.20", "23456"), rule("10.20.0.0/24", "5061"), rule("10.10.0.0/24", "22"), role="front-end"),
    group(rule("Internet", "443", access="Deny"), rule("*", "*", direction="Outbound")),
    resource(INTERFACE, {"ipConfigurations": [{"name": "ipv4-0", "publicIPAddress": None}]}, role="front-end"),
    resource(INTERFACE, FRONT_END_INTERFACE, role="edge"),
    machine(osProfile={"adminPassword": "[secret]", "linuxConfiguration": {"disablePasswordAuthentication": True}}),
    machine(minimumTlsVersion="TLS1_2"),
    resource("azure-native:dns:Zone", {"zoneName": "_acme-challenge.edge1.corp.example"}, protect=False),
    resource("azure-native:dns:RecordSet", {"recordType": "SRV", "ttl": 3600}),
    resource("azure-native:dbforpostgresql:Server", {"authConfig": {"passwordAuth": "Disabled"}}),
]


@pytest.mark.parametrize(("code", "violator"), VIOLATIONS, ids=lambda each: each if isinstance(each, str) else "")
def test_a_violation_is_found_and_says_what_to_do(code: str, violator: Resource) -> None:
    found = [each for each in judge([violator]) if each.code == code]
    assert found, f"{code} does not bite on {violator.properties}"
    assert all(each.urn == violator.urn and ":" in each.message for each in found)


@pytest.mark.parametrize("keeper", FINE, ids=lambda each: each.type.rpartition(":")[2])
def test_what_is_as_it_should_be_is_left_alone(keeper: Resource) -> None:
    assert judge([keeper]) == []


def test_every_policy_has_a_violation_here_a_sentence_and_a_link() -> None:
    assert {code for code, _ in VIOLATIONS} == {each.code for each in POLICIES}
    assert all(each.sentence.endswith(".") and each.link.endswith(f"#{each.code}") for each in POLICIES)
    assert {each.severity for each in POLICIES} == set(Severity)


def test_the_documentation_has_every_policy_and_its_severity() -> None:
    text = Path(__file__).parents[3].joinpath("docs", "policies.md").read_text()
    for each in POLICIES:
        assert f"\n## {each.code}\n{each.severity.capitalize()}. " in text, f"docs/policies.md lacks {each.code}"
