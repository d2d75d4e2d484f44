"""The six steps as their lines tell them: finished, killed, failed, taken back."""

from __future__ import annotations

from xmppgw.probe.events import StepLine, decode_lines, encode_lines
from xmppgw.probe.steps import phase_of, read_course


def line(t: float, event: str, number: int | None = None, **more: object) -> StepLine:
    return StepLine(t=t, event=event, number=number, **more)


def test_a_run_that_says_nothing_leaves_six_steps_pending() -> None:
    assert [(step.number, step.state) for step in read_course([], 0).steps] == [(n, "pending") for n in range(1, 7)]


def test_waiting_is_counted_apart_from_work() -> None:
    course = read_course(
        [
            line(0, "step_started", 5, name="(5/6) Enable XMPP federation"),
            line(2, "wait_started", 5, reason="the old TTL"),
            line(9, "wait_finished", 5),
            line(10, "step_finished", 5, changed=3),
        ],
        20,
    )
    step = course.steps[4]
    assert (step.name, step.state, step.changed) == ("Enable XMPP federation", "done", 3)
    assert (step.duration_s, step.waited_s, step.own_s) == (10, 7, 3)
    assert course.waits[0].reason == "the old TTL"


def test_a_killed_step_that_a_second_run_finishes_is_done() -> None:
    course = read_course(
        [line(0, "step_started", 3), line(5, "run_started"), line(6, "step_started", 3), line(8, "step_finished", 3)], 9
    )
    assert course.steps[2].state == "done"


def test_runs_that_are_measured_together_add_up_and_one_with_nothing_to_do_adds_nothing() -> None:
    step = read_course(
        [
            line(0, "step_started", 3),
            line(5, "step_failed", 3, changed=2, reason="a kill"),
            line(20, "step_started", 3),
            line(25, "step_finished", 3, changed=1, duration_s=5.0),
            line(60, "step_started", 3),
            line(61, "step_finished", 3, changed=0, duration_s=1.0),
        ],
        90,
    ).steps[2]
    assert (step.state, step.changed, step.started, step.ended) == ("done", 3, 0, 25)


def test_a_killed_step_that_nobody_goes_on_with_still_runs() -> None:
    course = read_course([line(0, "step_started", 3)], 7)
    assert course.current() is course.steps[2]
    assert course.steps[2].duration_s == 7


def test_a_failed_step_keeps_its_reason() -> None:
    course = read_course([line(0, "step_started", 4), line(1, "step_failed", 4, reason="migration-r3")], 2)
    assert (course.steps[3].state, course.steps[3].reason) == ("failed", "migration-r3")


def test_a_step_taken_back_is_undone() -> None:
    course = read_course([line(0, "step_started", 6), line(4, "step_finished", 6, state="undone")], 5)
    assert course.steps[5].state == "undone"


def test_phases_follow_the_clock_not_the_numbers() -> None:
    steps = read_course(
        [
            line(10, "step_started", 6),
            line(20, "step_finished", 6),
            line(21, "step_started", 5),
            line(30, "step_finished", 5),
        ],
        40,
    ).steps
    assert [phase_of(t, steps) for t in (5, 15, 25, 35)] == ["before", "6", "5", "after"]


def test_the_last_line_of_a_killed_process_is_counted_not_guessed_at() -> None:
    whole = encode_lines([line(0, "step_started", 1), line(1, "step_finished", 1)])
    found, broken = decode_lines(whole[:-5], StepLine)
    assert (len(found), broken) == (1, 1)
