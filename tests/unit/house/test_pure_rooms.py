"""federation, xmpp, sip and translate do no input or output, read no clock and draw no random number.

Each room is imported in an interpreter of its own in which its modules may not import what would let them.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[3] / "gateway/xmppgw"
PURE = ("federation", "xmpp", "sip", "translate")
FORBIDDEN = (
    *(
        "asyncio",
        "concurrent",
        "fcntl",
        "http",
        "logging",
        "mmap",
        "multiprocessing",
        "os",
        "psycopg",
        "queue",
        "random",
    ),
    *("sched", "secrets", "select", "selectors", "shutil", "signal", "socket", "socketserver", "sqlite3", "ssl"),
    *("subprocess", "tempfile", "threading", "time", "urllib", "uuid"),
)
ACTING_FUNCTIONS = {"open", "print", "input", "eval", "exec", "__import__"}
ACTING_METHODS = {
    *("now", "utcnow", "today", "monotonic", "sleep"),
    *("read_text", "read_bytes", "write_text", "write_bytes", "unlink", "mkdir"),
}

IMPORT_ALL = """
import builtins, importlib, pkgutil, sys
forbidden, room = set(sys.argv[1].split()), "xmppgw." + sys.argv[2]
plain_import, found, count = builtins.__import__, [], 0

def guarded(name, globals=None, locals=None, fromlist=(), level=0):
    importer = (globals or {}).get("__name__", "")
    if level == 0 and importer.startswith("xmppgw.") and name.partition(".")[0] in forbidden:
        found.append(f"{importer} imports {name}")
    return plain_import(name, globals, locals, fromlist, level)

builtins.__import__ = guarded
package = importlib.import_module(room)
for module in pkgutil.walk_packages(package.__path__, room + "."):
    importlib.import_module(module.name)
    count += 1
rooms = sorted({name.split(".")[1] for name in sys.modules if name.startswith("xmppgw.")})
print(count, "|", ",".join(rooms), "|", "; ".join(found))
"""


@pytest.mark.parametrize("room", PURE)
def test_a_pure_room_imports_nothing_that_could_act(room: str) -> None:
    command = [sys.executable, "-I", "-c", IMPORT_ALL, " ".join(FORBIDDEN), room]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    count, rooms, found = (part.strip() for part in run.stdout.split("|"))
    assert int(count) >= 3, f"only {count} modules were found in {room}"
    assert not found, found
    assert set(rooms.split(",")) <= set(PURE), f"{room} pulls in {rooms}"


def test_the_guard_would_notice() -> None:
    """The same check on a room that is not pure."""
    command = [sys.executable, "-I", "-c", IMPORT_ALL, " ".join(FORBIDDEN), "telemetry"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    assert "xmppgw.telemetry" in run.stdout.split("|")[2]


def pure_files() -> list[Path]:
    return sorted(path for room in PURE for path in (PACKAGE / room).rglob("*.py"))


@pytest.mark.parametrize("path", pure_files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_pure_module_asks_nobody_for_the_time_and_opens_nothing(path: Path) -> None:
    """Imports alone do not show `datetime.now()`, `open()` or an import inside a function.

    The loader of the federation room opens one file, by its path; everything else is given what it needs.
    """
    calls: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            function = node.func
            if isinstance(function, ast.Name) and function.id in ACTING_FUNCTIONS:
                calls.append(f"line {node.lineno}: {function.id}()")
            if isinstance(function, ast.Attribute) and function.attr in ACTING_METHODS:
                calls.append(f"line {node.lineno}: .{function.attr}()")
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            calls += [f"line {node.lineno}: import {name}" for name in names if name.partition(".")[0] in FORBIDDEN]
    assert not calls, calls
