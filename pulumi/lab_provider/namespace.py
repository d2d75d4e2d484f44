"""Work inside a network namespace: `ip` in batches, and Python functions in a thread that has entered it.

Only the thread enters; the process, and with it everything that could reach the outside, stays where it is.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from lab_provider.places import NETNS

CLONE_NEWNET = 0x40000000  # sched.h
_libc = ctypes.CDLL(None, use_errno=True)
Result = TypeVar("Result")


class NamespaceError(Exception):
    """A network namespace is missing, or a command in it was refused."""


def exists(name: str) -> bool:
    """Whether `/run/netns/<name>` is a live namespace and not the empty file that a crash can leave."""
    try:
        return (NETNS / name).stat().st_dev != NETNS.stat().st_dev
    except FileNotFoundError:
        return False


def identity(name: str) -> int:
    """The namespace's inode number, equal to that of `/proc/<pid>/ns/net` of every process inside it."""
    return (NETNS / name).stat().st_ino


def add(name: str) -> None:
    """Make a namespace, after removing what a crash may have left under its name."""
    if (NETNS / name).exists() and not exists(name):
        (NETNS / name).unlink()
    if not exists(name):
        _run(["ip", "netns", "add", name])


def delete(name: str) -> None:
    """Remove a namespace if it is there; also the mount that `ip netns` leaves on an otherwise unused directory."""
    if exists(name):
        _run(["ip", "netns", "delete", name])
    elif (NETNS / name).exists():
        (NETNS / name).unlink(missing_ok=True)
    if NETNS.is_dir() and not any(NETNS.iterdir()):
        subprocess.run(["umount", str(NETNS)], capture_output=True, check=False)
        try:
            NETNS.rmdir()
        except OSError:
            return  # someone else made one meanwhile


def names() -> list[str]:
    """Every named namespace of this machine."""
    return sorted(path.name for path in NETNS.iterdir()) if NETNS.is_dir() else []


def processes(name: str) -> list[int]:
    """Processes that are in the namespace."""
    answer = _run(["ip", "netns", "pids", name])
    return [int(word) for word in answer.split()]


def ip(name: str, commands: Iterable[str]) -> None:
    """Run `ip` commands inside a namespace as one batch; raises NamespaceError with what `ip` said."""
    _run(["ip", "-n", name, "-batch", "-"], "\n".join(commands) + "\n")


def hardware_address(*parts: str) -> str:
    """A locally administered MAC address that depends on the names alone.

    A host or bridge made anew keeps its address, so that no neighbour holds a wrong one for the next half minute.
    """
    digest = hashlib.sha256("/".join(parts).encode()).digest()
    return ":".join(f"{octet:02x}" for octet in (2, *digest[:5]))


def links(name: str) -> set[str]:
    """Names of the interfaces in a namespace."""
    answer = _run(["ip", "-n", name, "-brief", "link", "show"])
    return {line.split()[0].partition("@")[0] for line in answer.splitlines() if line}


def call(name: str, function: Callable[[], Result]) -> Result:
    """Run a function in a thread that has entered the namespace; its result or its exception comes back."""
    result: list[Result] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            with (NETNS / name).open("rb") as handle:
                if _libc.setns(handle.fileno(), CLONE_NEWNET) != 0:
                    raise NamespaceError(f"cannot enter {name}: {os.strerror(ctypes.get_errno())}")
            result.append(function())
        except BaseException as problem:
            failure.append(problem)

    thread = threading.Thread(target=work, name=f"in {name}", daemon=True)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]


def set_kernel_parameters(name: str, parameters: dict[str, str]) -> None:
    """Write `/proc/sys/net/...` values (keys as in `net.ipv4.ip_forward`) inside a namespace."""

    def write() -> None:
        for key, text in parameters.items():
            Path("/proc/sys", *key.split(".")).write_text(text)

    call(name, write)


def _run(command: list[str], text: str | None = None) -> str:
    result = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise NamespaceError(f"`{' '.join(command)}` said: {result.stderr.strip() or result.stdout.strip()}")
    return result.stdout
