"""Every verb of the console script exists, and whatever file it is given it ends in a sentence, never a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from xmppgw.cli import program

#: What the design promises by name.
PROMISED = ("plan", "check", "import-legacy", "partner", "policy", "user", "status", "probe", "explain", "drain")

MEBIBYTE = 1024 * 1024


def big(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b"federation:\n")
        file.truncate(50 * MEBIBYTE)


CONTENTS: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "a-directory": lambda path: path.mkdir(),
    "empty": lambda path: path.write_bytes(b""),
    "50-mebibytes": big,
    "utf-16": lambda path: path.write_bytes("federation: {version: 1}\n".encode("utf-16")),
    "latin-1": lambda path: path.write_bytes("federation: Z\u00fcrich\n".encode("latin-1")),
    "binary": lambda path: path.write_bytes(bytes(range(256)) * 40),
    "an-unknown-key": lambda path: path.write_text("federation: {version: 1, colour: red}\n"),
    "a-list": lambda path: path.write_text("[1, 2]\n"),
    "deep": lambda path: path.write_text("[" * 100_000),
}

#: Verbs that read one file, and how it is named to them.
READING: dict[str, list[str]] = {
    "check": ["check", "--document", "FILE"],
    "plan": ["plan", "--document", "FILE"],
    "partner-list": ["partner", "list", "--document", "FILE"],
    "partner-letter": ["partner", "letter", "partner1.example", "--document", "FILE"],
    "policy": ["policy", "explain", "alice@corp.example", "--document", "FILE"],
    "explain-pair": ["explain", "--from", "a@corp.example", "--to", "b@p.example", "--document", "FILE"],
    "explain": ["explain", "a-1", "--log", "FILE"],
    "import-legacy": ["import-legacy", "FILE", "--output", "OUT"],
    "user-sync": ["user", "sync", "FILE", "--users", "OUT"],
}


def run(arguments: list[str]) -> int:
    """The exit status, also where argparse ends the run."""
    try:
        return program.main(arguments)
    except SystemExit as end:
        return int(end.code or 0)


def test_every_promised_verb_exists(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in PROMISED:
        assert run([verb, "--help"]) == 0, verb
        assert verb in capsys.readouterr().out


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("verb", READING)
def test_a_wrong_file_is_refused_in_words_and_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str, content: str
) -> None:
    path, output = tmp_path / "wrong.yml", tmp_path / "out"
    CONTENTS[content](path)
    arguments = [str({"FILE": path, "OUT": output}.get(word, word)) for word in READING[verb]]
    assert run(arguments) == 2
    text = capsys.readouterr()
    assert (text.out + text.err).strip()
    assert "Traceback" not in text.out + text.err
    assert run([*arguments, "--format", "json"]) == 2
    problems = json.loads(capsys.readouterr().out)
    assert problems
    assert {"code", "severity", "file", "line", "path", "message", "hint"} == set(problems[0])
    assert not output.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nothing"],
        ["check", "--colour", "red"],
        ["partner"],
        ["partner", "letter"],
        ["policy"],
        ["user"],
        ["explain"],
        ["explain", "a-1"],
        ["explain", "--from", "a@b.example"],
        ["explain", "a-1", "--from", "a@b.example", "--to", "c@d.example"],
        ["import-legacy"],
        ["status", "--socket"],
        ["probe"],
        ["inspect", "smtp", "file"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_meant_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["status", "drain"])
@pytest.mark.parametrize("content", ["missing", "a-directory", "empty"])
def test_a_daemon_that_is_not_there_is_said_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str, content: str
) -> None:
    CONTENTS[content](tmp_path / "socket")
    assert run([verb, "--socket", str(tmp_path / "socket")]) == 2
    assert str(tmp_path / "socket") in capsys.readouterr().err


def test_without_a_name_the_daemon_of_this_host_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sockets = {name: str(tmp_path / name) for name in ("edge", "frontend")}
    monkeypatch.setattr("xmppgw.telemetry.control_client.SOCKETS", sockets)
    assert run(["status"]) == 2
    said = capsys.readouterr().err
    assert all(path in said for path in sockets.values())
    (tmp_path / "edge").touch()
    assert run(["status"]) == 2
    said = capsys.readouterr().err
    assert sockets["edge"] in said
    assert "--socket" not in said, "there is one, so it was asked"
    (tmp_path / "frontend").touch()
    assert run(["status"]) == 2
    assert "--socket" in capsys.readouterr().err
