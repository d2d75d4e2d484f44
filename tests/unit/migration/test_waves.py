"""Waves of users: the pilot first, batches that one user more does not disturb, gates between them, the way back."""

import json
import os

import pytest
from ansible_collections.xmppgw.migration.plugins.module_utils import tables
from ansible_collections.xmppgw.migration.plugins.module_utils.chain import read_history
from ansible_collections.xmppgw.migration.plugins.modules import platform_look, wave_export
from ansible_collections.xmppgw.migration.plugins.plugin_utils import (
    guards,
    handing_over,
    plan_notices,
    plan_users,
    planner,
    run_facts,
    standing,
    standing_text,
    wave_health,
    waves,
    whole_plan,
)
from ansible_collections.xmppgw.migration.plugins.plugin_utils.picture import Picture
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.migration.modules import run_module

USERS = [f"user{number:03d}@corp.example" for number in range(200)]
names = st.sets(st.text("abcdefgh", min_size=1, max_size=6), max_size=60)


@given(names, names, st.integers(1, 20))
def test_every_user_is_in_one_wave_and_no_batch_is_too_large(users, pilot, size):
    found = waves.waves_of(users, pilot, size)
    assert sorted(user for wave in found for user in wave.users) == sorted(users)
    assert all(0 < len(wave.users) <= size for wave in found if wave.name != waves.PILOT)
    assert [wave.number for wave in found] == list(range(1, len(found) + 1))
    assert {*users} & {*pilot} == {user for wave in found if wave.name == waves.PILOT for user in wave.users}


@given(names, st.text("abcdefgh", min_size=7, max_size=8), st.integers(1, 20))
def test_somebody_who_joins_changes_his_own_wave_and_no_other(users, joined, size):
    before = {wave.digest("pool") for wave in waves.waves_of(users, (), size)}
    after = waves.waves_of({*users, joined}, (), size)
    changed = [wave for wave in after if wave.digest("pool") not in before]
    untouched = {user for wave in after if wave not in changed for user in wave.users}
    assert joined not in untouched
    # Where he fits, one wave is another; where his batch was full, it is split, and only that.
    assert len(before - {wave.digest("pool") for wave in after}) <= 1


def test_the_order_of_observation_does_not_matter():
    assert waves.waves_of(USERS, {USERS[7]}, 30) == waves.waves_of(list(reversed(USERS)), {USERS[7]}, 30)


def test_a_user_moves_unless_every_platform_homes_it_on_the_target():
    seen = {
        "pool-legacy": {"alice": "pool-legacy", "bob": "pool-target", "carol": "pool-legacy"},
        "pool-target": {"alice": "pool-legacy", "bob": "pool-target", "carol": "pool-target"},
    }
    assert plan_users.unmoved(seen, "pool-legacy", "pool-target") == {"alice": "pool-legacy", "carol": "pool-legacy"}


def moves(world):
    return plan_users.to_move(world.picture())


def waves_in(world, pilot=(), size=2):
    world.federation["users"] = {"waves": {"pilot": list(pilot), "size": size, "pause_seconds": 7}}


def test_the_pilot_moves_first_and_the_last_wave_has_no_pause(world):
    waves_in(world, ["bob@corp.example"])
    found = moves(world)
    assert [entry["key"] for entry in found[0]["entries"]] == ["bob@corp.example"]
    assert found[0]["before"] == {"pool-legacy": ["bob@corp.example"]}
    assert [wave["pause_seconds"] for wave in found] == [7] * (len(found) - 1) + [0]
    assert len({wave["of"] for wave in found}) == 1
    picture = world.picture()
    picture.pilot_only = True
    assert [wave["wave"] for wave in plan_users.to_move(picture)] == [waves.PILOT]


def test_tables_that_leave_the_domain_out_are_understood(world):
    for table in world.homing.values():
        table.clear()
        table.update(dict.fromkeys(["alice", "bob", "carol"], "pool-legacy"))
    waves_in(world, ["bob@corp.example"])
    world.federation["users"]["exceptions"] = [{"user": "carol@corp.example", "reason": "cloud"}]
    keys = [[entry["key"] for entry in wave["entries"]] for wave in moves(world)]
    assert keys[0] == ["bob"]
    assert sorted(key for wave in keys for key in wave) == ["alice", "bob"]


