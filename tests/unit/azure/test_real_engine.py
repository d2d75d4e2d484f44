"""The Azure stacks on the real engine, against a provider on paper: planned and applied, never on Azure itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.azure.conftest import document, example
from tests.unit.azure.layouts import edge, with_azure, with_document
from tests.unit.azure.real_engine import Organisation, missing

pytest.importorskip("pulumi_azure_native", reason=".ci/setup --for azure installs it")
pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))
ADOPTED = (
    "/subscriptions/33333333-3333-3333-3333-333333333333/resourceGroups/rg-dns-prod/providers/Microsoft.Network"
    "/dnsZones/contoso.example/SRV/_xmpp-server._tcp"
)
# What stands in the zone is not what the document says: somebody chose another TTL, weight and target.
STANDING = {
    "recordType": "SRV",
    "relativeRecordSetName": "_xmpp-server._tcp",
    "resourceGroupName": "rg-dns-prod",
    "zoneName": "contoso.example",
    "ttl": 7200,
    "srvRecords": [{"priority": 0, "weight": 5, "port": 5269, "target": "old.contoso.example"}],
}


# Somebody takes the protection away behind the program's back.
SPOILED = """
import pulumi
def unprotected(args):
    args.opts.protect = args.opts.protect and args.type_ != "azure-native:keyvault:Vault"
    return pulumi.ResourceTransformationResult(args.props, args.opts)
