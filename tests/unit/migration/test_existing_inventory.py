"""The example for hosts that somebody already has, planned as a run would: its document, table and export as they are.

What hosts and name servers would say is made up (world.py); everything that lies in the inventory is read from there.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible_collections.xmppgw.migration.plugins.plugin_utils import farewell, planner, run_facts, whole_plan
from ansible_collections.xmppgw.migration.plugins.plugin_utils.picture import Picture

ROOT = Path(__file__).resolve().parents[3]
EXISTING = ROOT / "inventories" / "existing"


@pytest.fixture(scope="module")
def groups():
    """The inventory's groups, as Ansible reads them."""
    shown = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-inventory"), "-i", str(EXISTING), "--list"],
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "playbooks" / "ansible.cfg"), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(shown.stdout)
    return {name: sorted(group.get("hosts", [])) for name, group in found.items() if name != "_meta"}


@pytest.fixture
def picture(world, groups):
    document = yaml.safe_load((EXISTING / "group_vars" / "all" / "federation.yml").read_text(encoding="utf-8"))
    world.document, world.federation = document, document["federation"]
    world.homing.clear()
    environment = world.environment()
    environment.groups = groups
    environment.folder = EXISTING / "group_vars" / "all"
    environment.exports = EXISTING / "exports"
    environment.check_inventory()
    return Picture(environment, world.seen(environment), world.now)


def test_it_is_planned_whole(picture):
    plan = whole_plan.plan_of(picture)
    kinds = [(item["step"], item["kind"]) for item in planner.all_actions(plan)]
    assert {(3, "homing"), (4, "srv"), (5, "prove"), (6, "restart"), (6, "drain"), (6, "route")} <= set(kinds)
    assert [partner["domain"] for partner in plan["partners"]] == ["fabrikam.example", "tailspin.example"]


def test_its_users_and_routes_are_those_of_table_and_export(picture):
    assert picture.platforms.users_at("pool-legacy") == [f"{user}@contoso.example" for user in ("ann", "bob", "pilot")]
    assert set(picture.platforms.tables("route")["export"].values()) == {"legacy"}


def test_scripts_run_on_the_management_host_and_on_the_edge_server_and_nowhere_else(picture):
    facts = run_facts.facts(picture, whole_plan.plan_of(picture))
    assert (facts["management"], facts["proxies"], facts["platforms"]) == ("mgmt1", ["legacy1"], [])
    assert facts["legacy_gateway"] not in ("localhost", "legacy1")
    assert farewell.ended_by(picture.environment) == "powershell"
    assert picture.environment.reading("legacy1") == ({}, [])
