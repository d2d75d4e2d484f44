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
                "zone": "internal",
                "site": "west-1",
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


def _read(
    directory: Path, contents: list[object], options: str = "", path: str = "", lab: Path | None = None
) -> list[dict[str, Any]]:
    """What the plug-in makes of outputs files with these contents (text as it is, None for no file).

    `options` are further lines of the source; `path` goes in front of PATH; `lab` is where a lab's state is.
    """
    sources = []
    for number, content in enumerate(contents):
        source = directory / str(number) / "inventories" / "lab" / "lab.xmppgw.yml"
        source.parent.mkdir(parents=True)
        source.write_text(f"plugin: xmppgw.migration.stack_outputs\nstack: lab\n{options}")
        (directory / str(number) / ".lab").mkdir()
        if content is not None:
            text = content if isinstance(content, str) else json.dumps(content)
            (directory / str(number) / ".lab" / "outputs.json").write_text(text)
        sources.append(str(source))
    command = [sys.executable, "-c", CHILD, str(ROOT / "playbooks" / "collections")]
    environment = _environment(directory)
    environment["PATH"] = f"{path}:{environment['PATH']}" if path else environment["PATH"]
    if lab is not None:
        environment["XMPPGW_LAB_DIR"] = str(lab)
    answer = subprocess.run(
        command, input=json.dumps(sources), env=environment, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    answers: list[dict[str, Any]] = json.loads(answer.stdout)
    return answers


def test_hosts_groups_and_connection(tmp_path: Path) -> None:
    (read,) = _read(tmp_path, [_outputs()])
    assert read["groups"]["edges"] == ["edge1"]
    assert read["groups"]["zone_perimeter"] == ["edge1"]
    assert read["groups"]["zone_internal"] == read["groups"]["site_west_1"] == ["fe1"]
    assert read["groups"]["dns_writer"] == read["groups"]["front_ends"] == ["fe1"]
    variables = read["hosts"]["edge1"]
    root = tmp_path / "0"
    assert variables["ansible_host"] == "198.51.100.10"
    assert variables["ansible_user"] == "root"
    assert variables["ansible_ssh_private_key_file"] == str(root / ".lab/ssh/id_ed25519")
    assert '-o ProxyCommand="nsenter --net=/run/netns/testlab nc %h %p"' in variables["ansible_ssh_common_args"]
    pinned = root / ".lab/known_hosts.lab"
    assert f"-o 'UserKnownHostsFile=\"{pinned}\"'" in variables["ansible_ssh_common_args"]
    assert pinned.read_text().splitlines() == [
        f"198.51.100.10,2001:db8:2::10,edge1 {KEY}",
        f"198.51.100.80,fe1 {KEY}",
    ]
    assert "-o StrictHostKeyChecking=yes" in variables["ansible_ssh_common_args"]


def test_a_template_in_an_output_is_text(tmp_path: Path) -> None:
    tricky = _outputs()
    tricky["ssh"] = {"user": "{{ 7 * 7 }}"}
    _read(tmp_path / "made", [tricky])
    source = tmp_path / "made" / "0" / "inventories" / "lab" / "lab.xmppgw.yml"
    command = [str(Path(sys.executable).with_name("ansible-inventory")), "-i", str(source), "--host", "fe1"]
    answer = subprocess.run(command, env=_environment(tmp_path), capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout)["ansible_user"] == "{{ 7 * 7 }}"


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
    (_without("ssh", "user"), "ssh.user"),
    ({**_outputs(), "ssh": {"user": "root", "pass_word": "x"}}, "unknown keys: pass_word"),
    (_without("hosts", "edge1", "host_key"), "has no host key, and an unknown key is never accepted"),
    (_edge(colour="red"), "host edge1 has unknown keys: colour"),
    (_edge(zone="{{ 7 * 7 }}"), "is not a plain name"),
    (_edge(site=["a"]), "is not a plain name"),
    (_edge(public_addresses=["nowhere"]), "host edge1"),
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


def test_all_outputs_as_pulumi_prints_them_are_read_too(tmp_path: Path) -> None:
    (read,) = _read(tmp_path, [{"environment": _outputs(), "other": 1}])
    assert read["groups"]["edges"] == ["edge1"]


def test_an_operators_file_fills_in_the_keys_that_the_outputs_lack(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"# read at the console\nedge1,198.51.100.10 {KEY}\n")
    (read,) = _read(tmp_path, [_without("hosts", "edge1", "host_key")], f"host_keys: {keys}\n")
    assert "problem" not in read, read
    assert f"edge1 {KEY}\n" in (tmp_path / "0/.lab/known_hosts.lab").read_text()
    keys.write_text("edge1 not-a-key\n")
    (read,) = _read(tmp_path / "again", [_without("hosts", "edge1", "host_key")], f"host_keys: {keys}\n")
    assert f"{keys}:1: expected" in read["problem"]


def _engine(folder: Path, script: str) -> str:
    """A `pulumi` that notes how it was called; returns the folder for PATH."""
    folder.mkdir()
    program = folder / "pulumi"
    program.write_text(f'#!/bin/sh\necho "$@" >{folder}/called\n{script}')
    program.chmod(0o755)
    return str(folder)


def test_the_real_engine_is_asked_for_the_outputs(tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text(json.dumps({"environment": _outputs()}))
    path = _engine(tmp_path / "bin", f"cat {tmp_path}/outputs\n")
    (tmp_path / "0" / "pulumi").mkdir(parents=True)
    (read,) = _read(tmp_path, [None], "source: pulumi\n", path)
    assert read.get("groups", read)["edges"] == ["edge1"]
    assert (tmp_path / "bin/called").read_text() == "stack output --json --stack lab --non-interactive\n"


def test_an_engine_that_fails_is_quoted(tmp_path: Path) -> None:
    path = _engine(tmp_path / "bin", "echo 'error: no stack named lab found' >&2\nexit 255\n")
    (tmp_path / "0" / "pulumi").mkdir(parents=True)
    (read,) = _read(tmp_path, [None], "source: pulumi\n", path)
    assert "ended with 255: error: no stack named lab found" in read["problem"]


def test_this_projects_own_engine_is_asked_for_the_outputs(tmp_path: Path) -> None:
    """Of a stack that it never brought up: its own refusal is what the operator reads."""
    options = f"source: standalone\nroot: {ROOT}\noutputs: {tmp_path}/outputs.json\n"
    # This machine's own lab may be up.
    (read,) = _read(tmp_path, [None], options, lab=tmp_path / "no-lab")
    assert (
        "stack lab (standalone): outputs of schema None" in read["problem"] or "standalone outputs" in read["problem"]
    )
