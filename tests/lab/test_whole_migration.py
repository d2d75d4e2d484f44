"""One migration from its plan to its undoing, under traffic, in the order of this file.

Each test begins where the one before it ended; they share one lab because bringing a lab to a step is most of the work.
Counts are asserted, never times: what was sent is delivered or returned, once.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from tests.lab.conftest import ROOT, Walk, assert_nothing_lost

pytestmark = pytest.mark.lab

DIRECTIONS = ("xmpp_to_sip", "sip_to_xmpp")
PARTNERS = ("partner1.example", "partner2.example")
NETWORKS = ("203.0.113.", "198.51.100.", "2001:db8:")
SRV = "_xmpp-server._tcp.corp.example"
JOURNAL = "/var/lib/xmppgw-migration/journal.jsonl"


def plan_of(walk: Walk) -> dict:
    done = walk.playbook("plan.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((walk.output / "plan" / "plan.json").read_text(encoding="utf-8"))


def srv(walk: Walk) -> str:
    return walk.lab.run("dns2", "kdig", "@203.0.113.53", SRV, "SRV", "+short").strip()


def test_planning_changes_nothing(walk: Walk) -> None:
    first, second = plan_of(walk), plan_of(walk)
    assert [step["number"] for step in first["steps"]] == [1, 2, 3, 4, 5, 6]
    assert all(step["actions"] for step in first["steps"])
    assert first["digest"] == second["digest"]
    assert walk.lab.run("fe1", "sh", "-c", f"ls {JOURNAL} /opt/xmppgw 2>/dev/null; true") == ""


def test_a_plan_that_was_not_made_is_refused(walk: Walk) -> None:
    done = walk.playbook("migrate.yml", f"plan={'0' * 64}")
    assert done.returncode != 0
    assert "migration-plan" in done.stdout + done.stderr
    assert "legacy1" in srv(walk)


def test_a_killed_run_goes_on_where_it_was(walk: Walk) -> None:
    """The controller is killed as step 4 begins and started again with the same digest; people notice nothing."""
    digest = plan_of(walk)["digest"]
    migrate = shlex.join(walk.command("migrate.yml", f"plan={digest}"))
    script = f"""
        setsid {migrate} & first=$!
        until grep -q '"number": 4.*step_started\\|step_started.*"number": 4' "$XMPPGW_STEPS_FILE" 2>/dev/null; do
            kill -0 $first || exit 9
            sleep 0.05
        done
        kill -9 -- -$first
        wait $first
        exec {migrate}
    """
    done, report = walk.probed("bash", "-c", script)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert_nothing_lost(report)
    assert [(step["number"], step["state"]) for step in report["steps"]] == [(number, "done") for number in range(1, 7)]
    assert report["engine"] in ("standalone", "pulumi")
    for partner in PARTNERS:
        for direction in DIRECTIONS:
            through = report["probe"]["per_partner"][partner]["per_direction"][direction]["through"]
            assert through["legacy"], f"{partner} {direction}: {through}"
            assert through["target"], f"{partner} {direction}: {through}"
    assert "edge1" in srv(walk)


def test_a_second_run_changes_nothing(walk: Walk) -> None:
    done, report = walk.probed(*walk.command("migrate.yml"))
    assert done.returncode == 0, done.stdout[-6000:]
    assert_nothing_lost(report)
    assert [step["changed"] for step in report["steps"]] == [0] * 6


def test_bringing_the_stack_up_again_moves_no_srv(walk: Walk) -> None:
    before = srv(walk)
    up = walk.up()
    assert up.returncode == 0, up.stdout + up.stderr
    assert not re.search(r"\d+ (updated?|created?|replaced?|deleted?)\b", up.stdout), up.stdout
    assert srv(walk) == before


def test_restarting_either_daemon_loses_nothing(walk: Walk) -> None:
    enter = f"cd {ROOT / 'pulumi'} && {ROOT / '.venv/bin/python'} -m lab_provider.enter"
    script = f"{enter} edge1 systemctl restart xmppgw-edge && {enter} fe1 systemctl restart xmppgw-frontend"
    done, report = walk.probed("bash", "-c", script)
    assert done.returncode == 0, done.stdout[-6000:]
    assert_nothing_lost(report)
    through = [report["probe"]["per_partner"][partner]["through"] for partner in PARTNERS]
    assert [found["legacy"] for found in through] == [0, 0], through


def test_a_changed_journal_is_refused(walk: Walk) -> None:
    """An entry is missing, so the chain does not hold any more: nothing is done until a person has looked."""
    walk.lab.run("fe1", "sh", "-c", f"cp -a {JOURNAL} /root/journal && sed -i 2d {JOURNAL}")
    try:
        done = walk.playbook("migrate.yml")
        assert done.returncode != 0
        assert "migration-journal" in done.stdout + done.stderr
    finally:
        walk.lab.run("fe1", "sh", "-c", f"cp -a /root/journal {JOURNAL}")


def test_all_steps_taken_back_lose_nothing(walk: Walk) -> None:
    done, report = walk.probed(*walk.command("rollback.yml", "to=0"))
    assert done.returncode == 0, done.stdout[-6000:]
    assert_nothing_lost(report)
    assert "legacy1" in srv(walk)
    assert {value.partition(".")[0] for value in walk.lab.tables("pool-target")["homing"].values()} == {"pool-legacy"}
    assert set(walk.lab.tables("pool-target")["route"].values()) == {"legacy"}
    assert walk.lab.run("fe1", "sh", "-c", f"test -s {JOURNAL} && echo kept").strip() == "kept"


def test_no_lab_address_is_reachable_from_outside_the_lab(walk: Walk) -> None:
    """The machine's own routing table never sees a lab address."""
    tables = [walk.run("ip", family, "route", "show", "table", "all").stdout for family in ("-4", "-6")]
    routes = [line for table in tables for line in table.splitlines()]
    assert routes
    assert not [line for line in routes if any(network in line for network in NETWORKS)]
    assert Path("/run/netns", walk.lab.namespace).exists()
