"""Carries DNS messages that somebody else made: bytes to a server over TCP, bytes back.

Used by the modules `dns_exchange` and `host_state` on the DNS writer. It knows no key, no record and no name; signing
and
reading happen on the controller.
"""

from __future__ import annotations

import base64
import socket
import struct


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
    answers = []
    for request in requests:
        try:
            answer = exchange(
                request["server"], int(request.get("port", 53)), base64.b64decode(request["message"]), timeout
            )
            answers.append({"answer": base64.b64encode(answer).decode()})
        except OSError as error:
            answers.append({"error": f"{request['server']}: {error}"})
    return answers
