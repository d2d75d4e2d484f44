"""Partners one by one: who is proved, switched, left and tried again, and what is said of each."""

import pytest
from ansible_collections.xmppgw.migration.plugins.action import judge_proofs
from ansible_collections.xmppgw.migration.plugins.filter import records as filters
from ansible_collections.xmppgw.migration.plugins.module_utils.chain import read_history
from ansible_collections.xmppgw.migration.plugins.plugin_utils import (
    farewell,
    plan_dns,
    plan_partners,
    proofs,
    run_facts,
    seen_partners,
    switching,
    whole_plan,
)
from ansible_collections.xmppgw.migration.plugins.plugin_utils.plan_partners import Standing

from xmppgw.federation import ports

AT_LEGACY = {"pool-legacy": "legacy", "pool-target": "legacy"}
AT_US = {"pool-legacy": "target", "pool-target": "target"}
PHASE_LEGACY, PHASE_GATEWAY = {"edge1": "legacy", "edge2": "legacy"}, {"edge1": "gateway", "edge2": "gateway"}
PROVED = {"fingerprint": "f", "outcome": "S"}


def kinds(standing, fingerprint="f", *, before_dns=False, dns_moves=False, retry=False):
    return plan_partners.kinds_to_do(standing, fingerprint, before_dns=before_dns, dns_moves=dns_moves, retry=retry)


# What is planned


def test_a_partner_is_proved_drained_and_only_then_routed():
    assert kinds(Standing(AT_LEGACY, {}), dns_moves=True) == [(5, "prove"), (6, "drain"), (6, "route")]


def test_before_dns_its_route_moves_in_step_5_after_the_proof():
    assert kinds(Standing(AT_LEGACY, {}), before_dns=True, dns_moves=True) == [
        (5, "prove"),
        (5, "route"),
        (6, "drain"),
    ]


def test_a_proof_counts_only_for_what_was_proved():
    standing = Standing(AT_LEGACY, PHASE_LEGACY, proof=PROVED)
    assert (5, "prove") not in kinds(standing)
    assert (5, "prove") in kinds(standing, "changed")


def test_a_partner_that_was_switched_needs_nothing():
    assert kinds(Standing(AT_US, PHASE_GATEWAY, proof=PROVED)) == []


@pytest.mark.parametrize(
    ("routes", "phases"),
    [
        ({"pool-legacy": "legacy", "pool-target": "target"}, PHASE_GATEWAY),  # killed between two platforms
        (AT_LEGACY, PHASE_GATEWAY),  # killed before the route
        (AT_LEGACY, {"edge1": "gateway", "edge2": "legacy"}),  # killed between two edges
    ],
)
def test_a_switch_that_was_cut_off_is_finished(routes, phases):
    assert kinds(Standing(routes, phases, proof=PROVED)) == [(6, "drain"), (6, "route")]


def test_an_edge_that_was_made_anew_learns_who_is_switched():
    assert kinds(Standing(AT_US, {"edge1": "gateway", "edge2": "legacy"}, proof=PROVED)) == [(6, "drain")]


@pytest.mark.parametrize("state", ["static?", "failed"])
def test_who_could_not_be_switched_is_not_disturbed_by_every_run(state):
    record = {"state": state, "fingerprint": "f", "reason": "nobody came"}
    standing = Standing(AT_LEGACY, PHASE_LEGACY, record=record, proof=PROVED)
    assert kinds(standing) == []
    assert plan_partners.stays(standing, "f") == f"{state}: nobody came"
    assert kinds(standing, "changed")
    assert kinds(standing, retry=True)


def test_a_static_partner_that_comes_through_our_edge_is_none():
    record = {"state": "static?", "fingerprint": "f"}
    assert kinds(Standing(AT_LEGACY, PHASE_LEGACY, record=record, proof=PROVED, spliced=1))


def test_a_held_partner_is_left_alone_even_if_somebody_retries():
    standing = Standing(AT_LEGACY, {}, held="their change freeze")
    assert kinds(standing, dns_moves=True, retry=True) == []
    assert plan_partners.switch_words({"switch": "with_dns"}, standing, "f") == "held"


