"""Drain providers other than the lab's: the restart of the legacy proxy, its evidence, and who is asked what."""

import json

import pytest
from ansible_collections.xmppgw.migration.plugins.action import restart_order
from ansible_collections.xmppgw.migration.plugins.plugin_utils import (
    evidence,
    plan_outlook,
    run_facts,
    seen_partners,
    whole_plan,
)

GATEWAY = "legacy1.corp.example"
RESTART = f"6/restart/{GATEWAY}"


@pytest.fixture
def restarting(world):
    world.federation["drain"] = {"provider": "powershell", "quiet_minute": "02:30"}
    return world


def answering(world, since):
    """Our edge answers for every partner since a moment."""
    phases = {item["domain"]: {"phase": "gateway", "since": since} for item in world.federation["partners"]}
    world.gateways["edge1"] = {"control": {"phases": {"ok": True, "default": "legacy", "phases": phases}}}


def actions(world):
    return {item["id"]: item for step in whole_plan.plan_of(world.picture())["steps"] for item in step["actions"]}


def test_the_plan_restarts_the_proxy_once_for_all_before_anybody_is_looked_for(restarting):
    plan = whole_plan.plan_of(restarting.picture())
    kinds = [item["kind"] for item in plan["steps"][5]["actions"]]
    assert kinds.count("restart") == 1
    assert kinds.index("restart") < kinds.index("drain")
    what = actions(restarting)[RESTART]["what"]
    assert "02:30" in what
    assert "nobody can protect what is in flight" in what


def test_the_plan_says_who_may_lose_what(restarting):
    picture = restarting.picture()
    noticed = plan_outlook.what_is_noticed(whole_plan.plan_of(picture), picture)
    assert any("restarts at 02:30 is not protected" in item["what"] for item in noticed)
    assert not any("in good order" in item["what"] for item in noticed)


@pytest.mark.parametrize("provider", ["lab", "wait"])
def test_other_providers_restart_nothing(world, provider):
    world.federation["drain"] = {"provider": provider}
    assert RESTART not in actions(world)


def test_a_restart_counts_only_since_every_edge_answers_for_the_partner(restarting):
    answering(restarting, 1000.0)
    assert RESTART in actions(restarting)
    restarting.journal({"event": "proxy_restarted", "at": 900.0})
    assert RESTART in actions(restarting), "whoever came back then was sent to the legacy gateway again"
    restarting.journal({"event": "proxy_restarted", "at": 1100.0})
    assert RESTART not in actions(restarting)


def test_the_restart_is_done_where_the_inventory_has_the_edge_server_and_nothing_else_is_asked_there(restarting):
    environment = restarting.environment()
    assert environment.proxies == ["legacy1"]
    assert environment.legacy_hosts == []
    assert environment.reading("legacy1") == ({}, [])
    environment.groups["legacy_gateway"] = []
    environment.check_inventory()
    assert environment.proxies == []


def test_a_lab_without_its_legacy_gateway_is_refused(world):
    environment = world.environment()
    environment.groups["legacy_gateway"] = []
    with pytest.raises(Exception, match="legacy_gateway of the inventory is empty"):
        environment.check_inventory()


def test_a_run_knows_which_partners_need_it(restarting):
    answering(restarting, 1000.0)
    picture = restarting.picture()
    facts = run_facts.facts(picture, whole_plan.plan_of(picture))
    assert facts["proxies"] == ["legacy1"]
    assert all(item["needs_restart"] for item in facts["to_switch"])
    assert {item["answered_since"] for item in facts["to_switch"]} == {1000.0}


def test_one_edge_that_does_not_answer_for_it_yet_is_enough(restarting):
    picture = restarting.picture()
    partner = picture.environment.federation.partners[0]
    assert seen_partners.answered_since(picture, partner) is None


# A person restarts it


@pytest.fixture
def judge(restarting, tmp_path):
    """What a run says of the restart, with the evidence beside it."""
    environment = restarting.environment()
    environment.evidence = tmp_path
    action = restart_order.ActionModule.__new__(restart_order.ActionModule)
    return lambda *answered: action.taken(environment, tmp_path / "drain.ps1", list(answered))


def test_a_run_stops_resumably_until_somebody_has_restarted_it(judge):
    stopped = judge(None)
    assert (stopped["failed"], stopped["exit_status"]) == (True, 6)
    assert "at 02:30 on its own clock" in stopped["msg"]
    assert "drain.ps1 -Apply" in stopped["msg"]


def test_a_restart_since_our_edges_answer_lets_it_go_on(judge, tmp_path):
    written(tmp_path)
    assert judge(1795228000.0, 1795228203.0)["restarted"] == 1795228204.0


def test_a_restart_of_before_is_none(judge, tmp_path):
    written(tmp_path)
    late = judge(1795228000.0, 1795228300.0)
    assert late["failed"]
    assert "2026-11-21T02:30:04Z" in late["msg"]
    assert judge(1795228000.0, None)["failed"], "for one of them our edges answer only since this run"


# What the script leaves behind


def written(folder, **act):
    content = {"schema": 1, "act": "drain", "gateway": GATEWAY, "restarted": "2026-11-21T02:30:04Z", **act}
    (folder / "drain.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(content).encode())
    return folder


def test_evidence_of_a_restart(restarting, tmp_path):
    federation = restarting.environment().federation
    assert evidence.read_drain(written(tmp_path), federation) == (1795228204.0, "")


@pytest.mark.parametrize(
    ("act", "why"),
    [
        ({"act": "static-route"}, "not what the runbook's drain script writes"),
        ({"gateway": "other.example"}, "not the document's legacy gateway"),
        ({"restarted": "last night"}, "no time of the restart"),
    ],
)
def test_evidence_of_something_else_is_none(restarting, tmp_path, act, why):
    restarted, problem = evidence.read_drain(written(tmp_path, **act), restarting.environment().federation)
    assert restarted is None
    assert why in problem


@pytest.mark.parametrize("content", ["{", "[]"])
def test_evidence_that_is_none_says_so(restarting, tmp_path, content):
    federation = restarting.environment().federation
    assert "there is no" in evidence.read_drain(tmp_path, federation)[1]
    (tmp_path / "drain.json").write_text(content)
    assert evidence.read_drain(tmp_path, federation)[0] is None
