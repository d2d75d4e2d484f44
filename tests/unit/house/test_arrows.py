"""Arrows between rooms point down only; the table below is the house's floor plan."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[3] / "gateway/xmppgw"

# What each room may import from the others. A new arrow is a decision: it belongs here and in docs/architecture.md.
MAY_IMPORT = {
    "federation": set(),
    "xmpp": set(),
    "sip": set(),
    "translate": {"sip", "xmpp"},
    "telemetry": set(),
    "store": set(),
    "tls": {"xmpp"},
    "link": {"tls"},
    "edge": {"link", "telemetry", "tls", "xmpp"},
    "policy": {"federation", "sip", "translate", "xmpp"},
    "exports": {"federation", "policy"},
    "frontend": {"link", "policy", "sip", "store", "telemetry", "tls", "translate", "xmpp"},
    "probe": {"federation"},
    "runbook": {"federation"},
    "cli": {"exports", "federation", "policy", "runbook", "sip", "telemetry", "xmpp"},
}


def rooms_imported_by(path: Path) -> set[str]:
    package = ["xmppgw", *path.relative_to(PACKAGE).parts[:-1]]
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names += [f"{module}.{alias.name}" for alias in node.names]
    return {name.split(".")[1] for name in names if name.startswith("xmppgw.")}


def test_every_room_has_its_place_in_the_plan() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert rooms == set(MAY_IMPORT)


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_a_room_imports_only_what_lies_below_it(room: str) -> None:
    wrong = {
        f"{path.relative_to(PACKAGE)} imports {other}"
        for path in sorted((PACKAGE / room).rglob("*.py"))
        for other in rooms_imported_by(path) - {room} - MAY_IMPORT[room]
    }
    assert not wrong, sorted(wrong)


def test_the_plan_has_no_circle() -> None:
    done: set[str] = set()
    while len(done) < len(MAY_IMPORT):
        ready = {room for room, below in MAY_IMPORT.items() if room not in done and below <= done}
        assert ready, f"a circle among {sorted(set(MAY_IMPORT) - done)}"
        done |= ready
