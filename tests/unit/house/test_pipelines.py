"""The pipelines that organisations copy: least permissions, pins, one at a time, approvals, only this project's verbs.

Their formats were checked by `actionlint` and the published JSON schemas; this holds what those do not look at.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
PIPELINES = ROOT / "docs/pipelines"
GITHUB = sorted((PIPELINES / "github").glob("*.yml"))
ALL = sorted(PIPELINES.rglob("*.yml"))
VERB = re.compile(r"(?:toolkit/\.venv/bin/(?:xmppgw|ansible-playbook)|make -C toolkit|toolkit/\.ci/setup) [^\n]*")
MAY_READ = {"contents": "read", "actions": "read"}


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def verbs(folder: str) -> set[str]:
    """What a person could type, variables of the three systems made one."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted((PIPELINES / folder).glob("*.yml")))
    return {
        found.replace("$XMPP_STACK", "$STACK").strip() for found in VERB.findall(text) if not found.startswith("#")
    }  # fmt: skip


def test_all_three_type_the_same_commands() -> None:
    assert verbs("github") == verbs("gitlab") == verbs("azure-pipelines")
    typed = "\n".join(verbs("github"))
    for playbook in ("plan", "migrate", "verify", "drift", "rollback"):
        assert f"toolkit/playbooks/{playbook}.yml" in typed
        assert (ROOT / f"playbooks/{playbook}.yml").exists()


@pytest.mark.parametrize("path", GITHUB, ids=lambda path: path.name)
def test_github_grants_nothing_by_default_and_little_to_a_job(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        assert job["timeout-minutes"]
        for scope, access in job["permissions"].items():
            allowed = MAY_READ.get(scope) == access
            allowed |= (scope, access) == ("id-token", "write") and "-i environment" in str(job["steps"])
            allowed |= (scope, access) == ("pull-requests", "write") and name == "comment"
            assert allowed, f"{path.name}: {name}: {scope}: {access}"
        if "pull-requests" in job["permissions"]:
            assert "toolkit" not in str(job["steps"]), "what may write runs nothing of the branch"


@pytest.mark.parametrize("path", GITHUB, ids=lambda path: path.name)
def test_github_actions_are_pinned_to_a_commit_and_keep_no_credentials(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    used = re.findall(r"uses: (\S+)(.*)", text)
    assert all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", name) and re.match(r" # v\d", tag) for name, tag in used)
    for job in read(path)["jobs"].values():
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", GITHUB, ids=lambda path: path.name)
def test_github_puts_no_text_of_others_into_a_script(path: Path) -> None:
    """An expression in `run` is pasted into the shell; through `env` it is a value."""
    for job in read(path)["jobs"].values():
        assert not [step["run"] for step in job["steps"] if "${{" in step.get("run", "")]


def test_github_runs_one_apply_or_rollback_at_a_time_and_waits_for_people() -> None:
    apply, rollback = (read(PIPELINES / "github" / f"{name}.yml") for name in ("apply", "rollback"))
    assert apply["concurrency"] == rollback["concurrency"] == {"group": "xmpp", "cancel-in-progress": False}
    environments = {name: job.get("environment") for name, job in apply["jobs"].items()}
    assert environments == {"find": None, "steps-1-to-4": "xmpp", "step-5": "xmpp-step-5", "step-6": "xmpp-step-6"}
    assert rollback["jobs"]["rollback"]["environment"] == "xmpp-rollback"


def test_gitlab_runs_one_at_a_time_and_waits_for_people() -> None:
    pipeline = read(PIPELINES / "gitlab/gitlab-ci.yml")
    for name, job in pipeline.items():
        changes = "migrate.yml" in str(job) or "rollback.yml" in str(job)
        assert (isinstance(job, dict) and job.get("resource_group") == "xmpp") is changes, name
        if changes and name != "steps-1-to-4":
            assert job["rules"][0]["when"] == "manual"
            assert job["rules"][0]["allow_failure"] is False
        if changes:
            assert job["environment"]["name"].startswith("xmpp")
            assert '$CI_COMMIT_BRANCH == "main"' in job["rules"][0]["if"]
    signing = [name for name, job in pipeline.items() if isinstance(job, dict) and job.get("extends") == ".signs_in"]
    assert signing == ["plan", "steps-1-to-4", "step-5", "step-6", "drift", "rollback"]


def test_azure_runs_one_at_a_time_and_changes_only_through_environments() -> None:
    pipeline = read(PIPELINES / "azure-pipelines/azure-pipelines.yml")
    assert pipeline["lockBehavior"] == "sequential"
    found = {}
    for stage in pipeline["stages"]:
        for job in stage["jobs"]:
            changes = "migrate.yml" in str(job) or "rollback.yml" in str(job)
            assert ("deployment" in job) is changes, stage["stage"]
            if changes:
                found[stage["stage"]] = job["environment"]
    expected = {"steps_1_to_4": "xmpp", "step_5": "xmpp-step-5", "step_6": "xmpp-step-6", "rollback": "xmpp-rollback"}
    assert found == expected


@pytest.mark.parametrize("path", ALL, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_digest_is_always_given_and_nothing_is_stored(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for line in text.splitlines():
        if "migrate.yml" in line and "ansible-playbook" in line:
            assert '-e plan="$DIGEST"' in line
    # A job's own token and an identity token live as long as the job; anything else would have to be stored.
    assert not re.search(r"secrets\.|password|private.?key", text, re.IGNORECASE)


def scripts() -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for path in ALL:
        pending: list[object] = [read(path)]
        while pending:
            node = pending.pop()
            if isinstance(node, list):
                pending += node
            elif isinstance(node, dict):
                pending += node.values()
                for key in ("run", "bash", "inlineScript"):
                    if isinstance(node.get(key), str):
                        found.append((path.name, node[key]))
                if isinstance(node.get("script"), list):
                    found.append((path.name, "\n".join(node["script"])))
    return found


def test_every_script_parses_and_passes_shellcheck_where_there_is_one() -> None:
    assert len(scripts()) > 20
    for name, script in scripts():
        parsed = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
        assert parsed.returncode == 0, f"{name}: {parsed.stderr}\n{script}"
        if shutil.which("shellcheck"):
            checked = subprocess.run(
                ["shellcheck", "--shell=bash", "--severity=warning", "--exclude=SC2154", "-"], input=script, text=True,
                capture_output=True, check=False,
            )  # fmt: skip
            assert checked.returncode == 0, f"{name}: {checked.stdout}"
