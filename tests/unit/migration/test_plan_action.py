"""What a run is told to do: up to where, past which holds, under which digest; a refused plan is written too."""

import json
import platform
from pathlib import Path

import pytest
import yaml
from ansible_collections.xmppgw.migration.plugins.action import plan
from ansible_collections.xmppgw.migration.plugins.action.plan import ActionModule
from ansible_collections.xmppgw.migration.plugins.modules import prove_partners
from ansible_collections.xmppgw.migration.plugins.plugin_utils import dns_azure, run_facts
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import watch_seconds

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def planned(world, tmp_path):
    """Plan a run of the world with the arguments that a playbook gives."""

    def run(**args):
        action = ActionModule.__new__(ActionModule)
        picture = world.picture(pilot_only=args.pop("pilot_only", False))
        result = action.plan_migration(picture, args, "migrate", tmp_path / "plan")
        return result, json.loads((tmp_path / "plan" / "plan.json").read_text(encoding="utf-8"))

    return run


def microsoft(world):
    del world.federation["sip"]["next_hop"]["platform"]


def test_a_digest_that_was_approved_for_six_steps_is_good_for_the_first_four(planned):
    (whole, _), (first, written) = planned(), planned(last_step=4)
    assert whole["digest"] == first["digest"]
    assert planned(last_step=4, digest=whole["digest"])[0]["digest"] == whole["digest"]
    assert sorted(first["pending"]) == ["1", "2", "3", "4"]
    assert written["last_step"] == 4
    assert [step["number"] for step in written["steps"]] == [1, 2, 3, 4, 5, 6]


def test_what_protects_a_later_step_refuses_a_run_only_once_it_goes_there(world, planned):
    microsoft(world)
    first, written = planned(last_step=4)
    assert "failed" not in first
    assert [notice.partition("]")[0] for notice in written["notices"][:2]] == [
        "LATER [migration-route-evidence",
        "LATER [text-only",
    ]
    result, written = planned()
    assert result["failed"]
    assert [notice[:20] for notice in written["notices"][:2]] == ["REFUSED [migration-r", "REFUSED [text-only] "]


def test_evidence_that_only_earlier_steps_make_possible_refuses_no_run_that_is_held_before_its_step(world, planned):
    microsoft(world)
    accepted = {"accept": "text-only", "reason": "announced"}
    for stops in ({"last_step": 4}, {}):
        result, written = planned(**accepted, **stops)
        assert "failed" not in result, f"stopped by {stops or 'the hold'}: {result.get('msg')}"
        assert written["notices"][0].startswith("LATER [migration-route-evidence]")
        world.federation["holds"] = [5, 6]
    assert planned(**accepted, confirm="5,6")[0]["code"] == "migration-route-evidence"


def test_what_was_accepted_is_journalled_and_in_the_digest_wherever_the_run_stops(world, planned):
    microsoft(world)
    wanted = {"accept": "text-only,migration-route-evidence", "reason": "announced"}
    whole, _written = planned(**wanted)
    assert [note["code"] for note in whole["notes"]] == ["migration-route-evidence", "text-only"]
    assert planned(last_step=4, **wanted)[0]["digest"] == whole["digest"]
    assert planned(digest=whole["digest"], **wanted)[0]["digest"] == whole["digest"]


HEALTH = 60 * 3
"""Seconds: the health of a wave is looked at on two platforms and one front end, one after another."""


@pytest.mark.parametrize(
    ("provider", "watch", "seconds"),
    [
        ("rfc2136", 0, 900 + HEALTH),
        ("rfc2136", 86400, 900 + 2 * 86400 + HEALTH),
        ("manual", 0, 4500),
        ("manual", 600, 4500),
    ],
)
def test_the_lock_outlives_what_a_person_may_take(world, planned, provider, watch, seconds):
    world.federation["dns"]["provider"] = provider
    world.watch = watch
    assert planned()[0]["run"]["lock"]["seconds"] == seconds


def test_the_lock_outlives_a_watch_for_a_route_that_nobody_gave_a_limit(world):
    world.federation["routes"] = {"provider": "powershell"}
    assert run_facts.silent_s(world.environment()) == 2 * 600


def test_the_lock_outlives_a_script_that_moves_a_wave(world):
    world.federation["homing"] = {"provider": "powershell"}
    world.federation["users"] = {"waves": {"size": 2000}}
    environment = world.environment()
    assert run_facts.silent_s(environment) == HEALTH, "a person runs it, and the run ends meanwhile"
    environment.groups["management"] = ["mgmt"]
    assert run_facts.silent_s(environment) == 2000 * run_facts.USER_SECONDS + HEALTH


def test_the_lock_outlives_the_proofs_of_many_partners_of_whom_none_answers(world):
    world.federation["partners"] = [{"domain": f"p{number}.example"} for number in range(200)]
    environment = world.environment()
    assert run_facts.silent_s(environment) == 30 * 13 * len(environment.edges)