@pytest.mark.parametrize(
    ("reason", "moves_too"), [("disabled", False), ("survivable_branch", False), ("interruption", True)]
)
def test_who_stays_is_in_no_wave(world, reason, moves_too):
    more = {"by": "Jane Doe", "minutes": 30} if reason == "interruption" else {}
    world.federation["users"] = {"exceptions": [{"user": "erin@corp.example", "reason": reason, **more}]}
    users = {entry["key"] for wave in moves(world) for entry in wave["entries"]}
    assert ("erin@corp.example" in users) is moves_too
    assert len(users) == 5 + moves_too


# Nobody of a branch moves


def homed_on_the_appliance(world):
    for table in world.homing.values():
        table["sam@corp.example"] = "sba1"


def homed_on_the_appliance_by_its_whole_name(world):
    for table in world.homing.values():
        table["sam@corp.example"] = "SBA1.corp.example"


def homed_on_the_appliance_as_one_platform_says(world):
    world.homing["pool-legacy"]["sam@corp.example"] = "sba1"
    world.homing["pool-target"]["sam@corp.example"] = "pool-target"


def marked_in_the_export(world):
    home(world, "sam@corp.example", "pool-legacy")
    world.users({"user": "sam@corp.example", "survivable_branch": True})


def homed_there_in_the_export(world):
    home(world, "sam@corp.example", "pool-legacy")
    world.users({"user": "sam@corp.example", "pool": "sba1.corp.example"})


def undecided(_world):
    pass


def with_xmpp(world):
    world.federation["access_policies"]["survivable_branch"] = True


def excepted(world):
    world.federation.setdefault("users", {})["exceptions"] = [
        {"user": "sam@corp.example", "reason": "survivable_branch"}
    ]


def interrupted(world):
    world.federation.setdefault("users", {})["exceptions"] = [
        {"user": "sam@corp.example", "reason": "interruption", "by": "Jane Doe", "minutes": 30}
    ]


def a_pilot(world):
    world.federation.setdefault("users", {})["waves"] = {"pilot": ["sam@corp.example"], "size": 2}


def in_place(world):
    """The target platform is the one in use: nobody has to move."""
    world.federation["legacy"]["pool"] = world.federation["target"]["pool"]
    for table in world.homing.values():
        table.update({user: "pool-target" for user, pool in table.items() if pool == "pool-legacy"})


def begun(world):
    """An earlier release had him in a wave."""
    body = {"event": "wave_opened", "wave": "batch-all", "before": {"sba1": ["sam@corp.example"]}}
    world.journal({**body, "number": 1, "digest": "0" * 64})


@pytest.mark.parametrize("around", [undecided, in_place, begun])
@pytest.mark.parametrize("decided", [undecided, with_xmpp, excepted, interrupted, a_pilot])
@pytest.mark.parametrize(
    "of_a_branch",
    [
        homed_on_the_appliance,
        homed_on_the_appliance_by_its_whole_name,
        homed_on_the_appliance_as_one_platform_says,
        marked_in_the_export,
        homed_there_in_the_export,
    ],
)
def test_nobody_of_a_branch_is_in_any_wave_whichever_way_it_was_decided(world, of_a_branch, decided, around):
    world.federation["legacy"]["survivable_branch_pools"] = ["sba1.corp.example"]
    for arrange in (of_a_branch, decided, around):
        arrange(world)
    picture = world.picture()
    found = [wave for wave, _homes in plan_users.waves_with_homes(picture)]
    assert not [wave for wave in found if "sam@corp.example" in wave.users]
    moving = {entry["key"] for wave in plan_users.to_move(picture) for entry in wave["entries"]}
    assert moving == (set() if around is in_place else set(world.homing["pool-legacy"]) - {"sam@corp.example"})
    assert "sam@corp.example" not in guards.situation_of(picture, 4).users.legacy
    assert guards.situation_of(picture, 3).users.strays == {}


def pools_named(world, legacy, target, appliance):
    """Let the two pools, and an appliance, have these names; everybody is at home on the legacy pool."""
    text = json.dumps(world.document)
    for name, other in (("pool-legacy.corp.example", legacy), ("pool-target.corp.example", target)):
        text = text.replace(name, other)
    world.document = json.loads(text)
    world.federation = world.document["federation"]
    world.federation["legacy"]["survivable_branch_pools"] = [appliance]


