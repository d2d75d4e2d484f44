"""The plan: only what differs, in the documented order, with a digest that a reviewer can rely on."""

import pytest
from ansible_collections.xmppgw.migration.plugins.module_utils.chain import read_history
from ansible_collections.xmppgw.migration.plugins.plugin_utils import (
    plan_certificates,
    plan_hosts,
    plan_text,
    planner,
)
from hypothesis import given
from hypothesis import strategies as st

STAGES = {1: "one", 4: "four", 5: "five"}


def steps_of(stages, seen, done):
    return [(step, after) for step, _before, after in planner.staged(stages, seen, done)]


@pytest.mark.parametrize(
    ("seen", "done", "expected"),
    [
        (None, 0, [(1, "one"), (4, "four"), (5, "five")]),
        ("one", 1, [(4, "four"), (5, "five")]),
        ("four", 3, [(5, "five")]),  # killed in step 4, after the file was written
        ("five", 6, []),
        ("tampered", 6, [(1, "five")]),  # repaired where it was first written, with what must hold now
        ("one", 6, [(1, "five")]),  # somebody put an old file back
        (None, 4, [(1, "four"), (5, "five")]),
    ],
)
def test_what_is_rewritten_at_several_steps_is_never_taken_backwards(seen, done, expected):
    assert steps_of(STAGES, seen, done) == expected


@given(seen=st.sampled_from([None, "one", "four", "five", "other"]), done=st.integers(0, 6))
def test_after_the_planned_steps_the_last_stage_stands_and_nothing_is_left(seen, done):
    value = seen
    for _step, before, after in planner.staged(STAGES, seen, done):
        assert before == value
        value = after
    assert value == "five"
    assert steps_of(STAGES, value, 6) == []


WANTED = {
    "step": 2,
    "version": "0.1.0",
    "wheels": "a" * 64,
    "files": {"/etc/xmppgw/edge.json": {2: "closed", 5: "open"}},
    "units": {"xmppgw-edge.socket": {2: "disabled", 5: "enabled"}, "xmppgw-edge.service": {2: "enabled"}},
}
CERTIFICATES = {"public": {"step": 4, "authority": "public", "names": ["corp.example"], "usages": ["serverAuth"]}}
FRESH = {"version": None, "wheels": None, "files": {}, "units": {}}
FRESH_UNITS = {"xmppgw-edge.socket": "disabled", "xmppgw-edge.service": "disabled"}


def test_a_fresh_edge_is_installed_closed_and_opened_only_in_step_5():
    actions = list(plan_hosts.gateway_actions("edge1", {**FRESH, "units": FRESH_UNITS}, WANTED, 0))
    assert [item["id"] for item in actions] == [
        "2/install/edge1",
        "2/file/edge1:/etc/xmppgw/edge.json",
        "5/file/edge1:/etc/xmppgw/edge.json",
        "2/unit/edge1:xmppgw-edge.service",
        "5/unit/edge1:xmppgw-edge.socket",
    ]


def test_an_edge_that_stands_as_wanted_needs_nothing():
    seen = {
        "version": "0.1.0",
        "wheels": "a" * 64,
        "files": {"/etc/xmppgw/edge.json": "open"},
        "units": {"xmppgw-edge.socket": "enabled", "xmppgw-edge.service": "enabled"},
    }
    assert list(plan_hosts.gateway_actions("edge1", seen, WANTED, 6)) == []


def test_a_certificate_is_made_where_it_is_absent_or_bad_and_only_there():
    def made(seen):
        return [item["id"] for item in plan_certificates.certificate_actions("edge1", seen, CERTIFICATES)]

    assert made({}) == ["4/certificate/edge1:public"]
    assert made({"public": {"problem": "expires in 3 days"}}) == ["4/certificate/edge1:public"]
    assert made({"public": {"problem": None}}) == []


def test_an_outdated_service_is_something_to_do():
    seen = {**FRESH, "version": "0.1.0", "wheels": "a" * 64, "files": {"/etc/xmppgw/edge.json": "open"}}
    seen["units"] = {"xmppgw-edge.socket": "enabled", "xmppgw-edge.service": "enabled, outdated"}
    assert [item["id"] for item in plan_hosts.gateway_actions("edge1", seen, WANTED, 6)] == [
        "2/unit/edge1:xmppgw-edge.service"
    ]


