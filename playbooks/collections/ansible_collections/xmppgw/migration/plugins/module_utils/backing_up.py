"""What a host gives into a backup, and how it takes it back: files with their owners, and the store with a guard.

Used by the modules `backup_files` and `restore_files` on the host, which run as root. Nothing that stands is ever
overwritten.
"""

from __future__ import annotations

import grp
import hashlib
import json
import os
import pwd
import secrets
import sqlite3
import stat
import tarfile
import tempfile
from pathlib import Path

from ansible_collections.xmppgw.migration.plugins.module_utils import control


class BackupError(Exception):
    """The backup cannot be made or taken back; nothing that stood was changed."""


def store_copy(store, control_socket):
    """Return the path of a consistent copy of the store and how many messages wait in it, or (None, 0).

    A running daemon makes it itself: it keeps the store locked. Raises BackupError.
    """
    if not Path(store).exists():
        return None, 0
    try:
        answer = control.ask(control_socket, {"command": "backup"}, timeout=120.0)
    except control.ControlError:
        return _copy_of_a_stopped(store)
    if not answer.get("ok"):
        raise BackupError(f"the front end could not copy its store: {answer.get('reason', answer)}")
    return answer["path"], int(answer["waiting"])


def _copy_of_a_stopped(store):
    target = Path(f"{store}.backup")
    target.unlink(missing_ok=True)
    os.close(os.open(target, os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with sqlite3.connect(f"file:{store}?mode=rw", uri=True, timeout=5) as connection:
            connection.execute("VACUUM INTO ?", (str(target),))
            (waiting,) = connection.execute("SELECT count(*) FROM outbox").fetchone()
    except sqlite3.Error as error:
        raise BackupError(f"{store}: {error}, and no front end answers") from error
    return str(target), waiting


def pack(archive, paths, renamed):
    """Write the files that exist into a tar archive (0600); return one entry for each.

    `renamed`: path on disk to the path under which it is kept.
    """
    entries = []
    handle = os.open(archive, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file, tarfile.open(fileobj=file, mode="w") as tar:
        for path in sorted(paths):
            try:
                status = Path(path).stat()
            except OSError:
                continue
            if not stat.S_ISREG(status.st_mode):
                continue
            kept = renamed.get(path, path)
            tar.add(path, arcname=kept.lstrip("/"))
            entries.append(
                {
                    "path": kept,
                    "sha256": digest_of(path),
                    "size": status.st_size,
                    "mode": stat.S_IMODE(status.st_mode),
                    "owner": _name(pwd.getpwuid, status.st_uid, "pw_name"),
                    "group": _name(grp.getgrgid, status.st_gid, "gr_name"),
                }
            )
    return entries


def _name(lookup, number, attribute):
    try:
        return getattr(lookup(number), attribute)
    except KeyError:
        return str(number)


def digest_of(path):
    """Return the SHA-256 of a file as hex."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unpack(archive, entries, *, store="", deliver_waiting=False, root="/"):
    """Put back the files of `entries` that are absent; return (did, set aside).

    Each is checked against its hash before it is put in place. `root` is where paths begin (for tests).
    """
    did, set_aside = [], 0
    with tarfile.open(archive) as tar:
        for entry in entries:
            target = Path(root) / entry["path"].lstrip("/")
            if target.exists() or target.is_symlink():
                continue
            source = tar.extractfile(entry["path"].lstrip("/"))
            if source is None:
                raise BackupError(f"{entry['path']} is not in the archive")
            half = _write_beside(target, source.read(), entry)
            try:
                if entry["path"] == store:
                    set_aside = guard_store(half, target, deliver_waiting=deliver_waiting)
                half.replace(target)
            finally:
                half.unlink(missing_ok=True)
            did.append(f"put back {entry['path']}")
    return did, set_aside


def _write_beside(target, data, entry):
    if hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise BackupError(f"{entry['path']} in the archive is not what the manifest says")
    _make_folders(target.parent, entry)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fchown(file.fileno(), _number(pwd.getpwnam, entry["owner"]), _number(grp.getgrnam, entry["group"]))
        os.fchmod(file.fileno(), entry["mode"])
        os.fsync(file.fileno())
    return Path(name)


def _make_folders(folder, entry):
    missing = [item for item in (folder, *folder.parents) if not item.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    # A daemon's own folder belongs to it and nobody else reads it; systemd makes it just so.
    if missing and entry["owner"] != "root":
        os.chown(folder, _number(pwd.getpwnam, entry["owner"]), _number(grp.getgrnam, entry["group"]))
        folder.chmod(0o700)
    elif missing and "/var/lib/" in f"{folder}/":
        folder.chmod(0o700)


def _number(lookup, name):
    try:
        return lookup(name)[2]
    except KeyError as error:
        raise BackupError(f"{name} is not known on this host") from error


def guard_store(copy, target, *, deliver_waiting):
    """Make a store from a backup safe to go on with; return how many waiting messages were set aside.

    The world went on after the backup. So the store gets a new identity (item numbers that were given out since would
    be given again, and message identifiers with them), forgets where its links stood, and does not deliver what waited
    then: whether it was delivered since, nobody knows. It is kept beside the store for a person to decide on.
    """
    try:
        with sqlite3.connect(copy) as connection:
            (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
            if verdict != "ok":
                raise BackupError(f"the store in the backup is damaged: {verdict}")
            connection.execute("UPDATE meta SET value = ? WHERE name = 'identity'", (secrets.token_hex(6),))
            connection.execute("DELETE FROM links")
            if deliver_waiting:
                return 0
            columns = [row[1] for row in connection.execute("PRAGMA table_info(outbox)")]
            waiting = connection.execute("SELECT * FROM outbox ORDER BY id").fetchall()
            if waiting:
                _set_aside(target, columns, waiting)
                connection.execute("DELETE FROM outbox")
            return len(waiting)
    except sqlite3.Error as error:
        raise BackupError(f"the store in the backup cannot be read: {error}") from error
    finally:
        for suffix in ("-wal", "-shm", "-journal"):
            Path(f"{copy}{suffix}").unlink(missing_ok=True)


def _set_aside(target, columns, rows):
    path = target.with_name(f"{target.name}.set-aside.jsonl")
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        for row in rows:
            shown = [value.decode("utf-8", errors="replace") if isinstance(value, bytes) else value for value in row]
            file.write(json.dumps(dict(zip(columns, shown, strict=True))) + "\n")
        file.flush()
        os.fsync(file.fileno())
