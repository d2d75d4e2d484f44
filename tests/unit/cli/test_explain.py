"""`xmppgw explain`: the trail of a message through both daemons' logs, and the gates between two addresses."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from xmppgw.cli import program
from xmppgw.telemetry.log import Log, Value

LAB = Path(__file__).resolve().parents[3] / "inventories/lab/group_vars/all/federation.yml"


def written(daemon: str, node: str, *events: tuple[str, dict[str, Value]]) -> str:
    """What a daemon writes for these events."""
    output, times = io.StringIO(), iter(range(1_800_000_000, 1_800_000_100))
    log = Log(daemon, node, output=output, clock=lambda: next(times))
    for event, fields in events:
        log.info(event, **fields)
    return output.getvalue()


@pytest.fixture
def logs(tmp_path: Path) -> list[str]:
    """Two hosts' logs: `a-1` is refused, `a-2` goes from XMPP to SIP, `f-1` comes back to its sender."""
    edge = written(
        "edge", "edge1",
        ("stanza-received", {"correlation": "a-1", "remote": "p.example", "local": "corp.example", "id": "one"}),
        ("stanza-received", {"correlation": "a-2", "remote": "p.example", "local": "corp.example", "id": "zwei\u00e4"}),
        ("stanza-not-delivered", {"correlation": "f-1", "remote": "p.example", "state": "deferred"}),
        ("link-down", {"peer": "a-1"}),
    )  # fmt: skip
    front_end = written(
        "frontend", "fe1",
        (
            "stanza-refused",
            {"correlation": "a-1", "code": "policy-site", "condition": "forbidden", "reason": "site Rom"},
        ),
        ("message-accepted", {"correlation": "a-2", "direction": "to_sip", "partner": "p.example"}),
        ("sip-delivered", {"correlation": "a-2", "status": 200}),
        ("message-accepted", {"correlation": "f-1", "call_id": "call@pool"}),
        ("message-returned", {"correlation": "f-1", "condition": "remote-server-timeout", "reason": "too late"}),
    )  # fmt: skip
    (tmp_path / "edge.log").write_text("Nov 21 10:00:00 edge1 xmppgw[1]: " + edge.replace("\n", "\n-- a boot --\n", 1))
    (tmp_path / "fe.log").write_text(front_end)
    return ["--log", str(tmp_path / "fe.log"), "--log", str(tmp_path / "edge.log")]


def explained(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict]:
    status = program.main(["explain", *arguments, "--format", "json"])
    return status, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("name", "status", "verdict", "decided_by", "where"),
    [
        ("a-1", 1, "refused", "stanza-refused", ["edge1", "fe1"]),
        ("one", 1, "refused", "stanza-refused", ["edge1", "fe1"]),
        ("a-2", 0, "delivered", "sip-delivered", ["edge1", "fe1", "fe1"]),
        ("zwei\u00e4", 0, "delivered", "sip-delivered", ["edge1", "fe1", "fe1"]),
        ("f-1", 1, "returned", "message-returned", ["edge1", "fe1", "fe1"]),
        ("call@pool", 1, "returned", "message-returned", ["edge1", "fe1", "fe1"]),
    ],
)
def test_any_of_its_names_leads_through_every_host(
    logs: list[str], capsys: pytest.CaptureFixture[str], name: str, status: int, verdict: str, decided_by: str,
    where: list[str],
) -> None:  # fmt: skip
    found = explained(capsys, name, *logs)
    assert found[0] == status
    assert (found[1]["verdict"], found[1]["decided_by"]["event"]) == (verdict, decided_by)
    assert sorted(event["node"] for event in found[1]["events"]) == where


def test_text_names_the_rule_and_its_reason(logs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["explain", "a-1", *logs]) == 1
    said = capsys.readouterr().out
    assert "Decided by frontend fe1: was refused, and the sender told [policy-site, forbidden]: site Rom." in said


def test_a_message_whose_end_no_log_tells_is_under_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "log"
    path.write_text(written("edge", "edge1", ("stanza-received", {"correlation": "a-9"})))
    status, found = explained(capsys, "a-9", "--log", str(path))
    assert (status, found["verdict"], found["decided_by"]) == (0, "under way", None)


def test_standard_input_is_a_log(
    logs: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(Path(logs[1]).read_text()))
    assert explained(capsys, "one", "--log", "-", "--log", logs[3])[1]["verdict"] == "refused"


@pytest.mark.parametrize("wrong", ["nobody", "a-", '"', ""])
def test_what_no_line_is_about_is_refused(logs: list[str], capsys: pytest.CaptureFixture[str], wrong: str) -> None:
    status, problems = explained(capsys, wrong, *logs)
    assert (status, [problem["code"] for problem in problems]) == (2, ["explain-message"])


@pytest.mark.parametrize("content", [b"", b"\xff\xfe{\0", b"a" * 200_000, b"{" * 5000 + b"\n", b"{}\n[]\n"])
def test_what_is_no_log_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes) -> None:
    path = tmp_path / "log"
    path.write_bytes(content)
    status, problems = explained(capsys, "a-1", "--log", str(path))
    assert (status, [problem["code"] for problem in problems]) == (2, ["explain-log"])


@pytest.mark.parametrize(
    ("sender", "recipient", "user"),
    [
        ("juliet@partner1.example/balcony", "alice@corp.example", "alice@corp.example"),
        ("sip:grace@branch.example", "romeo@partner2.example", "grace@branch.example"),
    ],
)
def test_a_pair_may_be_named_in_either_direction(
    capsys: pytest.CaptureFixture[str], sender: str, recipient: str, user: str
) -> None:
    status, found = explained(capsys, "--from", sender, "--to", recipient, "--document", str(LAB))
    assert (status, found["user"], found["decided_by"]) == (0, user, None)


def test_the_first_closed_gate_decides_about_a_pair(capsys: pytest.CaptureFixture[str]) -> None:
    pair = ["--from", "alice@corp.example", "--to", "x@nobody.example", "--document", str(LAB)]
    status, found = explained(capsys, *pair)
    assert (status, found["decided_by"]) == (1, "allowed partner")
    assert program.main(["explain", *pair]) == 1
    assert "The first closed gate is allowed partner" in capsys.readouterr().out