def test_the_dialback_secret_is_made_on_the_first_edge_and_is_the_same_on_all():
    def wanted(digests):
        return {item["subject"]: item["after"] for item in plan_hosts.secret_actions(digests)}

    assert wanted({"edge1": None}) == {"edge1": "made there"}
    assert wanted({"edge2": None, "edge1": None}) == {"edge1": "made there", "edge2": "the same as on edge1"}
    assert wanted({"edge1": "x", "edge2": "y"}) == {"edge2": "the same as on edge1"}
    assert wanted({"edge1": "x", "edge2": "x"}) == {}


# Digest


ACTIONS = [planner.action(3, "file", name, f"Write {name}", None, "content") for name in ("alpha", "beta", "gamma")] + [
    planner.action(6, "route", "partner1.example", "Move", "legacy", "target")
]
PARTNERS = [{"domain": "b", "outcome": "S"}, {"domain": "a", "outcome": "unproved"}]


def plan_of(actions, partners=PARTNERS):
    return planner.assemble(actions, partners, scenario="replace")


@given(st.randoms(use_true_random=False))
def test_the_digest_does_not_depend_on_the_order_of_observation(shuffler):
    actions, partners = list(ACTIONS), list(PARTNERS)
    shuffler.shuffle(actions)
    shuffler.shuffle(partners)
    assert plan_of(actions, partners) == plan_of(ACTIONS)


def test_the_digest_changes_with_every_action():
    digests = {plan_of([item for item in ACTIONS if item is not left_out])["digest"] for left_out in [None, *ACTIONS]}
    assert len(digests) == 1 + len(ACTIONS)


def test_the_digest_does_not_change_when_a_partner_is_proved():
    proved = [{**partner, "outcome": "T"} for partner in PARTNERS]
    assert plan_of(ACTIONS, proved)["digest"] == plan_of(ACTIONS)["digest"]


def test_the_plan_has_six_named_steps():
    assert [(step["number"], step["name"]) for step in plan_of([])["steps"]] == list(planner.NAMES.items())


def history_of(plan, opened_steps):
    events = [{"event": "plan_adopted", "digest": plan["digest"], "actions": planner.all_actions(plan)}]
    events += [
        {
            "event": "step_opened",
            "step": number,
            "digest": plan["digest"],
            "actions": next(step["actions"] for step in plan["steps"] if step["number"] == number),
        }
        for number in opened_steps
    ]
    return read_history(events)


def test_a_killed_run_goes_on_under_its_own_digest():
    whole = plan_of(ACTIONS)
    rest = plan_of(ACTIONS[1:])  # alpha is written already
    assert planner.resumes(rest, whole["digest"], history_of(whole, [3])) == (True, "")


def test_what_somebody_else_did_meanwhile_voids_the_plan():
    whole = plan_of(ACTIONS)
    rest = plan_of(ACTIONS[1:])
    resumed, reason = planner.resumes(rest, whole["digest"], history_of(whole, []))
    assert not resumed
    assert "3/file/alpha" in reason


def test_what_was_not_in_the_plan_voids_it():
    whole = plan_of(ACTIONS)
    joined = planner.action(3, "file", "zeta", "Write zeta", None, "content")
    resumed, reason = planner.resumes(plan_of([*ACTIONS, joined]), whole["digest"], history_of(whole, [3]))
    assert not resumed
    assert "3/file/zeta" in reason


def test_a_digest_that_was_never_planned_here_is_refused():
    resumed, reason = planner.resumes(plan_of(ACTIONS), "0" * 64, read_history([]))
    assert not resumed
    assert "no plan 0000000000000000" in reason


def test_the_markdown_names_every_action_and_survives_pipes():
    tricky = planner.action(3, "homing", "a|b", "Move a|b", "x", "y")
    partner = {
        "domain": "p.example",
        "allowed": ["S"],
        "outcome": "S",
        "switch": "held",
        "why": "a|b",
        "relay": "not yet",
    }
    text = plan_text.to_markdown(plan_of([tricky], [partner]))
    assert "Move a\\|b" in text
    assert "| p.example | S | S | held | a\\|b | not yet |" in text
