"""through-log reads the partners' own logs: which gateway's address brought which message."""

from __future__ import annotations

from pathlib import Path

import pytest

from xmpp_infra.lab.servers.programs import through_log_ejabberd, through_log_prosody

HERE = Path(__file__).parent
PROSODY = (HERE / "prosody-debug.txt").read_text(encoding="utf-8")
OURS = ("corp.example", "branch.example")
EJABBERD = (HERE / "ejabberd-debug.txt").read_text(encoding="utf-8")


def test_prosodys_log_joins_stanza_and_address_by_the_sessions_name() -> None:
    seen = [
        (record["id"], record["from"], record["address"])
        for record in through_log_prosody.messages(PROSODY.splitlines(keepends=True), OURS)
    ]
    assert seen == [
        ("one", "alice@corp.example", "198.51.100.5"),
        ("t&wo", "alice@corp.example", "198.51.100.10"),
    ]


def test_ejabberds_log_joins_stanza_and_address_by_the_process() -> None:
    records = list(through_log_ejabberd.messages(EJABBERD.splitlines(keepends=True), OURS))
    assert [(record["id"], record["from"], record["address"]) for record in records] == [
        ("one", "bob@corp.example", "198.51.100.5"),
        ("two", "bob@corp.example", "2001:db8:2::10"),
        ("three", "bob@corp.example", "2001:db8:2::10"),
    ]
    assert records[0]["t"] == 1795234170.155587


def test_a_process_that_is_used_again_forgets_its_former_address() -> None:
    again = EJABBERD + (
        "2026-11-21 05:00:00.0+00:00 [info] <0.336.0>@ejabberd_listener:accept/7:273 (<0.552.0>) "
        "Accepted connection [::ffff:203.0.113.20]:1 -> [::ffff:203.0.113.12]:5222\n"
        "2026-11-21 05:00:01.0+00:00 [notice] <0.552.0> (tls|<0.552.0>) "
        "Received XML on stream = <<\"<message from='bob@corp.example' id='late'/>\">>\n"
    )
    ids = [record["id"] for record in through_log_ejabberd.messages(again.splitlines(keepends=True), OURS)]
    assert ids == ["one", "two", "three"]


def test_each_server_of_a_crowded_host_has_a_log_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"/var/log/prosody-static/prosody.debug"}
    monkeypatch.setattr(Path, "exists", lambda path: str(path) in there)
    assert str(through_log_prosody.log_of("static.example")) == "/var/log/prosody-static/prosody.debug"
    assert str(through_log_prosody.log_of("partner1.example")) == "/var/log/prosody/prosody.debug"
