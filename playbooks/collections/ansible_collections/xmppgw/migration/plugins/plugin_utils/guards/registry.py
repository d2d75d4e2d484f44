"""What a guard is: a small pure function of the Situation that returns refusals, registered here by its decorator.

Imported by every topic of this package; imports none of them.
"""

from __future__ import annotations

from dataclasses import dataclass

REGISTRY = []


@dataclass(frozen=True)
class Refusal:
    """Why a step may not start: what was found, what was expected, what to do now."""

    code: str
    reason: str
    found: str
    hint: str

    def as_dict(self):
        """Return it as plain data for results and reports."""
        return {"code": self.code, "reason": self.reason, "found": self.found, "hint": self.hint}


def guard(function):
    """Register a guard."""
    REGISTRY.append(function)
    return function


def some(names, limit=5):
    """Return the first few of a list of names in words."""
    names = sorted(names)
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest
