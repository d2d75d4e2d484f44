"""The life of a daemon process: signals in, systemd notifications out, one exit code.

Called by `edge.main` and `frontend.main`. SIGTERM and SIGINT stop gracefully within a deadline, SIGHUP reloads.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from xmppgw.telemetry import systemd
from xmppgw.telemetry.log import Log


class Daemon(Protocol):
    """What can be run."""

    async def start(self) -> None:
        """Open everything."""

    async def stop(self) -> None:
        """Finish and close everything."""

    async def failure(self) -> str:
        """Wait until it cannot go on; the reason."""


#: Reads configuration and certificates again; says in words what is wrong, or returns an empty string.
Reload = Callable[[], str]


async def run(daemon: Daemon, reload: Reload, log: Log, *, stop_seconds: float) -> int:
    """Run until a signal or a failure ends it; 0 after a graceful stop, 1 after a failure or when time ran out."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: log_fault(log, context))
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)

    def reload_now() -> None:
        systemd.notify(f"RELOADING=1\nMONOTONIC_USEC={int(loop.time() * 1_000_000)}")
        problem = reload()
        if problem:
            log.failure("reload-refused", reason=problem)
        systemd.notify("READY=1")

    loop.add_signal_handler(signal.SIGHUP, reload_now)
    await daemon.start()
    # What exists now lives as long as the process: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    systemd.notify("READY=1")
    watchdog = asyncio.create_task(_watch())
    failing = asyncio.create_task(daemon.failure())
    await asyncio.wait((asyncio.create_task(stopping.wait()), failing), return_when=asyncio.FIRST_COMPLETED)
    watchdog.cancel()
    systemd.notify("STOPPING=1")
    if failing.done():
        log.flush()
        return 1
    failing.cancel()
    try:
        async with asyncio.timeout(stop_seconds):
            await daemon.stop()
    except TimeoutError:
        log.failure("stop-timeout", reason=f"not finished after {stop_seconds:g} s")
        return 1
    finally:
        log.flush()
    return 0


def log_fault(log: Log, context: dict[str, object]) -> None:
    """Write one line about an exception that nobody caught: what and where, never values (they may be a message)."""
    error = context.get("exception")
    where = ""
    if isinstance(error, BaseException):
        frames = traceback.extract_tb(error.__traceback__)[-3:]
        where = " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames))
    log.failure(
        "internal-error",
        reason=str(context.get("message", "")).partition("(")[0].partition("\n")[0].strip(),
        error=type(error).__name__ if error is not None else None,
        where=where,
    )


async def _watch() -> None:
    seconds = systemd.watchdog_seconds()
    while seconds is not None:
        systemd.notify("WATCHDOG=1")
        await asyncio.sleep(seconds)
