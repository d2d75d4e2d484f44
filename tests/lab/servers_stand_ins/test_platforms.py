"""The SIP platforms and the people's user agents: who is admitted, where a message goes, what survives a restart."""

from __future__ import annotations

import json

import pytest
from tests.lab.servers_stand_ins.stand_ins import Lab, eventually

from xmpp_infra.lab.servers import LAB

pytestmark = pytest.mark.lab

LEGACY, TARGET = LAB.pools


def request(method: str, sender: str, recipient: str, body: str = "hello") -> str:
    """One SIP request as fe1 would write it."""
    lines = (
        f"{method} sip:{recipient} SIP/2.0",
        "Via: SIP/2.0/TLS fe1.corp.example:5061;branch=z9hG4bK-one",
        f"From: <sip:{sender}>;tag=a",
        f"To: <sip:{recipient}>",
        "Call-ID: one@fe1.corp.example",
        f"CSeq: 1 {method}",
        "Max-Forwards: 70",
        "Content-Type: text/plain",
        f"Content-Length: {len(body.encode())}",
    )
    return "\r\n".join(lines) + "\r\n\r\n" + body


@pytest.mark.parametrize(
    ("certificate", "method", "sender", "recipient", "expected"),
    [
        ("gateway", "OPTIONS", "x@partner1.example", "corp.example", "200"),
        ("gateway", "MESSAGE", "juliet@partner1.example", "nobody@corp.example", "404"),
        ("gateway", "MESSAGE", "alice@corp.example", "bob@corp.example", "403"),
        ("gateway", "MESSAGE", "juliet@partner1.example", "romeo@partner2.example", "403"),
        ("gateway", "INVITE", "juliet@partner1.example", "alice@corp.example", "405"),
        ("stranger", "MESSAGE", "juliet@partner1.example", "alice@corp.example", "403"),
    ],
)
@pytest.mark.parametrize("pool", [LEGACY, TARGET], ids=lambda pool: pool.host)
def test_a_pool_answers_its_peers_and_nobody_else(
    lab: Lab, pool, certificate: str, method: str, sender: str, recipient: str, expected: str
) -> None:
    answer = lab.run(
        "fe1", "python3", "/root/sip_peer.py", "ask", certificate, pool.fqdn, given=request(method, sender, recipient)
    )
    assert answer.startswith(f"SIP/2.0 {expected} "), answer


def test_a_pool_takes_no_connection_without_a_certificate(lab: Lab) -> None:
    given = request("OPTIONS", "x@partner1.example", "corp.example")
    answer = lab.run("fe1", "python3", "/root/sip_peer.py", "ask", "none", LEGACY.fqdn, given=given)
    assert answer.startswith("closed:"), answer


def test_a_message_for_a_user_comes_back_when_no_agent_takes_it(lab: Lab) -> None:
    given = request("MESSAGE", "juliet@partner1.example", "alice@corp.example")
    answer = lab.run("fe1", "python3", "/root/sip_peer.py", "ask", "gateway", LEGACY.fqdn, given=given)
    assert answer.startswith("SIP/2.0 480 "), answer


def test_unknown_senders_and_unrouted_domains_are_refused(lab: Lab, traffic) -> None:
    pairs = [("zed@corp.example", "juliet@partner1.example"), ("alice@corp.example", "x@elsewhere.example")]
    with traffic(pairs, count=1, elsewhere=True) as seen:
        pass
    assert sorted(code for code, _ in seen.answers.values()) == [403, 404], seen.answers


def test_a_route_moves_to_the_new_gateway_and_back(lab: Lab, traffic, tables: None) -> None:
    lab.run("fe1", "rm", "-f", "/root/sink.txt")
    for pool in LAB.pools:
        lab.rpc(pool.host, "htable.sets", "route", "partner1.example", "target")
    with lab.sink(), traffic([("alice@corp.example", "juliet@partner1.example")], count=5, elsewhere=True) as seen:
        pass
    assert {code for code, _ in seen.answers.values()} == {202}, seen.answers
    assert sorted(lab.run("fe1", "cat", "/root/sink.txt").splitlines()) == sorted(seen.answers)


