"""What tried connections say about the firewalls between."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from ansible_collections.xmppgw.migration.plugins.module_utils import attempts
from ansible_collections.xmppgw.migration.plugins.plugin_utils import reached


def tried(found: str, *, allowed: bool) -> dict:
    return {
        "source": "198.51.100.80", "address": "198.51.100.11", "port": 23456, "transport": "tcp", "allowed": allowed,
        "row": "link", "found": found, "why": "timed out",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("found", "allowed", "verdict"),
    [
        ("accepted", True, reached.OK),
        ("refused", True, reached.OK),
        ("silent", True, reached.CLOSED),
        ("accepted", False, reached.OPEN),
        ("refused", False, reached.UNPROVED),
        ("silent", False, reached.OK),
    ],
)
def test_verdicts(found: str, verdict: str, *, allowed: bool) -> None:
    assert reached.verdict(tried(found, allowed=allowed)) == verdict


def test_a_closed_row_is_told_with_what_to_do() -> None:
    report = reached.report({"fe1": [tried("silent", allowed=True)], "edge1": [tried("silent", allowed=False)]})
    assert report["differs"]
    text = "\n".join(reached.lines(report))
    assert "fe1 (198.51.100.80) to 198.51.100.11:23456/tcp: row link wants it" in text
    assert "xmppgw firewall request" in text


def test_a_refusal_alone_is_said_but_differs_from_nothing() -> None:
    report = reached.report({"fe1": [tried("refused", allowed=False), tried("refused", allowed=True)]})
    assert not report["differs"]
    assert [item["verdict"] for item in report["found"]] == [reached.UNPROVED]
    assert report["nothing_listened"] == 1


def test_who_has_no_address_of_a_family_has_tried_nothing() -> None:
    outside = {**tried("untried", allowed=True), "source": "", "why": "Network is unreachable", "row": "s2s-in"}
    report = reached.report({"partner1": [outside]}, ["partner1"])
    assert not report["differs"]
    assert "untried:  partner1 (outside) to" in "\n".join(reached.lines(report))


def test_a_closed_way_in_differs_and_where_nobody_is_outside_it_is_said() -> None:
    outside = {**tried("silent", allowed=True), "source": "", "row": "s2s-in"}
    report = reached.report({"partner1": [outside]}, ["partner1"])
    assert report["differs"]
    assert not [line for line in reached.lines(report) if "nobody outside" in line]
    assert any("[migration-vantage]" in line for line in reached.lines(reached.report({}, [])))


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_real_connections(listening: int) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        wanted = [
            {"source": "127.0.0.1", "address": "127.0.0.1", "port": port, "transport": "tcp"}
            for port in (listening, unused.getsockname()[1])
        ]
        # An address that is not this host's cannot be a source: the answer is the kernel's own.
        wanted.append({"source": "198.51.100.1", "address": "127.0.0.1", "port": listening, "transport": "tcp"})
        wanted.append({"source": "", "address": "127.0.0.1", "port": listening, "transport": "tcp"})
        answers = [found for found, _ in attempts.attempt_all(wanted)]
    assert answers == ["accepted", "refused", "silent", "accepted"]
