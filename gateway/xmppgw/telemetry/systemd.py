"""The two things a daemon says to and takes from systemd: `sd_notify` and inherited listening sockets.

Called by both daemons at start, reload and stop. Does nothing where there is no systemd.
Source: sd_notify(3), sd_listen_fds(3).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

#: SD_LISTEN_FDS_START.
FIRST_SOCKET = 3
#: More sockets than any unit of ours passes.
MAXIMUM_SOCKETS = 64


def notify(state: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Send `state` (for example `READY=1`) to systemd; false where nobody listens."""
    path = environment.get("NOTIFY_SOCKET", "")
    if not path:
        return False
    address = "\0" + path[1:] if path.startswith("@") else path
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.connect(address)
            sender.sendall(state.encode())
    except OSError:
        return False
    return True


def watchdog_seconds(environment: Mapping[str, str] = os.environ) -> float | None:
    """Return how often `WATCHDOG=1` is to be sent (half of what systemd allows), or None."""
    microseconds = environment.get("WATCHDOG_USEC", "")
    if not microseconds.isdigit() or environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(microseconds) / 2_000_000


def inherited_sockets(environment: Mapping[str, str] = os.environ) -> list[socket.socket]:
    """Return the stream sockets that systemd opened for us, in order; empty where it passed none."""
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return []
    text = environment.get("LISTEN_FDS", "0")
    if not text.isdigit():
        return []
    sockets: list[socket.socket] = []
    for descriptor in range(FIRST_SOCKET, FIRST_SOCKET + min(int(text), MAXIMUM_SOCKETS)):
        os.set_inheritable(descriptor, False)
        inherited = socket.socket(fileno=descriptor)
        inherited.setblocking(False)
        sockets.append(inherited)
    return sockets
