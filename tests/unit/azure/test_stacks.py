"""What the Azure stacks would make: read from their previews, never from their own policies alone."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.azure.conftest import Preview, document, example, run_preview
from tests.unit.azure.layouts import edge, with_azure, with_document

from xmpp_infra.azure.cloud_init import cloud_config
from xmppgw.federation import load_document, ports

pytestmark = pytest.mark.heavy

Previewer = Callable[..., Preview]
STACKS = ("azure-dev", "azure-prod")


def of_kind(preview: Preview, kind: str) -> dict[str, dict[str, Any]]:
    return {item["name"]: item["properties"] for item in preview["resources"] if item["type"] == f"azure-native:{kind}"}


def rules(preview: Preview, group: str, direction: str) -> list[dict[str, Any]]:
    found = of_kind(preview, "network:NetworkSecurityGroup")[group]["securityRules"]
    return [rule for rule in found if rule["direction"] == direction]


@pytest.mark.parametrize("stack", STACKS)
def test_every_policy_holds_and_the_preview_says_that_nothing_was_applied(preview: Previewer, stack: str) -> None:
    found = preview(stack)
    assert found["policies"] == []
    assert found["status"] == 0
    assert "previewed, not applied" in found["markdown"]


@pytest.mark.parametrize("stack", STACKS)
def test_the_internet_reaches_federation_on_edges_and_nothing_else(preview: Previewer, stack: str) -> None:
    for name in ("edges", "front-ends"):
        open_to_all = [
            (rule["name"], rule.get("destinationPortRange"))
            for rule in rules(preview(stack), name, "Inbound")
            if rule["access"] == "Allow" and rule.get("sourceAddressPrefix") in ("*", "Internet", "0.0.0.0/0", "::/0")
        ]
        assert {port for _, port in open_to_all} == ({"5269"} if name == "edges" else set()), open_to_all


@pytest.mark.parametrize("stack", STACKS)
def test_what_no_rule_names_is_denied_both_ways(preview: Previewer, stack: str) -> None:
    for name in ("edges", "front-ends"):
        for direction in ("Inbound", "Outbound"):
            last = max(rules(preview(stack), name, direction), key=lambda rule: rule["priority"])
            assert (last["access"], last["protocol"], last["destinationPortRange"]) == ("Deny", "*", "*")
            priorities = [rule["priority"] for rule in rules(preview(stack), name, direction)]
            assert len(set(priorities)) == len(priorities), "Azure refuses two rules of one priority and direction"


def test_every_row_of_the_port_table_that_concerns_a_host_has_its_rules(preview: Previewer) -> None:
    loaded = load_document(Path(example("azure-prod")["xmppgw:federation"]))
    groups = {
        "edges": {a for edge in loaded.federation.edges for a in (*edge.external_addresses, *edge.internal_addresses)},
        "front-ends": {a for _, front_end in loaded.federation.front_ends for a in front_end.addresses},
    }
    for row in ports(loaded):
        for name, own in groups.items():
            for direction, mine in (("Inbound", row.destination), ("Outbound", row.source)):
                for address in set(mine.addresses) & own:
                    matching = [
                        rule
                        for rule in rules(preview("azure-prod"), name, direction)
                        if rule["destinationPortRange"] == str(row.port)
                        and rule["protocol"].lower() == row.transport
                        and address in str(rule)
                    ]
                    other = row.source if direction == "Inbound" else row.destination
                    family = ipaddress.ip_address(address).version
                    if other.addresses and not any(ipaddress.ip_address(a).version == family for a in other.addresses):
                        continue
                    assert matching, f"{row.code} of {address} has no {direction} rule"


@pytest.mark.parametrize("stack", STACKS)
def test_front_ends_have_no_public_address_and_edges_static_ones_in_both_families(
    preview: Previewer, stack: str
) -> None:
    found = preview(stack)
    for name, interface in of_kind(found, "network:NetworkInterface").items():
        public = [each["name"] for each in interface["ipConfigurations"] if each.get("publicIPAddress")]
        assert public == (["ipv4-0", "ipv6-0"] if name.endswith("-outside") else []), name
    addresses = of_kind(found, "network:PublicIPAddress")
    assert {"edge1-ipv4", "edge1-ipv6", "edge2-ipv4", "edge2-ipv6"} <= set(addresses)
    assert all(each["publicIPAllocationMethod"] == "Static" for each in addresses.values())


def test_hosts_are_spread_over_the_zones(preview: Previewer) -> None:
    machines = of_kind(preview("azure-prod"), "compute:VirtualMachine")
    assert {name: machine["zones"] for name, machine in machines.items()} == {
        "edge1": ["1"],
        "edge2": ["2"],
        "fe1": ["1"],
    }


def test_the_initial_service_record_names_the_legacy_gateway_and_is_then_the_migrations(preview: Previewer) -> None:
    (record,) = [item for item in of_kind(preview("azure-dev"), "dns:RecordSet").values() if "srvRecords" in item]
    assert [each["target"] for each in record["srvRecords"]] == ["sip.contoso.example"]
    assert record["metadata"] == {"managed-by": "migration"}


def test_a_machine_is_told_no_more_than_lets_ansible_in(preview: Previewer) -> None:
    told = yaml.safe_load(cloud_config("edge1"))
    assert set(told) == {
        "hostname", "package_update", "packages", "ssh_pwauth", "disable_root", "ssh_deletekeys", "ssh_genkeytypes",
    }  # fmt: skip
    assert told["ssh_pwauth"] is False
    machine = of_kind(preview("azure-prod"), "compute:VirtualMachine")["edge1"]
    assert machine["osProfile"]["linuxConfiguration"]["disablePasswordAuthentication"] is True


def test_growing_by_an_edge_adds_and_changes_no_host_that_stands(preview: Previewer, tmp_path: Path) -> None:
    grown = document()
    grown["federation"]["edges"].append(edge(3))
    before = preview("azure-prod")
    after = preview("azure-prod", with_document(example("azure-prod"), grown, tmp_path))
    old = {item["urn"]: item["properties"] for item in before["resources"]}
    new = {item["urn"]: item["properties"] for item in after["resources"]}
    assert not set(old) - set(new), "nothing goes"
    changed = {urn.rpartition("::")[2] for urn in old if old[urn] != new[urn]}
    assert changed == {"edges", "front-ends"}, "only the security groups learn of the new host"


def test_a_configuration_that_cannot_be_is_one_message_and_the_last_preview_stays(tmp_path: Path) -> None:
    pytest.importorskip("pulumi_azure_native", reason=".ci/setup --for azure installs it")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "azure-dev.json").write_text("the last one")
    config = example("azure-dev")
    network = config["xmppgw:azure"]["network"]
    narrow = {**network, "internal": {"ipv4": "10.61.0.0/24", "ipv6": "fd60:60:0:1::/64"}}
    run = run_preview(tmp_path, "azure-dev", with_azure(config, network=narrow))
    assert run.returncode == 1
    assert "[infra-configuration] Pulumi.azure-dev.yaml cannot be used; nothing was changed:" in run.stderr
    assert "internal.ipv4: 10.61.0.0/24 does not fit into the network 10.60.0.0/21" in run.stderr
    assert "Traceback" not in run.stderr
    assert (tmp_path / "out" / "azure-dev.json").read_text() == "the last one"


def test_direct_tls_opens_its_port_where_it_is_asked_for(preview: Previewer) -> None:
    found = preview("azure-dev", with_azure(example("azure-dev"), direct_tls=True))
    assert found["status"] == 0, "5270 is allowed where it is asked for"
    open_ports = {
        rule["destinationPortRange"]
        for rule in rules(found, "edges", "Inbound")
        if rule.get("sourceAddressPrefix") == "Internet"
    }
    assert open_ports == {"5269", "5270"}


def test_a_deployer_may_write_the_record_that_moves_and_the_challenges_and_nothing_else_of_dns(
    preview: Previewer,
) -> None:
    found = preview("azure-prod")
    names = {name for name in of_kind(found, "authorization:RoleAssignment") if "may-write" in name}
    assert names == {
        f"deployer-0-may-write-{record}"
        for record in (
            "_xmpp-server._tcp.contoso.example",
            "_acme-challenge.edge1.contoso.example",
            "_acme-challenge.edge2.contoso.example",
        )
    }


def test_key_vault_lets_in_only_the_networks_that_are_named(preview: Previewer) -> None:
    (vault,) = of_kind(preview("azure-prod"), "keyvault:Vault").values()
    assert vault["properties"]["networkAcls"]["defaultAction"] == "Deny"
    assert vault["properties"]["networkAcls"]["ipRules"] == [{"value": "203.0.113.96/29"}]
