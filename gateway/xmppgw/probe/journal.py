"""What the migration's own journal says about the run that was measured, and about everything before it.

Called by the runner, which brings the lines from the journal's authority, and by the report. Pure: lines in, values
out. It believes the lines as they are; whether the chain holds is for `migrate.yml` to judge. A record it does not
know is passed over, so that the journal may grow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

import msgspec

PATH = "/var/lib/xmppgw-migration/journal.jsonl"

ActionState = Literal["done", "begun", "planned", "undone", "left"]
"""`left`: its step ended well without it, because the partner it is about stays where it is."""

PROOFS = ("S", "T", "C")
"""How a partner and we came to trust each other (`federation.outcome.Method`)."""


HELD = "held"
"""The state of a partner that was held back before anything was done about it."""


class Action(msgspec.Struct, frozen=True):
    """One line of the plan; `what` is the planner's own sentence."""

    id: str
    step: int = 0
    what: str = ""


class Record(msgspec.Struct, frozen=True):
    """One journal record, as far as a reader of the report wants to know it. Every kind uses a few of the fields."""

    event: str
    time: str = ""
    who: str = ""
    verb: str = ""
    step: int | None = None
    digest: str = ""
    actions: tuple[Action, ...] = ()
    partner: str = ""
    state: str = ""
    phase: str = ""
    outcome: str = ""
    why: str = ""
    reason: str = ""
    by: str = ""
    code: str = ""
    guards: tuple[str, ...] = ()
    wave: str | int = ""
    users: tuple[str, ...] | int = ()

    @property
    def t(self) -> float:
        """When it was written, epoch seconds; 0 where the record does not say it readably."""
        try:
            return datetime.fromisoformat(self.time).timestamp()
        except ValueError:
            return 0.0


@dataclass(frozen=True)
class PlannedAction:
    """One line of the plan and what became of it."""

    step: int
    what: str
    state: ActionState
    why: str = ""


@dataclass(frozen=True)
class PartnerEvent:
    """Something that was decided or found about one partner."""

    at: str
    partner: str
    what: str
    reason: str = ""


@dataclass(frozen=True)
class Wave:
    """One wave of users that moved."""

    at: str
    wave: str
    users: int


@dataclass(frozen=True)
class GuardResult:
    """What guards found before a step: that they hold, or that somebody took it upon themselves."""

    at: str
    code: str
    result: Literal["passed", "overridden"]
    step: int | None = None
    by: str = ""
    why: str = ""


@dataclass(frozen=True)
class Run:
    """One run of a playbook that changed something: who, when, what it did and took back."""

    at: str
    who: str
    verb: str
    digest: str = ""
    done: tuple[int, ...] = ()
    undone: tuple[int, ...] = ()
    finished: bool = False


@dataclass(frozen=True)
class Story:
    """All of it: the plan of the measured run, and the history of the whole migration."""

    plan_digest: str = ""
    plan: tuple[PlannedAction, ...] = ()
    partners: tuple[PartnerEvent, ...] = ()
    waves: tuple[Wave, ...] = ()
    guards: tuple[GuardResult, ...] = ()
    runs: tuple[Run, ...] = ()
    states: dict[str, str] = field(default_factory=dict)
    """Partner to where it stands now: `gateway`, `legacy`, `static?`, or what else the last record says."""


def read_records(data: bytes) -> list[Record]:
    """Decode journal lines; what is not a record is left out, as the last line of a power cut is."""
    decoder = msgspec.json.Decoder(Record)
    found = []
    for line in data.splitlines():
        try:
            found.append(decoder.decode(line))
        except msgspec.MsgspecError:
            continue
    return found


def tell(records: Sequence[Record], since: float) -> Story:
    """Read the journal from its beginning; `since` (epoch seconds) is when the measured run began."""
    plan, digest = _plan(records, since)
    return Story(
        plan_digest=digest,
        plan=plan,
        partners=tuple(found for record in records if (found := _partner(record)) is not None),
        waves=tuple(_wave(record) for record in records if record.event == "wave_done"),
        guards=tuple(found for record in records for found in _guards(record)),
        runs=tuple(_runs(records)),
        states=_states(records),
    )


