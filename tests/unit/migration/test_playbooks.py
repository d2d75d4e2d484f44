"""What holds for playbooks, roles and plug-ins as files: names, order, siblings, specifications, documentation."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible_collections.xmppgw.migration.plugins.plugin_utils import planner, wanted

ROOT = Path(__file__).resolve().parents[3]
PLAYBOOKS = ROOT / "playbooks"
PLUGINS = PLAYBOOKS / "collections" / "ansible_collections" / "xmppgw" / "migration" / "plugins"
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())
MODULES = sorted((PLUGINS / "modules").glob("*.py"))
SENT = [
    *sorted((PLUGINS / "module_utils").glob("*.py")),
    *(path for path in MODULES if "\nARGUMENTS = " in path.read_text()),
]


def plays(path):
    return yaml.safe_load(path.read_text())


def step_files(prefix=""):
    return sorted((PLAYBOOKS / "steps").glob(f"{prefix}[1-6]_*.yml"))


def test_the_six_plays_have_the_documented_names_in_the_documented_order():
    names = [play["name"] for path in step_files() for play in plays(path)]
    assert names == [f"({number}/6) {name}" for number, name in planner.NAMES.items()]


def test_the_edges_forget_the_legacy_gateway_only_after_its_end_was_handed_over():
    """A run that stops for a person leaves every edge as it was."""
    found = plays(PLAYBOOKS / "decommission.yml")
    roles = [
        (play["hosts"], task["ansible.builtin.include_role"].get("tasks_from", "main"))
        for play in found
        for task in tasks_of(play.get("tasks"))
        if task.get("ansible.builtin.include_role", {}).get("name") == "legacy_gateway"
    ]
    assert roles == [("localhost", "hand_over"), ("edges", "main"), ("localhost", "archive")]


def test_a_renewal_of_good_certificates_ends_when_every_host_is_done_and_not_before():
    """What ends it forgets which hosts are done; a renewal of what is due needs no memory."""
    found = plays(PLAYBOOKS / "certificates.yml")
    names = [play["name"] for play in found]
    end = names.index("End the renewal")
    assert names[end - 1] == "Renew certificates, one host after another"
    assert found[end - 1]["max_fail_percentage"] == 0, "a host whose chain is awaited ends the run"
    find = found[end]["tasks"][0]
    assert find["ansible.builtin.find"]["paths"] == "{{ migration_certificates }}"
    assert "renew != 'due'" in find["when"]


def test_no_role_hands_work_for_another_host_to_this_machine():
    for path in ROOT.glob("roles/*/tasks/*.yml"):
        for task in tasks_of(plays(path)):
            written = [key for key in task if key.startswith("xmppgw.") or key.endswith("copy")]
            assert not written or task.get("delegate_to") != "localhost", path
            assert "'localhost'" not in str(task.get("delegate_to")), f"{path}: {task['name']}"


WHOLE = ["look_and_judge.yml", "open_run.yml", *(path.name for path in step_files()), "close_run.yml"]


def imported_by(name):
    return [Path(play["ansible.builtin.import_playbook"]).name for play in plays(PLAYBOOKS / name)]


@pytest.mark.parametrize(("name", "scenario"), [("migrate.yml", "replace"), ("coexist.yml", "coexist")])
def test_both_scenarios_walk_the_steps_in_order_between_taking_and_giving_back_the_lock(name, scenario):
    *whole, end = imported_by(name)
    assert whole == WHOLE
    assert plays(PLAYBOOKS / name)[0]["vars"] == {"migration_scenario": scenario}
    assert "rehearsal" in plays(PLAYBOOKS / name)[-1]["ansible.builtin.import_playbook"]
    assert end.startswith("stay.yml")


def test_a_rehearsal_goes_back_as_rollback_does():
    assert imported_by("steps/return.yml") == imported_by("rollback.yml")


def test_every_step_has_a_sibling_that_takes_it_back():
    assert [path.name for path in step_files("undo_")] == [f"undo_{path.name}" for path in step_files()]
    names = [play["name"] for path in step_files("undo_") for play in plays(path)]
    assert names == [f"({number}/6) Take back: {name}" for number, name in planner.NAMES.items()]


def test_rollback_takes_the_last_step_back_first():
    imported = [Path(play["ansible.builtin.import_playbook"]).name for play in plays(PLAYBOOKS / "rollback.yml")]
    undo = [path.name for path in reversed(step_files("undo_"))]
    assert imported == ["look_and_judge.yml", "open_run.yml", *undo, "close_run.yml"]


@pytest.mark.parametrize("path", [*step_files(), *step_files("undo_")], ids=lambda path: path.name)
def test_a_failure_on_one_host_stops_every_host(path):
    for play in plays(path):
        assert play["max_fail_percentage"] == 0
        assert play["gather_facts"] is False


def test_no_playbook_goes_on_past_a_host_that_is_not_reached(tmp_path):
    """With `any_errors_fatal` Ansible does: a host behind `delegate_to` is counted twice, and the next play begins."""
    for path in PLAYBOOKS.rglob("*.yml"):
        assert "any_errors_fatal" not in path.read_text(), path
    asks = {"gather_facts": False, "max_fail_percentage": 0}
    ping, here = {"ansible.builtin.ping": {}}, {"ansible_connection": "local"}
    found = [
        {"hosts": "localhost", **asks, "tasks": [{**ping, "delegate_to": "away"}]},
        {"hosts": "here", **asks, "tasks": [{"ansible.builtin.debug": {"msg": "went on"}}]},
    ]
    away = {"ansible_host": "127.0.0.1", "ansible_port": 1}
    inventory = {"all": {"hosts": {"localhost": here, "here": here, "away": away}}}
    for name, content in (("play.yml", found), ("inventory.yml", inventory)):
        (tmp_path / name).write_text(yaml.safe_dump(content))
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "inventory.yml", "play.yml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "UNREACHABLE" in done.stdout
    assert done.returncode != 0
    assert "went on" not in done.stdout


@pytest.mark.parametrize("role", ROLES, ids=lambda path: path.name)
def test_every_entry_point_of_a_role_is_specified_and_every_default_is_in_a_specification(role):
    specs = plays(role / "meta" / "argument_specs.yml")["argument_specs"]
    called = {
        match
        for path in [*PLAYBOOKS.rglob("steps/**/*.yml"), *ROOT.glob("roles/*/tasks/*.yml")]
        for match in re.findall(rf"name: {role.name}\n(?:\s+tasks_from: (\w+))?", path.read_text())
    }
    assert {name or "main" for name in called} <= set(specs)
    options = {name for spec in specs.values() for name in spec["options"]}
    defaults = set(plays(role / "defaults" / "main.yml")) if (role / "defaults" / "main.yml").exists() else set()
    assert defaults <= options, f"without a specification: {sorted(defaults - options)}"
    assert all(name.startswith(f"{role.name}_") for name in defaults | options)
    assert all(option["description"] for spec in specs.values() for option in spec["options"].values())


def constants(path):
    tree = ast.parse(path.read_text())
    wanted = ("DOCUMENTATION", "EXAMPLES", "RETURN")
    return {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id in wanted
    }


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_every_module_is_documented(path):
    texts = constants(path)
    documentation = yaml.safe_load(texts["DOCUMENTATION"])
    assert documentation["module"] == path.stem
    assert documentation["short_description"]
    for name, option in documentation["options"].items():
        assert option["description"], name
        assert option["type"], name
    (example,) = yaml.safe_load(texts["EXAMPLES"])
    assert set(example[f"xmppgw.migration.{path.stem}"] or {}) <= set(documentation["options"])
    yaml.safe_load(texts["RETURN"])


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_what_a_module_takes_is_what_its_documentation_says(path):
    assert path.stem == "on_host" or (PLUGINS / "action" / path.name).exists(), "nothing would bring it to a host"
    module = importlib.import_module(f"ansible_collections.xmppgw.migration.plugins.modules.{path.stem}")
    if not hasattr(module, "ARGUMENTS"):
        return
    documented, taken = yaml.safe_load(constants(path)["DOCUMENTATION"])["options"], module.ARGUMENTS
    assert set(taken) == set(documented)
    for name, item in taken.items():
        assert item.get("type", "str") == documented[name]["type"], name
        assert bool(item.get("required")) == bool(documented[name].get("required")), name


TRAVELS = {"wheels": {"installer"}}
"""What a module finds on the host because it was sent there: `installer` comes with the wheels that it installs."""


@pytest.mark.parametrize("path", SENT, ids=lambda path: path.stem)
def test_what_is_sent_to_hosts_needs_nothing_but_the_standard_library(path):
    tree = ast.parse(path.read_text())
    imported = {
        alias.name.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    imported |= {(node.module or "").partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported <= {*sys.stdlib_module_names, "ansible_collections", *TRAVELS.get(path.stem, ())}
    assert "plugin_utils" not in path.read_text()


def tasks_of(items):
    for item in items or []:
        yield item
        for part in ("tasks", "block", "rescue", "always"):
            yield from tasks_of(item.get(part))


def test_an_upgrade_announces_and_switches_just_the_hosts_that_were_named_and_as_they_were_named():
    block = next(task for task in tasks_of(plays(PLAYBOOKS / "upgrade.yml")) if "block" in task)
    named = "hostvars.localhost.upgrade.moves"
    assert block["when"] == f"not ansible_check_mode and inventory_hostname in {named}"
    announce, switch, _note = block["block"]
    assert announce["ansible.builtin.include_role"] == {
        "name": "journal",
        "tasks_from": "append",
        "rolespec_validate": False,
    }
    assert announce["vars"]["journal_bodies"] == [f"{{{{ {named}[inventory_hostname] }}}}"]
    assert switch["xmppgw.migration.gateway_upgrade"]["release"] == f"{{{{ {named}[inventory_hostname].to }}}}"


def test_no_task_ignores_errors_and_none_needs_a_shell():
    for path in [*PLAYBOOKS.rglob("steps/**/*.yml"), *ROOT.glob("roles/*/tasks/*.yml")]:
        for task in tasks_of(plays(path)):
            assert "ignore_errors" not in task, path
            assert not [key for key in task if re.search(r"(^|\.)(shell|command|raw|script)$", key)], path


def test_the_edge_opens_its_port_in_step_5_and_its_service_does_not_pull_the_socket_in():
    assert wanted.KINDS["edge"]["socket_step"] == 5
    service = (ROOT / "roles" / "edge" / "templates" / "xmppgw-edge.service.j2").read_text()
    # Sockets= would add Wants= on the socket (systemd.service(5)), and 5269 would be open from step 2 on.
    directives = [line for line in service.splitlines() if not line.startswith("#")]
    assert not [line for line in directives if line.startswith(("Sockets=", "Requires=xmppgw", "Wants=xmppgw"))]
