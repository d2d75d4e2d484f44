"""Overriding a guard: `-e accept=CODE[,CODE] -e reason="..."`, who and why kept in the journal.

Used by the actions `plan` and `guard`. An acceptance is of what was found: once journalled it holds until something
else is found under that code.
"""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards.registry import ACCEPTABLE, all_codes
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError


@dataclass(frozen=True)
class Accepted:
    """One refusal that somebody takes upon himself. `new`: in this run, so it has yet to be journalled."""

    code: str
    found: str
    means: str
    by: str
    why: str
    new: bool

    def as_dict(self):
        """Return it as the plan and the steps file show it."""
        return {"code": self.code, "found": self.found, "means": self.means, "by": self.by, "why": self.why}

    def as_record(self):
        """Return it as the journal keeps it, which adds who and when."""
        return {
            "event": "guard_overridden",
            "code": self.code,
            "found": self.found,
            "means": self.means,
            "why": self.why,
        }


def asked(accept, reason):
    """Return the codes of `-e accept=`, checked; raise PictureError if one is unknown, fixed, or has no reason."""
    codes = sorted({word.strip() for word in str(accept or "").split(",") if word.strip()})
    unknown = [code for code in codes if code not in all_codes()]
    fixed = [code for code in codes if code in all_codes() and code not in ACCEPTABLE]
    can = ", ".join(sorted(ACCEPTABLE))
    if unknown:
        raise PictureError(
            "migration-accept", f"accept names {', '.join(unknown)}, which no guard has. These can be accepted: {can}."
        )
    if fixed:
        raise PictureError(
            "migration-accept",
            f"accept names {', '.join(fixed)}, which cannot be overridden. These can be accepted: {can}.",
        )
    if codes and not str(reason or "").strip():
        raise PictureError(
            "migration-accept", f'Accepting {", ".join(codes)} needs a reason for the journal: -e reason="...".'
        )
    return codes


def sort(refusals, codes, why, by, journalled):
    """Return (accepted, remaining) of `refusals`. `codes`, `why`: what this run accepts; `journalled`: History's."""
    accepted, remaining = [], []
    for refusal in refusals:
        earlier = journalled.get(refusal.code)
        if refusal.accepted_as is None:
            remaining.append(refusal)
        elif earlier is not None and refusal.found in earlier:
            who = earlier[refusal.found]
            accepted.append(
                Accepted(refusal.code, refusal.found, refusal.accepted_as, who["by"], who["why"], new=False)
            )
        elif refusal.code in codes:
            accepted.append(Accepted(refusal.code, refusal.found, refusal.accepted_as, by, str(why).strip(), new=True))
        else:
            remaining.append(refusal)
    return accepted, remaining
