"""A legacy gateway that serves only its own pool, as from Lync 2013 to Skype for Business 2019: R1 does not hold.

In the order of this file, on one lab whose legacy gateway is of that kind. Step 3 refuses and offers three ways; one of
them, replacing the gateway in place first, is walked to its end under traffic.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.lab.conftest import ROOT, Walk, a_walk, assert_nothing_lost

pytestmark = [pytest.mark.lab, pytest.mark.slow]

DOCUMENT = ROOT / "inventories" / "lab" / "group_vars" / "all" / "federation.yml"
JOURNAL = "/var/lib/xmppgw-migration/journal.jsonl"
IN_PLACE = {"product": "lync2013", "pool": "pool-legacy.corp.example"}
NEW = {"product": "sfb2019", "pool": "pool-target.corp.example"}
PILOT = "grace"


def write(path: Path, target: dict, **changes: object) -> None:
    content = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))
    content["federation"] |= {"target": target, **changes}
    content["federation"]["sip"]["next_hop"]["fqdn"] = target["pool"]
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("document") / "federation.yml"
    write(found, NEW)
    return found


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, path: Path) -> Iterator[Walk]:
    choices = {"XMPPGW_LAB_DOCUMENT": str(path), "XMPPGW_LAB_LEGACY_GATEWAY": "legacy_pool"}
    with a_walk(tmp_path_factory, "poollab", **choices) as walk:
        yield walk


def homes(walk: Walk) -> dict[str, str]:
    return walk.lab.tables("pool-target")["homing"]


def test_moving_the_users_is_refused_and_three_ways_are_offered(lab: Walk) -> None:
    done = lab.playbook("migrate.yml")
    assert done.returncode != 0
    assert "[migration-r1-pilot]" in done.stdout
    for way in ("replace the gateway in place first", "scenario coexist", "users.exceptions (reason: interruption"):
        assert way in done.stdout, way
    assert set(homes(lab).values()) == {"pool-legacy"}
    assert lab.lab.run("fe1", "sh", "-c", f"ls {JOURNAL} 2>/dev/null; true") == ""


def test_step_3_refuses_also_where_the_first_two_were_done(lab: Walk) -> None:
    begun = lab.playbook("migrate.yml", "last_step=2")
    assert begun.returncode == 0, begun.stdout[-4000:]
    done = lab.playbook("migrate.yml", "last_step=3")
    assert done.returncode != 0
    assert "[migration-r1-pilot]" in done.stdout
    assert set(homes(lab).values()) == {"pool-legacy"}


def test_a_pilot_who_is_moved_first_shows_why(lab: Walk) -> None:
    """The pilot's messages do not get through any more: whoever looks will not accept it. Then he is moved back."""
    moved = lab.playbook("migrate.yml", "pilot=true")
    assert moved.returncode == 0, moved.stdout[-4000:]
    assert {user for user, home in homes(lab).items() if home == "pool-target"} == {PILOT}
    probe = ["-m", "xmppgw.probe", "around", "--lab", str(lab.lab.directory), "--output", str(lab.output / "pilot")]
    seen = lab.run(str(ROOT / ".venv/bin/python"), *probe, "--patience", "30", "--", "true")
    assert seen.returncode == 3, seen.stdout
    silent = seen.stdout.partition("nothing arrives for ")[2]
    assert f"{PILOT}/" in silent
    assert "alice/" not in silent
    back = lab.playbook("rollback.yml", "to=2")
    assert back.returncode == 0, back.stdout[-4000:]
    assert set(homes(lab).values()) == {"pool-legacy"}


def test_an_interruption_is_taken_only_by_name(lab: Walk, tmp_path: Path) -> None:
    everybody = [f"{user}@{'branch' if user == PILOT else 'corp'}.example" for user in homes(lab)]
    exceptions = [{"user": user, "reason": "interruption", "by": "ann", "minutes": 30} for user in everybody]
    write(tmp_path / "some.yml", NEW, users={"exceptions": exceptions[:-1]})
    some = lab.playbook("plan.yml", f"migration_document={tmp_path / 'some.yml'}")
    assert some.returncode != 0
    assert "1 users would be without XMPP" in some.stdout
    write(tmp_path / "all.yml", NEW, users={"exceptions": exceptions})
    named = lab.playbook("plan.yml", f"migration_document={tmp_path / 'all.yml'}")
    assert named.returncode == 0, named.stdout
    plan = json.loads((lab.output / "plan" / "plan.json").read_text(encoding="utf-8"))
    said = "\n".join(plan["notices"])
    assert "30 minutes" in said
    assert everybody[0] in said


def test_replacing_the_gateway_in_place_interrupts_nobody(lab: Walk, path: Path) -> None:
    write(path, IN_PLACE)
    done, report = lab.probed(*lab.command("migrate.yml"))
    assert done.returncode == 0, done.stdout[-8000:]
    assert_nothing_lost(report)
    assert set(homes(lab).values()) == {"pool-legacy"}
    assert [step["state"] for step in report["steps"]] == ["done"] * 6


def test_afterwards_users_are_not_moved_away_from_partners_who_stayed_behind(lab: Walk, path: Path) -> None:
    write(path, NEW)
    done = lab.playbook("migrate.yml")
    assert done.returncode != 0
    assert "[migration-r1-left]" in done.stdout
    assert "away.example, static.example" in done.stdout
    assert set(homes(lab).values()) == {"pool-legacy"}


def test_whoever_takes_that_upon_himself_moves_them_at_any_time(lab: Walk) -> None:
    """The partners who came to us notice nothing; the two that stayed are returned, as was said: the probe shows it."""
    why = "reason='these two know'"
    done, report = lab.probed(*lab.command("migrate.yml", "accept=migration-r1-left", why))
    assert "done; changed=" in done.stdout, done.stdout[-8000:]
    assert set(homes(lab).values()) == {"pool-target"}
    probe = report["probe"]
    assert (probe["duplicated"], probe["unprotected"]) == (0, probe["dropped_by_partner"])
    # An answer of the old gateway to one who has moved meanwhile is nobody's.
    assert probe["lost"] == probe["unreachable"]["not_returned"]
    returned = {domain for domain, each in probe["per_partner"].items() if each["returned"]}
    assert returned == {"away.example", "static.example"}
