"""Files of long walks that were gone through already: `make test-all`, started again, goes on with the others.

A file counts as walked for the sources it was walked with and for its own text, when all of its long tests passed or
were skipped. What was walked is in tests/walked/walks.json, and as a table beside it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import pytest
from tests.lab.ledger import Ledger

COLUMNS = ("passed", "skipped", "minutes")


class Walks:
    """A pytest plug-in: skips what was walked, and notes each file as its last test ends."""

    def __init__(self, items: list[pytest.Item]) -> None:
        self.ledger = Ledger("walks", COLUMNS)
        self.to_do: dict[str, set[str]] = {}
        self.counts: dict[str, Counter[str]] = {}
        self.texts: dict[str, str] = {}
        for item in items:
            name = item.nodeid.partition("::")[0]
            if name not in self.texts:
                self.texts[name] = digest(item.path)
            if self.ledger.results.get(name, {}).get("text") == self.texts[name]:
                item.add_marker(pytest.mark.skip(reason="walked already for these sources: tests/walked/walks.md"))
            else:
                self.to_do.setdefault(name, set()).add(item.nodeid)
                self.counts.setdefault(name, Counter())

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count one phase of one test; after the last of a file, note the file unless something failed."""
        name = report.nodeid.partition("::")[0]
        if name not in self.to_do:
            return
        counts, to_do = self.counts[name], self.to_do[name]
        counts["seconds"] += report.duration
        if report.when == "call" or not report.passed:
            counts[report.outcome] += 1
        if report.when == "teardown":
            to_do.discard(report.nodeid)
            if not to_do and counts["passed"] and not counts["failed"]:
                facts = {"passed": counts["passed"], "skipped": counts["skipped"]}
                self.ledger.add(name, **facts, minutes=round(counts["seconds"] / 60, 1), text=self.texts[name])


def digest(path: Path) -> str:
    """A digest of a test file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
