"""What check mode predicted is what is done: each step's planned actions against what the hosts show around it.

Runs on the walk's lab once its migration was taken back; nothing is read from the journal, which only repeats the plan.
"""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

import dns.message
import dns.rdatatype
import pytest
import yaml
from tests.lab.conftest import ROOT, Walk, assert_nothing_lost

pytestmark = [pytest.mark.lab, pytest.mark.slow]

OBSERVED = ("install", "file", "unit", "certificate", "secret", "homing", "srv", "route")
"""Kinds of actions whose effect stands on a host; proofs and drains leave none there."""
SECRET = "/etc/xmppgw/dialback.secret"


@pytest.fixture
def held(tmp_path: Path) -> str:
    """The lab's document with a hold before step 5, as a variable of a run."""
    document = yaml.safe_load((ROOT / "inventories/lab/group_vars/all/federation.yml").read_text(encoding="utf-8"))
    document["federation"]["holds"] = [5]
    path = tmp_path / "federation.yml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return f"migration_document={path}"


def observe(walk: Walk) -> dict:
    path = walk.output / "observed.json"
    done = walk.run(
        str(ROOT / ".venv/bin/ansible-playbook"), str(ROOT / "tests/lab/observe.yml"), "-e", f"observed_file={path}"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict = json.loads(path.read_text(encoding="utf-8"))
    return found


def srv_records(seen: dict) -> dict[str, object]:
    """Domain to the SRV RRset that the first server gave, TTL included."""
    found: dict[str, object] = {}
    for (_server, domain, _name, kind), packet in zip(seen["about"], seen["packets"], strict=True):
        if kind == "SRV" and domain not in found:
            message = dns.message.from_wire(base64.b64decode(packet["answer"]))
            # Signatures are made anew now and then, whatever a run does.
            records = [rrset for rrset in message.answer if rrset.rdtype == dns.rdatatype.SRV]
            found[domain] = sorted(f"{rrset.ttl} {item}" for rrset in records for item in rrset)
    return found


def effects(before: dict, after: dict) -> set[str]:
    """What changed between two observations, named as the planner names its actions, without the step."""
    found: set[str] = set()
    for host, now in after.items():
        old = before[host]
        if "gateway" in now:
            found |= gateway_effects(host, old["gateway"], now["gateway"])
        if "platform" in now:
            tables = {table: (old["platform"][table], now["platform"][table]) for table in ("homing", "route")}
            found |= {f"{table}/{key}" for table, (was, is_) in tables.items() for key in changed(was, is_)}
        if "packets" in now:
            found |= {f"srv/{domain}" for domain in changed(srv_records(old), srv_records(now))}
    return found


def gateway_effects(host: str, old: dict, now: dict) -> set[str]:
    found = {f"install/{host}"} if (old["version"], old["wheels"]) != (now["version"], now["wheels"]) else set()
    files = changed(old["files"], now["files"])
    found |= {f"file/{host}:{path}" for path in files - {SECRET}}
    found |= {f"secret/{host}"} if SECRET in files else set()
    found |= {f"unit/{host}:{unit}" for unit in changed(old["units"], now["units"])}
    return found | {f"certificate/{host}:{name}" for name in changed(old["certificates"], now["certificates"])}


def changed(old: dict, now: dict) -> set[str]:
    return {key for key in {*old, *now} if old.get(key) != now.get(key)}


def predicted(walk: Walk, step: int) -> set[str]:
    """What check mode says that one step will do, a wave of users by its users."""
    done = walk.run(*walk.command("migrate.yml", f"last_step={step}"), "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    plan = json.loads((walk.output / "plan" / "plan.json").read_text(encoding="utf-8"))
    actions = [item for item in plan["steps"][step - 1]["actions"] if item["kind"] in OBSERVED]
    assert all(not each["actions"] for each in plan["steps"][: step - 1]), "an earlier step left something to do"
    found = {item["id"].partition("/")[2] for item in actions if item["kind"] != "homing"}
    if any(item["kind"] == "homing" for item in actions):
        users = walk.lab.tables("pool-legacy")["homing"]
        moving = sum(item["after"]["users"] for item in actions if item["kind"] == "homing")
        assert moving == len(users)
        found |= {f"homing/{user}" for user in users}
    return found


@pytest.mark.parametrize("step", range(1, 5))
def test_a_step_does_what_was_predicted_and_nothing_else(walk: Walk, step: int) -> None:
    before = observe(walk)
    wanted = predicted(walk, step)
    assert effects(before, observe(walk)) == set(), "check mode changed something"
    done = walk.playbook("migrate.yml", f"last_step={step}")
    assert done.returncode == 0, done.stdout[-6000:]
    assert effects(before, observe(walk)) == wanted


def test_a_hold_stops_a_run_before_the_step_and_changes_nothing(walk: Walk, held: str) -> None:
    before = observe(walk)
    done = walk.playbook("migrate.yml", held)
    assert done.returncode == 0, done.stdout[-6000:]
    assert "held before step 5: run again with -e confirm=5" in done.stdout
    assert effects(before, observe(walk)) == set()


def test_step_5_goes_on_once_confirmed_and_status_tells_of_it_meanwhile(walk: Walk, held: str) -> None:
    """Somebody else asks where the migration stands, again and again, while the run is at work."""
    before = observe(walk)
    wanted = predicted(walk, 5)
    told = []
    with (walk.output / "step5.log").open("w+", encoding="utf-8") as log:
        command = walk.command("migrate.yml", "last_step=5", "confirm=5", held)
        run = subprocess.Popen(command, cwd=ROOT, env=walk.environment, stdout=log, stderr=subprocess.STDOUT)
        while run.poll() is None:
            told.append(status(walk))
        log.seek(0)
        assert run.returncode == 0, log.read()[-6000:]
    assert effects(before, observe(walk)) == wanted
    at_work = [each for each in told if each["run"] and each["run"]["running"]]
    assert at_work, told[-1]
    assert {each["lock"]["pid"] for each in at_work} == {run.pid}
    assert any(each["steps"][4]["state"] == "running" for each in at_work), [each["steps"][4] for each in at_work]


def status(walk: Walk) -> dict:
    done = walk.playbook("status.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict = json.loads((walk.output / "status.json").read_text(encoding="utf-8"))
    return found


def test_step_6_does_what_was_predicted_but_for_partners_that_do_not_follow_dns(walk: Walk) -> None:
    """A partner that turns out to have our old host set statically keeps its route; nothing else differs."""
    before = observe(walk)
    wanted = predicted(walk, 6)
    assert effects(before, observe(walk)) == set(), "check mode changed something"
    with walk.chatting() as chat:
        run = walk.start("migrate.yml", steps=chat.steps)
        said, _ = run.communicate()
        assert run.returncode == 0, said[-6000:]
    assert_nothing_lost(chat.report)
    left = {each["domain"] for each in status(walk)["partners"] if each["state"] == "static?"}
    assert left == {"static.example"}
    assert effects(before, observe(walk)) == wanted - {f"route/{domain}" for domain in left}


def predicted_back(walk: Walk, to: int) -> set[str]:
    """What check mode says that taking steps back until `to` will do."""
    done = walk.run(*walk.command("rollback.yml", f"to={to}"), "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    plan = json.loads((walk.output / "plan" / "back.json").read_text(encoding="utf-8"))
    actions = [item for step in plan["steps"] for item in step["actions"] if item["kind"] in OBSERVED]
    assert all(item["what"] in done.stdout for item in actions), done.stdout
    found = {item["id"].partition("/")[2] for item in actions if item["kind"] != "homing"}
    return found | {f"homing/{user}" for item in actions if item["kind"] == "homing" for user in item["after"]["back"]}


@pytest.mark.parametrize("to", range(5, -1, -1))
def test_a_step_is_taken_back_as_predicted_and_nothing_else(walk: Walk, to: int) -> None:
    before = observe(walk)
    wanted = predicted_back(walk, to)
    assert wanted, "there is something to take back"
    assert effects(before, observe(walk)) == set(), "check mode changed something"
    done = walk.playbook("rollback.yml", f"to={to}")
    assert done.returncode == 0, done.stdout[-6000:]
    assert effects(before, observe(walk)) == wanted
