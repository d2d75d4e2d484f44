"""Both gateways side by side: one SIP domain becomes ours under traffic, the other stays, and then follows.

In the order of this file, on one lab of its own. branch.example (grace) is ours from the beginning, corp.example is the
legacy gateway's until its owner changes. Only one partner talks to grace: the others have nothing to say to
branch.example, and are switched all the same.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.lab.conftest import ROOT, Walk, a_walk, assert_nothing_lost

pytestmark = [pytest.mark.lab, pytest.mark.slow]

DOCUMENT = ROOT / "inventories" / "lab" / "group_vars" / "all" / "federation.yml"
STAYS, MOVES = "corp.example", "branch.example"
STATIC = "static.example"
UNLISTED = "away.example"
"""In the platforms' tables, not in the document: nobody decided anything about it."""
EDGE = "198.51.100.10"
# What an XMPP server says first, and what it hears; nothing of ours is asked for it.
KNOCK = """
import socket, sys
edge, remote, local = sys.argv[1:]
head = ("<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
        "xmlns:db='jabber:server:dialback' version='1.0' from='%s' to='%s'>" % (remote, local))
heard, ends = b"", (b"</stream:features>", b"</stream:stream>")
with socket.create_connection((edge, 5269), 10) as connection:
    connection.sendall(head.encode())
    while not any(end in heard for end in ends) and (part := connection.recv(4096)):
        heard += part
print(heard.decode())
"""
# Everything of the old gateway's host that a run could touch: its configuration, and since when its services run.
LEGACY_STATE = (
    "find /etc/prosody /etc/kamailio /etc/systemd/system -type f -exec sha256sum {} + | sort; "
    "systemctl show -p MainPID,ActiveEnterTimestamp prosody kamailio xmpp-sip-bridge"
)


def content(**changes: object) -> dict:
    found: dict = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))
    found["federation"] |= {
        "scenario": "coexist",
        "sip_domains": [{"name": STAYS, "owner": "legacy"}, {"name": MOVES, "owner": "gateway"}],
        **changes,
    }
    return found


def write(path: Path, document: dict) -> None:
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The federation document of stack, playbooks and probe."""
    found = tmp_path_factory.mktemp("document") / "federation.yml"
    write(found, content())
    return found


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory, path: Path) -> Iterator[Walk]:
    with a_walk(tmp_path_factory, "besidelab", XMPPGW_LAB_DOCUMENT=str(path)) as walk:
        yield walk


def srv(walk: Walk, domain: str) -> str:
    return walk.lab.run("dns2", "kdig", "@203.0.113.53", f"_xmpp-server._tcp.{domain}", "SRV", "+short").strip()


def status(walk: Walk) -> dict:
    done = walk.playbook("status.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict = json.loads((walk.output / "status.json").read_text(encoding="utf-8"))
    return found


def states(walk: Walk) -> dict[str, str]:
    return {partner["domain"]: partner["state"] for partner in status(walk)["partners"]}


def knock(walk: Walk, remote: str, local: str) -> str:
    return walk.lab.run("partner1", "python3", "-c", KNOCK, EDGE, remote, local)


def refused(walk: Walk, path: Path, tmp_path: Path, **changes: object) -> subprocess.CompletedProcess[str]:
    """What planning with another document says."""
    write(tmp_path / "federation.yml", content(**changes))
    return walk.playbook("plan.yml", f"migration_document={tmp_path / 'federation.yml'}")


def test_a_user_of_the_legacy_gateways_domain_is_not_moved(beside: Walk, path: Path, tmp_path: Path) -> None:
    pilot = {"sip_domain": MOVES, "users": ["alice@corp.example"], "partner": "partner1.example"}
    done = refused(beside, path, tmp_path, pilot=pilot)
    assert done.returncode != 0
    assert "[migration-coexist-user]" in done.stdout
    assert "alice@corp.example" in done.stdout


def test_one_domain_becomes_ours_and_nothing_of_the_other_is_touched(beside: Walk) -> None:
    legacy, records = beside.lab.run("legacy1", "sh", "-c", LEGACY_STATE), srv(beside, STAYS)
    before = {pool: beside.lab.tables(pool) for pool in ("pool-legacy", "pool-target")}
    done, report = beside.probed(*beside.command("coexist.yml"))
    assert done.returncode == 0, done.stdout[-8000:]
    assert_nothing_lost(report)
    assert [step["state"] for step in report["steps"]] == ["done"] * 6
    after = {pool: beside.lab.tables(pool) for pool in ("pool-legacy", "pool-target")}
    assert beside.lab.run("legacy1", "sh", "-c", LEGACY_STATE) == legacy
    assert srv(beside, STAYS) == records
    assert "edge1" in srv(beside, MOVES)
    assert after["pool-legacy"]["route"] == before["pool-legacy"]["route"]
    moved = {user for user, home in after["pool-target"]["homing"].items() if home != "pool-legacy"}
    assert moved == {"grace"}
    # Who talks to nobody of that domain was called, and came; who has our old host in its configuration stays.
    expected = dict.fromkeys(after["pool-target"]["route"], "target") | {STATIC: "legacy", UNLISTED: "legacy"}
    assert after["pool-target"]["route"] == expected
    listed = expected.keys() - {UNLISTED}
    assert states(beside) == {domain: "static?" if domain == STATIC else "gateway" for domain in listed}
    through = report["probe"]["through"]
    assert through["target"], "nobody spoke through the new gateway"
    assert through["legacy"], "nobody spoke through the old one"


@pytest.mark.parametrize("remote", ["partner1.example", STATIC, "stranger.example"])
def test_our_edge_serves_its_own_domain_only(beside: Walk, remote: str) -> None:
    """Whoever asks, switched or not: what is the legacy gateway's is not joined to it by our edge either."""
    assert "host-unknown" in knock(beside, remote, STAYS)
    assert "host-unknown" not in knock(beside, "partner1.example", MOVES)


