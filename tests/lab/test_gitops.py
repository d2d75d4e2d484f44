"""One whole GitOps loop: a bare repository, the pipelines that people copy, and a lab that they migrate and keep."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.lab.conftest import ROOT, Walk, a_walk
from tests.lab.github_runner import Run, Runner, git

pytestmark = [pytest.mark.lab, pytest.mark.slow]

PIPELINES = ROOT / "docs" / "pipelines" / "github"
DOCUMENT = "environment/group_vars/all/federation.yml"
BACKUP = "{domain: backup.example, type: federated, tls: required, sasl: required, dialback: false"


@dataclass
class Organisation:
    """An environment repository with its pipelines, and who approves."""

    walk: Walk
    clone: Path
    runner: Runner
    asked: list[str] = field(default_factory=list)
    pulls: int = 0

    def change(self, branch: str, old: str, new: str, *, path: str = DOCUMENT) -> None:
        """A branch with one change, from main as it is."""
        git(self.clone, "checkout", "--quiet", "-B", branch, "main")
        file = self.clone / path
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new), encoding="utf-8")
        git(self.clone, "commit", "--quiet", "-am", branch)

    def pull_request(self, branch: str) -> Run:
        """What the forge does for a pull request: the merge result is pushed as a ref of its own, and planned."""
        self.pulls += 1
        git(self.clone, "checkout", "--quiet", "--detach", "main")
        git(self.clone, "merge", "--quiet", "--no-ff", "-m", f"Merge {branch}", branch)
        commit = git(self.clone, "rev-parse", "HEAD")
        git(self.clone, "push", "--quiet", "origin", f"HEAD:refs/pull/{self.pulls}/merge", "+HEAD:refs/heads/staged")
        return self.runner.run(PIPELINES / "plan.yml", commit, number=self.pulls)

    def merge(self, branch: str) -> str:
        """Merge into main; return the commit that the forge would run `apply` for."""
        git(self.clone, "checkout", "--quiet", "main")
        git(self.clone, "merge", "--quiet", "--no-ff", "-m", f"Merge {branch}", branch)
        git(self.clone, "push", "--quiet", "origin", "main")
        return git(self.clone, "rev-parse", "HEAD")

    def apply(self, commit: str) -> Run:
        self.asked.clear()
        return self.runner.run(PIPELINES / "apply.yml", commit)

    def drift(self) -> Run:
        return self.runner.run(PIPELINES / "drift.yml", git(self.clone, "rev-parse", "main"))

    def journal(self) -> list[dict]:
        text = self.walk.lab.run("fe1", "cat", "/var/lib/xmppgw-migration/journal.jsonl")
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def organisation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Organisation]:
    with a_walk(tmp_path_factory, "gitlab") as walk:
        folder = tmp_path_factory.mktemp("organisation")
        remote, clone = folder / "environment.git", folder / "clone"
        git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(remote))
        git(folder, "clone", "--quiet", str(remote), str(clone))
        shutil.copytree(ROOT / "inventories" / "lab", clone / "environment")
        adapt(clone / "environment")
        git(clone, "checkout", "--quiet", "-B", "main")
        git(clone, "add", ".")
        git(clone, "commit", "--quiet", "-m", "Begin")
        git(clone, "push", "--quiet", "origin", "main")
        asked: list[str] = []
        runner = Runner(remote, folder / "runner", walk.environment, lambda name: asked.append(name) or True)
        yield Organisation(walk, clone, runner, asked)


def adapt(environment: Path) -> None:
    """What docs/gitops.md has people change in a copied inventory: where the toolkit is, and where output goes."""
    variables = environment / "group_vars/all/migration.yml"
    text = variables.read_text(encoding="utf-8")
    old = 'migration_root: "{{ inventory_dir | dirname | dirname }}"'
    assert old in text
    text = text.replace(old, 'migration_root: "{{ inventory_dir | dirname }}/toolkit"')
    text = text.replace('"{{ migration_root }}/out"', '"{{ inventory_dir | dirname }}/out"')
    variables.write_text(text, encoding="utf-8")
    source = environment / "lab.xmppgw.yml"
    source.write_text(source.read_text(encoding="utf-8") + "root: ../toolkit\n", encoding="utf-8")
    document = environment / "group_vars/all/federation.yml"
    document.write_text(document.read_text(encoding="utf-8").replace("holds: []", "holds: [5, 6]"), encoding="utf-8")


def test_what_was_planned_is_what_is_applied_with_approvals_before_5_and_6(organisation: Organisation) -> None:
    organisation.change("first", "priority: 10", "priority: 20")
    planned = organisation.pull_request("first")
    assert set(planned.results.values()) == {"success"}, planned.log
    comment = (organisation.runner.store / "comment-1.md").read_text()
    done = organisation.apply(organisation.merge("first"))
    assert set(done.results.values()) == {"success"}, done.log
    digest = done.jobs["find"].outputs["digest"]
    assert digest[:16] in comment
    assert organisation.asked == ["xmpp", "xmpp-step-5", "xmpp-step-6"]
    adopted = {entry["digest"] for entry in organisation.journal() if entry.get("event") == "plan_adopted"}
    assert adopted == {digest}


def test_a_partner_is_changed_on_a_branch_planned_merged_and_applied(organisation: Organisation) -> None:
    organisation.change(
        "partner", BACKUP, BACKUP.replace("sasl: required, dialback: false", "sasl: optional, dialback: true")
    )
    planned = organisation.pull_request("partner")
    assert set(planned.results.values()) == {"success"}, planned.log
    done = organisation.apply(organisation.merge("partner"))
    assert set(done.results.values()) == {"success"}, done.log
    quiet = organisation.drift()
    assert quiet.results == {"drift": "success"}, quiet.log


def test_content_that_nobody_planned_is_not_applied(organisation: Organisation) -> None:
    organisation.change("unplanned", "weight: 10", "weight: 20")
    done = organisation.apply(organisation.merge("unplanned"))
    assert done.results == {"find": "failure", "steps-1-to-4": "skipped", "step-5": "skipped", "step-6": "skipped"}
    assert "Nobody planned this content" in done.log
    organisation.change("back", "weight: 20", "weight: 10")
    organisation.pull_request("back")
    assert set(organisation.apply(organisation.merge("back")).results.values()) == {"success"}


def test_a_change_by_hand_shows_as_drift_and_makes_an_older_plan_stale(organisation: Organisation) -> None:
    organisation.change("stale", "weight: 10", "weight: 30")
    assert set(organisation.pull_request("stale").results.values()) == {"success"}
    host = organisation.walk.lab
    file = host.run("edge1", "sh", "-c", "ls /etc/xmppgw/*.toml /etc/xmppgw/*.json 2>/dev/null | head -1").strip()
    before = host.run("edge1", "cat", file)
    host.run("edge1", "sh", "-c", f"printf '\\n' >>{file}")
    found = organisation.drift()
    assert found.results == {"drift": "failure"}, found.log
    assert file in found.log, found.log
    done = organisation.apply(organisation.merge("stale"))
    assert done.results == {"find": "success", "steps-1-to-4": "failure", "step-5": "skipped", "step-6": "skipped"}
    assert "[migration-plan]" in done.log, done.log
    host.put("edge1", file, before)


def test_two_merges_at_once_are_applied_one_after_the_other(organisation: Organisation) -> None:
    organisation.change("one", "weight: 30", "weight: 40")
    assert set(organisation.pull_request("one").results.values()) == {"success"}
    first = organisation.merge("one")
    organisation.change("two", "priority: 20", "priority: 30")
    assert set(organisation.pull_request("two").results.values()) == {"success"}
    second = organisation.merge("two")
    runs: dict[str, Run] = {}
    organisation.runner.begun.clear()
    threads = [
        threading.Thread(target=lambda c=commit: runs.update({c: organisation.apply(c)})) for commit in (first, second)
    ]
    threads[0].start()
    organisation.runner.begun.wait()
    threads[1].start()
    for thread in threads:
        thread.join()
    assert set(runs[first].results.values()) == {"success"}, runs[first].log
    # The second was planned before the first was applied: what it would do now is something else, and it says so.
    assert runs[second].results["steps-1-to-4"] == "failure", runs[second].log
    assert "[migration-plan]" in runs[second].log, runs[second].log
    again = organisation.pull_request("two")
    assert set(again.results.values()) == {"success"}, again.log
    done = organisation.apply(second)
    assert set(done.results.values()) == {"success"}, done.log
