"""What the report takes from the migration's journal: the plan beside what was done, and the history of it all."""

from __future__ import annotations

from tests.unit.probe.story import DIGEST, START, journal_lines, told_by_the_journal

from xmppgw.probe.journal import read_records, tell


def test_the_digest_is_that_of_the_measured_run() -> None:
    assert told_by_the_journal().plan_digest == DIGEST
    assert tell(read_records(journal_lines()), START + 10_000).plan_digest == ""


def test_each_planned_line_says_what_became_of_it() -> None:
    whole = told_by_the_journal()
    assert {action.state for action in whole.plan} == {"done"}
    cut = b"".join(line for line in journal_lines().splitlines(keepends=True) if b'"step_done"' not in line)
    assert {action.state for action in tell(read_records(cut), START).plan} == {"begun"}


def test_history_tells_runs_forward_and_back_waves_and_who_overrode_what() -> None:
    story = told_by_the_journal()
    assert [(run.verb, run.done, run.undone, run.finished) for run in story.runs] == [
        ("migrate", (1,), (), False),
        ("rollback", (), (1,), True),
        ("migrate", (1, 2, 3, 4, 5, 6), (), True),
    ]
    assert [(wave.wave, wave.users) for wave in story.waves] == [("pilot", 1)]
    overridden = [guard for guard in story.guards if guard.result == "overridden"]
    assert [(guard.code, guard.by) for guard in overridden] == [("migration-r8", "carol")]
    assert story.states == {"partner1.example": "gateway", "partner2.example": "gateway"}


def test_a_torn_last_line_is_left_out() -> None:
    assert read_records(journal_lines()[:-20]) == read_records(journal_lines())[:-1]