def test_an_appliance_that_shares_its_first_label_with_a_pool_of_ours_makes_nobody_a_branch_user(world):
    pools_named(world, "pool02.corp.example", "pool01.corp.example", "pool01.branch.example")
    environment = world.environment()
    assert (environment.homes["target"], environment.branches) == ("pool01", {"pool01.branch.example"})


def test_where_our_two_pools_share_a_first_label_an_appliance_is_known_by_its_whole_name_only(world):
    pools_named(world, "pool01.corp.example", "pool01.new.example", "sba1.branch.example")
    assert world.environment().branches == {"sba1.branch.example"}


def test_where_exports_tell_an_appliance_is_known_by_its_whole_name_only(world):
    pools_named(world, "pool-legacy.corp.example", "pool-target.corp.example", "sba1.branch.example")
    environment = world.environment()
    assert environment.branches == {"sba1.branch.example", "sba1"}
    alone = world.environment()
    alone.groups["platforms"] = []
    assert alone.branches == {"sba1.branch.example"}


def test_the_script_of_a_wave_takes_each_user_from_its_own_home(world):
    home(world, "carol@corp.example", "pool-elsewhere")
    (wave,) = moves(world)
    environment = world.environment()
    content = {
        provider: handing_over.order(
            environment, kind="homing", provider=provider, subject=wave["wave"], entries=wave["entries"]
        ).content.decode()
        for provider in ("powershell", "manual")
    }
    assert "@('carol@corp.example', 'pool-elsewhere')" in content["powershell"]
    assert "@('alice@corp.example', 'pool-legacy.corp.example')" in content["powershell"]
    environment.groups["platforms"] = []
    kept = handing_over.order(
        environment, kind="homing", provider="manual", subject=wave["wave"], entries=wave["entries"]
    )
    first, second, *_rest = kept.content.decode().splitlines()
    assert first.startswith("foreach ($user in @('carol@corp.example')) { Export-CsUserData -PoolFqdn 'pool-elsewhere'")
    assert "-PoolFqdn 'pool-legacy.corp.example'" in second
    assert "the order's first 2 lines" in kept.lines[0]


def opened(wave, **more):
    return {
        "event": "wave_opened",
        "before": wave["before"],
        **{key: wave[key] for key in ("wave", "number", "digest")},
        **more,
    }


def done(wave):
    return {"event": "wave_done", "wave": wave["wave"]}


def home(world, user, pool, platforms=("pool-legacy", "pool-target")):
    for platform in platforms:
        world.homing[platform][user] = pool


def test_a_run_that_was_killed_inside_a_wave_goes_on_with_that_wave(world, sealed):
    waves_in(world, ["bob@corp.example"])
    first, second, *rest = moves(world)
    user = second["entries"][0]["key"]
    home(world, "bob@corp.example", "pool-target")
    home(world, user, "pool-target")
    world.records = sealed([opened(first), done(first), opened(second)])
    again = moves(world)
    assert [wave["digest"] for wave in again] == [second["digest"], *(wave["digest"] for wave in rest)]
    assert [wave["number"] for wave in again] == [second["number"], *(wave["number"] for wave in rest)]
    assert user in {entry["key"] for entry in again[0]["entries"]}, "who moved already is looked at again"
    assert user not in {moved for users in again[0]["before"].values() for moved in users}


def test_a_wave_that_was_never_seen_healthy_is_verified_though_nobody_is_left_to_move(world, sealed):
    (only,) = moves(world)
    for entry in only["entries"]:
        home(world, entry["key"], "pool-target")
    world.records = sealed([opened(only)])
    assert [wave["wave"] for wave in moves(world)] == [only["wave"]]
    assert plan_users.planned(world.picture()) == [], "verifying is no change"
    world.records = sealed([opened(only), done(only)])
    assert moves(world) == []


def test_the_way_back_is_the_last_wave_first_to_where_each_user_was(world, sealed):
    home(world, "carol@corp.example", "pool-elsewhere")
    waves_in(world, ["bob@corp.example"])
    begun = moves(world)
    world.records = sealed([opened(wave) for wave in begun])
    back = plan_users.to_move_back(world.picture())
    assert [wave["wave"] for wave in back] == [wave["wave"] for wave in reversed(begun)]
    homes = {entry["key"]: entry["value"] for wave in back for entry in wave["entries"]}
    assert homes.pop("carol@corp.example") == "pool-elsewhere"
    assert set(homes.values()) == {"pool-legacy"}
    assert run_facts.undo_facts(world.picture())["waves_back"] == back


