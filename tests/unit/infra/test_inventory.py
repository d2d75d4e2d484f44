"""The inventory plug-in: hosts, groups, connection variables from the stack's outputs, and nothing to be tricked by."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHMFKT4uKtm"
Outputs = dict[str, object]


def _outputs() -> Outputs:
    return {
        "schema": 1,
        "stack": "lab",
        "hosts": {
            "edge1": {
                "address": "198.51.100.10",
                "addresses": ["198.51.100.10", "2001:db8:2::10"],
                "groups": ["edges"],
                "zone": "perimeter",
                "host_key": KEY,
            },
            "fe1": {
                "address": "198.51.100.80",
                "addresses": ["198.51.100.80"],
                "groups": ["front_ends", "dns_writer"],
                "zone": "{{ 7 * 7 }}",
                "host_key": KEY,
            },
        },
        "ssh": {
            "user": "root",
            "private_key": ".lab/ssh/id_ed25519",
            "known_hosts": ".lab/ssh/known_hosts",
            "proxy_command": "nsenter --net=/run/netns/testlab nc %h %p",
        },
    }


# One child for all sources: Ansible takes a second to start, and its loader changes how Python imports.
CHILD = """
import json, sys
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader, inventory_loader
init_plugin_loader([sys.argv[1]])
answers = []
for source in json.load(sys.stdin):
    data = InventoryData()
    plugin = inventory_loader.get("xmppgw.migration.stack_outputs")
    try:
        assert plugin.verify_file(source)
        plugin.parse(data, DataLoader(), source)
    except Exception as problem:
        answers.append({"problem": f"{type(problem).__name__}: {problem}"})
    else:
        groups = {name: sorted(host.name for host in group.get_hosts()) for name, group in data.groups.items()}
        answers.append({"groups": groups, "hosts": {name: host.vars for name, host in data.hosts.items()}})
print(json.dumps(answers))
"""


def _environment(home: Path) -> dict[str, str]:
    inherited = {key: value for key, value in os.environ.items() if key != "XMPPGW_LAB_DIR"}
    config = str(ROOT / "playbooks" / "ansible.cfg")
    return inherited | {"ANSIBLE_CONFIG": config, "ANSIBLE_HOME": str(home / "ansible"), "LC_ALL": "C.UTF-8"}


def _read(directory: Path, contents: list[object]) -> list[dict[str, Any]]:
    """What the plug-in makes of outputs files with these contents (text as it is, None for no file)."""
    sources = []
    for number, content in enumerate(contents):
        source = directory / str(number) / "inventories" / "lab" / "lab.xmppgw.yml"
        source.parent.mkdir(parents=True)
        source.write_text("plugin: xmppgw.migration.stack_outputs\nstack: lab\n")
        (directory / str(number) / ".lab").mkdir()
        if content is not None:
            text = content if isinstance(content, str) else json.dumps(content)
            (directory / str(number) / ".lab" / "outputs.json").write_text(text)
        sources.append(str(source))
    command = [sys.executable, "-c", CHILD, str(ROOT / "playbooks" / "collections")]
    answer = subprocess.run(
        command, input=json.dumps(sources), env=_environment(directory), capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    answers: list[dict[str, Any]] = json.loads(answer.stdout)
    return answers


def test_hosts_groups_and_connection(tmp_path: Path) -> None:
    (read,) = _read(tmp_path, [_outputs()])
    assert read["groups"]["edges"] == ["edge1"]
    assert read["groups"]["dns_writer"] == read["groups"]["front_ends"] == ["fe1"]
    variables = read["hosts"]["edge1"]
    root = tmp_path / "0"
    assert variables["ansible_host"] == "198.51.100.10"
    assert variables["ansible_user"] == "root"
    assert variables["ansible_ssh_private_key_file"] == str(root / ".lab/ssh/id_ed25519")
    assert '-o ProxyCommand="nsenter --net=/run/netns/testlab nc %h %p"' in variables["ansible_ssh_common_args"]
    assert f"-o 'UserKnownHostsFile=\"{root}/.lab/ssh/known_hosts\"'" in variables["ansible_ssh_common_args"]
    assert "-o StrictHostKeyChecking=yes" in variables["ansible_ssh_common_args"]


def test_a_template_in_an_output_is_text(tmp_path: Path) -> None:
    _read(tmp_path / "made", [_outputs()])
    source = tmp_path / "made" / "0" / "inventories" / "lab" / "lab.xmppgw.yml"
    command = [str(Path(sys.executable).with_name("ansible-inventory")), "-i", str(source), "--host", "fe1"]
    answer = subprocess.run(command, env=_environment(tmp_path), capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout)["zone"] == "{{ 7 * 7 }}"


def _without(*path: str) -> Outputs:
    outputs = _outputs()
    part: object = outputs
    for key in path[:-1]:
        assert isinstance(part, dict)
        part = part[key]
    assert isinstance(part, dict)
    del part[path[-1]]
    return outputs


def _edge(**change: object) -> Outputs:
    outputs = _outputs()
    hosts = outputs["hosts"]
    assert isinstance(hosts, dict)
    hosts["edge1"] |= change
    return outputs


REFUSED: list[tuple[object, str]] = [
    (None, "make lab-up"),
    ("{", "is not JSON"),
    ({"schema": 2}, "schema 2"),
    ({**_outputs(), "stack": "other"}, "stack 'other'"),
    ({**_outputs(), "hosts": {}}, "no hosts"),
    ({**_outputs(), "hosts": {"a b": {}}}, "'a b'"),
    (_without("ssh"), "`ssh` is missing"),
    (_without("ssh", "known_hosts"), "ssh.known_hosts"),
    (_without("hosts", "edge1", "address"), "address"),
    (_edge(address="-oProxyCommand=evil"), "host edge1"),
    (_edge(groups=["all; rm"]), "group names"),
    (_edge(host_key="ssh-ed25519 AAAA\nother key"), "host key"),
    (
        {**_outputs(), "ssh": {"user": "root", "private_key": 'x" -o y', "known_hosts": "k", "proxy_command": "p"}},
        "quotes",
    ),
]


def test_what_cannot_be_trusted_is_refused_with_the_reason(tmp_path: Path) -> None:
    answers = _read(tmp_path, [content for content, _ in REFUSED])
    for (content, said), answer in zip(REFUSED, answers, strict=True):
        assert said in answer.get("problem", "nothing was wrong"), f"{content}: {answer}"
        assert answer["problem"].startswith("AnsibleParserError"), answer