def test_canaries_go_first_the_others_by_name():
    partners = [{"domain": "c", "group": None}, {"domain": "b", "group": "canary"}, {"domain": "a", "group": "later"}]
    assert [partner["domain"] for partner in plan_partners.in_order(partners)] == ["b", "a", "c"]


def test_before_the_switch_it_is_said_whether_outbound_pauses():
    partner = {"allowed": ["S", "T"]}
    assert "not checked" in plan_partners.relay_words(partner, Standing(AT_LEGACY, {}))
    assert "relayed" in plan_partners.relay_words(partner, Standing(AT_LEGACY, {}, relay="invalid"))
    assert "interrupted" in plan_partners.relay_words(partner, Standing(AT_LEGACY, {}, relay="none"))
    assert plan_partners.relay_words({"allowed": ["S"]}, Standing(AT_LEGACY, {})) == ""


def test_an_edge_without_an_entry_has_its_default_and_one_that_is_silent_has_none():
    answer = {"ok": True, "default": "legacy", "phases": {"a.example": {"phase": "gateway", "since": 1.0}}}
    assert seen_partners.phase_at(answer, ["a.example"]) == "gateway"
    assert seen_partners.phase_at(answer, ["b.example"]) == "legacy"
    assert seen_partners.phase_at({"ok": False, "reason": "no daemon"}, ["a.example"]) is None


def test_what_is_given_back_is_what_the_journal_says_stood_there():
    history = read_history(
        [{"event": "step_opened", "step": 6, "digest": "d", "actions": [{"id": "6/route/a", "before": "none"}]}]
    )
    assert seen_partners.route_before(history, Standing(AT_US, {}), "a") is None
    assert seen_partners.route_before(history, Standing(AT_LEGACY, {}), "b") == "legacy"


# What the journal remembers


def test_the_journal_remembers_partners_until_the_step_is_undone():
    switched = {"event": "partner_switched", "partner": "a", "state": "static?", "reason": "r", "at": 5.0}
    held = {"event": "partner_held", "partner": "b", "why": "freeze"}
    history = read_history([switched, held, {"event": "relay_checked", "partner": "a", "answer": "invalid"}])
    assert history.switches["a"]["reason"] == "r"
    assert (history.held, history.relays) == ({"b": "freeze"}, {"a": "invalid"})
    later = read_history([switched, held, {"event": "step_undone", "step": 6}, {"event": "step_undone", "step": 5}])
    assert (later.switches, later.relays, later.held) == ({}, {}, {"b": "freeze"})
    assert read_history([held, {"event": "partner_released", "partner": "b"}]).held == {}


# Proofs

S_ONLY = {"domain": "partner1.example", "dialback": False, "allowed": ["S"], "exception": None, "fingerprint": "f"}
S_OR_T = {**S_ONLY, "domain": "partner2.example", "dialback": True, "allowed": ["S", "T"]}
EXCEPTED = {**S_ONLY, "exception": {"reason": "their server is rebuilt this week", "by": "Ada"}}
REFUSED = {"ok": False, "stage": "dialback", "reason": "not-authorized: our dialback key is invalid: who answers?"}
NO_TLS = {"ok": False, "stage": "tls", "reason": "remote-connection-failed: its certificate has expired"}
DIALBACK = {"dialback": True, "allowed": ["S", "T"]}
UNREACHABLE = {"ok": False, "stage": "connect", "reason": "remote-server-timeout: nobody answers on 203.0.113.12:5269"}


