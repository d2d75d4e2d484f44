"""A SIP domain that becomes ours after the migration was done: its records follow first, its users then."""

import pytest
from ansible_collections.xmppgw.migration.plugins.plugin_utils import guards, whole_plan


@pytest.fixture
def changed_owner(world):
    """branch.example was migrated beside the legacy gateway; now the document gives us corp.example too."""
    world.coexist()
    for table in world.homing.values():
        table["grace@branch.example"] = "pool-target"
    for server in ("203.0.113.53", "203.0.113.54"):
        world.srv[server, "branch.example"] = (3, ["10 10 5269 edge1.corp.example."])
    moved = {"id": "6/srv/branch.example", "kind": "srv", "subject": "branch.example", "before": None, "after": {}}
    world.journal({"event": "step_opened", "step": 6, "digest": "d", "actions": [moved]})
    world.steps_done(1, 2, 3, 4, 5, 6)
    world.federation["scenario"] = "replace"
    for domain in world.federation["sip_domains"]:
        domain["owner"] = "gateway"
    return world


def subjects(world, kind):
    return [
        (step["number"], item["subject"])
        for step in whole_plan.plan_of(world.picture())["steps"]
        for item in step["actions"]
        if item["kind"] == kind
    ]


def test_its_records_go_through_both_stages_and_its_users_wait(changed_owner):
    assert subjects(changed_owner, "srv") == [(4, "corp.example"), (6, "corp.example")]
    assert subjects(changed_owner, "homing") == []
    environment = changed_owner.picture().environment
    assert environment.stays("alice@corp.example")
    assert not environment.stays("grace@branch.example")


def test_once_its_records_lead_to_us_its_users_follow(changed_owner):
    for server in ("203.0.113.53", "203.0.113.54"):
        changed_owner.srv[server, "corp.example"] = (3, ["10 10 5269 edge1.corp.example."])
    assert not changed_owner.picture().environment.stays("alice@corp.example")
    assert [step for step, _wave in subjects(changed_owner, "homing")] == [3]


def test_in_the_first_migration_users_move_before_the_records(world):
    assert not world.picture().environment.stays("alice@corp.example")
    assert subjects(world, "homing")


def test_they_wait_also_while_the_run_that_moves_its_records_is_on_its_way(changed_owner):
    """Step 4 has announced its TTL: that alone does not make it a domain whose users belong to the target."""
    lowered = {"id": "4/srv/corp.example", "kind": "srv", "subject": "corp.example", "before": {"ttl": 15}, "after": {}}
    changed_owner.journal({"event": "step_opened", "step": 4, "digest": "d", "actions": [lowered]})
    changed_owner.steps_done(4)
    picture = changed_owner.picture()
    assert picture.environment.stays("alice@corp.example")
    assert (6, "corp.example") in subjects(changed_owner, "srv")
    assert subjects(changed_owner, "homing") == []


@pytest.mark.parametrize("step", [3, 4, 5, 6])
def test_where_the_target_is_the_platform_in_use_nobody_is_left_on_it(world, step):
    """Replacing the gateway in place: the first of the three ways that R1's guard offers leads through R3."""
    world.federation["target"] = {"product": "lync2013", "pool": "pool-legacy.corp.example"}
    world.federation["sip"]["next_hop"]["fqdn"] = "pool-legacy.corp.example"
    refused = {refusal.code for refusal in guards.judge(guards.situation_of(world.picture(), step))}
    assert not refused & {"migration-r1", "migration-r1-pilot", "migration-r3"}
    assert subjects(world, "homing") == []