def _states(records: Sequence[Record]) -> dict[str, str]:
    """Where each partner stands; who is held back before anything was done about it stays where it is."""
    states: dict[str, str] = {}
    for record in records:
        if record.event == "partner_switched":
            states[record.partner] = record.state
        elif record.event == "partner_held":
            states.setdefault(record.partner, HELD)
        elif record.event == "partner_released" and states.get(record.partner) == HELD:
            del states[record.partner]
    return states


def _plan(records: Sequence[Record], since: float) -> tuple[tuple[PlannedAction, ...], str]:
    """The plan that this run adopted (records carry whole seconds), each line with what became of it."""
    adopted = [
        number for number, record in enumerate(records) if record.event == "plan_adopted" and record.t >= since - 1
    ]
    if not adopted:
        return (), ""
    first = records[adopted[0]]
    # A run that was killed and went on with the same digest adopts what is left of it.
    same = [records[number] for number in adopted if records[number].digest == first.digest]
    actions = {action.id: action for record in reversed(same) for action in record.actions}
    states: dict[int, ActionState] = {}
    for record in records[adopted[0] :]:
        if record.step is None:
            continue
        if record.event == "step_opened":
            states[record.step] = "begun"
        elif record.event == "step_done":
            states[record.step] = "done"
        elif record.event == "step_undone":
            states[record.step] = "undone"
    since_then = records[adopted[0] :]
    planned = [_planned(action, step, states, since_then) for action, step in _numbered(actions)]
    return tuple(sorted(planned, key=lambda action: action.step)), first.digest


def _planned(
    action: Action, step: int, states: Mapping[int, ActionState], since_then: Sequence[Record]
) -> PlannedAction:
    state = states.get(step, "planned")
    why = _left(action, since_then) if state == "done" else ""
    return PlannedAction(step, action.what, "left" if why else state, why)


def _left(action: Action, records: Sequence[Record]) -> str:
    """Why a line about one partner was not done although its step was; empty if it was. Ids are `6/route/<domain>`."""
    _, _, about = action.id.partition("/")
    kind, _, domain = about.partition("/")
    event = {"prove": "partner_proved", "drain": "partner_switched", "route": "partner_switched"}.get(kind)
    last = next((r for r in reversed(records) if r.event == event and r.partner == domain), None)
    if last is None:
        return ""
    if kind == "prove":
        return "" if last.outcome in PROOFS else last.outcome or "unproved"
    return "" if last.state == "gateway" else last.state


def _numbered(actions: Mapping[str, Action]) -> Iterator[tuple[Action, int]]:
    """Each action with its step: an action's id begins with it."""
    for action in actions.values():
        head = action.id.partition("/")[0]
        yield action, action.step or (int(head) if head.isdigit() else 0)


def _partner(record: Record) -> PartnerEvent | None:
    words = {
        "partner_proved": f"proof: {record.outcome}",
        "partner_switched": {"gateway": "switched to our gateway", "legacy": "at the old gateway"}.get(
            record.state, record.state
        ),
        "partner_phase": f"phase {record.phase}",
        "partner_held": "held back",
        "partner_released": "released",
        "partner_excepted": "switched without a proof, by exception",
    }
    if record.event not in words or not record.partner:
        return None
    reason = record.reason or record.why
    signed = f"{reason} ({record.by})" if record.by else reason
    return PartnerEvent(record.time, record.partner, words[record.event], signed)


def _wave(record: Record) -> Wave:
    return Wave(record.time, str(record.wave), record.users if isinstance(record.users, int) else len(record.users))


def _guards(record: Record) -> list[GuardResult]:
    if record.event == "step_opened":
        return [GuardResult(record.time, code, "passed", record.step) for code in record.guards]
    if record.event == "guard_overridden":
        return [GuardResult(record.time, record.code, "overridden", record.step, record.by or record.who, record.why)]
    return []


def _runs(records: Sequence[Record]) -> list[Run]:
    runs: list[Run] = []
    for record in records:
        if record.event == "run_started":
            runs.append(Run(record.time, record.who, record.verb))
        elif not runs:
            continue
        elif record.event == "plan_adopted":
            runs[-1] = replace(runs[-1], digest=record.digest)
        elif record.event == "step_done" and record.step is not None:
            runs[-1] = replace(runs[-1], done=(*runs[-1].done, record.step))
        elif record.event == "step_undone" and record.step is not None:
            runs[-1] = replace(runs[-1], undone=(*runs[-1].undone, record.step))
        elif record.event == "run_finished":
            runs[-1] = replace(runs[-1], finished=True)
    return runs
