"""Guards on a running lab, one thing broken at a time and put right again: preflight must refuse it by its code.

The lab is fresh and stays so: nothing here changes it for good, and the migration's own tests begin where it ended.
"""

from __future__ import annotations

import json
import shutil
import subprocess
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


def test_preflight_finds_nothing_wrong_with_a_fresh_lab(walk: Walk) -> None:
    done = walk.playbook("preflight.yml")
    assert done.returncode == 0, said(done)
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
    assert_refused(refused, "text-only", "migration-route-evidence")
    assert "-e accept=text-only" in said(refused)
    assert_refused(planned(walk, document, tmp_path, "accept=text-only"), "migration-accept")
    assert_refused(planned(walk, document, tmp_path, "accept=text-onyl", "reason=x"), "migration-accept")
    both = "accept=text-only,migration-route-evidence"
    done = planned(walk, document, tmp_path, both, "reason=announced")
    assert done.returncode == 0, said(done)
    first, second = (walk.output / "plan" / "plan.md").read_text(encoding="utf-8").splitlines()[:2]
    assert "ACCEPTED [migration-route-evidence]" in first
    assert "ACCEPTED [text-only]" in second
    assert "presence and contacts stop working" in second
    assert "announced" in second


def set_in(document: dict, path: str, value: object) -> None:
    """Set `a.b.0.c` below `federation`."""
    *folders, last = path.split(".")
    place = document["federation"]
    for name in folders:
        place = place[int(name)] if isinstance(place, list) else place.setdefault(name, {})
    place[last] = value


SAME_NAME = dict.fromkeys(("access_fqdn", "web_conferencing_fqdn", "av_fqdn"), "edge1.corp.example")
WRONG: dict[str, tuple[str, dict[str, object]]] = {
    "ended-before-its-end": ("migration-legacy-gone", {"legacy.decommissioned": True}),
    "our-edge-has-the-legacy-edges-name": ("migration-legacy-edge", {"legacy.edge": SAME_NAME}),
    "nobody-may-use-xmpp": ("migration-nobody", {"access_policies.global.enable_xmpp_access": False}),
    "no-proxy-to-restart": (
        "migration-drain-provider",
        {"legacy.product": "sfb2019", "drain": {"provider": "powershell", "quiet_minute": "02:00"}},
    ),
}


@pytest.mark.parametrize(("code", "wrong"), WRONG.values(), ids=WRONG)
def test_what_the_document_must_not_say_is_refused(
    walk: Walk, document: dict, tmp_path: Path, code: str, wrong: dict[str, object]
) -> None:
    for path, value in wrong.items():
        set_in(document, path, value)
    assert_refused(planned(walk, document, tmp_path), code)


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
def published(walk: Walk, owner: str, record: str) -> Iterator[None]:
    """While inside, the zone has a record that it must not have yet."""
    walk.lab.edit_zone("corp.example", f"set {owner} 3 {record}")
    try:
        yield
    finally:
        walk.lab.edit_zone("corp.example", f"unset {owner} {record.split(maxsplit=1)[0]}")


@contextmanager
def lagging(walk: Walk) -> Iterator[None]:
    """While inside, the secondary does not follow the primary, where the SRV record has another weight."""
    srv = "_xmpp-server._tcp"
    walk.lab.run("dns2", "knotc", "zone-freeze", "corp.example")
    unset = f"unset {srv} SRV"
    walk.lab.edit_zone("corp.example", unset, f"set {srv} 15 SRV 10 11 5269 legacy1.corp.example.")
    try:
        yield
    finally:
        walk.lab.edit_zone("corp.example", unset, f"set {srv} 15 SRV 10 10 5269 legacy1.corp.example.")
        walk.lab.run("dns2", "knotc", "zone-thaw", "corp.example")


@contextmanager
def another_key_trusted(walk: Walk) -> Iterator[None]:
    """While inside, resolvers are told of another key than the zones are signed with, as after a botched roll-over."""
    anchors = "/etc/unbound/lab-anchors.ds"
    walk.lab.run("dns1", "sed", "-i.right", r"s/[0-9a-fA-F]\{8\}$/00000000/", anchors)
    walk.lab.run("dns1", "systemctl", "restart", "unbound")
    try:
        yield
    finally:
        walk.lab.run("dns1", "mv", f"{anchors}.right", anchors)
        walk.lab.run("dns1", "systemctl", "restart", "unbound")


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
    "a-name-server-lags": ("migration-dns-disagree", lagging),
    "direct-tls-is-published": (
        "migration-direct-tls",
        lambda walk: published(walk, "_xmpps-server._tcp", "SRV 10 10 5270 legacy1.corp.example."),
    ),
    "signatures-do-not-hold": ("migration-dnssec", another_key_trusted),
    "edges-cannot-resolve": ("migration-resolver-silent", lambda walk: stopped(walk, "dns1", "unbound")),
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


def test_wheels_of_another_python_are_refused_before_the_first_change(walk: Walk, tmp_path: Path) -> None:
    """The hosts have Debian 12's; the folder is one that was collected for a later one."""
    house = tmp_path / "wheels"
    shutil.copytree(ROOT / "build" / "wheelhouse", house)
    extension = next(house.glob("msgspec-*-cp311-cp311-*.whl"))
    extension.rename(house / extension.name.replace("cp311", "cp313"))
    done = walk.playbook("migrate.yml", f"migration_wheelhouse={house}")
    assert_refused(done, "migration-wheels")
    assert "edge1 (Python 3.11, " in said(done)


def test_what_rests_on_an_earlier_step_is_refused(walk: Walk) -> None:
    assert_refused(walk.playbook("settle_dns.yml"), "migration-order")


def test_the_lab_is_as_it_was(walk: Walk) -> None:
    done = walk.playbook("plan.yml")
    assert done.returncode == 0, said(done)
    assert all(step["actions"] for step in plan_of(walk)["steps"])
