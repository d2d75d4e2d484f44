"""The command-line end of the control socket: `xmppgw status`, `xmppgw drain`, `xmppgw control`.

Called by `xmppgw.cli` with the arguments that follow `xmppgw`. Talks to one daemon on this host and to nothing else.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
from pathlib import Path

import msgspec

from xmppgw.telemetry.control import Json

#: Where the daemons listen on a host that the migration has installed.
SOCKETS = {"edge": "/run/xmppgw-edge/control.sock", "frontend": "/run/xmppgw-frontend/control.sock"}

#: An answer larger than this is not one.
MAXIMUM_ANSWER_BYTES = 64 * 1024 * 1024


class NoDaemon(Exception):  # noqa: N818 - says what is the case
    """Nobody answers on the control socket; the text says why."""


def ask(path: str, request: dict[str, Json], *, seconds: float = 60.0) -> dict[str, Json]:
    """Send one request to the daemon whose control socket is at `path` and return its answer. Raises NoDaemon."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(seconds)
            connection.connect(path)
            connection.sendall(msgspec.json.encode(request) + b"\n")
            with connection.makefile("rb") as stream:
                line = stream.readline(MAXIMUM_ANSWER_BYTES)
        if not line.endswith(b"\n"):
            raise NoDaemon(f"{path}: the daemon closed the connection without an answer")
        answer = msgspec.json.decode(line)
        if not isinstance(answer, dict):
            raise NoDaemon(f"{path}: the answer is not a JSON object")
        return answer
    except (OSError, msgspec.DecodeError) as error:
        raise NoDaemon(f"{path}: {error}") from None


def main(argv: list[str]) -> int:
    """Run `status`, `drain` or `control`; 0 when the daemon did it, 1 when it refused, 2 when it cannot be reached."""
    parser = argparse.ArgumentParser(prog="xmppgw", description="Ask a running daemon on this host.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, text in (
        ("status", "show streams, links and queues"),
        ("drain", "stop taking new work and finish what is in flight"),
        ("control", "send any command"),
    ):
        sub = verbs.add_parser(verb, help=text)
        sub.add_argument("--socket", help="the daemon's control socket; default that of the daemon of this host")
        sub.add_argument("--format", choices=("text", "json"), default="text")
        sub.add_argument("--timeout", type=float, default=60.0, help="seconds to wait for the answer")
        if verb == "control":
            sub.add_argument("command")
            sub.add_argument("fields", nargs="*", metavar="NAME=VALUE")
    arguments = parser.parse_args(argv)
    request: dict[str, Json] = {"command": arguments.verb}
    if arguments.verb == "control":
        request = {"command": arguments.command}
        for field in arguments.fields:
            name, equals, value = field.partition("=")
            if not equals:
                parser.error(f"{field!r} is not NAME=VALUE")
            request[name] = value
    try:
        answer = ask(arguments.socket or _only_one(), request, seconds=arguments.timeout)
    except NoDaemon as problem:
        print(problem, file=sys.stderr)
        return 2
    print(json.dumps(answer, indent=2, sort_keys=True) if arguments.format == "json" else "\n".join(_lines(answer)))
    return 0 if answer.get("ok") is True else 1


def _only_one() -> str:
    """The control socket of the only daemon on this host; raises NoDaemon where there is none, or more than one."""
    found = [path for path in SOCKETS.values() if Path(path).exists()]
    if len(found) == 1:
        return found[0]
    if found:
        raise NoDaemon(f"there are {len(found)} daemons on this host: name one with --socket: {', '.join(found)}")
    raise NoDaemon(f"there is no daemon on this host: none of {', '.join(SOCKETS.values())}; or name its --socket")


def _lines(value: Json, indent: str = "") -> list[str]:
    if isinstance(value, dict):
        lines: list[str] = []
        for name, each in sorted(value.items()):
            if isinstance(each, dict | list) and each:
                lines += [f"{indent}{name}:", *_lines(each, indent + "  ")]
            else:
                lines.append(f"{indent}{name}: {'-' if each in (None, [], {}) else each}")
        return lines
    if isinstance(value, list):
        return [
            indent + ", ".join(f"{name}={part}" for name, part in sorted(each.items()))
            if isinstance(each, dict)
            else f"{indent}{each}"
            for each in value
        ]
    return [f"{indent}{value}"]