def test_the_limits_that_the_lock_outlives_are_those_of_the_roles():
    def default(role, name):
        return yaml.safe_load((ROOT / "roles" / role / "defaults" / "main.yml").read_text())[name]

    assert default("dns_cutover", "dns_cutover_manual_seconds") == run_facts.RECORDS_SECONDS
    assert default("federation", "federation_connect_seconds") == run_facts.PROOF_SECONDS
    assert f"default({run_facts.ROUTE_SECONDS})" in default("sip_route", "sip_route_watch_seconds")
    assert prove_partners.AT_A_TIME == run_facts.PROOFS_AT_A_TIME
    assert dns_azure.AzureDns.read_back_seconds == run_facts.READ_BACK_SECONDS


@pytest.mark.parametrize("run", ["r1", None])
def test_a_run_names_the_run_whose_process_is_gone(world, planned, run):
    """A lock of an old release may have no name; such a one ends when it expires."""
    process = {"owner": "ann@here", "host": platform.node(), "pid": 2**22 + 1, "process_started": 1}
    world.lock = {**process, "start_text": "then", "expiry": world.now + 500, **({"run": run} if run else {})}
    assert planned()[0]["run"]["gone"] == (run or "")
    world.lock = {**world.lock, "host": "elsewhere"}
    assert planned()[0]["run"]["gone"] == "", "of another machine's processes nothing is known"


@pytest.mark.parametrize("found", ["86401", "-1", "soon", "1.5", "", True])
def test_a_watch_that_is_no_number_of_seconds_is_refused_before_anything_is_done(found):
    with pytest.raises(PictureError) as caught:
        watch_seconds(found)
    assert caught.value.code == "migration-watch"
    assert [watch_seconds(good) for good in (None, "0", 600, "86400")] == [0, 0, 600, 86400]


def going_back(world, folder, to=0):
    action = ActionModule.__new__(ActionModule)
    return action.plan_rollback(world.picture(), {"to": str(to), "verb": "rollback"}, folder)


@pytest.mark.parametrize("events", [["decommission_began"], ["decommission_began", "native_gone"]])
def test_nothing_is_taken_back_once_the_end_of_the_legacy_gateway_was_begun(world, sealed, tmp_path, events):
    world.records = sealed([{"event": event} for event in events])
    with pytest.raises(PictureError) as caught:
        going_back(world, tmp_path)
    assert caught.value.code == "migration-decommissioned"


def test_nothing_is_taken_back_while_the_document_leaves_out_what_would_stay_moved(world, sealed, tmp_path):
    partner = world.federation["partners"].pop()["domain"]
    for table in world.routes.values():
        table[partner] = "target"
    action = {"id": f"6/route/{partner}", "kind": "route", "subject": partner, "before": "legacy"}
    world.records = sealed([{"event": "step_opened", "step": 6, "digest": "", "actions": [action]}])
    with pytest.raises(PictureError, match=partner) as caught:
        going_back(world, tmp_path)
    assert caught.value.code == "migration-left-out"
    assert not (tmp_path / "back.json").exists()


def test_a_rehearsal_that_the_inventory_asks_for_is_refused(world, monkeypatch):
    """Which playbook brings it back is chosen before an inventory is read."""
    action = ActionModule.__new__(ActionModule)
    action._loader = None
    for given, code in (({}, "migration-rehearsal"), ({"rehearsal": "true"}, None)):
        monkeypatch.setattr(plan, "load_extra_vars", lambda _loader, given=given: given)
        if code is None:
            action.check_scenario(world.picture(), {"rehearsal": True}, {})
            continue
        with pytest.raises(PictureError) as caught:
            action.check_scenario(world.picture(), {"rehearsal": True}, {})
        assert caught.value.code == code


def test_another_digest_is_refused(planned):
    with pytest.raises(PictureError) as caught:
        planned(digest="0" * 64)
    assert caught.value.code == "migration-plan"


def test_a_hold_keeps_the_steps_behind_it_out_of_the_run(world, planned):
    world.federation["holds"] = [5, 6]
    result, written = planned()
    assert [step for step, open_ in result["pending"].items() if open_] == ["1", "2", "3", "4"]
    assert result["held"]["step"] == 5
    assert written["holds"][0]["step"] == 5
    result, _written = planned(confirm="5")
    assert [step for step, open_ in result["pending"].items() if open_] == ["1", "2", "3", "4", "5"]
    assert {"event": "hold_confirmed", "step": 5} in result["notes"]


def test_the_pilot_run_ends_with_step_3(world, planned):
    world.federation["pilot"] = {"users": ["alice@corp.example"]}
    result, written = planned(pilot_only=True)
    assert sorted(result["pending"]) == ["1", "2", "3"]
    assert [wave["users"] for wave in written["waves"]] == [1]


@pytest.mark.parametrize("text", ["0", "7", "four", "-1", "3.5"])
def test_a_last_step_that_is_none_is_refused(planned, text):
    with pytest.raises(PictureError) as caught:
        planned(last_step=text)
    assert caught.value.code == "migration-until"


def test_the_guards_outcome_is_told(planned):
    result, _written = planned()
    assert result["guards"]["refused"] == []
    assert "migration-r3" in result["guards"]["passed"]
