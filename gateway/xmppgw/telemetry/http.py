"""A very small HTTP/1.0 responder for `/metrics` and `/healthz` on a loopback address.

Called by both daemons. Answers GET and HEAD of two paths, reads nothing else, serves no file, keeps no connection.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping

#: Octets of request line and headers together.
MAXIMUM_REQUEST_BYTES = 8_192
#: Seconds that a client may take to send its request and to read the answer.
REQUEST_SECONDS = 5.0
#: Clients at once; a scraper and a person need two.
MAXIMUM_CLIENTS = 16

Health = Callable[[], Mapping[str, bool]]
Exposition = Callable[[], bytes]


class TelemetryServer:
    """Serves metrics and health. `health` returns named checks; all true means healthy."""

    def __init__(self, exposition: Exposition, health: Health) -> None:
        self._exposition = exposition
        self._health = health
        self._server: asyncio.Server | None = None
        self._clients = 0

    async def start(self, address: str, port: int) -> int:
        """Listen and return the port in use. Raises OSError if that is not possible."""
        self._server = await asyncio.start_server(self._serve, address, port, limit=MAXIMUM_REQUEST_BYTES)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the listener."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients += 1
        try:
            if self._clients <= MAXIMUM_CLIENTS:
                async with asyncio.timeout(REQUEST_SECONDS):
                    writer.write(self._answer(await reader.readuntil(b"\r\n\r\n")))
                    await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # a client that does not speak HTTP, or went away, is owed no answer
        finally:
            self._clients -= 1
            writer.close()

    def _answer(self, request: bytes) -> bytes:
        words = request.split(b"\r\n", 1)[0].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            return _response(400, "text/plain", b"bad request\n")
        method, path, _ = words
        if method not in {b"GET", b"HEAD"}:
            return _response(405, "text/plain", b"only GET\n")
        if path == b"/metrics":
            return _response(200, "text/plain; version=0.0.4; charset=utf-8", self._exposition(), method == b"HEAD")
        if path == b"/healthz":
            checks = dict(sorted(self._health().items()))
            body = json.dumps({"healthy": all(checks.values()), "checks": checks}).encode() + b"\n"
            return _response(200 if all(checks.values()) else 503, "application/json", body, method == b"HEAD")
        return _response(404, "text/plain", b"only /metrics and /healthz\n")


_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}


def _response(status: int, kind: str, body: bytes, head_only: bool = False) -> bytes:
    head = (
        f"HTTP/1.0 {status} {_REASONS[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + (b"" if head_only else body)