def test_a_next_hop_that_is_away_costs_refusals_but_no_message(lab: Lab, traffic, tables: None) -> None:
    """A message is at fe1, or its sender hears 502; 504 may be said only of what fe1 took as it was stopped."""
    lab.run("fe1", "sh", "-c", ": > /root/sink.txt")
    for pool in LAB.pools:
        lab.rpc(pool.host, "htable.sets", "route", "partner1.example", "target")

    def taken() -> list[str]:
        return lab.run("fe1", "cat", "/root/sink.txt").splitlines()

    def refusals() -> int:
        log = "journalctl -q -u kamailio --no-pager -o cat | grep -c 'cannot send'; true"
        return int(lab.run(LEGACY.host, "sh", "-c", log))

    earlier = refusals()
    with traffic([("alice@corp.example", "juliet@partner1.example")], elsewhere=True) as seen:
        with lab.sink():
            eventually("messages at fe1", taken)
        before = len(taken())
        eventually("refusals", lambda: refusals() > earlier)
        with lab.sink():
            eventually("messages at fe1 again", lambda: len(taken()) > before)
    answered = {code: {body for body, (found, _) in seen.answers.items() if found == code} for code in (202, 502, 504)}
    assert sum(map(len, answered.values())) == seen.sent, seen.answers
    arrived = taken()
    assert len(arrived) == len(set(arrived)), "fe1 got a message twice"
    assert answered[202] <= set(arrived)
    assert answered[502], "fe1 was away and nobody was told"
    assert not answered[502] & set(arrived), "refused, and yet at fe1"


def test_a_next_hop_that_is_restarting_behind_its_socket_loses_nothing(lab: Lab, traffic, tables: None) -> None:
    """Two seconds of messages wait for the connection, then all arrive and are answered 202."""
    lab.run("fe1", "sh", "-c", ": > /root/sink.txt")
    for pool in LAB.pools:
        lab.rpc(pool.host, "htable.sets", "route", "partner1.example", "target")
    with lab.sink(pause=2.0), traffic([("alice@corp.example", "juliet@partner1.example")], 80, elsewhere=True) as seen:
        pass
    taken = lab.run("fe1", "cat", "/root/sink.txt").splitlines()
    assert {code for code, _ in seen.answers.values()} == {202}, seen.answers
    assert sorted(taken) == sorted(f"alice@corp.example to juliet@partner1.example {number}" for number in range(80))


@pytest.mark.parametrize("signal", ["TERM", "KILL"])
def test_the_tables_survive_a_restart(lab: Lab, tables: None, signal: str) -> None:
    lab.rpc(TARGET.host, "htable.sets", "homing", "carol", TARGET.host)
    lab.rpc(TARGET.host, "htable.sets", "route", "partner2.example", "target")
    lab.rpc(TARGET.host, "htable.delete", "homing", "frank")
    expected = lab.tables(TARGET.host)
    query = ("sqlite3", "-readonly", "-json", "/var/lib/kamailio/tables.sqlite", "select key_name from homing")

    def on_disk() -> bool:
        rows = json.loads(lab.run(TARGET.host, *query) or "[]")
        return {row["key_name"] for row in rows} == set(expected["homing"])

    eventually("the change is on disk", on_disk)
    before = lab.run(TARGET.host, "systemctl", "show", "-P", "MainPID", "kamailio")
    lab.run(TARGET.host, "systemctl", "kill", f"--signal={signal}", "kamailio")
    state = ("systemctl", "show", "-P", "MainPID", "kamailio")
    eventually("Kamailio is back", lambda: lab.run(TARGET.host, *state) not in (before, "0\n"))
    eventually("its RPC answers", lambda: lab.run(TARGET.host, "sh", "-c", "curl -s 127.0.0.1:8090/ || true"))
    assert lab.tables(TARGET.host) == expected
    lab.rpc(TARGET.host, "htable.sets", "homing", "frank", LEGACY.host)
