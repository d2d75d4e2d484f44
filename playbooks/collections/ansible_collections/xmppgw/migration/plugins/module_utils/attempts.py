"""Tries connections from a host: which are accepted, refused, or get no answer.

Used by the module `try_connections`. Opens a TCP connection and closes it again; over UDP it asks one DNS question.
"""

from __future__ import annotations

import socket
import struct
from concurrent.futures import ThreadPoolExecutor

TIMEOUT = 3.0
"""Seconds; within one organisation an answer takes milliseconds. A second SYN is sent after one."""
AT_ONCE = 64
ACCEPTED, REFUSED, SILENT = "accepted", "refused", "silent"


def attempt(wanted, timeout=TIMEOUT):
    """Return [what happened, why] for one attempt {source, address, port, transport}."""
    try:
        if wanted["transport"] == "udp":
            return _ask(wanted, timeout)
        with socket.create_connection(
            (wanted["address"], int(wanted["port"])), timeout=timeout, source_address=(wanted["source"], 0)
        ):
            return [ACCEPTED, ""]
    except ConnectionRefusedError as problem:
        return [REFUSED, str(problem.strerror)]
    except OSError as problem:
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
