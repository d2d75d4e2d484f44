"""Our daemons as processes of their own, so that they can be killed."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from pathlib import Path


class Process:
    """One daemon. `listener`: the socket that it inherits, as from a socket unit; it outlives the process."""

    def __init__(self, daemon: str, config: Path, listener: socket.socket) -> None:
        self.daemon = daemon
        self.config = config
        self._listener = listener
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        # What systemd does: the socket is descriptor 3, and the environment says for whom.
        script = 'export LISTEN_PID=$$ LISTEN_FDS=1; exec "$0" -m xmppgw.cli "$1" --config "$2" 3<&0'
        with (self.config.parent / f"{self.daemon}.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                "/bin/sh",
                "-c",
                script,
                sys.executable,
                self.daemon,
                str(self.config),
                stderr=log,
                stdin=self._listener.fileno(),
            )

    async def kill(self, number: signal.Signals = signal.SIGKILL) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        return await self._process.wait()

    async def end(self) -> None:
        """Kill it unless it has ended: no test leaves a daemon behind, whatever became of the test."""
        if self._process is not None and self._process.returncode is None:
            await self.kill()