def test_what_the_journal_says_of_waves():
    wave = {"event": "wave_opened", "wave": "batch-all", "before": {"pool-legacy": ["alice"]}}
    again = {**wave, "before": {"pool-target": ["alice"], "pool-legacy": ["zoe"]}}
    history = read_history([wave, again])
    assert history.waves == {"batch-all": {"alice": "pool-legacy", "zoe": "pool-legacy"}}
    assert history.waves_open == {"batch-all"}
    finished = read_history([wave, {"event": "wave_done", "wave": "batch-all"}])
    assert (set(finished.waves), finished.waves_open) == ({"batch-all"}, set())
    undone = read_history([wave, {"event": "wave_undone", "wave": "batch-all"}])
    assert (undone.waves, undone.waves_open) == ({}, set())
    assert read_history([wave, {"event": "step_undone", "step": 3}]).waves == {}


def test_somebody_who_joined_yesterday_voids_no_plan(world):
    before = whole_plan.plan_of(world.picture())
    home(world, "zoe@corp.example", "pool-legacy")
    after = whole_plan.plan_of(world.picture())
    assert before["digest"] == after["digest"]
    (one,), (other,) = (
        [item for item in planner.all_actions(plan) if item["kind"] == "homing"] for plan in (before, after)
    )
    assert one["after"]["wave"] != other["after"]["wave"]
    assert (one["after"]["users"], other["after"]["users"]) == (6, 7)


def test_a_moved_wave_voids_no_plan_that_was_begun(world):
    plan = whole_plan.plan_of(world.picture())
    history = read_history([{"event": "plan_adopted", "digest": plan["digest"], "actions": planner.all_actions(plan)}])
    rest = {
        **plan,
        "steps": [{**step, "actions": [] if step["number"] == 3 else step["actions"]} for step in plan["steps"]],
    }
    assert planner.resumes(rest, plan["digest"], history) == (True, "")


def test_waves_are_in_the_plan_only_up_to_its_last_step(world):
    assert guards.judge_all(guards.situation_of(world.picture(), 0, preflight=True), range(1, 4)) == []
    assert [item["kind"] for item in planner.all_actions(whole_plan.plan_of(world.picture(), until=2))].count(
        "homing"
    ) == 0


# The gate


ENTRIES = [{"key": user, "value": "pool-target"} for user in ("alice", "bob")]
UP = {"answer": {"ok": True, "sip": {"state": "up"}, "queues": {"partner1.example": 2}}}


def test_a_gate_opens_when_everybody_is_at_home_and_the_platform_answers():
    assert wave_health.judge(ENTRIES, [{"elsewhere": [], "problem": ""}], [UP], maximum_waiting=2) == {
        "failed": [],
        "left": [],
        "waiting": 2,
        "problems": [],
    }


@pytest.mark.parametrize(
    ("platforms", "front_ends", "word"),
    [
        ([{"elsewhere": ["bob"], "problem": ""}], [], "bob"),
        ([{"elsewhere": [], "problem": "refused", "homing_platform": "pool-target"}], [], "pool-target did not answer"),
        ([], [], "no platform was looked at"),
        ([{"elsewhere": []}], [UP], "2 messages wait"),
        ([{"elsewhere": []}], [{"answer": {"ok": True, "sip": {"state": "down"}}, "homing_front_end": "fe1"}], "fe1"),
        ([{"elsewhere": []}], [{"answer": {"ok": False, "reason": "no such file"}}], "no such file"),
    ],
)
def test_a_gate_stays_closed(platforms, front_ends, word):
    assert word in " ".join(wave_health.judge(ENTRIES, platforms, front_ends)["problems"])


def test_as_many_may_fail_as_the_document_allows():
    seen = [{"elsewhere": ["alice"]}, {"elsewhere": ["alice", "bob"]}]
    assert wave_health.judge(ENTRIES, seen, [], maximum_failed=2)["problems"] == []
    assert len(wave_health.judge(ENTRIES, seen, [], maximum_failed=1)["problems"]) == 1


def looked(**rows):
    """What platform_look says of ENTRIES where the platform has these rows."""
    elsewhere = [entry["key"] for entry in ENTRIES if rows.get(entry["key"]) != entry["value"]]
    return {"rows": {key: {"homing": home} for key, home in rows.items()}, "elsewhere": elsewhere, "problem": ""}


