"""The plan as a reader wants it: the digest and one line per action, from `out/plan/plan.json`.

Called by the runner. The planner's own format belongs to the migration; an action this module does not know is shown
as it is.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from xmppgw.probe.report import PlanStep

TELLING = ("text", "summary", "description", "what", "message", "line")


class _Step(msgspec.Struct, frozen=True):
    number: int
    name: str = ""
    actions: tuple[str | dict[str, object], ...] = ()


class _Plan(msgspec.Struct, frozen=True):
    digest: str = ""
    steps: tuple[_Step, ...] = ()


def read_plan(path: Path) -> tuple[str, tuple[PlanStep, ...]]:
    """The digest and the steps of a plan file; empty if there is none or it is no plan."""
    try:
        plan = msgspec.json.decode(path.read_bytes(), type=_Plan)
    except (OSError, msgspec.MsgspecError):
        return "", ()
    return plan.digest, tuple(PlanStep(s.number, s.name, tuple(map(_in_words, s.actions))) for s in plan.steps)


def _in_words(action: str | dict[str, object]) -> str:
    if isinstance(action, str):
        return action
    for key in TELLING:
        if isinstance(said := action.get(key), str) and said:
            return said
    return ", ".join(f"{key} {value}" for key, value in sorted(action.items()) if value not in (None, "", [], {}))