def test_a_second_run_changes_nothing(beside: Walk) -> None:
    done = beside.playbook("coexist.yml")
    assert done.returncode == 0, done.stdout[-4000:]
    assert "changed=0" in done.stdout


def test_a_user_who_was_moved_by_somebody_else_is_named_until_he_is_back(beside: Walk) -> None:
    for pool in ("pool-legacy", "pool-target"):
        beside.lab.rpc(pool, "htable.sets", "homing", "bob", "pool-target")
    try:
        done = beside.playbook("coexist.yml")
        assert done.returncode != 0
        assert "[migration-coexist-user]" in done.stdout
        assert "bob" in done.stdout
        one = beside.playbook("partner.yml", "do=switch", "partner=partner1.example")
        assert one.returncode == 2
        assert "[migration-coexist-user]" in one.stdout
    finally:
        for pool in ("pool-legacy", "pool-target"):
            beside.lab.rpc(pool, "htable.sets", "homing", "bob", "pool-legacy")


def test_records_of_the_legacy_gateways_domain_that_name_our_edge_hold_everything_up(beside: Walk) -> None:
    unset, right = "unset _xmpp-server._tcp SRV", srv(beside, STAYS)
    beside.lab.edit_zone(STAYS, unset, "set _xmpp-server._tcp 15 SRV 10 10 5269 edge1.corp.example.")
    try:
        for playbook in (("coexist.yml",), ("partner.yml", "do=switch", "partner=partner1.example")):
            done = beside.playbook(*playbook)
            assert done.returncode == 2
            assert "[migration-coexist-srv]" in done.stdout
    finally:
        beside.lab.edit_zone(STAYS, unset, f"set _xmpp-server._tcp 15 SRV {right}")


def test_the_other_playbook_is_refused(beside: Walk) -> None:
    done = beside.playbook("migrate.yml")
    assert done.returncode != 0
    assert "[migration-scenario]" in done.stdout


def test_changing_the_owner_is_a_replacement_for_that_domain(beside: Walk, path: Path) -> None:
    """Its records first, its users afterwards; branch.example's records are not written again."""
    write(path, content(scenario="replace", sip_domains=[{"name": STAYS}, {"name": MOVES}]))
    plan = beside.playbook("plan.yml")
    assert plan.returncode == 0, plan.stdout
    written = json.loads((beside.output / "plan" / "plan.json").read_text(encoding="utf-8"))
    changed = {item["subject"] for step in written["steps"] for item in step["actions"] if item["kind"] == "srv"}
    assert changed == {STAYS}
    done, report = beside.probed(*beside.command("migrate.yml"))
    assert done.returncode == 0, done.stdout[-8000:]
    assert_nothing_lost(report)
    assert "edge1" in srv(beside, STAYS)
    assert "edge1" in srv(beside, MOVES)
    tables = {pool: beside.lab.tables(pool)["route"] for pool in ("pool-legacy", "pool-target")}
    expected = dict.fromkeys(tables["pool-target"], "target") | {STATIC: "legacy", UNLISTED: "legacy"}
    assert tables == {"pool-legacy": expected, "pool-target": expected}


def test_and_its_users_follow_at_any_time(beside: Walk) -> None:
    done, report = beside.probed(*beside.command("migrate.yml"))
    assert done.returncode == 0, done.stdout[-8000:]
    assert_nothing_lost(report)
    assert set(beside.lab.tables("pool-target")["homing"].values()) == {"pool-target"}
    again = beside.playbook("migrate.yml")
    assert again.returncode == 0, again.stdout[-4000:]
    assert "changed=0" in again.stdout
