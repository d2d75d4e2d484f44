"""docs/promises.md names tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| promise")]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[2:42])
def test_what_shows_a_promise_exists(row):
    path = None
    shown = re.findall(r"`([^`]*(?:\.py|::)[^`]*)`", row)
    assert shown
    for reference in shown:
        file, _, name = reference.partition("::")
        path = ROOT / file if file else path
        assert path is not None
        text = path.read_text(encoding="utf-8")
        assert not name or re.search(rf"^(async )?def {name}\(", text, re.MULTILINE), reference


def test_every_walk_in_the_lab_shows_something():
    walks = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests" / "lab").glob("test_*.py")}
    assert {path for path in walks if path not in PAGE} <= {
        "tests/lab/test_host_firewall.py",
        "tests/lab/test_monitoring.py",
    }
