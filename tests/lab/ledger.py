"""What the long walks have been through already: kept in tests/walked, so that a walk that was killed goes on.

Used by the walks of `make test-all`; a table of each lies beside it (.md), to be read by people. A result counts only
for the sources it was found with: when the playbooks, roles, gateway, lab or inventory change, the walk begins anew. It
is committed: all walks take hours, and who goes on may sit at another machine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from tests.lab.servers_stand_ins.stand_ins import ROOT

SOURCES = ("playbooks", "roles", "gateway/xmppgw", "inventories/lab", "pulumi/xmpp_infra", "pulumi/lab_provider")
FOLDER = ROOT / "tests" / "walked"


def sources() -> str:
    """A digest over everything that a walk exercises."""
    content = hashlib.sha256()
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                content.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return content.hexdigest()


class Ledger:
    """Results by name, written after each; its table has `columns` of those that have them."""

    def __init__(self, name: str, columns: tuple[str, ...] | None = None) -> None:
        self.columns = columns or COLUMNS
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
        if any(self.columns[0] in counted for counted in self.results.values()):  # of no numbers there is no table
            self.path.with_suffix(".md").write_text(table(self.results, self.columns), encoding="utf-8")


def counts(report: dict) -> dict[str, object]:
    """What a whole report says, under the names of recount.count."""
    probe = report["probe"]
    same = ("sent", "delivered", "returned", "lost", "returned_though_delivered", "unprotected")
    silences = {each["domain"]: each["beyond_control_s"] for each in report["partners"]}
    return {
        **{name: probe[name] for name in same},
        "doubled": probe["duplicated"],
        "longest_silence_s": probe["longest_gap_s"],
        "beyond_control_s": max(silences.values(), default=0.0),
        "beyond_control_by_partner": silences,
    }


COLUMNS = (
    *("sent", "delivered", "returned", "returned_though_delivered", "lost", "doubled", "unprotected"),
    *("longest_silence_s", "beyond_control_s"),
)


def table(results: Mapping[str, Mapping[str, object]], names: tuple[str, ...] = COLUMNS) -> str:
    """A Markdown table of what was counted under each name; then the sums, and of silences (in seconds) the longest."""
    heads = ("", *(name.removesuffix("_s").replace("_", " ") + " (s)" * name.endswith("_s") for name in names))
    rows = {name: [counted[column] for column in names] for name, counted in results.items() if names[0] in counted}
    columns = list(zip(*rows.values(), strict=True))
    whole = [(max if name.endswith("_s") else sum)(column) for name, column in zip(names, columns, strict=False)]
    lines = [heads, ("---", *["---:"] * len(names))]
    lines += [(name, *(f"{round(value, 2):,}" for value in row)) for name, row in {**rows, "all": whole}.items()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
