"""The store on SQLite: WAL, synchronous FULL, one writer thread that commits whatever has gathered meanwhile.

Called by the front end. One commit costs a disk flush (0.7 ms where it was measured); with group commit a thousand
messages a second share some hundreds of them. Never used by two processes at once: the file is locked for us alone.
"""

from __future__ import annotations

import asyncio
import os
import queue
import secrets
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from xmppgw.store.interface import (
    Accept,
    Defer,
    Finish,
    Forget,
    Hold,
    Item,
    Operation,
    Position,
    Sent,
    Store,
    StoreProblem,
)

SCHEMA_VERSION = 1
#: Transactions in one commit; more only makes the first one wait longer.
MAXIMUM_GROUP = 512
#: Rows that one Forget removes, so that no message waits behind a large clean-up.
MAXIMUM_FORGOTTEN = 500
#: One page of what is not finished: more would only take memory while it is read.
PAGE_ITEMS = 1_000
PAGE_BYTES = 4 * 1024 * 1024
#: Another process that holds the file (the one we replace) is waited for this long.
LOCK_SECONDS = 5.0
#: Behind the store's own name, for the copy that a backup takes away.
COPY_SUFFIX = ".backup"

_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY,
    direction TEXT NOT NULL,
    kind TEXT NOT NULL,
    lane TEXT NOT NULL,
    partner TEXT NOT NULL,
    correlation TEXT NOT NULL,
    payload BLOB NOT NULL,
    created REAL NOT NULL,
    expires REAL NOT NULL,
    not_before REAL NOT NULL,
    attempts INTEGER NOT NULL,
    holder TEXT NOT NULL
);
CREATE TABLE seen (key BLOB PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX seen_at ON seen (at);
CREATE TABLE sent (
    stanza_id TEXT PRIMARY KEY, call_id TEXT NOT NULL, sender TEXT NOT NULL, recipient TEXT NOT NULL, at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX sent_at ON sent (at);
CREATE TABLE links (peer TEXT PRIMARY KEY, session TEXT NOT NULL, sequence INTEGER NOT NULL) WITHOUT ROWID;
"""

_ITEM = "id, direction, kind, lane, partner, correlation, payload, created, expires, not_before, attempts, holder"

Answer = TypeVar("Answer")


class _Transaction:
    def __init__(self, operations: Sequence[Operation], future: asyncio.Future[tuple[bool, ...]]) -> None:
        self.operations = operations
        self.future = future
        self.results: tuple[bool, ...] = ()


class SqliteStore(Store):
    """Open with `SqliteStore.open(path)` from a running event loop."""

    def __init__(self, connection: sqlite3.Connection, identity: str, path: str) -> None:
        self._connection = connection
        self._path = path
        self._identity = identity
        self._loop = asyncio.get_running_loop()
        self._work: queue.SimpleQueue[_Transaction | Callable[[], None] | None] = queue.SimpleQueue()
        self._failure: StoreProblem | None = None
        self._highest = 0
        self._thread = threading.Thread(target=self._write, name="store", daemon=True)
        self._thread.start()

    @classmethod
    async def open(cls, path: str) -> SqliteStore:
        """Open the store at `path`, making it if it does not exist. Raises StoreProblem."""
        connection, identity = await asyncio.to_thread(_connect, path)
        return cls(connection, identity, path)

    @property
    def identity(self) -> str:
        """A random name given to this store when it was made."""
        return self._identity

    def submit(self, operations: Sequence[Operation]) -> asyncio.Future[tuple[bool, ...]]:
        """Apply `operations` as one transaction; see Store.submit."""
        future: asyncio.Future[tuple[bool, ...]] = self._loop.create_future()
        if self._failure is not None:
            future.set_exception(self._failure)
        else:
            self._work.put(_Transaction(operations, future))
        return future

    async def unfinished(self, after: int = 0) -> list[Item]:
        """Return a page of items that are not finished, by id; see Store.unfinished."""

        def page() -> list[Item]:
            found: list[Item] = []
            octets = 0
            rows = self._connection.execute(f"SELECT {_ITEM} FROM outbox WHERE id > ? ORDER BY id", (after,))  # noqa: S608 - a constant
            for row in rows:
                found.append(Item(*row))
                octets += len(found[-1].payload)
                if octets >= PAGE_BYTES or len(found) >= PAGE_ITEMS:
                    break
            rows.close()
            return found

        return await self._ask(page)

    async def last_id(self) -> int:
        """Return the highest id ever used."""
        return await self._ask(lambda: int(self._meta("last_id")))

    async def find_sent(self, stanza_id: str) -> Sent | None:
        """Return the message that we sent under `stanza_id`."""
        row = await self._ask(
            lambda: self._connection.execute(
                "SELECT stanza_id, call_id, sender, recipient, at FROM sent WHERE stanza_id = ?", (stanza_id,)
            ).fetchone()
        )
        return Sent(*row) if row is not None else None

    async def positions(self) -> dict[str, tuple[str, int]]:
        """Return for each link peer its session and the last number that is in this store."""
        rows = await self._ask(lambda: self._connection.execute("SELECT peer, session, sequence FROM links").fetchall())
        return {peer: (session, sequence) for peer, session, sequence in rows}

    async def copy(self) -> str:
        """Write a consistent copy beside the store, between two transactions; see Store.copy."""
        target = Path(f"{self._path}{COPY_SUFFIX}")

        def write() -> str:
            half = target.with_name(f".{target.name}")
            half.unlink(missing_ok=True)
            # SQLite would make it with the process's own mask.
            os.close(os.open(half, os.O_CREAT | os.O_EXCL, 0o600))
            self._connection.execute("VACUUM INTO ?", (str(half),))
            half.replace(target)
            return str(target)

        return await self._ask(write)

    async def close(self) -> None:
        """Write what was submitted, and close."""
        self._work.put(None)
        await asyncio.to_thread(self._thread.join)
        self._failure = self._failure or StoreProblem("the store is closed")

    async def _ask(self, question: Callable[[], Answer]) -> Answer:
        future: asyncio.Future[Answer] = self._loop.create_future()

        def settle(answer: Answer | None, error: Exception | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(answer)  # type: ignore[arg-type]  # without an error there is an answer

        def run() -> None:
            try:
                answer = question()
            except (sqlite3.Error, OSError) as error:
                self._loop.call_soon_threadsafe(settle, None, StoreProblem(f"the store cannot be read: {error}"))
            else:
                self._loop.call_soon_threadsafe(settle, answer, None)

        if self._failure is not None:
            raise self._failure
        self._work.put(run)
        return await future

    # The writer thread, and nothing else, touches the connection after this line.

    def _write(self) -> None:
        self._highest = int(self._meta("last_id"))
        going_on = True
        while going_on:
            group: list[_Transaction] = []
            question: Callable[[], None] | None = None
            entry = self._work.get()
            while True:
                if entry is None:
                    going_on = False
                    break
                if not isinstance(entry, _Transaction):
                    question = entry
                    break
                group.append(entry)
                if len(group) >= MAXIMUM_GROUP:
                    break
                try:
                    entry = self._work.get_nowait()
                except queue.Empty:
                    break
            if group:
                self._commit(group)
            if question is not None:
                question()
        self._connection.close()

    def _commit(self, group: list[_Transaction]) -> None:
        problem = self._failure
        if problem is None:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                before = self._highest
                for transaction in group:
                    transaction.results = tuple(self._apply(operation) for operation in transaction.operations)
                if self._highest != before:
                    self._connection.execute("UPDATE meta SET value = ? WHERE name = 'last_id'", (str(self._highest),))
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                # Whatever follows would build on what is not there: refuse it all until the daemon starts again.
                problem = self._failure = StoreProblem(f"the store cannot be written: {error}")
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
        try:
            self._loop.call_soon_threadsafe(_settle, group, problem)
        except RuntimeError:
            return  # the event loop is gone; what is committed is committed

    def _apply(self, operation: Operation) -> bool:
        execute = self._connection.execute
        match operation:
            case Accept(items=items, at=at, key=key, sent=sent):
                insert = "INSERT OR IGNORE INTO seen VALUES (?, ?)"
                if key is not None and execute(insert, (key, at)).rowcount == 0:
                    return False
                self._insert(items)
                if sent is not None:
                    row = (sent.stanza_id, sent.call_id, sent.sender, sent.recipient, sent.at)
                    execute("INSERT OR REPLACE INTO sent VALUES (?, ?, ?, ?, ?)", row)
                return True
            case Hold(id=item, holder=holder):
                execute("UPDATE outbox SET holder = ? WHERE id = ?", (holder, item))
                return True
            case Defer(id=item, not_before=not_before, attempts=attempts):
                execute(
                    "UPDATE outbox SET holder = '', not_before = ?, attempts = ? WHERE id = ?",
                    (not_before, attempts, item),
                )
                return True
            case Finish(id=item, follow=follow):
                if execute("DELETE FROM outbox WHERE id = ?", (item,)).rowcount == 0:
                    return False
                self._insert(follow)
                return True
            case Position(peer=peer, session=session, sequence=sequence):
                execute("INSERT OR REPLACE INTO links VALUES (?, ?, ?)", (peer, session, sequence))
                return True
            case Forget(keys_before=keys_before, sent_before=sent_before):
                return self._forget(keys_before, sent_before)

    def _insert(self, items: tuple[Item, ...]) -> None:
        for item in items:
            self._highest = max(self._highest, item.id)
            self._connection.execute(
                "INSERT INTO outbox VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    item.id,
                    item.direction,
                    item.kind,
                    item.lane,
                    item.partner,
                    item.correlation,
                    item.payload,
                    item.created,
                    item.expires,
                    item.not_before,
                    item.attempts,
                    item.holder,
                ),
            )

    def _forget(self, keys_before: float, sent_before: float) -> bool:
        keys = self._connection.execute(
            "DELETE FROM seen WHERE key IN (SELECT key FROM seen WHERE at < ? LIMIT ?)",
            (keys_before, MAXIMUM_FORGOTTEN),
        ).rowcount
        sent = self._connection.execute(
            "DELETE FROM sent WHERE stanza_id IN (SELECT stanza_id FROM sent WHERE at < ? LIMIT ?)",
            (sent_before, MAXIMUM_FORGOTTEN),
        ).rowcount
        return keys >= MAXIMUM_FORGOTTEN or sent >= MAXIMUM_FORGOTTEN

    def _meta(self, name: str) -> str:
        row = self._connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return str(row[0])


def _settle(group: list[_Transaction], problem: StoreProblem | None) -> None:
    for transaction in group:
        if transaction.future.done():
            continue  # whoever waited has given up
        if problem is not None:
            transaction.future.set_exception(problem)
        else:
            transaction.future.set_result(transaction.results)


def _connect(path: str) -> tuple[sqlite3.Connection, str]:
    new = not Path(path).exists()
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=LOCK_SECONDS)
        if new:
            Path(path).chmod(0o600)
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN EXCLUSIVE")
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
            for statement in _SCHEMA.split(";"):
                if statement.strip():
                    connection.execute(statement)
            connection.executemany(
                "INSERT INTO meta VALUES (?, ?)",
                [("schema", str(SCHEMA_VERSION)), ("identity", secrets.token_hex(6)), ("last_id", "0")],
            )
        rows = dict(connection.execute("SELECT name, value FROM meta").fetchall())
        connection.execute("COMMIT")
    except (sqlite3.Error, OSError) as error:
        raise StoreProblem(f"{path}: {error}") from None
    if rows.get("schema") != str(SCHEMA_VERSION):
        connection.close()
        raise StoreProblem(f"{path}: schema {rows.get('schema')}; this version reads schema {SCHEMA_VERSION}")
    return connection, rows["identity"]
