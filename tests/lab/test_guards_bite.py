"""Guards on a running lab, one thing broken at a time and put right again: preflight must refuse it by its code.

The lab is fresh and stays so: nothing here changes it for good, and the migration's own tests begin where it ended.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from tests.lab.conftest import ROOT, Walk

pytestmark = pytest.mark.lab

DOCUMENT = ROOT / "inventories" / "lab" / "group_vars" / "all" / "federation.yml"
STATE = "/var/lib/xmppgw-migration"


@pytest.fixture
def document(tmp_path: Path) -> dict:
    """The lab's document, to be changed; `planned` writes it beside what the test needs."""
    found: dict = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))
    return found


def planned(walk: Walk, document: dict, folder: Path, *variables: str) -> subprocess.CompletedProcess[str]:
    """Preflight and plan with another document."""
    path = folder / "federation.yml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return walk.playbook("plan.yml", f"migration_document={path}", *variables)


def said(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout + done.stderr


def assert_refused(done: subprocess.CompletedProcess[str], *codes: str) -> None:
    assert done.returncode != 0, said(done)
    missing = [code for code in codes if f"[{code}]" not in said(done)]
    assert not missing, f"not refused: {missing}\n{said(done)}"


def plan_of(walk: Walk) -> dict:
    found: dict = json.loads((walk.output / "plan" / "plan.json").read_text(encoding="utf-8"))
    return found


def test_preflight_takes_less_than_a_minute(walk: Walk) -> None:
    began = time.monotonic()
    done = walk.playbook("preflight.yml")
    assert done.returncode == 0, said(done)
    assert time.monotonic() - began < 60  # the issue's own goal; it takes some ten seconds
    assert json.loads((walk.output / "reachability.json").read_text(encoding="utf-8"))["tried"]["rows"]


def test_the_document_is_judged_whole_and_at_once(walk: Walk, document: dict, tmp_path: Path) -> None:
    federation = document["federation"]
    federation["legacy"].update(single_edge_fqdn=True, allow_federated_users=False, product="sfb2015")
    federation["target"]["product"] = "sfb2019"
    federation["sip"]["next_hop"]["platform"] = "microsoft"
    federation["maintenance_window"] = {"start": "2020-01-01T22:00:00+00:00", "end": "2020-01-02T02:00:00+00:00"}
    federation["users"] = {"export": "users.table"}
    users = [
        {"user": "alice@corp.example", "blank_name": True},
        {"user": "sam@corp.example", "survivable_branch": True},
    ]
    (tmp_path / "users.table").write_text(json.dumps({"schema": 1, "users": users}), encoding="utf-8")
    codes = (
        "migration-r7",
        "federation-forbidden",
        "migration-r1-pilot",
        "text-only",
        "migration-window",
        "migration-blank-name",
        "migration-r8",
    )
    assert_refused(planned(walk, document, tmp_path), *codes)
    written = plan_of(walk)
    assert {item["code"] for item in written["refused"]} >= set(codes)
    assert written["notices"][0].startswith("REFUSED")


def test_what_is_accepted_passes_and_stands_on_the_plans_first_line(walk: Walk, document: dict, tmp_path: Path) -> None:
    document["federation"]["sip"]["next_hop"]["platform"] = "microsoft"
    refused = planned(walk, document, tmp_path)
    assert_refused(refused, "text-only")
    assert "-e accept=text-only" in said(refused)
    assert_refused(planned(walk, document, tmp_path, "accept=text-only"), "migration-accept")
    assert_refused(planned(walk, document, tmp_path, "accept=text-onyl", "reason=x"), "migration-accept")
    done = planned(walk, document, tmp_path, "accept=text-only", "reason=announced")
    assert done.returncode == 0, said(done)
    first = (walk.output / "plan" / "plan.md").read_text(encoding="utf-8").splitlines()[0]
    assert "ACCEPTED [text-only]" in first
    assert "presence and contacts stop working" in first
    assert "announced" in first


def test_an_edge_without_an_address_is_nobodys_target(walk: Walk, document: dict, tmp_path: Path) -> None:
    document["federation"]["edges"][0]["fqdn"] = "edge9.corp.example"
    assert_refused(planned(walk, document, tmp_path), "migration-dns-address")


def test_the_scenario_decides_about_the_playbook(walk: Walk) -> None:
    assert_refused(walk.playbook("coexist.yml"), "migration-scenario")


@contextmanager
def squatting(walk: Walk, host: str, port: int) -> Iterator[None]:
    """While inside, something that is not ours listens on a port of a host."""
    unit = f"squatter-{port}"
    walk.lab.run(host, "systemd-run", "-q", f"--unit={unit}", "/usr/bin/python3", "-m", "http.server", str(port))
    listens = f"ss -ltn | grep -q ':{port} '"
    walk.lab.run(host, "sh", "-c", f"for n in $(seq 50); do {listens} && exit 0; sleep 0.1; done; exit 1")
    try:
        yield
    finally:
        walk.lab.run(host, "systemctl", "stop", unit)


@contextmanager
def homed(walk: Walk, user: str, home: str) -> Iterator[None]:
    before = walk.lab.tables("pool-legacy")["homing"][user]
    walk.lab.rpc("pool-legacy", "htable.sets", "homing", user, home)
    try:
        yield
    finally:
        walk.lab.rpc("pool-legacy", "htable.sets", "homing", user, before)


@contextmanager
def stopped(walk: Walk, host: str, unit: str) -> Iterator[None]:
    walk.lab.run(host, "systemctl", "stop", unit)
    try:
        yield
    finally:
        walk.lab.run(host, "systemctl", "start", unit)


@contextmanager
def state_file(walk: Walk, name: str, text: str) -> Iterator[None]:
    """While inside, the journal's host has this file in the migration's own folder."""
    walk.lab.run("fe1", "mkdir", "-p", STATE)
    walk.lab.put("fe1", f"{STATE}/{name}", text)
    try:
        yield
    finally:
        walk.lab.run("fe1", "rm", "-r", STATE)


def journal_of_nobody() -> str:
    return json.dumps({"event": "step_done", "step": 6, "n": 1, "previous": "0" * 64, "hash": "1" * 64}) + "\n"


BREAKS: dict[str, tuple[str, Callable[[Walk], object]]] = {
    "somebody-opened-an-edge": ("migration-r5", lambda walk: squatting(walk, "edge1", 5269)),
    "the-links-port-is-taken": ("migration-port-taken", lambda walk: squatting(walk, "edge1", 23456)),
    "the-sip-port-is-taken": ("migration-port-taken", lambda walk: squatting(walk, "fe1", 5061)),
    "a-user-lives-elsewhere": ("migration-r3", lambda walk: homed(walk, "dave", "branch-office")),
    "the-legacy-gateway-is-down": ("migration-legacy-silent", lambda walk: stopped(walk, "legacy1", "prosody")),
    "a-name-server-is-down": ("migration-unreachable", lambda walk: stopped(walk, "dns2", "knot")),
    "the-journal-is-forged": (
        "migration-journal",
        lambda walk: state_file(walk, "journal.jsonl", journal_of_nobody()),
    ),
    "the-journal-is-no-journal": ("migration-journal", lambda walk: state_file(walk, "journal.jsonl", "hello\n")),
    "the-lock-is-no-lock": ("migration-lock", lambda walk: state_file(walk, "lock.json", '{"owner": 7}\n')),
}


@pytest.mark.parametrize(("code", "breaking"), BREAKS.values(), ids=BREAKS)
def test_what_is_broken_on_a_host_is_refused_before_the_first_change(
    walk: Walk, code: str, breaking: Callable[[Walk], object]
) -> None:
    with breaking(walk):
        assert_refused(walk.playbook("migrate.yml"), code)
    assert walk.lab.run("fe1", "sh", "-c", f"ls {STATE} /opt/xmppgw 2>/dev/null; true") == ""


def test_the_lab_is_as_it_was(walk: Walk) -> None:
    done = walk.playbook("plan.yml")
    assert done.returncode == 0, said(done)
    assert all(step["actions"] for step in plan_of(walk)["steps"])
