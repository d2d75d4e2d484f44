"""Rollback from every step to every earlier one, under traffic: nothing lost or doubled, and what stood stands again.

All 21 belong to `make test-all`, which goes on where it was stopped (out/test-all).
"""

from __future__ import annotations

import shlex

import pytest
from tests.lab.conftest import Walk, assert_nothing_lost
from tests.lab.ledger import Ledger, counts

pytestmark = [pytest.mark.lab, pytest.mark.slow]

CELLS = [(begin, end) for begin in range(6, 0, -1) for end in range(begin - 1, -1, -1)]
SRV = "_xmpp-server._tcp.corp.example"


def stands(walk: Walk) -> dict[str, object]:
    """What a person would look at: where users live, where routes and SRV records point, what is open."""
    tables = walk.lab.tables("pool-target")
    listening = walk.lab.run("edge1", "ss", "-ltn")
    return {
        "homes": {value.partition(".")[0] for value in tables["homing"].values()},
        "routes": set(tables["route"].values()),
        "srv": walk.lab.run("dns2", "kdig", "@203.0.113.53", SRV, "SRV", "+short").split()[3].split(".")[0],
        "5269 open": ":5269 " in listening,
        "link open": ":23456 " in listening,
    }


def expected(step: int) -> dict[str, object]:
    """What stands when the first `step` steps are done and no more, 0 to 5."""
    return {
        "homes": {"pool-target" if step >= 3 else "pool-legacy"},
        "routes": {"legacy"},
        "srv": "legacy1",
        "5269 open": step >= 5,
        "link open": step >= 2,
    }


def walk_cell(walk: Walk, begin: int, end: int) -> dict:
    """Migrate to `begin` and roll back to `end`, people chatting all the while; the report."""
    there = shlex.join(walk.command("migrate.yml", f"until={begin}"))
    back = shlex.join(walk.command("rollback.yml", f"to={end}"))
    done, report = walk.probed("bash", "-c", f"{there} && {back}")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert_nothing_lost(report)
    assert stands(walk) == expected(end)
    return report


@pytest.mark.parametrize(("begin", "end"), CELLS, ids=[f"{begin}-to-{end}" for begin, end in CELLS])
def test_every_cell(there_and_back: Walk, begin: int, end: int) -> None:
    ledger, name = Ledger("rollback-cells"), f"{begin} to {end}"
    if name in ledger:
        return
    ledger.add(name, **counts(walk_cell(there_and_back, begin, end)))
