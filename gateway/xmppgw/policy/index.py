"""The users' table as an indexed file: one user's record is found without reading the others.

`xmppgw user index` builds it from users.table; the front end opens it read-only at start and on SIGHUP, and asks for
one user per message. A file is never changed once it has its name: a new one takes its place, and who had the old one
open keeps reading that.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from urllib.parse import quote

from xmppgw.policy.users import User, key_of

#: "xmus" (XMPP gateway users): tells our files from any other SQLite file.
APPLICATION_ID: Final = 0x786D7573
VERSION: Final = 1
_COLUMNS: Final = "key, user, pool, site, policy, enabled, survivable_branch, cloud, blank_name"
_SCHEMA: Final = """
CREATE TABLE users (
    key TEXT PRIMARY KEY, user TEXT NOT NULL, pool TEXT NOT NULL, site TEXT NOT NULL, policy TEXT NOT NULL,
    enabled INTEGER NOT NULL, survivable_branch INTEGER NOT NULL, cloud INTEGER NOT NULL, blank_name INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_TABLE: Final = "table_sha256"


class IndexProblem(ValueError):  # noqa: N818 - as UsersProblem
    """The file is missing, damaged, or not an index of users."""


def build_index(users: Iterable[User], path: Path, table: str = "") -> int:
    """Write the index of `users` to `path`, whole or not at all; the number of users.

    `table` is the SHA-256 of the table that they are from, taken before it was read: `UserIndex.table` gives it back.
    Raises UsersProblem (from `users`), OSError or IndexProblem; `path` is then as it was.
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    try:
        count = _build(users, unfinished, table)
        unfinished.chmod(0o640)
        _give_away(unfinished)
        unfinished.replace(path)
    except sqlite3.Error as error:
        raise IndexProblem(f"{path}: {error}") from None
    finally:
        unfinished.unlink(missing_ok=True)
    return count


def _give_away(path: Path) -> None:
    """Root builds what a daemon reads: the file belongs to whom its directory belongs."""
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def _build(users: Iterable[User], path: Path, table: str) -> int:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        # Nobody reads the file before it is whole, so a journal would protect nothing.
        # One transaction is one sync.
        connection.execute("PRAGMA journal_mode = OFF")
        connection.executescript(_SCHEMA)
        before = connection.total_changes
        rows = (_row(user) for user in users)
        connection.executemany(f"INSERT INTO users ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)  # noqa: S608 - a constant
        count = connection.total_changes - before
        connection.execute("INSERT INTO meta VALUES (?, ?)", (_TABLE, table))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.commit()
    return count


def _row(user: User) -> tuple[object, ...]:
    return (
        key_of(user.user),
        user.user,
        user.pool,
        user.site,
        user.policy,
        user.enabled,
        user.survivable_branch,
        user.hosting == "cloud",
        user.blank_name,
    )


class UserIndex:
    """An open index. Asked from one thread; a look-up reads a few pages, whatever the number of users."""

    def __init__(self, path: Path) -> None:
        """Open the index at `path`. Raises IndexProblem."""
        self.path = path
        try:
            if not path.is_file():
                raise IndexProblem(f"{path}: found no such file")
            # The file is never written under this name again, so no lock is needed and none is taken.
            address = f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1"
            self._connection = sqlite3.connect(address, uri=True, check_same_thread=False)
            try:
                self._check()
            except BaseException:
                self._connection.close()
                raise
        except sqlite3.Error as error:
            raise IndexProblem(f"{path}: {error}") from None
        except OSError as error:
            raise IndexProblem(f"{path}: {error.strerror}") from None

    def _check(self) -> None:
        identifier = int(self._connection.execute("PRAGMA application_id").fetchone()[0])
        version = int(self._connection.execute("PRAGMA user_version").fetchone()[0])
        if identifier != APPLICATION_ID:
            raise IndexProblem(f"{self.path}: not an index of users")
        if version != VERSION:
            raise IndexProblem(f"{self.path}: found version {version}, expected {VERSION}; build it again")
        self._connection.execute(f"SELECT {_COLUMNS} FROM users LIMIT 1").fetchone()  # noqa: S608 - a constant

    def table(self) -> str:
        """The SHA-256 of the table that this was built from; empty if that is not known. Raises IndexProblem."""
        try:
            # Indexes from before this was kept have no such table, and are as good as any for who looks users up.
            if self._connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone() is None:
                return ""
            row = self._connection.execute("SELECT value FROM meta WHERE name = ?", (_TABLE,)).fetchone()
        except sqlite3.Error as error:
            raise IndexProblem(f"{self.path}: {error}") from None
        return "" if row is None else str(row[0])

    def find(self, key: str) -> User | None:
        """The user whose bare XMPP address is `key`. Raises IndexProblem if the file is damaged."""
        try:
            row = self._connection.execute(
                f"SELECT {_COLUMNS} FROM users WHERE key = ?",  # noqa: S608 - a constant
                (key,),
            ).fetchone()
        except sqlite3.Error as error:
            raise IndexProblem(f"{self.path}: {error}") from None
        if row is None:
            return None
        _, user, pool, site, policy, enabled, survivable_branch, cloud, blank_name = row
        return User(
            user,
            pool,
            site,
            policy,
            bool(enabled),
            bool(survivable_branch),
            "cloud" if cloud else "on_premises",
            bool(blank_name),
        )

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
