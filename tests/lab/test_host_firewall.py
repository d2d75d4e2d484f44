"""A host closes itself but for its rows of the port table, a mistake locks nobody out, and all of it can be tried."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from tests.lab.conftest import Walk, a_walk

pytestmark = [pytest.mark.lab, pytest.mark.slow]

CONTROLLER = "198.51.100.225/32"
TAKEN_BACK_AFTER = 12  # seconds: long enough for two connections on a busy machine, short enough to wait for


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    with a_walk(tmp_path_factory, "walllab") as walk:
        yield walk


def close(walk: Walk, *variables: str, administrators: str = CONTROLLER) -> tuple[int, str]:
    networks = f'{{"host_firewall_administrators": ["{administrators}"]}}'
    done = walk.playbook("host_firewall.yml", networks, *variables)
    return done.returncode, done.stdout + done.stderr


def reachability(walk: Walk) -> tuple[int, dict, str]:
    done = walk.playbook("reachability.yml")
    file = walk.output / "reachability.json"
    return done.returncode, json.loads(file.read_text()) if file.exists() else {}, done.stdout + done.stderr


def tables(walk: Walk, host: str) -> str:
    return walk.lab.run(host, "nft", "list", "tables")


def test_the_labs_firewall_lets_through_the_table_and_nothing_else(lab: Walk) -> None:
    status, report, text = reachability(lab)
    assert status == 0, text
    assert report["differs"] is False
    assert report["tried"]["rows"] > 0
    assert report["tried"]["others"] > 0
    # Nothing of ours is installed yet: the edge's port for the link refuses, which shows that it can be reached.
    assert report["nothing_listened"] > 0


def test_a_rule_too_many_and_a_rule_too_few_are_told_by_name(lab: Walk) -> None:
    try:
        for rule in ("ip saddr 198.51.100.10 ip daddr 198.51.100.80 tcp dport 22 accept", "tcp dport 23456 drop"):
            lab.lab.run("fw1", "nft", f"insert rule inet filter forward {rule}")
        status, report, text = reachability(lab)
    finally:
        lab.lab.run("fw1", "nft", "--file", "/etc/nftables.conf")
    assert status == 3, text
    found = {(item["host"], item["verdict"], item["port"]) for item in report["found"] if item["verdict"] != "unproved"}
    assert found == {("edge1", "open", 22), ("fe1", "closed", 23456)}, text


def test_a_host_is_closed_but_for_its_rows_and_stays_so_after_a_reload(lab: Walk) -> None:
    status, text = close(lab)
    assert status == 0, text
    assert "xmppgw_host" in tables(lab, "edge1")
    # Between two hosts of one network no other firewall stands.
    ssh = ["timeout", "3", "bash", "-c", "exec 3<>/dev/tcp/198.51.100.10/22"]
    assert lab.lab.program("lab_provider.enter", "legacy1", *ssh).returncode != 0
    status, _, text = reachability(lab)
    assert status == 0, text
    for host in ("edge1", "fe1"):
        lab.lab.run(host, "systemctl", "restart", "xmppgw-firewall.service")
        assert "xmppgw_host" in tables(lab, host)


def test_doing_it_again_changes_nothing_and_a_change_by_hand_is_mended(lab: Walk) -> None:
    status, text = close(lab)
    assert status == 0, text
    assert "0 changed" in text or "changed=0" in text, text
    lab.lab.run("edge1", "nft", "insert rule inet xmppgw_host input tcp dport 4444 accept")
    status, text = close(lab)
    assert status == 0, text
    assert "4444" not in lab.lab.run("edge1", "nft", "list", "table", "inet", "xmppgw_host")


def test_whoever_locks_himself_out_gets_the_former_rules_back(lab: Walk) -> None:
    before = lab.lab.run("edge1", "nft", "--stateless", "list", "table", "inet", "xmppgw_host")
    status, text = close(lab, f"host_firewall_seconds={TAKEN_BACK_AFTER}", administrators="198.51.100.254/32")
    assert status != 0, text
    assert "migration-firewall-locked-out" in text, text
    deadline = time.monotonic() + 10 * TAKEN_BACK_AFTER
    while lab.lab.run("edge1", "nft", "--stateless", "list", "table", "inet", "xmppgw_host") != before:
        assert time.monotonic() < deadline, "the timer did not take the rules back"
        time.sleep(0.5)
    status, text = close(lab)
    assert status == 0, text


def test_rules_that_nft_does_not_take_change_nothing(lab: Walk) -> None:
    before = lab.lab.run("edge1", "nft", "--stateless", "list", "ruleset")
    status, text = close(lab, administrators="anywhere")
    assert status != 0
    assert "[migration-firewall]" in text, text
    assert lab.lab.run("edge1", "nft", "--stateless", "list", "ruleset") == before


def test_it_can_be_taken_away(lab: Walk) -> None:
    status, text = close(lab, "host_firewall_state=absent")
    assert status == 0, text
    assert "xmppgw_host" not in tables(lab, "edge1") + tables(lab, "fe1")
