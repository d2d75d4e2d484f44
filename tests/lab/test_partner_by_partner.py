"""Partners one by one: held, released, switched and taken back by name, as a group and all together, under traffic.

In the order of this file, on one lab of its own. partner1.example is the canary, pinned.example is switched before DNS,
partner2.example is held from the beginning, static.example never follows DNS. Meanwhile `status` is asked from outside.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.lab.conftest import LONGEST, ROOT, Walk, a_walk, assert_nothing_lost
from tests.lab.servers_stand_ins.stand_ins import eventually

pytestmark = [pytest.mark.lab, pytest.mark.slow]

DOCUMENT = ROOT / "inventories" / "lab" / "group_vars" / "all" / "federation.yml"
CANARY, EARLY, HELD, STATIC = "partner1.example", "pinned.example", "partner2.example", "static.example"
JOURNAL = "/var/lib/xmppgw-migration/journal.jsonl"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    document = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))
    for partner in document["federation"]["partners"]:
        if partner["domain"] == CANARY:
            partner["group"] = "canary"
        if partner["domain"] == EARLY:
            partner["switch"] = "before_dns"
    # Long enough a wait before step 5 to look at it several times.
    document["federation"]["dns"]["ttl"]["normal"] = 60
    path = tmp_path_factory.mktemp("document") / "federation.yml"
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    with a_walk(tmp_path_factory, "partnerlab", XMPPGW_LAB_DOCUMENT=str(path)) as walk:
        yield walk


def status(walk: Walk) -> dict:
    done = walk.playbook("status.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict = json.loads((walk.output / "status.json").read_text(encoding="utf-8"))
    return found


def partners(walk: Walk) -> dict[str, dict]:
    return {partner["domain"]: partner for partner in status(walk)["partners"]}


def journal(walk: Walk) -> list[dict]:
    return [json.loads(line) for line in walk.lab.run("fe1", "cat", JOURNAL).splitlines()]


def assert_is_here(partner: dict) -> None:
    """One that was switched: answered by us, connected to us, and nowhere else."""
    assert partner["state"] == "gateway", partner
    assert {phase["phase"] for phase in partner["phase"].values()} == {"gateway"}
    assert partner["route"] == ["target"]
    assert partner["inbound"]["edges"]["streams"], partner
    assert partner["inbound"]["edges"]["since"]
    assert (partner["inbound"]["spliced"]["streams"], partner["inbound"]["legacy"]) == (0, 0)
    assert partner["outbound"]["edges"]["streams"], partner
    assert partner["since"]


def assert_is_at_legacy(partner: dict, state: str = "legacy") -> None:
    """One that is whole where it was, whether or not its connections run through our edge."""
    assert partner["state"] == state, partner
    assert {phase["phase"] for phase in partner["phase"].values() if phase} <= {"legacy"}
    assert partner["route"] == ["legacy"]
    assert partner["inbound"]["edges"]["streams"] == 0
    assert partner["inbound"]["legacy"], partner


def refused(walk: Walk, code: str, *variables: str) -> None:
    done = walk.playbook("partner.yml", *variables)
    assert done.returncode != 0
    assert f"[{code}]" in done.stdout, done.stdout


def test_what_cannot_be_done_is_refused_before_anything_is_changed(lab: Walk) -> None:
    refused(lab, "migration-partner-order", "do=switch", f"partner={CANARY}")
    refused(lab, "migration-partner-choice", "do=hold", "partner=nobody.example")
    refused(lab, "migration-partner-choice", "do=hold", f"partner={CANARY}", "group=all")
    refused(lab, "migration-partner-choice", "do=move", "group=all")
    assert lab.lab.run("fe1", "sh", "-c", f"ls {JOURNAL} 2>/dev/null; true") == ""


def test_one_may_be_held_before_anything_else_is_done(lab: Walk) -> None:
    done = lab.playbook("partner.yml", "do=hold", f"partner={HELD}", "why='its people are away'")
    assert done.returncode == 0, done.stdout
    assert partners(lab)[HELD]["held"] == "its people are away"


def told(steps: Path, event: str) -> bool:
    return steps.exists() and f'"{event}"' in steps.read_text(encoding="utf-8")


def test_status_answers_from_outside_while_a_run_waits_and_while_it_hangs(lab: Walk) -> None:
    """The run is stopped in the middle of its wait as a dead machine would be: nothing of it answers any more."""
    steps = lab.output / "waiting.jsonl"
    run = lab.start("migrate.yml", "last_step=5", steps=steps)
    try:
        eventually("the run waits", lambda: run.poll() is not None or told(steps, "wait_started"), seconds=600.0)
        assert run.poll() is None, run.communicate()[0]
        waiting = status(lab)
        assert waiting["wait"] is not None, waiting["lock"]
        assert waiting["wait"]["step"] == 5
        assert "old TTL" in waiting["wait"]["reason"]
        assert waiting["wait"]["left_s"] > 0
        assert (waiting["run"]["running"], waiting["run"]["pid"]) == (True, run.pid)
        os.kill(run.pid, signal.SIGSTOP)
        first = status(lab)["run"]
        later = status(lab)["run"]
        assert first["running"], first
        assert later["silent_s"] > first["silent_s"]
        assert later["expires_in_s"] < first["expires_in_s"]
    finally:
        os.kill(run.pid, signal.SIGCONT)
        said = run.communicate(timeout=LONGEST)[0]
    assert run.returncode == 0, said[-6000:]
    free = status(lab)
    assert (free["run"], free["wait"]) == (None, None)


def test_one_that_goes_before_dns_has_its_route_and_nothing_else_yet(lab: Walk) -> None:
    found = partners(lab)
    assert found[EARLY]["route"] == ["target"]
    assert found[EARLY]["inbound"]["edges"]["streams"] == 0
    assert all(partner["route"] == ["legacy"] for domain, partner in found.items() if domain != EARLY)


def test_the_canary_goes_first_and_who_is_held_stays(lab: Walk) -> None:
    done, report = lab.probed(*lab.command("migrate.yml"))
    assert done.returncode == 0, done.stdout[-8000:]
    assert_nothing_lost(report)
    found = partners(lab)
    assert_is_at_legacy(found[HELD])
    assert_is_at_legacy(found[STATIC], "static?")
    for domain in set(found) - {HELD, STATIC}:
        assert_is_here(found[domain])
    order = [record["partner"] for record in journal(lab) if record["event"] == "partner_switched"]
    assert order[0] == CANARY
    assert HELD not in order


def test_partners_are_moved_in_every_way_there_is_and_nobody_loses_anything(lab: Walk) -> None:
    ways = (
        ("do=release", f"partner={HELD}"),
        ("do=switch", f"partner={HELD}"),
        ("do=return", "group=canary"),
        ("do=switch", "group=canary"),
        ("do=return", "group=all"),
    )
    script = " && ".join(shlex.join(lab.command("partner.yml", *way)) for way in ways)
    done, report = lab.probed("bash", "-c", script)
    assert_nothing_lost(report)
    found = partners(lab)
    for partner in found.values():
        assert_is_at_legacy(partner, "static?" if partner["domain"] == STATIC else "legacy")
        assert partner["held"] is not None
    assert done.returncode == 0, done.stdout[-8000:]


def test_all_are_switched_again_and_a_second_time_changes_nothing(lab: Walk) -> None:
    began = time.time()
    done, report = lab.probed(*lab.command("partner.yml", "do=switch", "group=all"))
    assert_nothing_lost(report)
    found = partners(lab)
    for domain, partner in found.items():
        assert partner["held"] is None
        if domain == STATIC:
            assert_is_at_legacy(partner, "static?")
        else:
            assert_is_here(partner)
    # Nobody waits for a server that is seen at the old gateway again: its whole switch is shorter than its patience.
    static = [item for item in journal(lab) if item["event"] == "partner_switched" and item["partner"] == STATIC]
    assert static[-1]["at"] > began
    assert "is at the legacy gateway again" in static[-1]["reason"]
    assert done.returncode == 0, done.stdout[-8000:]


def test_the_journal_tells_who_did_what_in_order(lab: Walk) -> None:
    events = [(item["event"], item.get("why")) for item in journal(lab) if item.get("partner") == HELD]
    named = [event for event in events if event[0] in ("partner_held", "partner_released", "partner_switched")]
    assert [event for event, _why in named] == [
        *("partner_held", "partner_released", "partner_switched"),
        *("partner_held", "partner_switched", "partner_released", "partner_switched"),
    ]
    assert named[0][1] == "its people are away"
