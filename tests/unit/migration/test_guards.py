"""Every guard bites on what it is for, names what it found and what to do, and is silent otherwise."""

import pytest
from ansible_collections.xmppgw.migration.plugins.plugin_utils import guards
from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards import Situation
from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards.dns import Dns
from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards.edges import Edges
from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards.partners import Partners
from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards.users import Users


def codes(**facts):
    return [refusal.code for refusal in guards.judge(Situation(**facts))]


@pytest.mark.parametrize("step", range(1, 7))
def test_where_all_is_well_no_guard_speaks(step):
    assert codes(step=step, done=step - 1) == []


@pytest.mark.parametrize(
    ("code", "facts"),
    [
        (
            "migration-r1",
            {
                "step": 3,
                "done": 2,
                "users": Users(legacy=["alice"]),
                "partners": Partners(configured=["partner1.example"]),
            },
        ),
        ("migration-r3", {"step": 4, "done": 3, "users": Users(legacy=["alice"])}),
        ("migration-r3", {"step": 5, "done": 4, "users": Users(legacy=["alice"])}),
        ("migration-r3", {"step": 6, "done": 5, "users": Users(legacy=["alice"])}),
        ("migration-r3", {"step": 3, "done": 2, "users": Users(strays={"dave": "branch-office"})}),
        ("migration-r5", {"step": 2, "done": 1, "edges": Edges(open=["edge1"])}),
        ("migration-r5", {"step": 4, "done": 3, "edges": Edges(open=["edge1"])}),
        ("migration-order", {"step": 5, "done": 3}),
        ("migration-ttl", {"step": 5, "done": 4, "dns": Dns(seconds_until_forgotten=12.0)}),
        ("migration-ttl", {"step": 6, "done": 5, "dns": Dns(ttl_lowered=False)}),
        ("migration-dns-disagree", {"step": 4, "done": 3, "dns": Dns(disagreement=["x: a says 1, b says 2"])}),
        (
            "migration-dns-address",
            {"step": 6, "done": 5, "dns": Dns(missing_addresses=["edge1.corp.example on 203.0.113.53"])},
        ),
    ],
)
def test_each_guard_bites(code, facts):
    assert codes(**facts) == [code]


@pytest.mark.parametrize(
    "facts",
    [
        {"step": 3, "done": 2, "users": Users(legacy=["alice"])},  # that is what step 3 is for
        {"step": 3, "done": 2, "partners": Partners(configured=["partner1.example"])},  # nobody moves
        {"step": 3, "done": 6, "users": Users(legacy=["late"]), "partners": Partners(configured=["partner1.example"])},
        {"step": 5, "done": 5, "edges": Edges(open=["edge1"])},
        {"step": 2, "done": 6, "edges": Edges(open=["edge1"])},  # repaired long after the migration
        {"step": 4, "done": 3, "dns": Dns(seconds_until_forgotten=12.0)},
    ],
)
def test_and_only_then(facts):
    assert codes(**facts) == []


def test_preflight_counts_on_what_earlier_steps_will_do():
    situation = Situation(step=0, done=0, users=Users(legacy=["alice"]), dns=Dns(ttl_lowered=False))
    assert guards.judge_all(situation, range(1, 7)) == []


def test_preflight_says_everything_that_is_wrong_once():
    situation = Situation(
        step=0, edges=Edges(open=["edge1"]), users=Users(strays={"dave": "x"}), dns=Dns(missing_addresses=["e on s"])
    )
    found = [refusal.code for refusal in guards.judge_all(situation, range(1, 7))]
    assert found == ["migration-dns-address", "migration-r3", "migration-r5"]


def test_a_refusal_says_what_was_found_and_what_to_do_now():
    text = guards.explain(guards.judge(Situation(step=4, done=3, users=Users(legacy=[f"user{n}" for n in range(9)]))))
    assert "[migration-r3]" in text
    assert "found: 9 still there: user0, user1, user2, user3, user4 and 4 more" in text
    assert "now:   Run migrate.yml" in text
