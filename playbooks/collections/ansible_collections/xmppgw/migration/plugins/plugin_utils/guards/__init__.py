"""The guards: rules of the product documentation that a program can decide, each with a stable code.

Run by preflight for the whole migration and again before each step on fresh observations. Each guard is a small pure
function of the Situation; it returns refusals and never changes anything. One module per topic; what registers itself
with `guard` in a module imported below is run. Sources: Microsoft's rules R1..R8 as listed in docs/codes.md.
"""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards import (
    dns,
    document,
    edges,
    legacy,
    order,
    outside,
    partners,
    platform,
    users,
    window,
)
from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards.registry import (
    ACCEPTABLE,
    ON_THE_WAY,
    REGISTRY,
    STANDING,
    Refusal,
    all_codes,
)
from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards.situation import Situation, situation_of

TOPICS = (dns, document, edges, legacy, order, outside, partners, platform, users, window)

__all__ = (
    "ACCEPTABLE",
    "TOPICS",
    "Refusal",
    "Situation",
    "all_codes",
    "explain",
    "judge",
    "judge_all",
    "of_this_run",
    "outcome",
    "situation_of",
)


def judge(situation):
    """Return all refusals for this situation, sorted by code."""
    found = [refusal for function, _codes in REGISTRY for refusal in function(situation)]
    return sorted(found, key=lambda refusal: (refusal.code, refusal.found))


def judge_all(situation, steps):
    """Return the refusals of preflight over `steps`, each once; of standing rules whether or not there are any."""
    found = [refusal for function in STANDING for refusal in function(replace(situation, preflight=True))]
    for step in steps:
        found += judge(replace(situation, step=step, preflight=True))
    once = {(refusal.code, refusal.found): refusal for refusal in found}
    return [once[key] for key in sorted(once)]


def of_this_run(situation, steps, hold):
    """Return the refusals of preflight that keep a run of `steps` from starting. `hold`: the step before which it
    stops, or None."""
    reached = judge_all(situation, [step for step in steps if hold is None or step < hold])
    return [item for item in judge_all(situation, steps) if item.code not in ON_THE_WAY or item in reached]


def explain(refusals):
    """Return the refusals as lines for a terminal."""
    lines = []
    for refusal in refusals:
        lines += [f"[{refusal.code}] {refusal.reason}", f"    found: {refusal.found}", f"    now:   {refusal.hint}"]
        if refusal.accepted_as:
            lines.append(f'    or:    -e accept={refusal.code} -e reason="...", which means: {refusal.accepted_as}')
    return "\n".join(lines)


def outcome(step, refusals, accepted):
    """Return the guards' result for the steps file and the report: what passed, was overridden, refused."""
    bad = {refusal.code for refusal in refusals} | {item.code for item in accepted}
    return {
        "step": step,
        "passed": [code for code in all_codes() if code not in bad],
        "overridden": [item.as_dict() for item in accepted],
        "refused": [refusal.as_dict() for refusal in refusals],
    }