@pytest.mark.parametrize(
    ("answer", "partner", "at_switch", "outcome", "good", "reached"),
    [
        ({"ok": True, "outcome": "S"}, S_ONLY, False, "S", True, True),
        ({"ok": True, "outcome": "T"}, S_OR_T, True, "T", True, True),
        ({"ok": True, "outcome": "C"}, S_OR_T, True, "refused", False, True),
        ({"ok": True, "outcome": "C"}, EXCEPTED, True, "refused", False, True),  # no exception opens a method
        (REFUSED, S_OR_T, False, "unproved", True, True),
        (REFUSED, S_OR_T, True, "failed", False, True),  # it is ours now: it has to work
        (REFUSED, S_ONLY, False, "failed", False, True),
        (UNREACHABLE, S_OR_T, False, "failed", False, False),  # it cannot be proved yet, but it must be there
        (NO_TLS, S_OR_T, False, "failed", False, False),
        (UNREACHABLE, {**EXCEPTED, **DIALBACK}, False, "excepted", True, False),
        (UNREACHABLE, S_OR_T, True, "failed", False, False),
        (UNREACHABLE, S_ONLY, False, "failed", False, False),
        (UNREACHABLE, EXCEPTED, False, "excepted", True, False),
    ],
)
def test_what_an_answer_proves(answer, partner, at_switch, outcome, good, reached):
    verdict = proofs.judge(answer, partner, at_switch=at_switch)
    assert (verdict["outcome"], verdict["good"], verdict["reached"]) == (outcome, good, reached)


def answers(partner, local, answer):
    return {"partner": partner["domain"], "local": local, "answer": answer}


def test_over_all_edges_and_domains_the_worst_answer_counts():
    good = {"ok": True, "outcome": "T"}
    results = [
        ("edge1", [answers(S_OR_T, "corp.example", good), answers(S_OR_T, "branch.example", good)]),
        ("edge2", [answers(S_OR_T, "corp.example", good), answers(S_OR_T, "branch.example", REFUSED)]),
    ]
    verdict = proofs.judge_all(results, [S_OR_T], at_switch=True)["partner2.example"]
    assert (verdict["outcome"], verdict["edge"], verdict["local"]) == ("failed", "edge2", "branch.example")


def test_an_exception_is_journalled_with_whose_it_is():
    verdict = proofs.judge(UNREACHABLE, EXCEPTED, at_switch=False)
    proof, exception = judge_proofs.records(EXCEPTED, verdict)
    assert (proof["event"], proof["outcome"]) == ("partner_proved", "excepted")
    assert exception == {"event": "partner_excepted", "partner": "partner1.example", **EXCEPTED["exception"]}


def test_who_cannot_be_reached_is_not_touched_unless_excepted():
    dead = {**S_OR_T, "domain": "away.example"}
    partners = [S_ONLY, S_OR_T, dead, {**EXCEPTED, "domain": "named.example"}]
    verdicts = {
        "partner1.example": proofs.judge({"ok": True, "outcome": "S"}, S_ONLY, at_switch=False),
        "partner2.example": proofs.judge(REFUSED, S_OR_T, at_switch=False),
        "away.example": proofs.judge(UNREACHABLE, dead, at_switch=False),
        "named.example": proofs.judge(UNREACHABLE, EXCEPTED, at_switch=False),
    }
    reached = [partner["domain"] for partner in filters.reachable(partners, verdicts)]
    assert reached == ["partner1.example", "partner2.example", "named.example"]


# Arrival


def test_a_partner_that_is_at_legacy_again_has_our_old_host_in_its_configuration():
    verdict = switching.arrival(inbound=0, closed=1, left=["static.example corp.example"], seconds=2)
    assert verdict["state"] == "static?"
    assert "static.example corp.example" in verdict["reason"]


def test_a_partner_with_a_foot_on_either_side_is_not_here():
    assert switching.arrival(inbound=1, closed=1, left=["a b"], seconds=2)["state"] == "static?"


def test_a_partner_is_here_when_it_is_nowhere_else():
    assert switching.arrival(inbound=1, closed=1, left=[], seconds=2) == {"state": "here", "reason": ""}
    assert switching.arrival(inbound=1, closed=0, left=[], seconds=2)["state"] == "here"


def test_silence_is_told_apart_from_disappearance():
    assert "did not come back" in switching.arrival(inbound=0, closed=2, left=[], seconds=66)["reason"]
    assert "opened none" in switching.arrival(inbound=0, closed=0, left=[], seconds=6)["reason"]