HERE, THERE = {"alice": "pool-target"}, {"alice": "pool-target", "bob": "pool-legacy"}


@pytest.mark.parametrize(
    ("platforms", "failed", "left"),
    [
        ([looked(**HERE), looked(**HERE)], [], ["bob"]),
        ([looked(**HERE), looked(**THERE)], ["bob"], []),
        ([looked(), looked()], ["alice", "bob"], []),
        ([looked(**HERE), {"rows": {}, "elsewhere": ["alice", "bob"], "problem": "refused"}], ["alice", "bob"], []),
        ([{"elsewhere": [], "left": ["bob"], "problem": ""}], [], ["bob"]),
    ],
)
def test_who_left_every_platform_is_named_and_keeps_no_gate_closed(platforms, failed, left):
    verdict = wave_health.judge(ENTRIES, platforms, [])
    assert (verdict["failed"], verdict["left"]) == (failed, left)
    assert handing_over.open_entries(platforms, "homing")[0] == failed
    assert handing_over.open_entries(platforms, "route")[0] == sorted({k for p in platforms for k in p["elsewhere"]})


# Somebody leaves


ASKED = 1_790_000_000.0
"""When the only wave began."""


@pytest.fixture
def leaving(world):
    """A wave with all six was begun; `known` says who is still on the platform, in its tables or an export."""

    def make(source, known, age, *, homes="pool-target.corp.example", ended=()):
        everybody = sorted(world.homing["pool-legacy"])
        world.journal(
            {
                "event": "wave_opened",
                "wave": "batch-all",
                "number": 1,
                "digest": "0" * 64,
                "before": {"pool-legacy": everybody},
                "at": ASKED,
            },
            *ended,
        )
        if source == "export":
            world.homing.clear()
            world.users(*({"user": f"{user}@corp.example", "pool": homes} for user in sorted(known)))
            os.utime(world.folder / "users.table", (ASKED + age, ASKED + age))
        else:
            for table in world.homing.values():
                table.clear()
                table.update({f"{user}@corp.example": homes.partition(".")[0] for user in known})
        environment = world.environment()
        if source == "export":
            environment.groups["platforms"] = []
        return Picture(environment, world.seen(environment), world.now)

    return make


WHO = ("alice", "bob", "carol", "dave", "erin", "frank")


def keys_of(waves_found):
    return sorted(entry["key"].partition("@")[0] for wave in waves_found for entry in wave["entries"])


@pytest.mark.parametrize(
    ("source", "known", "age", "left"),
    [
        ("tables", WHO[1:], 0, ["alice"]),
        ("export", WHO[1:], 1, ["alice"]),
        ("export", WHO[1:], -1, []),  # of before the order
        ("export", (), 1, []),  # empty
        ("export", ("zoe",), 1, []),  # of somewhere else
        ("tables", (), 0, []),
        ("export", WHO[-1:], 1, list(WHO[:-1])),
    ],
)
def test_who_left_after_the_order_is_named_and_holds_up_nobody(leaving, source, known, age, left):
    picture = leaving(source, known, age)
    (wave,), (back,) = plan_users.to_move(picture), plan_users.to_move_back(picture)
    assert wave["left"] == back["left"] == plan_users.left_now(picture) == [f"{user}@corp.example" for user in left]
    assert keys_of([back]) == sorted({*WHO} - {*left})
    assert keys_of([wave]) == sorted({*WHO} - {*left})
    notices = plan_notices.notices(whole_plan.plan_of(picture), picture, [], [], [])
    assert [line for line in notices if line.startswith("LEFT")] == [plan_notices.left_words(wave["left"])] * bool(left)


def test_a_wave_that_everybody_left_ends_if_the_document_says_so_by_name(world, leaving):
    world.federation["users"] = {"exceptions": [{"user": f"{user}@corp.example", "reason": "disabled"} for user in WHO]}
    picture = leaving("export", ("zoe",), 1)
    (wave,) = plan_users.to_move(picture)
    assert (wave["entries"], len(wave["left"])) == ([], 6)
    assert plan_users.to_move_back(picture)[0]["entries"] == []


def test_the_only_user_of_a_wave_may_leave_where_the_export_has_others_on_our_pools(world, leaving):
    for table in world.homing.values():
        table.clear()
        table["alice@corp.example"] = "pool-legacy"
    picture = leaving("export", ("zoe",), 1)
    assert plan_users.left_now(picture) == ["alice@corp.example"]


