"""The legacy gateway both ways, and the partners' word on who delivered what."""

from __future__ import annotations

import json

import pytest
from tests.lab.servers_stand_ins.stand_ins import Lab, eventually

from xmpp_infra.lab.servers import LAB

pytestmark = pytest.mark.lab

PAIRS = [("alice@corp.example", "juliet@partner1.example"), ("bob@corp.example", "romeo@partner2.example")]
LEGACY_ADDRESSES = {LAB.legacy_address.ipv4, LAB.legacy_address.ipv6}


def assert_all_arrived(seen, count: int | None = None) -> None:
    assert seen.sent
    assert count is None or seen.sent == count * len(PAIRS) * 2
    assert seen.lost == []
    assert seen.doubled == []
    assert seen.errors == {}
    assert {code for code, _ in seen.answers.values()} == {202}, seen.answers


def test_text_goes_both_ways_through_the_legacy_gateway(lab: Lab, traffic) -> None:
    with traffic(PAIRS, count=50) as seen:
        pass
    assert_all_arrived(seen, 50)
    assert seen.through == {LAB.legacy_fqdn: 100}


@pytest.mark.parametrize("host", ["partner1", "partner2"])
def test_a_partner_tells_through_which_address_each_message_came(lab: Lab, traffic, host: str) -> None:
    partner = next(partner for partner in LAB.partners if partner.host == host)
    before = len(lab.run(host, "through-log").splitlines())
    pair = next(pair for pair in PAIRS if pair[1].endswith(partner.domain))
    with traffic([pair], count=5) as seen:
        pass
    assert seen.lost == []
    records = [json.loads(line) for line in lab.run(host, "through-log").splitlines()[before:]]
    assert len(records) == 5, records
    assert {record["from"] for record in records} == {pair[0]}
    assert {record["address"] for record in records} <= LEGACY_ADDRESSES
    assert len({record["id"] for record in records}) == 5


def never_written(lab: Lab) -> list[str]:
    lines = lab.run(LAB.partners[1].host, "through-log").splitlines()
    return [line for line in lines if not json.loads(line)["address"]]


def test_closing_the_partners_streams_loses_nothing_but_what_ejabberd_drops_itself(lab: Lab, traffic) -> None:
    """What is missing must be in ejabberd's own log: taken from its user, written to nobody."""
    closed = []
    dropped_before = len(never_written(lab))
    with traffic(PAIRS) as seen:
        for _, person in PAIRS * 2:
            domain = person.partition("@")[2]
            command = f"s2s:close('{domain}','{LAB.sip_domain}')"
            eventually(
                f"an inbound stream of {domain}",
                lambda domain=domain: f"<--  | {domain}" in lab.run("legacy1", "prosodyctl", "shell", "s2s:show()"),
            )
            closed.append(lab.run("legacy1", "prosodyctl", "shell", command).splitlines()[-1])
    assert closed == ["OK: Closed 1 s2s session"] * 4
    assert seen.doubled == []
    assert len(seen.lost) == len(never_written(lab)) - dropped_before, seen.lost


@pytest.mark.parametrize("value", [LAB.pools[1].host, LAB.pools[1].fqdn])
def test_a_moved_user_is_served_by_the_other_platform(lab: Lab, traffic, tables: None, value: str) -> None:
    for pool in LAB.pools:
        lab.rpc(pool.host, "htable.sets", "homing", "alice", value)
    with traffic(PAIRS, count=5) as seen:
        pass
    assert_all_arrived(seen, 5)
    assert seen.delivered_by == {pool.fqdn: 5 for pool in LAB.pools}


def test_moving_users_between_the_platforms_loses_nothing(lab: Lab, traffic, tables: None) -> None:
    with traffic(PAIRS) as seen:
        for home in (LAB.pools[1], LAB.pools[0], LAB.pools[1]):
            for user in ("alice", "bob"):
                for pool in LAB.pools:
                    lab.rpc(pool.host, "htable.sets", "homing", user, home.host)
    assert_all_arrived(seen)


def test_a_message_to_an_unknown_user_comes_back_in_both_directions(lab: Lab, traffic) -> None:
    pairs = [("nobody@corp.example", "juliet@partner1.example"), ("alice@corp.example", "nobody@partner1.example"),
             ("bob@corp.example", "nobody@partner2.example")]  # fmt: skip
    with traffic(pairs, count=1, notices=2) as seen:
        pass
    assert seen.errors == {"juliet@partner1.example to nobody@corp.example 0": "item-not-found"}
    assert len(seen.notices) == 2
    for notice in seen.notices:
        assert notice["in_reply_to"], notice
        assert notice["body"].endswith(f"(reference {notice['in_reply_to']})"), notice
        assert notice["from"].startswith("sip:nobody@partner"), notice


def test_the_bridge_attaches_again_when_prosody_restarts(lab: Lab, traffic) -> None:
    lab.run("legacy1", "systemctl", "restart", "prosody")
    log = "journalctl -q -u prosody --no-pager -o cat _PID=$(systemctl show -P MainPID prosody); true"
    eventually("the bridge is back", lambda: "successfully authenticated" in lab.run("legacy1", "sh", "-c", log))
    with traffic(PAIRS, count=5) as seen:
        pass
    assert_all_arrived(seen, 5)
