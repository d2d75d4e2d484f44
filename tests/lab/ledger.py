"""What the long walks have been through already: kept in out/test-all, so that a walk that was killed goes on.

Used by the walks of `make test-all`. A result counts only for the sources it was found with: when the playbooks, roles,
gateway or inventory change, the walk begins anew.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from tests.lab.servers_stand_ins.stand_ins import ROOT

SOURCES = ("playbooks", "roles", "gateway/xmppgw", "inventories/lab", "pulumi/xmpp_infra")
FOLDER = ROOT / "out" / "test-all"


def sources() -> str:
    """A digest over everything that a walk exercises."""
    content = hashlib.sha256()
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                content.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return content.hexdigest()


class Ledger:
    """Results by name, written after each."""

    def __init__(self, name: str) -> None:
        self.path = FOLDER / f"{name}.json"
        self.sources = sources()
        self.results: dict[str, dict] = {}
        if self.path.exists():
            kept = json.loads(self.path.read_text(encoding="utf-8"))
            if kept["sources"] == self.sources:
                self.results = kept["results"]

    def __contains__(self, name: str) -> bool:
        return name in self.results

    def add(self, name: str, **facts: object) -> None:
        """Note that `name` went well, and what was counted."""
        self.results[name] = facts
        FOLDER.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(f".{id(self)}")
        temporary.write_text(
            json.dumps({"sources": self.sources, "results": self.results}, indent=1, sort_keys=True) + "\n",
            encoding="utf-8",
        )
        Path(temporary).replace(self.path)


def counts(report: dict) -> dict[str, object]:
    """What a report says, short enough to keep."""
    names = ("sent", "delivered", "returned", "lost", "duplicated", "unprotected", "longest_gap_s", "control_gap_s")
    return {name: report["probe"].get(name) for name in names}
