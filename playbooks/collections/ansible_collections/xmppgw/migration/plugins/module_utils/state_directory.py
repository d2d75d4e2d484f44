"""The migration's state on a host: journal.jsonl and lock.json under one directory, root only, no secrets.

Used by the modules `journal` and `host_state`. Every write is atomic or appended and flushed to disk before it returns.
Never decides who may have the lock: that is `decide_lock`, a pure function.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import tempfile
from pathlib import Path

from ansible_collections.xmppgw.migration.plugins.module_utils.chain import (
    FIRST,
    ChainError,
    canonical,
    extend,
    read_octets,
    whole_lines,
)

JOURNAL = "journal.jsonl"
LOCK = "lock.json"


def read_state(directory):
    """Return {present, records, lock, problem, code} of the state under `directory`; nothing is created.

    Whatever stands there is a problem at worst, never an exception: this is how it is found out.
    """
    folder = Path(directory)
    state = {
        "present": os.path.isdir(folder),  # noqa: PTH112 - Path.is_dir raises where it may not look
        "records": [],
        "lock": None,
        "problem": None,
        "code": "migration-journal",
    }
    try:
        state["records"] = read_octets((folder / JOURNAL).read_bytes())
    except FileNotFoundError:
        pass
    except ChainError as problem:
        state["problem"] = f"{folder / JOURNAL}: {problem.text}"
    except OSError as problem:
        state["problem"] = f"{folder / JOURNAL} cannot be read ({problem.strerror})"
    try:
        state["lock"] = json.loads((folder / LOCK).read_bytes().decode())
    except FileNotFoundError:
        pass
    except OSError as problem:
        state["problem"], state["code"] = f"{folder / LOCK} cannot be read ({problem.strerror})", "migration-lock"
    except ValueError:
        state["problem"], state["code"] = f"{folder / LOCK} is not JSON", "migration-lock"
    else:
        if missing := missing_in_lock(state["lock"]):
            state["problem"] = f"{folder / LOCK} is no lock of this migration: {missing}"
            state["code"] = "migration-lock"
    return state


LOCK_KEYS = {"owner": str, "host": str, "pid": int, "start_text": str, "expiry": (int, float)}
"""An old lock may lack `run`: it is nobody's who asks, and ends when it expires."""


def missing_in_lock(lock):
    """Return what a lock lacks to be one, or nothing."""
    if not isinstance(lock, dict):
        return "it is not an object"
    wrong = sorted(key for key, kind in LOCK_KEYS.items() if not isinstance(lock.get(key), kind))
    if "run" in lock and not isinstance(lock["run"], str):
        wrong.append("run")
    return f"{', '.join(wrong)} absent or of the wrong type" if wrong else ""


@contextlib.contextmanager
def exclusively(directory):
    """Make the directory if need be (0700) and hold it against other modules on this host."""
    folder = Path(directory)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield folder
    finally:
        os.close(handle)


def cut_torn_line(folder):
    """Remove a last line without its newline: a power cut left it, and it announced nothing."""
    path = folder / JOURNAL
    if not path.exists():
        return
    data = path.read_bytes()
    complete = len(whole_lines(data))
    if complete < len(data):
        with path.open("r+b") as file:
            file.truncate(complete)
            os.fsync(file.fileno())


def append(folder, records):
    """Append sealed records and wait until they are on disk. Raises OSError, and then none of them stands."""
    if not records:
        return
    cut_torn_line(folder)
    data = "".join(canonical(record) + "\n" for record in records).encode()
    handle = os.open(folder / JOURNAL, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        before = os.fstat(handle).st_size
        try:
            write_all(handle, data)
            os.fsync(handle)
        except OSError:
            # If this fails too, whole records may stay: announced, and not done, as after a kill. The copy gets them
            # with the next run.
            with contextlib.suppress(OSError):
                os.ftruncate(handle, before)
                os.fsync(handle)
            raise
    finally:
        os.close(handle)
    sync_directory(folder)


def write_all(handle, data):
    """Write all of `data`: a disk that becomes full takes a part first, and says so only when asked again."""
    while data:
        written = os.write(handle, data)
        if not written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        data = data[written:]


def whole_records(state, expected_tail=None):
    """Return the records of a state that was read; raise ChainError if it is damaged, or does not end as expected."""
    if state["problem"]:
        raise ChainError(state["code"], 0, state["problem"])
    tail = state["records"][-1]["hash"] if state["records"] else ""
    if expected_tail is not None and tail != expected_tail:
        raise ChainError(
            "migration-lock", 0, "the journal grew since it was read: another run is at work, or was a moment ago"
        )
    return state["records"]


def append_bodies(folder, records, bodies):
    """Seal `bodies` behind `records`, which is what is there, and append them."""
    sealed = extend(records, bodies)
    append(folder, sealed)
    return sealed


def append_sealed(folder, here, records):
    """Append records that another host sealed behind those that are `here`, which are skipped. Raises ChainError on a
    gap."""
    known = {record["hash"] for record in here}
    new = [record for record in records if record["hash"] not in known]
    tail = here[-1]["hash"] if here else FIRST
    if new and new[0]["previous"] != tail:
        raise ChainError("migration-journal", len(known), "the copy does not follow the authority's journal")
    append(folder, new)
    return new


def write_lock(folder, lock):
    """Write lock.json atomically, or remove it if `lock` is None."""
    path = folder / LOCK
    if lock is None:
        path.unlink(missing_ok=True)
    else:
        handle, name = tempfile.mkstemp(dir=folder, prefix=".lock-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(canonical(lock) + "\n")
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
    sync_directory(folder)


def sync_directory(folder):
    """Wait until the directory's own entries are on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def decide_lock(held, wanted, now, *, gone="", begins=True):
    """Return (granted, sentence). Times in epoch seconds.

    A run that begins is granted the lock when nobody holds it, when it has expired, or when it is still that of the run
    `gone`, whose process is known to the controller that asks to be no more. A run that goes on keeps the lock it has,
    expired or not. What another run took meanwhile it never gets back, not even when it is free again: the world is not
    what the run looked at any more.
    """
    if held is not None and held.get("run") == wanted["run"]:
        return True, ""
    if held is None:
        return begins, "" if begins else "not this run's any more: it expired, and another run took it and gave it back"
    who = f"{held['owner']} (process {held['pid']} on {held['host']}, since {held['start_text']})"
    if not begins:
        return False, f"not this run's any more: it expired, and was taken over by {who}"
    if gone and held.get("run") == gone:
        return True, f"took over the lock of {who}: that process is gone"
    if held["expiry"] <= now:
        return True, f"took over the lock of {who}: it expired {now - held['expiry']:.0f} s ago"
    return False, f"held by {who}; it expires in {held['expiry'] - now:.0f} s"
