"""What the report takes from the migration's journal: the plan beside what was done, and the history of it all."""

from __future__ import annotations

import json

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


def test_a_line_about_a_partner_who_stays_where_it_is_was_not_done() -> None:
    actions = [
        {"id": f"6/{kind}/{domain}", "step": 6, "what": f"{kind} {domain}"}
        for kind in ("drain", "prove", "route")
        for domain in ("a.example", "b.example")
    ]
    events: list[dict[str, object]] = [
        {"event": "run_started", "verb": "migrate"},
        {"event": "plan_adopted", "digest": DIGEST, "actions": actions},
        {"event": "step_opened", "step": 6},
        {"event": "partner_proved", "partner": "a.example", "outcome": "S"},
        {"event": "partner_proved", "partner": "b.example", "outcome": "unproved"},
        {"event": "partner_switched", "partner": "a.example", "state": "gateway"},
        {"event": "partner_switched", "partner": "b.example", "state": "static?"},
        {"event": "step_done", "step": 6},
    ]
    lines = b"".join(json.dumps({"time": "2026-11-21T10:00:00Z", **event}).encode() + b"\n" for event in events)
    found = {action.what: (action.state, action.why) for action in tell(read_records(lines), 0.0).plan}
    assert found == {
        "drain a.example": ("done", ""),
        "prove a.example": ("done", ""),
        "route a.example": ("done", ""),
        "drain b.example": ("left", "static?"),
        "prove b.example": ("left", "unproved"),
        "route b.example": ("left", "static?"),
    }


def test_the_rules_that_held_are_those_of_the_opened_steps() -> None:
    passed = [(guard.code, guard.step) for guard in told_by_the_journal().guards if guard.result == "passed"]
    assert passed[:2] == [("migration-r1", 1), ("migration-r3", 1)]
    assert len(passed) == 12


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


def test_who_is_held_back_stays_where_it_is_until_it_is_released_or_moved() -> None:
    def states(*events: tuple[str, str]) -> dict[str, str]:
        records = [{"event": event, "partner": "a.example", "state": state} for event, state in events]
        lines = b"".join(json.dumps({"time": "2026-11-21T10:00:00Z", **each}).encode() + b"\n" for each in records)
        return dict(tell(read_records(lines), START).states)

    assert states(("partner_held", "")) == {"a.example": "held"}
    assert states(("partner_held", ""), ("partner_released", "")) == {}
    assert states(("partner_held", ""), ("partner_switched", "gateway")) == {"a.example": "gateway"}
    # One that was given back is held there, and it is said where it is.
    assert states(("partner_switched", "legacy"), ("partner_held", "")) == {"a.example": "legacy"}
