"""The controller is killed (SIGKILL) at task boundaries; the next run finishes, and people notice nothing.

A few boundaries, chosen by a seed, for a quick look; then every boundary of the migration and of the way back. All
belong to `make test-all`, which goes on where it was stopped (out/test-all).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.lab.conftest import ROOT, Walk, assert_nothing_lost
from tests.lab.kill_driver import ENDED
from tests.lab.ledger import FOLDER, Ledger, counts

pytestmark = [pytest.mark.lab, pytest.mark.slow]

SEED = 20260101
BATCH = 8
"""Kills under one probe: a walk that is stopped loses no more than one batch."""


def driven(walk: Walk, used: Path, most: int, *more: str, playbook: tuple[str, ...]) -> tuple[bool, dict]:
    """Run a playbook through the driver under the probe; whether it came to its end, and the report."""
    driver = [str(ROOT / ".venv/bin/python"), "-m", "tests.lab.kill_driver", "--used", str(used), "--most", str(most)]
    done, report = walk.probed(*driver, *more, "--", *walk.command(*playbook))
    said = done.stdout + done.stderr
    at_its_end = f"{ENDED} 0" in said
    assert at_its_end or said.count("killed; ") == most, said[-8000:]
    return at_its_end, report


def test_a_run_that_was_killed_at_any_task_is_finished_by_the_next(there_and_back: Walk, tmp_path: Path) -> None:
    used = tmp_path / "used.json"
    for playbook in (("migrate.yml",), ("rollback.yml", "to=0")):
        at_its_end, report = driven(there_and_back, used, 4, "--seed", str(SEED), playbook=playbook)
        assert at_its_end
        assert_nothing_lost(report)
    assert len(json.loads(used.read_text())) >= 4


@pytest.mark.parametrize("playbook", [("migrate.yml",), ("rollback.yml", "to=0")], ids=["migrate", "rollback"])
def test_every_task_boundary(there_and_back: Walk, playbook: tuple[str, ...]) -> None:
    name = playbook[0].removesuffix(".yml")
    ledger, used = Ledger(f"kill-points-{name}"), FOLDER / f"kill-points-{name}-used.json"
    if "end" in ledger:
        return
    if not ledger.results:
        used.unlink(missing_ok=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    if name == "rollback":
        done = there_and_back.playbook("migrate.yml")
        assert done.returncode == 0, done.stdout[-6000:]
    while True:
        at_its_end, report = driven(there_and_back, used, BATCH, playbook=playbook)
        assert_nothing_lost(report)
        ledger.add(f"up to {len(json.loads(used.read_text()))}", **counts(report))
        if at_its_end:
            ledger.add("end", boundaries=len(json.loads(used.read_text())))
            return
