"""Kills at task boundaries under traffic: of the controller (SIGKILL), of the gateway's daemons and of their hosts.

The next run finishes, and people notice nothing of a controller's death; what a part's death may cost is stated where
it is killed. A few boundaries, chosen by a seed, for a quick look; then every boundary of the migration, of the way
back, and of giving all partners back and switching them again. All belong to `make test-all`, which goes on where it
was stopped (tests/walked).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.lab.conftest import ROOT, Walk, assert_nothing_lost
from tests.lab.kill_driver import ENDED, PARTS
from tests.lab.ledger import FOLDER, Ledger, counts

pytestmark = [pytest.mark.lab, pytest.mark.slow]

SEED = 20260109
ALL = 1000
"""More than there are boundaries."""
CARRYING = ("(5/6)", "(6/6)")
"""Plays in which our gateway carries partners, so that the death of a part is noticed."""
BATCH = 24
"""Kills under one probe: a walk that is stopped loses no more than one batch."""
FORTH, BACK = ("migrate.yml",), ("rollback.yml", "to=0")
SWITCH, RETURN = (("partner.yml", f"do={do}", "group=all") for do in ("switch", "return"))
WAYS = {"migrate": FORTH, "rollback": BACK}
EVERY = {**WAYS, "return": RETURN, "switch": SWITCH}
BEFORE = {FORTH: [BACK], BACK: [FORTH], RETURN: [FORTH, SWITCH], SWITCH: [FORTH, RETURN]}
"""What leads to where a playbook has everything to do."""


def driven(walk: Walk, used: Path, most: int, *more: str, playbook: tuple[str, ...]) -> tuple[bool, dict]:
    """Run a playbook through the driver under the probe; whether it came to its end, and the report."""
    driver = [str(ROOT / ".venv/bin/python"), "-m", "tests.lab.kill_driver", "--used", str(used), "--most", str(most)]
    done, report = walk.probed(*driver, *more, "--", *walk.command(*playbook))
    said = done.stdout + done.stderr
    at_its_end = f"{ENDED} 0" in said
    assert at_its_end or said.count("killed behind: ") == most, said[-8000:]
    return at_its_end, report


def bring(walk: Walk, playbook: tuple[str, ...]) -> None:
    """To where this playbook has everything to do, whatever an earlier test left."""
    for first in BEFORE[playbook]:
        done = walk.playbook(*first)
        assert done.returncode == 0, done.stdout[-6000:]


def assert_unharmed(report: dict) -> None:
    """Nothing of what people sent was lost or doubled, and only what went to the partner who is away was returned."""
    assert_nothing_lost(report)
    assert report["probe"]["returned"] == report["probe"]["unreachable"]["returned"]


def killed_by_seed(
    walk: Walk, folder: Path, most: int, *more: str, playbook: tuple[str, ...]
) -> tuple[dict, list[str]]:
    """Run a playbook from where it has everything to do to its end, with kills; the report, and where they were."""
    used = folder / "used.json"
    bring(walk, playbook)
    at_its_end, report = driven(walk, used, most, "--seed", str(SEED), *more, playbook=playbook)
    assert at_its_end
    return report, json.loads(used.read_text())


@pytest.mark.parametrize("playbook", WAYS.values(), ids=WAYS)
def test_a_run_that_was_killed_at_any_task_is_finished_by_the_next(
    there_and_back: Walk, tmp_path: Path, playbook: tuple[str, ...]
) -> None:
    ledger, name = Ledger("kills-by-seed"), f"controller, {playbook[0]}"
    if name in ledger:
        return
    report, kills = killed_by_seed(there_and_back, tmp_path, ALL, playbook=playbook)
    assert_unharmed(report)
    assert len([kill for kill in kills if kill.startswith(CARRYING)]) >= len(PARTS)
    ledger.add(name, kills=kills, **counts(report))


@pytest.mark.parametrize("playbook", WAYS.values(), ids=WAYS)
def test_parts_of_the_gateway_that_die_cost_no_more_than_is_said(
    there_and_back: Walk, tmp_path: Path, playbook: tuple[str, ...]
) -> None:
    """Daemons and whole hosts; the playbook goes on or is run again. What we acknowledged is delivered or returned."""
    ledger, name = Ledger("kills-by-seed"), f"daemons and hosts, {playbook[0]}"
    if name in ledger:
        return
    late = [word for play in CARRYING for word in ("--within", play)]
    try:
        report, kills = killed_by_seed(there_and_back, tmp_path, len(PARTS), "--parts", *late, playbook=playbook)
    finally:
        # An ejabberd that was refused while a host was down returns messages for up to five minutes: not the next
        # test's.
        there_and_back.lab.run("partner2", "systemctl", "restart", "ejabberd")
        there_and_back.lab.run("partner2", "ejabberdctl", "started")
    probe = report["probe"]
    assert not {key: probe[key] for key in ("lost", "duplicated") if probe[key]}, probe
    assert len(kills) == len(PARTS), "each part died once"
    ledger.add(name, kills=kills, **counts(report))


@pytest.mark.parametrize(("name", "playbook"), EVERY.items(), ids=EVERY)
def test_every_task_boundary(there_and_back: Walk, tmp_path: Path, name: str, playbook: tuple[str, ...]) -> None:
    ledger, used = Ledger(f"kill-points-{name}"), FOLDER / f"kill-points-{name}-used.json"
    if "end" in ledger:
        return
    if not ledger.results:
        used.unlink(missing_ok=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    bring(there_and_back, playbook)
    # Kills of a batch that is stopped before its messages are counted are made again.
    killed = tmp_path / "used.json"
    killed.write_text(used.read_text() if used.exists() else "[]")
    while True:
        at_its_end, report = driven(there_and_back, killed, BATCH, playbook=playbook)
        assert_unharmed(report)
        used.write_text(killed.read_text())
        ledger.add(f"up to {len(json.loads(used.read_text()))}", **counts(report))
        if at_its_end:
            ledger.add("end", boundaries=len(json.loads(used.read_text())))
            return
