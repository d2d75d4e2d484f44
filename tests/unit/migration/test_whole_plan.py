"""The plan of a whole environment: every topic takes its part in it."""

from ansible_collections.xmppgw.migration.plugins.plugin_utils import guards, whole_plan


def kinds(plan):
    return {
        step["number"]: sorted({item["kind"] for item in step["actions"]}) for step in plan["steps"] if step["actions"]
    }


def test_an_untouched_environment_gets_every_step(world):
    plan = whole_plan.plan_of(world.picture())
    found = kinds(plan)
    assert sorted(found) == [1, 2, 3, 4, 5, 6]
    assert found[3] == ["homing"]
    assert {"srv", "certificate", "file"} <= set(found[4])
    assert {"prove", "secret", "unit"} <= set(found[5])
    assert {"srv", "drain", "route"} <= set(found[6])


def test_until_leaves_the_later_steps_out(world):
    plan = whole_plan.plan_of(world.picture(), until=3)
    assert [step["number"] for step in plan["steps"]] == [1, 2, 3]


def test_nothing_is_wrong_with_it(world):
    assert guards.judge_all(guards.situation_of(world.picture(), 0, preflight=True), range(1, 7)) == []
