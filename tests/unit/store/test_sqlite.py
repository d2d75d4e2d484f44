"""The SQLite store passes the conformance suite, and what is particular to it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.unit.store.conformance import Reopen, StoreConformance, item

from xmppgw.store.interface import Accept, Position, Store, StoreProblem
from xmppgw.store.sqlite import SqliteStore


@pytest.fixture
async def reopen(tmp_path: Path) -> AsyncIterator[Reopen]:
    opened: list[Store] = []

    async def again() -> Store:
        if opened:
            await opened.pop().close()
        opened.append(await SqliteStore.open(str(tmp_path / "store.sqlite")))
        return opened[0]

    yield again
    if opened:
        await opened.pop().close()


class TestSqlite(StoreConformance):
    pass


async def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    store = await SqliteStore.open(str(path))
    assert path.stat().st_mode & 0o777 == 0o600
    await store.close()


async def test_a_store_of_another_schema_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    await (await SqliteStore.open(str(path))).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE name = 'schema'")
    connection.close()
    with pytest.raises(StoreProblem, match="schema 99"):
        await SqliteStore.open(str(path))


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(StoreProblem):
        await SqliteStore.open(str(path))


async def test_a_store_that_cannot_be_written_fails_whoever_waits_and_takes_nothing_more(tmp_path: Path) -> None:
    store = await SqliteStore.open(str(tmp_path / "store.sqlite"))
    await store.submit([Accept((item(1),), 1.0)])
    with pytest.raises(StoreProblem):
        await store.submit([Accept((item(1),), 1.0)])  # the same id twice breaks the table's own rule
    with pytest.raises(StoreProblem):
        await store.submit([Accept((item(2),), 1.0)])
    await store.close()


_KILLED = """
import asyncio, os, signal, sys
sys.path.insert(0, ".")
from tests.unit.store.conformance import item
from xmppgw.store.interface import Accept
from xmppgw.store.sqlite import SqliteStore

async def main():
    store = await SqliteStore.open(sys.argv[1])
    for number in range(1, 100):
        await store.submit([Accept((item(number),), 1.0)])
        os.write(1, b"%d\\n" % number)
        if number == 50:
            os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_what_was_said_to_be_durable_is_there_after_kill_9(tmp_path: Path) -> None:
    path = str(tmp_path / "store.sqlite")
    killed = subprocess.run([sys.executable, "-c", _KILLED, path], stdout=subprocess.PIPE, check=False)
    assert killed.returncode == -9
    said = [int(line) for line in killed.stdout.split()]
    store = await SqliteStore.open(path)
    assert [each.id for each in await store.unfinished()] == said
    await store.close()


async def test_a_copy_is_whole_and_the_store_goes_on(tmp_path: Path) -> None:
    store = await SqliteStore.open(str(tmp_path / "store.sqlite"))
    await store.submit([Accept((item(1),), at=100.0), Position("edge1", "session", 7)])
    copy = Path(await store.copy())
    await store.submit([Accept((item(2),), at=100.0)])
    assert copy.stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(copy) as connection:
        assert connection.execute("SELECT id FROM outbox").fetchall() == [(1,)]
        assert connection.execute("SELECT value FROM meta WHERE name = 'identity'").fetchone() == (store.identity,)
    assert [found.id for found in await store.unfinished()] == [1, 2]
    assert Path(await store.copy()) == copy, "an earlier copy is replaced"
    await store.close()


async def test_a_copy_that_cannot_be_written_is_refused_and_the_store_goes_on(tmp_path: Path) -> None:
    store = await SqliteStore.open(str(tmp_path / "store.sqlite"))
    (tmp_path / "store.sqlite.backup").mkdir()
    with pytest.raises(StoreProblem):
        await store.copy()
    await store.submit([Accept((item(1),), at=100.0)])
    assert [found.id for found in await store.unfinished()] == [1]
    await store.close()
