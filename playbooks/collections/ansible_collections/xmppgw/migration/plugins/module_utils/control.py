"""One command to a daemon's control socket: a JSON line out, a JSON line back.

Used by the modules `gateway_control` and `host_state` on the gateway's hosts. Never keeps a connection open.
"""

from __future__ import annotations

import json
import socket

ANSWER_LIMIT = 16 * 1024 * 1024
"""Octets of one answer; a daemon that says more is not ours."""


class ControlError(Exception):
    """The daemon did not answer, or not with a JSON object."""


def ask(path, command, timeout=10.0):
    """Send `command` (a dict) to the socket at `path` and return the answer; raise ControlError."""
    received = bytearray()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            connection.connect(path)
            connection.sendall(json.dumps(command).encode() + b"\n")
            while not received.endswith(b"\n"):
                part = connection.recv(65536)
                if not part:
                    break
                received += part
                if len(received) > ANSWER_LIMIT:
                    raise ControlError(f"{path}: the answer is longer than {ANSWER_LIMIT} octets")
    except OSError as error:
        raise ControlError(f"{path}: {error}") from error
    try:
        answer = json.loads(received)
    except ValueError as error:
        raise ControlError(f"{path}: the answer is not JSON: {bytes(received[:80])!r}") from error
    if not isinstance(answer, dict):
        raise ControlError(f"{path}: the answer is not an object")
    return answer