def test_whom_the_platform_itself_did_not_know_is_not_waited_for_by_what_an_older_export_says(leaving):
    ended = {
        "event": "wave_done",
        "wave": "batch-all",
        "users": [f"{user}@corp.example" for user in WHO],
        "failed": [],
        "left": ["alice@corp.example"],
        "pool": "pool-target",
        "at": ASKED + 10,
    }
    picture = leaving("export", WHO, -1, homes="pool-legacy.corp.example", ended=[ended])
    assert picture.platforms.users_at("pool-legacy") == []
    assert "alice@corp.example" not in picture.platforms.tables("homing")["export"]
    assert plan_users.to_move(picture) == []
    assert keys_of(plan_users.to_move_back(picture)) == list(WHO[1:])
    assert guards.situation_of(picture, 4).users.legacy == []


def test_who_came_back_counts_again(leaving):
    ended = {"event": "wave_done", "wave": "batch-all", "left": ["alice@corp.example"], "at": ASKED + 10}
    picture = leaving("export", WHO, 20, homes="pool-legacy.corp.example", ended=[ended])
    assert "alice@corp.example" in picture.platforms.users_at("pool-legacy")
    assert "alice" in keys_of(plan_users.to_move(picture))


def test_status_names_who_left(leaving):
    ended = {"event": "wave_done", "wave": "batch-all", "left": ["alice@corp.example"], "at": ASKED + 10}
    picture = leaving("export", WHO[1:], 20, ended=[ended])
    told = standing.describe(picture.environment, picture.seen, picture.now, {})
    assert told["waves"] == [{"name": "batch-all", "users": 6, "state": "done", "left": ["alice@corp.example"]}]
    assert "; left the platform: alice@corp.example" in "\n".join(standing_text.lines(told))


# On the hosts


def test_a_platform_is_asked_for_the_wave_only(monkeypatch):
    state = {"alice": "pool-target", "bob": "pool-legacy", "mallory": "pool-legacy"}
    monkeypatch.setattr(tables.Platform, "dump", lambda _self, _table: dict(state))
    seen = run_module(platform_look, entries=ENTRIES)
    assert seen["elsewhere"] == ["bob"]
    assert seen["rows"] == {"alice": {"homing": "pool-target"}, "bob": {"homing": "pool-legacy"}}


def test_a_platform_that_does_not_answer_is_said_and_no_traceback(monkeypatch):
    def away(_self, _table):
        raise tables.TableError("connection refused")

    monkeypatch.setattr(tables.Platform, "dump", away)
    seen = run_module(platform_look, entries=ENTRIES)
    assert (seen["elsewhere"], seen["problem"]) == (["alice", "bob"], "connection refused")


def test_users_data_is_kept_for_root_only_and_never_written_over(tmp_path):
    directory = tmp_path / "state"
    kept = {"pool-legacy": {"alice": {"homing": "pool-legacy"}}}
    first = run_module(wave_export, directory=str(directory), wave="0-pilot", held=kept)
    path = directory / "waves" / "0-pilot.json"
    assert (first["path"], first["users"], path.stat().st_mode & 0o777) == (str(path), 1, 0o600)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    later = {"pool-legacy": {"alice": {"homing": "pool-target"}, "bob": {"homing": "pool-legacy"}}}
    assert run_module(wave_export, directory=str(directory), wave="0-pilot", held=later)["users"] == 2
    held = json.loads(path.read_text())["held"]["pool-legacy"]
    assert held == {"alice": {"homing": "pool-legacy"}, "bob": {"homing": "pool-legacy"}}


@pytest.mark.parametrize("wave", ["../escape", "", "UPPER", "a/b"])
def test_a_name_that_is_no_name_of_a_wave_is_refused(tmp_path, wave):
    failed = run_module(wave_export, directory=str(tmp_path), wave=wave, held={})
    assert failed["code"] == "migration-wave"


def test_a_damaged_export_is_not_written_over(tmp_path):
    path = tmp_path / "waves" / "0-pilot.json"
    path.parent.mkdir()
    path.write_text("{")
    assert run_module(wave_export, directory=str(tmp_path), wave="0-pilot", held={})["code"] == "migration-wave"
    assert path.read_text() == "{"
