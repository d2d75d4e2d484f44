"""What one call of a module costs, ours beside Ansible's own `ping`: made by Ansible, on this machine, without SSH."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.measure import Measurement

PLAYBOOKS = Path(__file__).resolve().parents[2] / "playbooks"
MODULES = {"ping": ("ansible.builtin.ping", {}), "ours": ("xmppgw.migration.dns_exchange", {"packets": []})}


def run(few: int = 2, many: int = 32) -> list[Measurement]:
    """Seconds per call: a long loop less a short one, so that starting Ansible is not counted."""
    group = "a module's call, without the connection"
    took = {
        name: (_loop(module, arguments, many) - _loop(module, arguments, few)) / (many - few)
        for name, (module, arguments) in MODULES.items()
    }
    return [
        Measurement(group, "ansible.builtin.ping", took["ping"] * 1000, "ms"),
        Measurement(group, "a module of ours that does nothing", took["ours"] * 1000, "ms"),
        Measurement(group, "ping to ours", took["ping"] / took["ours"], "times"),
    ]


def _loop(module: str, arguments: dict[str, object], times: int) -> float:
    """Seconds for a playbook that calls a module on this machine so many times."""
    task = {module: arguments, "loop": list(range(times))}
    play = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [task]}]
    with tempfile.TemporaryDirectory() as directory:
        playbook = Path(directory) / "loop.yml"
        playbook.write_text(json.dumps(play), encoding="utf-8")
        changes = {
            "ANSIBLE_CONFIG": str(PLAYBOOKS / "ansible.cfg"),
            "ANSIBLE_INVENTORY_ENABLED": "host_list",
            "ANSIBLE_STDOUT_CALLBACK": "minimal",
            "LC_ALL": "C.UTF-8",
        }
        command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", str(playbook)]
        start = time.perf_counter()
        done = subprocess.run(command, env={**os.environ, **changes}, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - start
    if done.returncode != 0:
        raise RuntimeError(f"{module}: {done.stdout}{done.stderr}")
    return seconds
