"""A small runner for the pipelines that organisations copy: parses a GitHub workflow and executes its own steps.

So that what is proved is what is copied. It knows what our workflows use and fails on anything else: `needs`, `if` with
one comparison, `environment` (asks an approver), `concurrency` (a queue per group), `outputs`, `env`, checkout and
artefacts. The toolkit, a submodule in a real environment repository, is this clone. `gh` is a stand-in over a folder.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 3600  # seconds for one step
EXPRESSION = re.compile(r"\$\{\{\s*([a-z_]+(?:\.[A-Za-z0-9_-]+)+)\s*\}\}")
COMPARISON = re.compile(r"([a-z_.]+[A-Za-z_.]*) (==|!=) ('[^']*'|[a-z_.]+)")
REPOSITORY = "organisation/xmpp-environment"
# `gh`, as far as the workflows use it, over the folder of artefacts.
GH = """#!/usr/bin/env bash
set -euo pipefail
case "$1 $2" in
    "api "*) name=${2##*name=}; [ ! -d "$STORE/$name" ] || echo 1 ;;
    "run download") [ "$3 $4 $6 $8" = "1 --repo --name --dir" ]; cp -R "$STORE/$7" "$9" ;;
    "pr comment") [ "$6" = --body-file ]; cp "$7" "$STORE/comment-$3.md" ;;
    *) echo "unknown: $*" >&2; exit 2 ;;
