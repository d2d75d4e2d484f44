"""through-log reads the partners' own logs: which gateway's address brought which message."""

from __future__ import annotations

from pathlib import Path

from xmpp_infra.lab.servers.programs import through_log_ejabberd, through_log_prosody

HERE = Path(__file__).parent
PROSODY = (HERE / "prosody-debug.txt").read_text(encoding="utf-8")
EJABBERD = (HERE / "ejabberd-debug.txt").read_text(encoding="utf-8")


def test_prosodys_log_joins_stanza_and_address_by_the_sessions_name() -> None:
    seen = [
        (record["id"], record["from"], record["address"])
        for record in through_log_prosody.messages(PROSODY.splitlines(keepends=True), "corp.example")
    ]
    assert seen == [
        ("one", "alice@corp.example", "198.51.100.5"),
        ("t&wo", "alice@corp.example", "198.51.100.10"),
    ]


def test_ejabberds_log_joins_stanza_and_address_by_the_process() -> None:
    records = list(through_log_ejabberd.messages(EJABBERD.splitlines(keepends=True), "corp.example"))
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
    ids = [record["id"] for record in through_log_ejabberd.messages(again.splitlines(keepends=True), "corp.example")]
    assert ids == ["one", "two", "three"]
