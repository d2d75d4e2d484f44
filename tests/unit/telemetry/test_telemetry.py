"""Logs that nobody can forge, metrics that nobody can flood, sockets that nobody else can open."""

from __future__ import annotations

import asyncio
import io
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmppgw.telemetry.control import ControlRefusal, ControlServer, Json, Request
from xmppgw.telemetry.control_client import main
from xmppgw.telemetry.correlation import Correlations
from xmppgw.telemetry.http import TelemetryServer
from xmppgw.telemetry.log import MAXIMUM_VALUE_CHARACTERS, Log
from xmppgw.telemetry.metrics import MAXIMUM_PARTNER_LABELS, PartnerLabels
from xmppgw.telemetry.process import log_fault
from xmppgw.telemetry.systemd import inherited_sockets, notify, watchdog_seconds


@given(st.text(st.characters()))
def test_any_text_is_one_line_of_printable_ascii(text: str) -> None:
    output = io.StringIO()
    Log("edge", "e1", output=output, clock=lambda: 1.0).info("event", reason=text)
    line = output.getvalue()
    assert line.endswith("\n")
    assert all(" " <= character <= "~" for character in line[:-1])
    assert len(json.loads(line)["reason"]) <= MAXIMUM_VALUE_CHARACTERS + 1


@pytest.mark.parametrize("field", ["body", "secret", "password", "stanza"])
def test_a_body_or_a_secret_cannot_be_logged(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        Log("edge", "e1", output=io.StringIO()).info("event", **{field: "x"})


async def test_lines_that_are_gathered_are_written_in_order_before_anything_waits() -> None:
    output = io.StringIO()
    log = Log("edge", "e1", output=output, gather=True)
    for number in range(3):
        log.info("event", number=number)
    assert output.getvalue() == ""
    await asyncio.sleep(0)
    assert [json.loads(line)["number"] for line in output.getvalue().splitlines()] == [0, 1, 2]


def test_a_log_that_cannot_be_written_stops_nobody() -> None:
    output = io.StringIO()
    output.close()
    Log("edge", "e1", output=output).info("event")


def test_correlation_ids_differ_between_and_within_processes() -> None:
    first, second = Correlations(), Correlations()
    minted = {first.mint() for _ in range(100)} | {second.mint() for _ in range(100)}
    assert len(minted) == 200


def test_the_number_of_labels_is_bounded_by_the_configuration() -> None:
    labels = PartnerLabels()
    labels.configure((f"p{number}.example", (f"x{number}.example",)) for number in range(MAXIMUM_PARTNER_LABELS + 10))
    assert labels.label("x1.example") == "p1.example"
    assert labels.label("stranger.example") == "other"
    assert labels.label(f"p{MAXIMUM_PARTNER_LABELS + 1}.example") == "other"


async def request(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    answer = await reader.read(-1)
    writer.close()
    return answer


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\n\r\n", b"200"),
        (b"HEAD /healthz HTTP/1.0\r\n\r\n", b"503"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"405"),
        (b"GET /../etc/passwd HTTP/1.1\r\n\r\n", b"404"),
        (b"HELO me\r\n\r\n", b"400"),
    ],
)
async def test_two_paths_are_served_and_nothing_else(data: bytes, status: bytes) -> None:
    server = TelemetryServer(lambda: b"metric 1\n", lambda: {"a": True, "b": False})
    port = await server.start("127.0.0.1", 0)
    answer = await request(port, data)
    assert answer.split()[1] == status
    await server.stop()


async def test_a_request_without_end_is_cut_off() -> None:
    server = TelemetryServer(lambda: b"", dict)
    port = await server.start("127.0.0.1", 0)
    assert await request(port, b"GET /" + b"x" * 20_000) == b""
    await server.stop()


async def commands(path: Path) -> ControlServer:
    async def hello(request: Request) -> dict[str, Json]:
        return {"name": request.get("name"), "list": [{"a": 1}, {"a": 2}]}

    async def refuse(request: Request) -> dict[str, Json]:
        raise ControlRefusal("not today", {"stage": "policy"})

    server = ControlServer({"status": hello, "refuse": refuse})
    await server.start(str(path))
    return server


async def test_the_command_line_speaks_with_the_socket(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "control.sock"
    server = await commands(path)
    assert path.stat().st_mode & 0o777 == 0o600

    async def run(*arguments: str) -> int:
        return await asyncio.to_thread(main, list(arguments))

    assert await run("control", "--socket", str(path), "--format", "json", "status", "name=x") == 0
    assert json.loads(capsys.readouterr().out)["name"] == "x"
    assert await run("status", "--socket", str(path)) == 0
    assert "a=1" in capsys.readouterr().out
    assert await run("control", "--socket", str(path), "refuse") == 1
    assert "not today" in capsys.readouterr().out
    await server.stop()
    assert not path.exists()
    assert await run("status", "--socket", str(path)) == 2


async def test_a_socket_that_a_dead_process_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    server = await commands(path)
    successor = await commands(path)
    await server.stop()
    assert path.exists(), "it is the successor's now"
    await successor.stop()


def test_systemd_is_told(tmp_path: Path) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        assert notify("READY=1", {"NOTIFY_SOCKET": str(path)})
        assert listener.recv(100) == b"READY=1"
    assert not notify("READY=1", {})
    assert not notify("READY=1", {"NOTIFY_SOCKET": str(path) + "x"})


def test_sockets_are_taken_only_if_they_are_meant_for_this_process() -> None:
    assert inherited_sockets({"LISTEN_PID": "1", "LISTEN_FDS": "1"}) == []
    assert inherited_sockets({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "many"}) == []
    assert watchdog_seconds({"WATCHDOG_USEC": "30000000"}) == 15.0
    assert watchdog_seconds({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}) is None
    script = (
        "import os; os.environ['LISTEN_PID'] = str(os.getpid()); os.environ['LISTEN_FDS'] = '1'\n"
        "from xmppgw.telemetry.systemd import inherited_sockets\n"
        "(s,) = inherited_sockets(); print(s.getsockname()[1])"
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = ["/bin/sh", "-c", 'exec "$0" -c "$1" 3<&0', sys.executable, script]
        told = subprocess.run(command, stdin=listener.fileno(), stdout=subprocess.PIPE, check=True).stdout
        assert int(told) == listener.getsockname()[1]


def test_an_exception_that_nobody_caught_is_one_line_without_values() -> None:
    output = io.StringIO()

    def broken() -> None:
        raise ValueError("the words of a message")

    try:
        broken()
    except ValueError as error:
        log_fault(
            Log("edge", "e1", output=output),
            {"message": "Exception in callback f(the words of a message)", "exception": error},
        )
    (line,) = output.getvalue().splitlines()
    assert "the words" not in line
    assert json.loads(line)["error"] == "ValueError"
    assert "broken" in json.loads(line)["where"]
