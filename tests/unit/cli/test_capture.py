"""`xmppgw inspect`: what the daemons' parsers say about one captured message."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xmppgw.cli import main

Capture = pytest.CaptureFixture[str]

MESSAGE = (
    b"MESSAGE sip:alice@corp.example SIP/2.0\r\n"
    b"Via: SIP/2.0/TLS fe1.corp.example:5061;branch=z9hG4bK776asdhds\r\n"
    b"Max-Forwards: 70\r\n"
    b"From: <sip:juliet@partner1.example>;tag=49583\r\n"
    b"To: <sip:alice@corp.example>\r\n"
    b"Call-ID: asd88asd77a@fe1.corp.example\r\n"
    b"CSeq: 1 MESSAGE\r\n"
    b"Content-Type: text/plain\r\n"
    b"Content-Length: 5\r\n\r\nHello"
)
RESPONSE = MESSAGE.replace(b"MESSAGE sip:alice@corp.example SIP/2.0", b"SIP/2.0 404 Not Found")
STANZA = (
    b"<message from='juliet@partner1.example/balcony' to='alice@corp.example' id='m1' type='chat'>"
    b"<body>Hello</body></message>"
)
STREAM = (
    b"<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
    b"from='partner1.example' to='corp.example' version='1.0'>"
)


def inspect(tmp_path: Path, capsys: Capture, protocol: str, data: bytes) -> tuple[int, dict[str, object]]:
    path = tmp_path / "captured"
    path.write_bytes(data)
    status = main(["inspect", protocol, str(path), "--format", "json"])
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    assert status == (0 if found["ok"] else 1)
    return status, found


class TestSip:
    def test_a_request(self, tmp_path: Path, capsys: Capture) -> None:
        _, found = inspect(tmp_path, capsys, "sip", MESSAGE)
        assert {key: found[key] for key in ("ok", "kind", "method", "uri", "call_id", "cseq", "body")} == {
            "ok": True,
            "kind": "request",
            "method": "MESSAGE",
            "uri": "sip:alice@corp.example",
            "call_id": "asd88asd77a@fe1.corp.example",
            "cseq": "1 MESSAGE",
            "body": "Hello",
        }

    def test_a_response(self, tmp_path: Path, capsys: Capture) -> None:
        _, found = inspect(tmp_path, capsys, "sip", RESPONSE)
        assert (found["kind"], found["status"], found["reason"]) == ("response", 404, "Not Found")

    @pytest.mark.parametrize(
        ("data", "code"),
        [
            (b"", "empty"),
            (b"\r\n\r\n", "empty"),
            (MESSAGE[:-1], "incomplete"),
            (MESSAGE[:100], "incomplete"),
            (b"\x16\x03\x01\x02\x00", "not-sip"),
            (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "content-length"),
            (MESSAGE.replace(b"Call-ID", b"X-Call"), "header-missing"),
            (MESSAGE.replace(b"SIP/2.0\r\nVia", b"SIP/3.0\r\nVia"), "version"),
            (b"A" * 1_000_000, "not-sip"),
            (b"MESSAGE " + b"x" * 1_000_000, "header-size"),
        ],
    )
    def test_what_is_no_message(self, tmp_path: Path, capsys: Capture, data: bytes, code: str) -> None:
        _, found = inspect(tmp_path, capsys, "sip", data)
        assert (found["ok"], found["code"]) == (False, code)
        assert found["reason"]

    def test_a_body_that_is_no_text_is_shown_all_the_same(self, tmp_path: Path, capsys: Capture) -> None:
        _, found = inspect(tmp_path, capsys, "sip", MESSAGE[:-5] + b"\xff\x00\x1b[2")
        assert found["body"] == "\\xff\x00\x1b[2"


class TestXmpp:
    def test_a_message(self, tmp_path: Path, capsys: Capture) -> None:
        _, found = inspect(tmp_path, capsys, "xmpp", STANZA + b"\n")
        assert {key: found[key] for key in ("ok", "kind", "type", "id", "from", "to", "body")} == {
            "ok": True,
            "kind": "message",
            "type": "chat",
            "id": "m1",
            "from": "juliet@partner1.example/balcony",
            "to": "alice@corp.example",
            "body": "Hello",
        }

    def test_a_stream(self, tmp_path: Path, capsys: Capture) -> None:
        _, found = inspect(tmp_path, capsys, "xmpp", STREAM + STANZA)
        assert found["kind"] == "stream"
        assert isinstance(found["elements"], list)
        assert [element["kind"] for element in found["elements"]] == ["message"]

    @pytest.mark.parametrize(
        ("data", "code"),
        [
            (b"", "empty"),
            (b"<", "not-well-formed"),
            (b"<message", "not-well-formed"),
            (b"\xff\xfe", "not-well-formed"),
            (b"<presence/>", "improper-addressing"),
            (b"<blink/>", "unsupported-stanza-type"),
            (STANZA.replace(b"alice@", b"alice@@"), "jid-malformed"),
            (STANZA.replace(b"juliet@", b"@"), "improper-addressing"),
            (b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'b'>]><x/>", "restricted-xml"),
            (STANZA.replace(b"Hello", b"<!-- -->"), "restricted-xml"),
            (STANZA.replace(b"Hello", b"x" * 300_000), "policy-violation"),
            (b"<" * 1_000_000, "not-well-formed"),
            (STREAM[:60], "incomplete"),
        ],
    )
    def test_what_is_no_stanza(self, tmp_path: Path, capsys: Capture, data: bytes, code: str) -> None:
        _, found = inspect(tmp_path, capsys, "xmpp", data)
        assert (found["ok"], found["code"]) == (False, code)
        assert found["reason"]


@pytest.mark.parametrize("protocol", ["sip", "xmpp"])
class TestFiles:
    def test_a_missing_file(self, protocol: str, capsys: Capture) -> None:
        assert main(["inspect", protocol, "/nowhere", "--format", "json"]) == 1
        assert json.loads(capsys.readouterr().out)["code"] == "file-unreadable"

    def test_a_directory(self, protocol: str, tmp_path: Path, capsys: Capture) -> None:
        assert main(["inspect", protocol, str(tmp_path), "--format", "json"]) == 1
        assert json.loads(capsys.readouterr().out)["code"] == "file-unreadable"

    def test_a_file_that_is_too_large(self, protocol: str, capsys: Capture) -> None:
        assert main(["inspect", protocol, "/dev/zero", "--format", "json"]) == 1
        assert json.loads(capsys.readouterr().out)["code"] == "file-too-large"

    def test_text_cannot_carry_terminal_control_characters(
        self, protocol: str, tmp_path: Path, capsys: Capture
    ) -> None:
        path = tmp_path / "captured"
        path.write_bytes(
            MESSAGE[:-5] + b"\x1b[2J\x07" if protocol == "sip" else STANZA.replace(b"Hello", b"\xc2\x9b2J")
        )
        main(["inspect", protocol, str(path)])
        assert all(line.isprintable() for line in capsys.readouterr().out.splitlines())
