"""What a guard is: a small pure function of the Situation that returns refusals, registered here with its codes.

Imported by every topic of this package; imports none of them.
"""

from __future__ import annotations

from dataclasses import dataclass

REGISTRY = []
"""(function, its codes), in the order in which they were registered."""
STANDING = []
"""The functions among them whose rule holds for as long as both gateways stand, also when no step is left to do."""
ACCEPTABLE = {}
"""Code to what accepting it means, in words. Everything else cannot be overridden."""
ON_THE_WAY = set()
"""Codes about what only earlier steps make possible: they refuse no run that is held before the step they protect."""


@dataclass(frozen=True)
class Refusal:
    """Why a step may not start: what was found, what was expected, what to do now."""

    code: str
    reason: str
    found: str
    hint: str

    @property
    def accepted_as(self):
        """What accepting it would mean, or None if nobody can."""
        return ACCEPTABLE.get(self.code)

    def as_dict(self):
        """Return it as plain data for results and reports."""
        return {
            "code": self.code,
            "reason": self.reason,
            "found": self.found,
            "hint": self.hint,
            "accepted_as": self.accepted_as,
        }


def guard(*codes, accepted_as=None, standing=False, on_the_way=False):
    """Register a guard under the codes that it may refuse with. `accepted_as`: what overriding it means, in words.

    `on_the_way`: what it asks for can only be had once earlier steps are done, so a run that stops before its step, be
    it by a hold, is warned and not refused.
    """

    def register(function):
        REGISTRY.append((function, codes))
        if standing:
            STANDING.append(function)
        if on_the_way:
            ON_THE_WAY.update(codes)
        if accepted_as:
            ACCEPTABLE.update(dict.fromkeys(codes, accepted_as))
        return function

    return register


def all_codes():
    """Return every code that some guard may refuse with, sorted."""
    return sorted({code for _function, codes in REGISTRY for code in codes})


def some(names, limit=5):
    """Return the first few of a list of names in words."""
    names = sorted(names)
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest
