"""The control socket: one JSON object per line in, one per line out, on a Unix socket that only its owner may open.

Called by both daemons, which register their commands here. Never reachable over a network.
"""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import msgspec

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
Request = Mapping[str, Json]
Command = Callable[[Request], Awaitable[dict[str, Json]]]

#: Octets of one request line.
MAXIMUM_REQUEST_BYTES = 65_536
MAXIMUM_CLIENTS = 16


class ControlRefusal(Exception):  # noqa: N818 - an answer, not a fault
    """A command that cannot be done; the text and the facts go to whoever asked."""

    def __init__(self, reason: str, facts: Mapping[str, Json] | None = None) -> None:
        super().__init__(reason)
        self.facts: dict[str, Json] = dict(facts or {})


class ControlServer:
    """Serves commands on a Unix socket."""

    def __init__(self, commands: Mapping[str, Command]) -> None:
        self._commands = dict(commands)
        self._server: asyncio.Server | None = None
        self._path: Path | None = None
        self._inode = 0
        self._clients = 0

    async def start(self, path: str) -> None:
        """Listen at `path` (mode 0600), replacing a socket that a dead process left. Raises OSError."""
        self._path = Path(path)
        if self._path.exists() and stat.S_ISSOCK(self._path.stat().st_mode):
            self._path.unlink()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        earlier = os.umask(0o177)
        try:
            listener.bind(path)
        finally:
            os.umask(earlier)
        self._inode = self._path.stat().st_ino
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=MAXIMUM_REQUEST_BYTES)

    async def stop(self) -> None:
        """Close the listener and remove its file, unless a successor has put its own there."""
        if self._server is None or self._path is None:
            return
        self._server.close()
        self._server = None
        if self._path.exists() and self._path.stat().st_ino == self._inode:
            self._path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients += 1
        try:
            while self._clients <= MAXIMUM_CLIENTS:
                line = await reader.readline()
                if not line.endswith(b"\n"):
                    break
                writer.write(msgspec.json.encode(await self._answer(line)) + b"\n")
                await writer.drain()
        except (OSError, ValueError, asyncio.LimitOverrunError):
            pass  # a line too long, or a client that left
        finally:
            self._clients -= 1
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Json]:
        try:
            fields = msgspec.json.decode(line)
        except (msgspec.DecodeError, RecursionError) as error:
            return {"ok": False, "reason": f"not JSON: {error}"}
        if not isinstance(fields, dict):
            return {"ok": False, "reason": "not a JSON object"}
        name = fields.get("command")
        command = self._commands.get(name) if isinstance(name, str) else None
        if command is None:
            known: list[Json] = [*sorted(self._commands)]
            return {"ok": False, "reason": "unknown command", "commands": known}
        try:
            return {"ok": True, **await command(fields)}
        except ControlRefusal as refusal:
            return {"ok": False, "reason": str(refusal), **refusal.facts}
