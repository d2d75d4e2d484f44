"""A lab of their own for the tests that walk a whole migration: made once, used in order, removed at the end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.lab.servers_stand_ins.stand_ins import ROOT, Lab

LONGEST = 900  # seconds for one playbook under the probe


@dataclass(frozen=True)
class Walk:
    """A lab with everything a person needs who migrates it."""

    lab: Lab
    output: Path

    @property
    def environment(self) -> dict[str, str]:
        return {**self.lab.environment, "ANSIBLE_CONFIG": str(ROOT / "playbooks" / "ansible.cfg"), "LC_ALL": "C.UTF-8"}

    def command(self, playbook: str, *variables: str) -> list[str]:
        """What an operator types, with this walk's own output folder."""
        extra = [word for text in (f"migration_output={self.output}", *variables) for word in ("-e", text)]
        return [str(ROOT / ".venv/bin/ansible-playbook"), str(ROOT / "playbooks" / playbook), *extra]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=LONGEST, check=False
        )

    def playbook(self, name: str, *variables: str) -> subprocess.CompletedProcess[str]:
        return self.run(*self.command(name, *variables))

    def up(self) -> subprocess.CompletedProcess[str]:
        """Bring the lab up, or what is missing of it, by the engine that is there."""
        return self.run(str(ROOT / ".ci" / "stack"), "up", "lab")

    def probed(self, *command: str) -> tuple[subprocess.CompletedProcess[str], dict]:
        """Run a command while people chat; its outcome and the report."""
        report = self.output / "lab" / "report.json"
        report.unlink(missing_ok=True)
        probe = ["-m", "xmppgw.probe", "around", "--lab", str(self.lab.directory), "--output", str(report.parent), "--"]
        done = self.run(str(ROOT / ".venv/bin/python"), *probe, *command)
        assert report.exists(), f"no report; exit {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done, json.loads(report.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    if os.geteuid() != 0:
        pytest.skip("a lab needs root")
    if shutil.which("systemd-nspawn") is None:
        pytest.skip("a lab needs systemd-nspawn (package systemd-container)")
    if not (ROOT / ".cache" / "images" / "current-servers").exists():
        pytest.skip("no images: .ci/setup --for test makes them")
    if not (ROOT / "build" / "wheelhouse" / ".ours").exists():
        pytest.skip("no wheels for the hosts: .ci/setup --for test makes them")
    lab = Lab(tmp_path_factory.mktemp("walk"), "walklab")
    output = tmp_path_factory.mktemp("out")
    try:
        walk = Walk(lab, output)
        up = walk.up()
        assert up.returncode == 0, f"the lab did not come up:\n{up.stdout}{up.stderr}"
        yield walk
    finally:
        down = lab.program("lab_provider.down")
        assert down.returncode == 0, f"the lab left something behind:\n{down.stdout}{down.stderr}"
