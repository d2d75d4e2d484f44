from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from tests.security.processes import Process
from tests.security.world import World, world_of

Start = Callable[[str, Path, socket.socket], Awaitable[Process]]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_of(tmp_path) as made:
        yield made


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """What starts a daemon as a process of its own: daemon, settings, inherited socket. All end with the test."""
    started: list[Process] = []

    async def start(daemon: str, config: Path, listener: socket.socket) -> Process:
        started.append(Process(daemon, config, listener))
        await started[-1].start()
        return started[-1]

    yield start
    for process in started:
        await process.end()