def test_where_nothing_closes_streams_none_is_said_to_have_been_closed():
    verdict = switching.arrival(inbound=0, closed=None, left=[], seconds=60)
    assert verdict["state"] == "static?"
    assert "once that has ended" in verdict["reason"]


def test_nothing_is_decided_by_absence_while_there_is_time_left():
    assert switching.arrival(inbound=0, closed=2, left=[], seconds=3, over=False) == {"state": "", "reason": ""}
    assert switching.arrival(inbound=0, closed=0, left=["a b"], seconds=1, over=False)["state"] == "static?"
    assert switching.arrival(inbound=1, closed=0, left=[], seconds=1, over=False)["state"] == "here"


# Relay


def relayed(edge, domain, answer):
    return {"federation_pair": [edge, {"domain": domain}], "answer": answer}


def test_one_edge_that_cannot_relay_is_enough_to_say_so():
    found = filters.relay_records(
        [
            relayed("edge1", "b.example", {"ok": True, "answer": "invalid"}),
            relayed("edge1", "a.example", {"ok": False, "reason": "timeout"}),
            relayed("edge2", "a.example", {"ok": True, "answer": "invalid"}),
        ]
    )
    assert [(item["partner"], item["answer"]) for item in found] == [("a.example", "none"), ("b.example", "invalid")]


# By name, by group, all

PEOPLE = [
    {"domain": "b.example", "domains": ["b.example", "chat.b.example"], "group": None, "held": False},
    {"domain": "a.example", "domains": ["a.example"], "group": None, "held": True},
    {"domain": "c.example", "domains": ["c.example"], "group": "canary", "held": False},
]


def names(**asked):
    return [item["domain"] for item in plan_partners.choose(PEOPLE, **asked)]


def test_partners_are_chosen_by_name_by_group_or_all():
    assert names(partner="B.example.") == ["b.example"]
    assert names(partner="chat.b.example") == ["b.example"]
    assert names(group="canary") == ["c.example"]
    assert names(group="all") == ["c.example", "a.example", "b.example"]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "either"),
        ({"partner": "a.example", "group": "all"}, "either"),
        ({"partner": "nobody.example"}, "a.example, b.example, c.example"),
        ({"group": "later"}, "no partner is in the group later"),
    ],
)
def test_a_choice_that_names_nobody_is_refused(asked, words):
    with pytest.raises(plan_partners.PartnerRefusalError, match=words):
        plan_partners.choose(PEOPLE, **asked)


@pytest.mark.parametrize(
    ("do", "step_6_done", "no_way_back", "code"),
    [
        ("destroy", True, False, "migration-partner-choice"),
        ("switch", False, False, "migration-partner-order"),
        ("return", True, True, "migration-decommissioned"),
        ("hold", True, True, "migration-decommissioned"),
    ],
)
def test_what_cannot_be_done_now_is_refused(do, step_6_done, no_way_back, code):
    with pytest.raises(plan_partners.PartnerRefusalError) as refused:
        plan_partners.may(do, step_6_done=step_6_done, no_way_back=no_way_back)
    assert refused.value.code == code


def test_who_is_taken_back_is_held_and_who_is_switched_is_released():
    def told(do):
        return [(item["event"], item["partner"]) for item in plan_partners.records_of(do, PEOPLE, why="w")]

    assert told("return") == told("hold") == [("partner_held", "b.example"), ("partner_held", "c.example")]
    assert told("switch") == told("release") == [("partner_released", "a.example")]


# A whole environment


def phases(world, edge, **of):
    entries = {domain: {"phase": phase, "since": 1.0} for domain, phase in of.items()}
    control = world.gateways.setdefault(edge, {}).setdefault("control", {})
    control["phases"] = {"ok": True, "default": "legacy", "phases": entries}
    return control


def test_the_run_knows_who_goes_first_and_what_to_give_back(world):
    world.federation["partners"][1]["group"] = "canary"
    first, second = (partner["domain"] for partner in world.federation["partners"][:2])
    facts = run_facts.facts(world.picture(), whole_plan.plan_of(world.picture()))
    order = [item["domain"] for item in facts["to_switch"]]
    assert order[0] == second
    assert order[1:] == sorted(set(order) - {second})
    assert first in order
    assert {item["route_before"] for item in facts["to_switch"]} == {"legacy"}
    assert facts["to_return"] == []


