"""Status answers from whatever can be seen: beside a run, beside a hung one, with hosts down, with a bad journal."""

import json
import os

import pytest
from ansible_collections.xmppgw.migration.plugins.plugin_utils import standing, standing_text

LOCK = {
    "owner": "ann@desk",
    "host": "desk",
    "pid": 4711,
    "run": "r",
    "start_text": "2027-01-15T07:00:00Z",
    "expiry": 1_800_000_500.0,
    "renewed": 1_799_999_980.0,
}


def status(world, without=(), **changes):
    environment = world.environment()
    seen = {host: found for host, found in world.seen(environment).items() if host not in without}
    for host, more in changes.items():
        seen[host.replace("_", "-")] |= more
    return standing.describe(environment, seen, world.now, dict.fromkeys(without, "no route to host"))


def text(found):
    return "\n".join(standing_text.lines(found))


def test_before_the_first_run_everything_is_open(world):
    found = status(world)
    assert [step["state"] for step in found["steps"]] == ["open"] * 6
    assert all(step["open_actions"] for step in found["steps"])
    assert (found["run"], found["wait"], found["problems"]) == (None, None, [])
    assert found["users"] == {"pool-legacy": 6}
    assert "lock      free" in text(found)


def test_a_run_that_waits_says_what_for_and_how_long(world):
    world.steps_done(1, 2, 3, 4)
    world.journal({"event": "step_opened", "step": 5, "digest": "d", "actions": [], "time": "2027-01-15T07:01:00Z"})
    world.lock = {**LOCK, "doing": {"step": 5, "reason": "the old TTL", "until": world.now + 90}}
    found = status(world)
    assert [step["state"] for step in found["steps"]] == ["done"] * 4 + ["running", "open"]
    assert found["wait"] == {"step": 5, "reason": "the old TTL", "left_s": 90.0}
    assert found["run"]["running"] is True
    assert "waiting   90 s more: the old TTL" in text(found)
    assert "last sign of life 20 s ago" in text(found)
    assert "running since 2027-01-15T07:01:00Z" in text(found)


def test_a_run_that_is_gone_has_left_its_step_interrupted(world):
    world.journal({"event": "step_opened", "step": 1, "digest": "d", "actions": [], "time": "then"})
    world.lock = {**LOCK, "expiry": world.now - 1}
    found = status(world)
    assert found["steps"][0]["state"] == "interrupted"
    assert found["wait"] is None
    assert "left behind, expired, by ann@desk" in text(found)


def test_a_run_whose_process_is_gone_is_not_running_although_its_lock_holds(world):
    world.journal({"event": "step_opened", "step": 1, "digest": "d", "actions": [], "time": "then"})
    world.lock = {**LOCK, "doing": {"step": 1, "reason": "the old TTL", "until": world.now + 90}}
    environment = world.environment()
    found = standing.describe(environment, world.seen(environment), world.now, {}, is_gone=lambda _lock: True)
    assert found["steps"][0]["state"] == "interrupted"
    assert (found["wait"], found["run"]["running"]) == (None, False)
    assert "left behind by a process that is gone, by ann@desk" in text(found)


def test_a_partner_is_there_since_it_was_switched_not_since_the_journal_heard_of_it(world):
    record = {"event": "partner_switched", "partner": "partner1.example", "state": "gateway", "reason": ""}
    world.journal({**record, "at": 1_799_999_000.25, "time": "2027-01-15T07:59:00Z"})
    partner = next(item for item in status(world)["partners"] if item["domain"] == "partner1.example")
    assert partner["since"] == "2027-01-15T07:43:20Z"


@pytest.mark.parametrize("host", ["edge1", "pool-legacy", "pool-target", "legacy1", "fe1"])
def test_a_host_that_does_not_answer_is_named_and_the_rest_is_told(world, host):
    world.steps_done(1, 2, 3)
    found = status(world, without=[host])
    assert found["hosts"][host] == "no route to host"
    assert f"silent    {host}" in text(found)
    assert [step["state"] for step in found["steps"]][:4] == ["done", "done", "done", "open"]
    if host in ("edge1", "fe1"):
        assert any(problem.startswith(("read from", "fe1 does not answer")) for problem in found["problems"])


def test_without_any_holder_of_the_journal_nothing_is_made_up(world):
    found = status(world, without=["fe1", "edge1"])
    assert [step["state"] for step in found["steps"]] == ["unknown"] * 6
    assert found["journal"] is None
    assert "lock      unknown" in text(found)


def test_a_bad_journal_is_a_problem_and_not_the_end(world):
    world.state_problem = "journal.jsonl: line 2 was changed after it was written"
    found = status(world)
    assert any("line 2 was changed" in problem for problem in found["problems"])
    assert found["users"] == {"pool-legacy": 6}


