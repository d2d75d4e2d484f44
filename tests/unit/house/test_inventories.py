"""The three inventories that people copy: documents that pass, groups that can be read, secrets that are encrypted."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from xmppgw.cli.program import main
from xmppgw.federation import examine_document

ROOT = Path(__file__).resolve().parents[3]
# Encrypts the example in inventories/existing, whose values say that they are none. Used nowhere else.
THROWAWAY = "throwaway-for-tests"
NAMES = ["azure", "existing", "lab"]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHMFKT4uKtm"


def ansible(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if key != "XMPPGW_LAB_DIR"}
    environment = inherited | {
        "ANSIBLE_CONFIG": str(ROOT / "playbooks/ansible.cfg"), "ANSIBLE_HOME": str(folder), "LC_ALL": "C.UTF-8",
    }  # fmt: skip
    program = str(ROOT / ".venv/bin" / command[0])
    return subprocess.run(
        [program, *command[1:]], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_these_are_the_inventories() -> None:
    assert sorted(path.name for path in (ROOT / "inventories").iterdir() if path.is_dir()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_document_passes_check(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    document = ROOT / "inventories" / name / "group_vars/all/federation.yml"
    assert main(["check", "--document", str(document)]) == 0, capsys.readouterr().out


def test_the_graph_of_existing_hosts_is_readable_and_has_the_documents_hosts(tmp_path: Path) -> None:
    shown = ansible(tmp_path, "ansible-inventory", "-i", "inventories/existing", "--graph")
    assert shown.returncode == 0, shown.stderr
    assert "WARNING" not in shown.stderr
    listed = ansible(tmp_path, "ansible-inventory", "-i", "inventories/existing", "--list")
    groups = json.loads(listed.stdout)
    document = examine_document(ROOT / "inventories/existing/group_vars/all/federation.yml").require()
    assert sorted(groups["edges"]["hosts"]) == sorted(edge.host for edge in document.federation.edges)
    assert sorted(groups["front_ends"]["hosts"]) == [each.host for _, each in document.federation.front_ends]
    placed = {"zone_perimeter", "zone_internal", "site_north", "site_south"}
    assert placed | {"legacy_gateway", "dns_writer"} <= set(groups)
    arguments = groups["_meta"]["hostvars"]["edge1"]["ansible_ssh_common_args"]
    assert "StrictHostKeyChecking=yes" in arguments


def listed_existing(folder: Path) -> dict[str, dict[str, list[str]]]:
    shown = ansible(folder, "ansible-inventory", "-i", "inventories/existing", "--list")
    return json.loads(shown.stdout)


def test_windows_hosts_of_the_existing_ones_are_not_spoken_to_as_if_they_were_linux(tmp_path: Path) -> None:
    groups = listed_existing(tmp_path)
    for host in ("legacy1", "mgmt1"):
        variables = groups["_meta"]["hostvars"][host]
        assert variables["ansible_shell_type"] == "powershell"
        assert variables["ansible_become"] is False
    assert groups["management"]["hosts"] == ["mgmt1"]
    assert groups["_meta"]["hostvars"]["fe1"]["ansible_become"] is True


def test_the_plan_of_existing_hosts_needs_no_host_of_this_document(capsys: pytest.CaptureFixture[str]) -> None:
    document = ROOT / "inventories/existing/group_vars/all/federation.yml"
    assert main(["plan", "--document", str(document)]) == 0
    assert "xmpp-pool.contoso.example" in capsys.readouterr().out


def test_the_azure_inventory_reads_the_stacks_outputs(tmp_path: Path) -> None:
    copy = tmp_path / "azure"
    copy.mkdir()
    for file in ("azure.xmppgw.yml", "others.yml", "controller.yml"):
        (copy / file).write_text((ROOT / "inventories/azure" / file).read_text())
    host = {"address": "10.60.1.10", "addresses": ["10.60.1.10"], "groups": ["edges"], "zone": "perimeter",
            "site": "westeurope", "host_key": KEY, "public_addresses": []}  # fmt: skip
    stack = {"schema": 1, "stack": "azure-prod", "hosts": {"edge1": host}, "ssh": {"user": "operator"}}
    outputs = {"environment": stack}
    (copy / "outputs.json").write_text(json.dumps(outputs))
    shown = ansible(tmp_path, "ansible-inventory", "-i", str(copy), "--graph")
    assert shown.returncode == 0, shown.stderr
    for group in ("edges", "zone_perimeter", "site_westeurope", "legacy_gateway", "dns_writer"):
        assert f"|--@{group}:" in shown.stdout
    assert (copy / "known_hosts.azure-prod").read_text() == f"10.60.1.10,edge1 {KEY}\n"


def test_the_example_of_encrypted_secrets_opens_with_its_password_only(tmp_path: Path) -> None:
    file = "inventories/existing/secrets.json"
    assert (ROOT / file).read_text().startswith("$ANSIBLE_VAULT;1.1;AES256\n")
    for password, works in ((THROWAWAY, True), ("another", False)):
        (tmp_path / "password").write_text(password)
        shown = ansible(tmp_path, "ansible-vault", "view", "--vault-password-file", str(tmp_path / "password"), file)
        assert (shown.returncode == 0) is works
        if works:
            assert "tsig/contoso-update" in json.loads(shown.stdout)


@pytest.mark.parametrize("known", [True, False])
def test_an_action_reads_an_encrypted_secrets_file(tmp_path: Path, *, known: bool) -> None:
    """Through the class that every action starts with, in a process of its own: Ansible's loader changes imports."""
    script = f"""
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultSecret
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar
init_plugin_loader([{str(ROOT / "playbooks/collections")!r}])
from ansible_collections.xmppgw.migration.plugins.plugin_utils import environment, room
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError
loader = DataLoader()
loader.set_vault_secrets([("default", VaultSecret({(THROWAWAY if known else "another").encode()!r}))])
action = room.MigrationAction(None, None, None, loader, Templar(loader), None)
try:
    file = action.secrets_file({{"migration_secrets": {str(ROOT / "inventories/existing/secrets.json")!r}}})
    print(environment.read_secret(file, "tsig/contoso-update"))
except PictureError as problem:
    print(problem.code, problem)
"""
    command = [str(ROOT / ".venv/bin/python"), "-c", script]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "playbooks/ansible.cfg"), "ANSIBLE_HOME": str(tmp_path)}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert ("migration-secret" in done.stdout) is not known, done.stdout
    if not known:
        assert "--vault-password-file" in done.stdout