def test_a_phase_that_an_edge_kept_from_another_time_is_put_back(world):
    domain = world.federation["partners"][0]["domain"]
    phases(world, "edge1", **{domain: "gateway"})
    facts = run_facts.facts(world.picture(), whole_plan.plan_of(world.picture()))
    assert facts["phases_to_reset"] == [{"edge": "edge1", "partner": domain}]
    assert [item["domain"] for item in facts["to_return"]] == [domain]


def test_a_stream_that_outlived_its_phase_is_given_back_too(world):
    """A run was killed between the phase and the close: the partner still speaks to an edge that is about to close."""
    domain = world.federation["partners"][0]["domain"]
    control = phases(world, "edge1", **{domain: "legacy"})
    stream = {"remote": domain, "local": "corp.example", "direction": "in", "method": "external"}
    control["streams"] = {"ok": True, "streams": [{**stream, "method": "spliced"}]}
    facts = run_facts.facts(world.picture(), whole_plan.plan_of(world.picture()))
    assert facts["to_return"] == [], "joined to the legacy gateway: that is where it belongs"
    control["streams"]["streams"].append(stream)
    facts = run_facts.facts(world.picture(), whole_plan.plan_of(world.picture()))
    assert [item["domain"] for item in facts["to_return"]] == [domain]


def test_who_is_seen_at_legacy_without_being_listed_is_named(world):
    domain = world.federation["partners"][0]["domain"]
    world.legacy_streams = [
        ["in", "stranger.example", "corp.example"],
        ["out", "corp.example", domain],
        ["in", "elsewhere.example", "not-ours.example"],
    ]
    picture = world.picture()
    assert seen_partners.unlisted(picture.environment, picture.seen) == ["stranger.example"]


def test_where_the_legacy_gateway_cannot_be_asked_our_edges_say_whom_they_join_to_it(world):
    listed = world.federation["partners"][0]["domain"]
    world.federation["drain"] = {"provider": "wait"}
    world.legacy_streams = [["in", "unheard.example", "corp.example"]]
    streams = [{"remote": who, "direction": "in", "method": "spliced"} for who in ("stranger.example", listed, None)]
    streams.append({"remote": "refused.example", "direction": "in", "method": "none"})
    world.gateways["edge1"] = {"control": {"streams": {"ok": True, "streams": streams}}}
    picture = world.picture()
    assert seen_partners.unlisted(picture.environment, picture.seen) == ["stranger.example"]
    assert "unlisted domains with streams at the legacy gateway: stranger.example" in farewell.remaining(picture)


def test_nothing_is_decommissioned_while_anything_is_left(world):
    left = "\n".join(farewell.remaining(world.picture()))
    assert "users: alice@corp.example" in left
    assert "steps: only 0 of 6 are done" in left
    assert all(f"partner {partner['domain']}" in left for partner in world.federation["partners"])


def test_who_lives_on_the_pool_that_stays_is_not_left_behind(world):
    """The gateway was replaced, the platform was not: legacy and target pool are one."""
    world.federation["target"]["pool"] = world.federation["legacy"]["pool"]
    assert not [line for line in farewell.remaining(world.picture()) if line.startswith("users")]


def test_with_nothing_left_it_may_go(world):
    for table in world.homing.values():
        table.update(dict.fromkeys(table, "pool-target"))
    for table in world.routes.values():
        table.update(dict.fromkeys(table, "target"))
    phases(world, "edge1", **{partner["domain"]: "gateway" for partner in world.federation["partners"]})
    world.records = [{"event": "step_done", "step": number, "hash": str(number)} for number in range(1, 7)]
    assert farewell.remaining(world.picture()) == []
    domain = world.federation["partners"][0]["domain"]
    # Nobody closes an idle stream; this one ends with the gateway that opened it.
    world.legacy_streams = [["out", "corp.example", domain]]
    assert farewell.remaining(world.picture()) == []
    world.legacy_streams = [["in", domain, "corp.example"]]
    assert farewell.remaining(world.picture()) == [f"partner {domain} (legacy): 1 streams into the legacy gateway"]