def test_a_silent_name_server_hides_nothing_else(world):
    world.silent_servers.add("203.0.113.54")
    found = status(world)
    assert found["srv"] == {}
    assert any("203.0.113.54" in problem for problem in found["problems"])
    assert found["users"] == {"pool-legacy": 6}


def test_both_directions_of_a_partner_are_told(world):
    world.legacy_streams = [["in", "partner1.example", "corp.example"], ["out", "corp.example", "partner2.example"]]
    streams = [
        {"remote": "partner1.example", "direction": "in", "method": "spliced", "since": 1_799_999_000.0},
        {"remote": "partner2.example", "direction": "in", "method": "dialback", "since": 1_799_999_100.0},
        {"remote": "partner2.example", "direction": "out", "method": "external", "since": 1_799_999_200.0},
    ]
    phases = {"partner2.example": {"phase": "gateway", "since": 1_799_999_050.0}}
    world.gateways["edge1"] = {"control": {"streams": {"streams": streams}, "phases": {"phases": phases}}}
    first, second = status(world)["partners"][:2]
    assert (first["inbound"]["spliced"]["streams"], first["inbound"]["legacy"], first["route"]) == (1, 1, ["legacy"])
    assert second["inbound"]["edges"] == {"streams": 1, "since": 1_799_999_100.0}
    assert (second["outbound"]["edges"]["streams"], second["outbound"]["legacy"]) == (1, 1)
    assert second["phase"]["edge1"]["phase"] == "gateway"
    assert "phase: edge1 gateway (since 2027-01-15T07:44:10Z)" in text(status(world))


def test_who_is_at_the_legacy_gateway_without_being_listed_is_told(world):
    world.legacy_streams = [["in", "stranger.example", "corp.example"], ["in", "partner1.example", "corp.example"]]
    found = status(world)
    assert found["unlisted"] == ["stranger.example"]
    assert "unlisted  stranger.example: seen at the legacy gateway" in text(found)
    assert status(world, without=["legacy1"])["unlisted"] == []


def test_a_hold_is_told_before_anybody_runs_into_it(world):
    world.federation["holds"] = [6]
    found = status(world)
    assert [step["number"] for step in found["steps"] if step["hold"]] == [6]
    assert "-e confirm=6" in text(found)


@pytest.fixture
def exporting(world, tmp_path):
    """A Microsoft platform: it tells its state by exports."""
    world.federation["homing"] = world.federation["routes"] = {"provider": "manual"}
    world.homing.clear()
    world.users(
        {"user": "alice@corp.example", "pool": "pool-legacy.corp.example"},
        {"user": "bob@corp.example", "pool": "pool-target.corp.example"},
    )
    os.utime(tmp_path / "users.table", (world.now - 7200, world.now - 7200))
    exports = tmp_path / "exports"
    exports.mkdir()
    transport = "TransportChoice=Certificate=Microsoft.Rtc.UseDefaultCert;Fqdn=fe-pool.corp.example;Port=5061"
    route = {"MatchUri": "partner1.example", "MatchOnlyPhoneUri": False, "Transport": transport}
    file = exports / "Get-CsStaticRoutingConfiguration.json"
    file.write_text(json.dumps([{"Identity": "Global", "Route": [route]}]))
    os.utime(file, (world.now - 3 * 86400, world.now - 3 * 86400))

    def told():
        environment = world.environment()
        environment.groups = {**environment.groups, "platforms": []}
        environment.exports = exports
        return standing.describe(environment, world.seen(environment), world.now, {})

    return told


def test_a_platform_that_tells_its_state_by_exports_is_told_with_their_age(exporting):
    found = exporting()
    assert found["users"] == {"pool-legacy": 1, "pool-target": 1}
    assert [partner["route"] for partner in found["partners"]][:2] == [["target"], ["legacy"]]
    shown = text(found)
    assert "users.table, 2 hours old" in shown
    assert "Get-CsStaticRoutingConfiguration.json, 3 days old" in shown


def test_a_route_that_somebody_was_asked_to_move_is_told_as_unknown(exporting, world):
    world.journal({"event": "route_asked", "partner": "partner1.example", "to": "legacy", "at": world.now - 600})
    found = exporting()
    assert found["partners"][0]["route"] == ["unknown"]
    assert "asked to move its route to legacy (since 2027-01-15T07:50:00Z); not seen yet" in text(found)


def test_a_platform_without_its_export_is_a_problem_and_not_an_empty_one(exporting, world):
    del world.federation["users"]["export"]
    found = exporting()
    assert any("users.export" in problem for problem in found["problems"])
    assert "unknown" in next(line for line in standing_text.lines(found) if line.startswith("  users"))
