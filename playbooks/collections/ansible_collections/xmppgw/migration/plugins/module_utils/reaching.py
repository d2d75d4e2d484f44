"""Tries TCP ends from a host: which of them answer.

Used by the module `host_state`. Opens a connection and closes it again; sends nothing.
"""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor

TIMEOUT = 3.0
"""Seconds; within one organisation an answer takes milliseconds."""


def end_of(host, port):
    """Return one end as it is shown: an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def try_one(host, port, timeout=TIMEOUT):
    """Return None if the end accepts a connection, else why not."""
    try:
        with socket.create_connection((host, port), timeout=timeout):
            return None
    except OSError as error:
        return error.strerror or str(error) or type(error).__name__


def try_all(ends):
    """Return {end: why it could not be reached, or None} for ends {host, port}, all at the same time."""
    if not ends:
        return {}
    with ThreadPoolExecutor(max_workers=min(16, len(ends))) as pool:
        found = pool.map(lambda end: try_one(str(end["host"]), int(end["port"])), ends)
        return {end_of(str(end["host"]), int(end["port"])): why for end, why in zip(ends, found, strict=True)}