esac
"""


@dataclass
class Job:
    """How a job ended: `success`, `failure` or `skipped`."""

    result: str
    log: str = ""
    outputs: dict[str, str] = field(default_factory=dict)


@dataclass
class Run:
    """One run of a workflow."""

    jobs: dict[str, Job]

    @property
    def log(self) -> str:
        return "\n".join(f"== {name}: {job.result}\n{job.log}" for name, job in self.jobs.items())

    @property
    def results(self) -> dict[str, str]:
        return {name: job.result for name, job in self.jobs.items()}


class Runner:
    """Runs workflows for one bare repository."""

    def __init__(
        self, remote: Path, folder: Path, environment: Mapping[str, str], approve: Callable[[str], bool]
    ) -> None:
        self.remote, self.folder, self.environment, self.approve = remote, folder, environment, approve
        self.store = folder / "artefacts"
        self.store.mkdir(parents=True)
        gh = folder / "bin" / "gh"
        gh.parent.mkdir()
        gh.write_text(GH)
        gh.chmod(0o755)
        self._groups: dict[str, threading.Lock] = {}
        self._count = 0
        self.begun = threading.Event()
        """set when a run has passed its concurrency group"""

    def run(self, workflow: Path, commit: str, *, number: int = 0, inputs: Mapping[str, str] | None = None) -> Run:
        """Run a workflow for a commit; waits while another one of its concurrency group runs."""
        described = yaml.safe_load(workflow.read_text(encoding="utf-8"))
        ref = f"refs/pull/{number}/merge" if number else "refs/heads/main"
        context: dict[str, Any] = {
            "github": {
                "ref": ref, "repository": REPOSITORY, "token": "of-this-run",
                "event": {"pull_request": {"number": str(number), "head": {"repo": {"full_name": REPOSITORY}}}},
            },
            "vars": {"XMPP_STACK": "", "AZURE_CLIENT_ID": ""},
            "inputs": dict(inputs or {}), "needs": {},
        }  # fmt: skip
        group = _filled(described["concurrency"]["group"], context)
        with self._groups.setdefault(group, threading.Lock()):
            self.begun.set()
            return self._run(described, commit, context)

    def _run(self, described: Mapping[str, Any], commit: str, context: dict[str, Any]) -> Run:
        done: dict[str, Job] = {}
        for name, job in described["jobs"].items():
            needs = job.get("needs", [])
            needed = [needs] if isinstance(needs, str) else needs
            context["needs"] = {need: {"outputs": done[need].outputs} for need in needed}
            wanted = all(done[need].result == "success" for need in needed) and _holds(job.get("if"), context)
            if wanted and "environment" in job:
                wanted = self.approve(job["environment"])
            done[name] = self._job(described, job, commit, context) if wanted else Job("skipped")
        return Run(done)

    def _job(self, described: Mapping[str, Any], job: Mapping[str, Any], commit: str, context: dict[str, Any]) -> Job:
        self._count += 1
        workspace = self.folder / f"work-{self._count}"
        workspace.mkdir()
        context = {**context, "steps": {}, "github": {**context["github"], "workspace": str(workspace)}}
        environment = {
            **self.environment, **{key: _filled(value, context) for key, value in described.get("env", {}).items()},
            "PATH": f"{self.folder / 'bin'}:{self.environment['PATH']}", "STORE": str(self.store),
            "GITHUB_REPOSITORY": REPOSITORY, "RUNNER_TEMP": str(self.folder),
        }  # fmt: skip
        log: list[str] = []
        for step in job["steps"]:
            if not _holds(step.get("if"), context):
                continue
            if not self._step(step, workspace, commit, environment, context, log):
                return Job("failure", "\n".join(log))
        outputs = {key: _filled(value, context) for key, value in job.get("outputs", {}).items()}
        return Job("success", "\n".join(log), outputs)

    def _step(
        self, step: Mapping[str, Any], workspace: Path, commit: str, environment: Mapping[str, str],
        context: dict[str, Any], log: list[str],
    ) -> bool:  # fmt: skip
        if "uses" in step:
            action = step["uses"].partition("@")[0]
            given = {key: _filled(str(value), context) for key, value in step.get("with", {}).items()}
            self._action(action, given, workspace, commit)
            return True
        output = workspace / ".output"
        output.write_text("")
        own = {key: _filled(value, context) for key, value in step.get("env", {}).items()}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]], cwd=workspace,
            env={**environment, **own, "GITHUB_OUTPUT": str(output)}, capture_output=True, text=True, timeout=LONGEST,
            check=False,
        )  # fmt: skip
        log.append(f"$ {step['run']}\n{done.stdout}{done.stderr}")
        pairs = (line.partition("=") for line in output.read_text().splitlines())
        context["steps"][step.get("id", "")] = {"outputs": {key: value for key, _, value in pairs}}
        return done.returncode == 0

    def _action(self, action: str, given: Mapping[str, str], workspace: Path, commit: str) -> None:
        if action == "actions/checkout":
            git(workspace, "clone", "--quiet", str(self.remote), ".")
            git(workspace, "checkout", "--quiet", "--detach", commit)
            (workspace / "toolkit").symlink_to(ROOT)
        elif action == "actions/upload-artifact":
            shutil.copytree(workspace / given["path"], self.store / given["name"], dirs_exist_ok=True)
        elif action == "actions/download-artifact":
            shutil.copytree(self.store / given["name"], workspace / given["path"])
        else:
            raise AssertionError(f"the runner does not know {action}")


def git(folder: Path, *arguments: str) -> str:
    """Run git there; return what it printed."""
    identity = {
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@x",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@x",
    }
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env={**os.environ, **identity}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"git {arguments}: {done.stderr}"
    return done.stdout.strip()


def _value(path: str, context: Mapping[str, Any]) -> str:
    found: Any = context
    for key in path.split("."):
        assert key in found, f"the runner knows no {path}"
        found = found[key]
    assert isinstance(found, str), path
    return found


def _filled(text: str, context: Mapping[str, Any]) -> str:
    filled = EXPRESSION.sub(lambda match: _value(match[1], context), text)
    assert "${{" not in filled, f"the runner does not understand {filled}"
    return filled


def _holds(condition: str | None, context: Mapping[str, Any]) -> bool:
    if condition is None:
        return True
    match = COMPARISON.fullmatch(condition)
    assert match, f"the runner does not understand {condition}"
    right = match[3].strip("'") if match[3].startswith("'") else _value(match[3], context)
    return (_value(match[1], context) == right) is (match[2] == "==")
