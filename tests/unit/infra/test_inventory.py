"""The inventory plug-in: hosts, groups, connection variables from the stack's outputs, and nothing to be tricked by."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

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


@pytest.fixture
def inventory(tmp_path: Path) -> Callable[[object], subprocess.CompletedProcess[str]]:
    """`ansible-inventory --list` over an outputs file; text is written as it is."""
    source = tmp_path / "inventories" / "lab" / "lab.xmppgw.yml"
    source.parent.mkdir(parents=True)
    source.write_text("plugin: xmppgw.migration.stack_outputs\nstack: lab\n")
    outputs = tmp_path / ".lab" / "outputs.json"
    outputs.parent.mkdir()

    def run(content: object) -> subprocess.CompletedProcess[str]:
        if content is not None:
            outputs.write_text(content if isinstance(content, str) else json.dumps(content))
        environment = {key: value for key, value in os.environ.items() if key != "XMPPGW_LAB_DIR"} | {
            "ANSIBLE_CONFIG": str(ROOT / "playbooks" / "ansible.cfg"),
            "ANSIBLE_HOME": str(tmp_path / "ansible"),
            "LC_ALL": "C.UTF-8",
        }
        command = [str(Path(sys.executable).with_name("ansible-inventory")), "-i", str(source), "--list"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    return run


def test_hosts_groups_and_connection(
    inventory: Callable[[object], subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    answer = inventory(_outputs())
    assert answer.returncode == 0, answer.stderr
    listed = json.loads(answer.stdout)
    assert listed["edges"]["hosts"] == ["edge1"]
    assert listed["dns_writer"]["hosts"] == listed["front_ends"]["hosts"] == ["fe1"]
    variables = {key: _text(value) for key, value in listed["_meta"]["hostvars"]["edge1"].items()}
    assert variables["ansible_host"] == "198.51.100.10"
    assert variables["ansible_user"] == "root"
    assert variables["ansible_ssh_private_key_file"] == str(tmp_path / ".lab/ssh/id_ed25519")
    assert '-o ProxyCommand="nsenter --net=/run/netns/testlab nc %h %p"' in variables["ansible_ssh_common_args"]
    assert f"-o 'UserKnownHostsFile=\"{tmp_path}/.lab/ssh/known_hosts\"'" in str(variables["ansible_ssh_common_args"])
    assert "-o StrictHostKeyChecking=yes" in variables["ansible_ssh_common_args"]
    assert listed["_meta"]["hostvars"]["fe1"]["zone"] == {"__ansible_unsafe": "{{ 7 * 7 }}"}, "a template is text"


def _text(value: object) -> object:
    """The value of a variable that Ansible marks as not to be trusted with templates."""
    return value.get("__ansible_unsafe") if isinstance(value, dict) else value


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


@pytest.mark.parametrize(
    ("content", "said"),
    [
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
    ],
)
def test_what_cannot_be_trusted_is_refused_with_the_reason(
    inventory: Callable[[object], subprocess.CompletedProcess[str]], content: object, said: str
) -> None:
    answer = inventory(content)
    assert answer.returncode != 0
    assert said in answer.stderr.replace("\n", " "), answer.stderr
