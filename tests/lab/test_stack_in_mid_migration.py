"""`pulumi up` at any moment of a migration: it makes the SRV records once, and never touches them again."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from tests.lab.conftest import LONGEST, Walk

pytestmark = [pytest.mark.lab, pytest.mark.slow]

SERVERS = {"dns1": "203.0.113.53", "dns2": "203.0.113.54"}


def served(walk: Walk) -> dict[str, list[str]]:
    """The SRV records with their TTL, from each authoritative server by its own address."""
    name = "_xmpp-server._tcp.corp.example"
    return {
        host: sorted(walk.lab.run(host, "kdig", f"@{address}", name, "SRV", "+noall", "+answer").splitlines())
        for host, address in SERVERS.items()
    }


def until_event(steps: Path, event: str, process: subprocess.Popen[str]) -> None:
    """Wait until the run has written an event of this name."""
    deadline = time.monotonic() + LONGEST
    while not (steps.exists() and f'"event": "{event}"' in steps.read_text(encoding="utf-8")):
        assert process.poll() is None, f"the run ended before {event}:\n{process.stdout and process.stdout.read()}"
        assert time.monotonic() < deadline, f"no {event} in {steps}"
        time.sleep(0.05)


def test_at_no_moment_does_bringing_the_stack_up_touch_srv(there_and_back: Walk, tmp_path: Path) -> None:
    walk = there_and_back
    for step in (4, 5):
        done = walk.playbook("migrate.yml", f"until={step}")
        assert done.returncode == 0, done.stdout[-6000:]
        before = served(walk)
        up = walk.up()
        assert up.returncode == 0, up.stdout + up.stderr
        assert served(walk) == before
    steps = tmp_path / "steps.jsonl"
    run = walk.start("migrate.yml", steps=steps)
    until_event(steps, "wait_started", run)
    up = walk.up()
    assert up.returncode == 0, up.stdout + up.stderr
    text, _ = run.communicate(timeout=LONGEST)
    assert run.returncode == 0, text[-6000:]
    after = served(walk)
    assert all("edge1" in lines[0] and " 3 " in lines[0].replace("\t", " ") for lines in after.values()), after
    assert walk.up().returncode == 0
    assert served(walk) == after
