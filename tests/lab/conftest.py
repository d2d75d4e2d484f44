"""A lab of their own for the tests that walk a whole migration: made once, used in order, removed at the end."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.lab.recount import read, unexplained
from tests.lab.servers_stand_ins.stand_ins import ROOT, Lab

from xmppgw.probe.report import DROPPED_BOUND

LONGEST = 3600  # seconds for one playbook under the probe, on a slow machine and with kills too


@dataclass
class Chat:
    """People chatting while a test does one thing after another; the report is there once they have stopped."""

    steps: Path
    report: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Walk:
    """A lab with everything a person needs who migrates it."""

    lab: Lab
    output: Path

    @property
    def environment(self) -> dict[str, str]:
        return {**self.lab.environment, "ANSIBLE_CONFIG": str(ROOT / "playbooks" / "ansible.cfg"), "LC_ALL": "C.UTF-8"}

    def command(self, playbook: str, *variables: str) -> list[str]:
        """What an operator types, with this walk's own output folder."""
        extra = [word for text in (f"migration_output={self.output}", *variables) for word in ("-e", text)]
        return [str(ROOT / ".venv/bin/ansible-playbook"), str(ROOT / "playbooks" / playbook), *extra]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=LONGEST, check=False
        )

    def playbook(self, name: str, *variables: str) -> subprocess.CompletedProcess[str]:
        return self.run(*self.command(name, *variables))

    def start(self, name: str, *variables: str, steps: Path) -> subprocess.Popen[str]:
        """Start a playbook that writes its events to `steps`, and do not wait for it."""
        environment = {**self.environment, "XMPPGW_STEPS_FILE": str(steps)}
        return subprocess.Popen(
            self.command(name, *variables), cwd=ROOT, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def up(self) -> subprocess.CompletedProcess[str]:
        """Bring the lab up, or what is missing of it, by the engine that is there."""
        return self.run(str(ROOT / ".ci" / "stack"), "up", "lab")

    def probed(self, *command: str) -> tuple[subprocess.CompletedProcess[str], dict]:
        """Run a command while people chat; its outcome and the report."""
        report = self.output / "lab" / "report.json"
        report.unlink(missing_ok=True)
        probe = ["-m", "xmppgw.probe", "around", "--lab", str(self.lab.directory), "--output", str(report.parent), "--"]
        done = self.run(str(ROOT / ".venv/bin/python"), *probe, *command)
        assert report.exists(), f"no report; exit {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done, told(report)

    @contextlib.contextmanager
    def chatting(self) -> Iterator[Chat]:
        """Have people chat all the while; playbooks started with the chat's `steps` are seen by the report."""
        begun, log, reports = self.output / "chatting", self.output / "chatting.log", self.output / "lab"
        begun.unlink(missing_ok=True)
        (reports / "report.json").unlink(missing_ok=True)
        probe = ["-m", "xmppgw.probe", "around", "--lab", str(self.lab.directory), "--output", str(reports), "--"]
        until_told = ["sh", "-c", 'touch "$0" && cat >/dev/null', str(begun)]
        command = [str(ROOT / ".venv/bin/python"), *probe, *until_told]
        chat = Chat(reports / "steps.jsonl")
        with (
            log.open("w") as said,
            subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdin=subprocess.PIPE, stdout=said, stderr=subprocess.STDOUT
            ) as process,
        ):
            while not begun.exists():
                assert process.poll() is None, log.read_text(encoding="utf-8")
                time.sleep(0.1)
            try:
                yield chat
            finally:
                process.communicate(timeout=LONGEST)
        chat.report = told(reports / "report.json")


@contextlib.contextmanager
def a_walk(factory: pytest.TempPathFactory, namespace: str, **chosen: str) -> Iterator[Walk]:
    """A lab of its own, with what is `chosen` for it (XMPPGW_LAB_WITH, ...); skips where there can be none."""
    if os.geteuid() != 0:
        pytest.skip("a lab needs root")
    if shutil.which("systemd-nspawn") is None:
        pytest.skip("a lab needs systemd-nspawn (package systemd-container)")
    if not (ROOT / ".cache" / "images" / "current-servers").exists():
        pytest.skip("no images: .ci/setup --for test makes them")
    if not (ROOT / "build" / "wheelhouse" / ".ours").exists():
        pytest.skip("no wheels for the hosts: .ci/setup --for test makes them")
    lab = Lab(factory.mktemp(namespace), namespace, chosen)
    output = factory.mktemp("out")
    try:
        walk = Walk(lab, output)
        up = walk.up()
        assert up.returncode == 0, f"the lab did not come up:\n{up.stdout}{up.stderr}"
        yield walk
    finally:
        down = lab.program("lab_provider.down")
        assert down.returncode == 0, f"the lab left something behind:\n{down.stdout}{down.stderr}"


@pytest.fixture(scope="session")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """For the one migration that test_whole_migration.py goes through, from its beginning."""
    with a_walk(tmp_path_factory, "walklab") as walk:
        yield walk


@pytest.fixture(scope="module")
def there_and_back(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Walk]:
    """For tests that each bring the lab to where they begin, from wherever it is."""
    with a_walk(tmp_path_factory, request.module.__name__.rpartition("_")[2] + "lab") as walk:
        yield walk


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep what the hosts have logged when a test fails on a walk's lab, which is gone before anybody can look."""
    report = yield
    if report.when == "call" and report.failed:
        for walk in getattr(item, "funcargs", {}).values():
            if isinstance(walk, Walk):
                folder = ROOT / "out" / "failed" / item.name
                keep_journals(walk.lab, folder)
                report.sections.append(("journals of the lab's hosts", str(folder)))
    return report


def keep_journals(lab: Lab, folder: Path) -> None:
    """Write the end of each host's journal to `folder`; of a host that is down, that it is."""
    folder.mkdir(parents=True, exist_ok=True)
    for host in sorted(path.name for path in (lab.directory / "hosts").glob("*")):
        try:
            said = lab.run(host, "journalctl", "--no-pager", "--output=short-precise", "--lines=50000")
        except (AssertionError, subprocess.TimeoutExpired) as problem:
            said = f"{problem}\n"
        (folder / f"{host}.log").write_text(said, encoding="utf-8")


def told(path: Path) -> dict:
    """A report, with how much of what was returned though delivered is not explained by the lab's standing still."""
    report = json.loads(path.read_text(encoding="utf-8"))
    report["probe"]["unexplained"] = report["probe"]["returned_though_delivered"]
    if report["probe"]["unexplained"]:
        ledger = read(path.parent / "evidence")
        report["probe"]["unexplained"] = unexplained(ledger, ledger.between_domains())
    return report


def assert_nothing_lost(report: dict) -> None:
    """Nothing lost, nothing doubled, and what a partner's own server dropped is in that server's own log."""
    probe = report["probe"]
    assert probe["sent"] > 0
    faults = ("lost", "duplicated", "unexplained")
    wrong = {key: probe[key] for key in faults if probe[key]}
    # ejabberd can drop one while its stream is being closed; its own log must say so.
    if probe["unprotected"] != probe["dropped_by_partner"] or probe["dropped_by_partner"] > DROPPED_BOUND:
        wrong["unprotected"] = probe["unprotected"]
    assert not wrong, f"{wrong} of {probe['sent']}; verdict {report['verdict']}"
