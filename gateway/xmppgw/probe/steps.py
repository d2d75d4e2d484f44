"""The six steps as they went: from the migration's step lines to states, times and boundaries on the probe's timeline.

Called by the runner (live line) and the report. Pure. It tells what the lines say; whether a step may be called done
is the migration's own business.

The lines are JSON objects with `t` (epoch seconds) and `event`; what is not listed here is passed over:

| event | more |
|---|---|
| `step_started` | `number`, `name` |
| `step_finished`, `step_undone`, `step_failed` | these, and `changed`, `duration_s`, `waited_s`, `reason` |
| `wait_started`, `wait_finished` | `number`, `reason` |
| `partner_switched` | `partner`, `state` (`gateway`, `legacy`, `static?`, ...), `seconds`, `reason` |
| `killed` | `what`, `bound`, `seconds` (how long it was away): written by a test that kills something |
| `run_started`, `run_finished` | |

What has to outlive a run (plan, partners, waves, guards, history) is read from the migration's journal: `journal.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from xmppgw.probe.events import StepLine
from xmppgw.probe.ledger import Kill

State = Literal["pending", "running", "done", "failed", "undone"]

NAMES: dict[int, str] = {
    1: "Deploy the pool",
    2: "Deploy the edge",
    3: "Move all users",
    4: "Configure access policies and the edge certificate",
    5: "Enable XMPP federation",
    6: "Update DNS",
}
"""The documented names and their order; a step line may carry its own wording."""


@dataclass(frozen=True)
class Wait:
    """A stretch in which the migration only waited, and for what. Epoch seconds."""

    start: float
    end: float
    reason: str
    number: int | None


@dataclass(frozen=True)
class Step:
    """One of the six steps in this run. `duration_s` includes `waited_s`; `own_s` does not."""

    number: int
    name: str
    state: State = "pending"
    changed: int = 0
    started: float | None = None
    ended: float | None = None
    duration_s: float = 0.0
    waited_s: float = 0.0
    reason: str = ""
    earlier: State = "pending"
    """What it was when the run that is now at it began: several runs may be measured together."""

    @property
    def own_s(self) -> float:
        """Time spent working, without the waits that DNS or a drain demand."""
        return max(0.0, self.duration_s - self.waited_s)


@dataclass(frozen=True)
class Switch:
    """A partner that was switched in this run, or was tried to; `t` is when that was known."""

    t: float
    partner: str
    state: str
    seconds: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Course:
    """How a run went: its steps by number, and its waits and its partners' switches in order of time."""

    steps: tuple[Step, ...]
    waits: tuple[Wait, ...]
    kills: tuple[Kill, ...]
    switches: tuple[Switch, ...] = ()

    def current(self) -> Step | None:
        """The step that is running now, for the live line."""
        return next((step for step in self.steps if step.state == "running"), None)


def read_course(lines: Iterable[StepLine], now: float) -> Course:
    """Put step lines together.

    A step that began and never ended (the controller was killed) stays `running` and lasts until `now`, epoch seconds.
    """
    ordered = sorted(lines, key=lambda line: line.t)
    waits = _waits(ordered, now)
    steps = {number: Step(number, name) for number, name in NAMES.items()}
    for line in ordered:
        if line.number is None:
            continue
        step = steps.get(line.number, Step(line.number, line.name))
        steps[line.number] = _apply(replace(step, name=_plain_name(line.name) or step.name), line)
    kills = tuple(
        Kill(t=line.t, what=line.what or line.name, bound=line.bound, away_s=line.seconds or 0.0)
        for line in ordered
        if line.event == "killed"
    )
    return Course(
        steps=tuple(_with_times(steps[number], waits, now) for number in sorted(steps)),
        waits=tuple(waits),
        kills=kills,
        switches=tuple(
            Switch(line.t, line.partner, line.state, line.seconds, line.reason)
            for line in ordered
            if line.event == "partner_switched" and line.partner
        ),
    )


def _plain_name(name: str) -> str:
    """A play is named "(3/6) Move all users"; the number has its own column."""
    head, bracket, rest = name.partition(") ")
    return rest if bracket and head.startswith("(") else name


def _apply(step: Step, line: StepLine) -> Step:
    match line.event:
        case "step_started":
            started = line.t if step.started is None else step.started
            return replace(step, state="running", started=started, earlier=step.state)
        case "step_finished":
            state: State = "undone" if line.state == "undone" else "done"
            return _ended(step, line, state)
        case "step_undone":
            return _ended(step, line, "undone")
        case "step_failed":
            return replace(_ended(step, line, "failed"), reason=line.reason)
        case _:
            return step


def _ended(step: Step, line: StepLine, state: State) -> Step:
    changed = int(line.changed or 0)
    if step.earlier == state and not changed:
        # A later run looked at it again and had nothing to do.
        return replace(step, state=state)
    return replace(
        step,
        state=state,
        ended=line.t,
        changed=step.changed + changed,
        duration_s=step.duration_s + (line.duration_s or 0.0),
        waited_s=step.waited_s + (line.waited_s or 0.0),
    )


def _with_times(step: Step, waits: Sequence[Wait], now: float) -> Step:
    """Fill in times that the lines did not state from the marks that they did."""
    if step.started is None:
        return step
    end = step.ended if step.ended is not None else now
    duration = step.duration_s or max(0.0, end - step.started)
    waited = step.waited_s or sum(wait.end - wait.start for wait in waits if wait.number == step.number)
    return replace(step, duration_s=duration, waited_s=min(waited, duration))


def _waits(ordered: Sequence[StepLine], now: float) -> list[Wait]:
    waits: list[Wait] = []
    opened: StepLine | None = None
    for line in ordered:
        if line.event == "wait_started":
            opened = opened or line
        elif opened is not None and line.event in ("wait_finished", "step_finished", "step_failed", "run_finished"):
            waits.append(Wait(opened.t, line.t, opened.reason or opened.name, opened.number))
            opened = None
    if opened is not None:
        waits.append(Wait(opened.t, now, opened.reason or opened.name, opened.number))
    return waits


def phase_of(t: float, steps: Sequence[Step]) -> str:
    """Name the phase of the migration at a moment: `before`, a step's number, or `after`.

    Between two steps it is the earlier one's; a rollback walks the numbers downwards, so times decide, not numbers.
    """
    begun = [step for step in steps if step.started is not None and step.started <= t]
    if not begun:
        return "before"
    ends = [step.ended for step in steps if step.ended is not None]
    if ends and t > max(ends) and not any(step.state == "running" for step in steps):
        return "after"
    return str(max(begun, key=lambda step: step.started or 0.0).number)
