"""Tries connections from a host: which are accepted, refused, or get no answer.

Used by the module `try_connections`. Opens a TCP connection and closes it again; over UDP it asks one DNS question.
"""

from __future__ import annotations

import errno
import socket
import struct
from concurrent.futures import ThreadPoolExecutor

TIMEOUT = 3.0
"""Seconds; within one organisation an answer takes milliseconds. A second SYN is sent after one."""
AT_ONCE = 64
ACCEPTED, REFUSED, SILENT, UNTRIED = "accepted", "refused", "silent", "untried"
NO_WAY = (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""A host without an address of that family: nothing was sent."""


def attempt(wanted, timeout=TIMEOUT):
    """Return [what happened, why] for one attempt {source, address, port, transport}; `source` may be empty."""
    try:
        if wanted["transport"] == "udp":
            return _ask(wanted, timeout)
        source = (wanted["source"], 0) if wanted["source"] else None
        end = (wanted["address"], int(wanted["port"]))
        with socket.create_connection(end, timeout=timeout, source_address=source):
            return [ACCEPTED, ""]
    except ConnectionRefusedError as problem:
        return [REFUSED, str(problem.strerror)]
    except OSError as problem:
        if not wanted["source"] and problem.errno in NO_WAY:
            return [UNTRIED, str(problem.strerror)]
        return [SILENT, problem.strerror or str(problem) or type(problem).__name__]


def _ask(wanted, timeout):
    """One question for the root's name servers: any answer to it will do (RFC 1035, 4.1)."""
    family = socket.AF_INET6 if ":" in wanted["address"] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.settimeout(timeout)
        asking.bind((wanted["source"], 0))
        asking.connect((wanted["address"], int(wanted["port"])))
        asking.send(struct.pack("!6H", 1, 0x0100, 1, 0, 0, 0) + b"\0" + struct.pack("!2H", 2, 1))
        asking.recv(4096)
    return [ACCEPTED, ""]


def attempt_all(wanted):
    """Return what happened to each, in order."""
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        return list(pool.map(attempt, wanted))
