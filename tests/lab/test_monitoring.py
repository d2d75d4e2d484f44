"""The line a minute that alerts are made of: written by every gateway host, and honest when its daemon is down."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tests.lab.conftest import Walk, a_walk

pytestmark = [pytest.mark.lab, pytest.mark.slow]

DAEMONS = {"edge1": "edge", "fe1": "frontend"}
LINES = "/var/log/xmppgw/health.jsonl"
UNITS = "/etc/systemd/system/xmppgw-health.timer"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    with a_walk(tmp_path_factory, "healthlab") as walk:
        done = walk.playbook("migrate.yml", "last_step=2")
        assert done.returncode == 0, done.stdout[-6000:]
        yield walk


def lines(walk: Walk, host: str) -> list[dict]:
    return [json.loads(line) for line in walk.lab.run(host, "cat", LINES).splitlines()]


def monitoring(walk: Walk, *variables: str) -> str:
    done = walk.playbook("monitoring.yml", *variables)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_gateway_host_writes_its_line_at_once_and_by_a_timer(lab: Walk) -> None:
    monitoring(lab)
    for host, daemon in DAEMONS.items():
        first = lines(lab, host)[0]
        assert (first["host"], first["daemon"], first["ready"]) == (host, daemon, True), first
        assert lab.lab.run(host, "systemctl", "is-active", "xmppgw-health.timer").strip() == "active"


def test_doing_it_again_changes_nothing(lab: Walk) -> None:
    assert "changed=0" in monitoring(lab)


def test_a_daemon_that_is_down_is_told_so(lab: Walk) -> None:
    lab.lab.run("fe1", "systemctl", "stop", "xmppgw-frontend")
    try:
        lab.lab.run("fe1", "systemctl", "start", "xmppgw-health.service")
        assert lines(lab, "fe1")[-1]["ready"] is False
    finally:
        lab.lab.run("fe1", "systemctl", "start", "xmppgw-frontend")
    lab.lab.run("fe1", "systemctl", "start", "xmppgw-health.service")
    assert lines(lab, "fe1")[-1]["ready"] is True


def test_it_can_be_taken_away_and_the_lines_stay(lab: Walk) -> None:
    monitoring(lab, "monitoring=absent")
    for host in DAEMONS:
        assert lab.lab.run(host, "sh", "-c", f"ls {UNITS} 2>/dev/null; true") == ""
        assert lines(lab, host)
    monitoring(lab, "monitoring=absent")