def test_the_ports_that_end_with_it_are_named(world):
    closing = farewell.ports_to_close(ports(world.environment().document))
    assert any("legacy1.corp.example" in line and "tcp/5269" in line for line in closing)
    assert not any("23456" in line for line in closing)


def test_the_normal_ttl_comes_back_only_where_it_is_missing(world):
    assert plan_dns.settling(world.picture()) == []
    world.srv[("203.0.113.53", "corp.example")] = (3, ["10 10 5269 edge1.corp.example."])
    item = next(item for item in plan_dns.settling(world.picture()) if item["domain"] == "corp.example")
    assert (item["expect"]["ttl"], item["rrset"]["ttl"]) == (3, world.federation["dns"]["ttl"]["normal"])
    assert item["rrset"]["records"] == item["expect"]["records"]


@pytest.mark.parametrize(
    ("answers", "closed"),
    [
        ([{"ok": True, "streams": [{"remote": "one.example", "method": "spliced"}]}], ["one.example"]),
        ([{"ok": True, "streams": [{"remote": "one.example", "method": "external"}]}], []),
        ([{"ok": True, "streams": []}], []),
        # Whose it is its header did not say, or an edge did not answer: all are closed, as nobody may be cut off.
        ([{"ok": True, "streams": [{"remote": "", "method": "spliced"}]}], ["one.example", "two.example"]),
        ([{"ok": True, "streams": []}, {"ok": False}], ["one.example", "two.example"]),
    ],
)
def test_only_who_runs_through_an_edge_is_closed_when_the_records_are_taken_back(answers, closed):
    results = [{"answer": answer} for answer in answers]
    assert filters.through_edges(results, ["two.example", "one.example"]) == closed


def test_what_is_returned_is_what_there_is_to_give_back():
    chosen = [{"domain": "a.example", "touched": True}, {"domain": "b.example", "touched": False}]
    assert plan_partners.to_give_back("return", chosen) == chosen[:1]
    assert plan_partners.to_give_back("hold", chosen) == []


def test_an_edge_that_knows_no_legacy_gateway_has_nobody_to_give_back_to(world):
    """Before step 5, and after a run that was killed while it took step 5 back: such an edge answers for everybody."""
    control = world.gateways.setdefault("edge1", {}).setdefault("control", {})
    control["phases"] = {"ok": True, "default": "gateway", "phases": {}}
    facts = run_facts.facts(world.picture(), whole_plan.plan_of(world.picture()))
    assert facts["to_return"] == []


def test_the_labs_gateway_is_switched_off_and_any_others_end_is_handed_over(world):
    assert farewell.ended_by(world.environment()) == "lab"
    world.federation["drain"] = {"provider": "wait"}
    world.federation["routes"] = {"provider": "powershell"}
    environment = world.environment()
    assert farewell.ended_by(environment) == "manual"
    environment.groups["management"] = ["mgmt"]
    assert farewell.ended_by(environment) == "powershell"
    world.federation["legacy"]["product"] = "lync2010"
    bare = world.environment()
    bare.groups["management"] = ["mgmt"]
    assert farewell.ended_by(bare) == "manual", "that product's gateway has no cmdlets"
    lines = farewell.order_lines(bare.federation, scripted=False, runs=False)
    assert "from the XMPP gateway's own configuration" in lines[0]
    assert not any("Topology Builder" in line for line in lines)


def test_where_no_gateway_can_be_asked_no_task_can_reach_this_machine(world):
    assert run_facts.facts(world.picture(), whole_plan.plan_of(world.picture()))["legacy_gateway"] == "legacy1"
    world.federation["drain"] = {"provider": "wait"}
    facts = run_facts.facts(world.picture(), whole_plan.plan_of(world.picture()))
    assert facts["legacy_gateway"].endswith(".invalid")
