"""Carries DNS messages that somebody else made: bytes to a server over TCP, bytes back.

Used by the modules `dns_exchange` and `host_state` on the DNS writer. It knows no key, no record and no name; signing
and
reading happen on the controller.
"""

from __future__ import annotations

import binascii
import socket
import struct
from concurrent.futures import ThreadPoolExecutor

TOGETHER = 8
"""Messages under way at a time in `carry_together`; a silent server then costs one timeout, not one per message."""


def _receive(connection, count):
    data = bytearray()
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise OSError("connection closed in mid-message")
        data += part
    return bytes(data)


def exchange(address, port, message, timeout):
    """Send one message over TCP (RFC 7766) and return the answer's bytes; raise OSError."""
    with socket.create_connection((address, port), timeout=timeout) as connection:
        connection.sendall(struct.pack("!H", len(message)) + message)
        (length,) = struct.unpack("!H", _receive(connection, 2))
        return _receive(connection, length)


def carry(requests, timeout=5.0):
    """Carry each request {server, port, message (base64)}; return {answer (base64)} or {error} for each, in order."""
    return [_carry_one(request, timeout) for request in requests]


def carry_together(requests, timeout=5.0):
    """Do the same with questions, whose order is of no matter, at the same time."""
    with ThreadPoolExecutor(max_workers=TOGETHER) as pool:
        return list(pool.map(lambda request: _carry_one(request, timeout), requests))


def _carry_one(request, timeout):
    try:
        answer = exchange(
            request["server"], int(request.get("port", 53)), binascii.a2b_base64(request["message"]), timeout
        )
    except OSError as error:
        return {"error": f"{request['server']}: {error}"}
    return {"answer": binascii.b2a_base64(answer, newline=False).decode()}
