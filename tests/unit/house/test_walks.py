"""What `make test-all` walked is not walked again, unless the sources or the walk itself changed."""

from types import SimpleNamespace

import pytest
from tests.lab import ledger, walks

WALKED = "test_walk.py"


class Item:
    """What a plug-in sees of a collected test."""

    def __init__(self, path, name):
        self.path, self.nodeid, self.marks = path, f"{path.name}::{name}", []

    def add_marker(self, mark):
        self.marks.append(mark)


@pytest.fixture
def go(tmp_path, monkeypatch):
    """Collect a file of two walks, run them with the outcomes given, and say whether they were skipped."""
    monkeypatch.setattr(ledger, "FOLDER", tmp_path / "out")
    monkeypatch.setattr(ledger, "sources", lambda: "these")
    (tmp_path / WALKED).write_text("one way", encoding="utf-8")

    def run(*outcomes):
        items = [Item(tmp_path / WALKED, name) for name in ("there", "back")]
        plugin = walks.Walks(items)
        for item, outcome in zip(items, outcomes, strict=False):
            for when, said in (("setup", "passed"), ("call", outcome), ("teardown", "passed")):
                report = {"nodeid": item.nodeid, "when": when, "outcome": said, "duration": 20.0}
                plugin.pytest_runtest_logreport(
                    SimpleNamespace(**report, passed=said == "passed", failed=said == "failed")
                )
        return [bool(item.marks) for item in items]

    return run


def test_a_file_is_walked_once(go, tmp_path):
    assert go("passed", "skipped") == [False, False]
    assert go() == [True, True]
    assert "| test_walk.py | 1 | 1 | 2.0 |" in (tmp_path / "out" / "walks.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("outcomes", [("passed",), ("passed", "failed"), ("skipped", "skipped")])
def test_what_was_killed_failed_or_never_ran_is_walked_again(go, outcomes):
    go(*outcomes)
    assert go() == [False, False]


def test_other_sources_or_another_walk_begin_anew(go, tmp_path, monkeypatch):
    go("passed", "passed")
    (tmp_path / WALKED).write_text("another way", encoding="utf-8")
    assert go() == [False, False]
    go("passed", "passed")
    assert go() == [True, True]
    monkeypatch.setattr(ledger, "sources", lambda: "others")
    assert go() == [False, False]


def test_there_is_a_table_where_something_was_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger, "FOLDER", tmp_path)
    kept = ledger.Ledger("seen", ("sent", "silence_s"))
    kept.add("by eye")
    assert [path.name for path in tmp_path.iterdir()] == ["seen.json"]
    kept.add("by the probe", sent=1200, silence_s=0.25)
    said = (tmp_path / "seen.md").read_text(encoding="utf-8")
    assert said.splitlines()[2:] == ["| by the probe | 1,200 | 0.25 |", "| all | 1,200 | 0.25 |"]
