"""Two gateways side by side, under traffic: a rehearsal on the pilot's SIP domain, there and back, leaves no trace.

Runs on the walk's lab once its migration was taken back. branch.example is the domain that moves; corp.example stays.
"""

from __future__ import annotations

import json

import pytest
from tests.lab.conftest import Walk
from tests.lab.test_whole_migration import assert_nothing_lost

pytestmark = [pytest.mark.lab, pytest.mark.slow]

STAYS, MOVES = "corp.example", "branch.example"


def srv(walk: Walk, domain: str) -> str:
    return walk.lab.run("dns2", "kdig", "@203.0.113.53", f"_xmpp-server._tcp.{domain}", "SRV", "+short").strip()


def standing(walk: Walk) -> tuple:
    """Everything that a rehearsal must leave as it was: homes, routes, records."""
    tables = {pool: walk.lab.tables(pool) for pool in ("pool-legacy", "pool-target")}
    return tables, srv(walk, STAYS), srv(walk, MOVES)


def test_a_rehearsal_walks_there_and_back_and_leaves_no_trace(walk: Walk) -> None:
    before = standing(walk)
    done, report = walk.probed(*walk.command("migrate.yml", "rehearsal=true"))
    assert done.returncode == 0, done.stdout[-6000:]
    assert_nothing_lost(report)
    assert report["probe"]["through"]["target"], "nobody spoke through the new gateway"
    assert standing(walk) == before
    told = walk.playbook("status.yml")
    assert told.returncode == 0, told.stdout
    steps = json.loads((walk.output / "status.json").read_text(encoding="utf-8"))["steps"]
    assert [step["state"] for step in steps] == ["open"] * 6