pulumi.runtime.register_stack_transformation(unprotected)
"""
OURS = "contoso-im.example"


def larger(directory: Path) -> dict[str, Any]:
    """`azure-prod` with a database and a zone of its own beside the adopted one: all that is protected."""
    federation = document()
    federation["federation"]["dns"]["zones"].append(OURS)
    config = with_document(example("azure-prod"), federation, directory)
    azure = config["xmppgw:azure"]
    return with_azure(
        config,
        network={**azure["network"], "database": "10.60.2.0/28"},
        postgresql={"administrators_group": "22222222-2222-2222-2222-222222222222"},
        dns={**azure["dns"], "zones": {**azure["dns"]["zones"], OURS: {"mode": "create"}}},
    )


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return larger(tmp_path_factory.mktemp("config"))


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory, config: dict[str, Any]) -> Organisation:
    """The stack after its first `up`, in which the adopted zone had its service record already."""
    made = Organisation(tmp_path_factory.mktemp("organisation"))
    paper = {"id": ADOPTED, "type": "dns:RecordSet", "inputs": STANDING, "outputs": {**STANDING, "name": "_xmpp"}}
    (made.cloud / f"{hashlib.sha256(ADOPTED.encode()).hexdigest()[:20]}.json").write_text(json.dumps(paper))
    made.configure("azure-prod", config)
    made.pulumi("stack", "init", "azure-prod")
    first = made.run("up", "azure-prod", "--skip-preview")
    assert first.status == 0, first.said
    assert set(first.changes) == {"create", "import"}, first.changes
    assert first.changes["import"] == 1
    return made


@pytest.fixture
def organisation(standing: Organisation, config: dict[str, Any]) -> Iterator[Organisation]:
    """The same for one test, which may configure it otherwise."""
    yield standing
    standing.program()
    standing.configure("azure-prod", config)


def refused(organisation: Organisation, verb: str, *options: str) -> str:
    """Run a verb that must end without having changed anything; what it said."""
    before = organisation.names()
    outcome = organisation.run(verb, "azure-prod", *options)
    assert outcome.status != 0, outcome.said
    assert organisation.names() == before
    return outcome.said


def test_a_service_record_that_stands_is_taken_over_and_not_written(organisation: Organisation) -> None:
    papers = [json.loads(path.read_text()) for path in organisation.cloud.glob("*.json")]
    (standing,) = [paper["inputs"] for paper in papers if paper["id"] == ADOPTED]
    assert standing == STANDING


def test_up_again_changes_nothing_and_the_policy_pack_agrees(organisation: Organisation) -> None:
    before = organisation.names()
    again = organisation.run("up", "azure-prod", "--skip-preview", "--policy-pack", str(organisation.policies()))
    assert again.status == 0, again.said
    assert set(again.changes) == {"same"}
    assert again.packs == {"xmpp-federation"}
    assert organisation.names() == before


def test_a_second_up_of_the_stack_for_development_changes_nothing_either(organisation: Organisation) -> None:
    organisation.configure("azure-dev", example("azure-dev"))
    organisation.pulumi("stack", "init", "azure-dev")
    first = organisation.run("up", "azure-dev", "--skip-preview")
    assert (first.status, set(first.changes)) == (0, {"create"}), first.said
    again = organisation.run("up", "azure-dev", "--skip-preview")
    assert (again.status, set(again.changes)) == (0, {"same"}), again.said


def test_a_configuration_that_cannot_be_is_one_message_and_changes_nothing(
    organisation: Organisation, config: dict[str, Any]
) -> None:
    network = config["xmppgw:azure"]["network"]
    organisation.configure("azure-prod", with_azure(config, network={**network, "database": "10.61.2.0/28"}))
    said = refused(organisation, "up", "--skip-preview")
    assert "database: 10.61.2.0/28 does not fit into the network 10.60.0.0/21" in said
    assert "Traceback" not in said


def test_the_policy_pack_stops_what_violates_it(organisation: Organisation) -> None:
    organisation.program(SPOILED)
    judged = organisation.run("preview", "azure-prod", "--policy-pack", str(organisation.policies()))
    assert judged.status != 0
    assert "[policy-protected] it is not protected: register it with protect=True" in judged.said


def test_the_inventory_can_read_what_the_engine_hands_out(organisation: Organisation) -> None:
    shown = organisation.pulumi("stack", "output", "--stack", "azure-prod", "--json")
    hosts = json.loads(shown.stdout)["environment"]["hosts"]
    assert set(hosts) == {"edge1", "edge2", "fe1"}
    assert all(host["host_key"].startswith("ssh-ed25519 ") for host in hosts.values())
    assert [len(hosts[name]["public_addresses"]) for name in ("edge1", "fe1")] == [2, 0]


def test_growing_by_an_edge_creates_and_replaces_nothing(
    organisation: Organisation, config: dict[str, Any], tmp_path: Path
) -> None:
    grown = yaml.safe_load(Path(config["xmppgw:federation"]).read_text())
    grown["federation"]["edges"].append(edge(3))
    organisation.configure("azure-prod", with_document(config, grown, tmp_path))
    planned = organisation.run("preview", "azure-prod")
    assert planned.status == 0, planned.said
    assert set(planned.changes) == {"create", "update", "same"}, planned.steps
    assert {name for operation, _, name in planned.steps if operation == "update"} == {"edges", "front-ends"}


def test_what_is_protected_is_not_removed_and_is_named(organisation: Organisation, tmp_path: Path) -> None:
    smaller = document()
    smaller["federation"]["edges"].pop()
    organisation.configure("azure-prod", with_document(example("azure-prod"), smaller, tmp_path))
    said = refused(organisation, "up")
    for protected in ("PublicIPAddress::edge2-ipv4", f"dns:DnssecConfig::{OURS}", "Database::database"):
        assert protected in said
    assert "cannot be deleted" in said
    assert "pulumi state unprotect" in said


def test_an_address_that_partners_know_is_not_replaced(organisation: Organisation, config: dict[str, Any]) -> None:
    machines = config["xmppgw:azure"]["edges"]
    organisation.configure("azure-prod", with_azure(config, edges={**machines, "zones": ["1", "2"]}))
    said = refused(organisation, "up")
    assert "PublicIPAddress::edge1-ipv4" in said
    assert "marked for protection" in said


def test_destroying_is_refused_before_anything_is_gone(organisation: Organisation) -> None:
    said = refused(organisation, "destroy")
    assert "PublicIPAddress::edge1-ipv4" in said
    assert "pulumi state unprotect" in said
