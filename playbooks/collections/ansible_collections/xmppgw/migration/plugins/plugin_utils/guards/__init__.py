"""The guards: rules of the product documentation that a program can decide, each with a stable code.

Run by preflight for the whole migration and again before each step on fresh observations. Each guard is a small pure
function of the Situation; it returns refusals and never changes anything. One module per topic; what registers itself
with `guard` in a module imported below is run. Sources: Microsoft's rules R1..R8 as listed in docs/codes.md.
"""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards import dns, edges, order, partners, users
from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards.registry import REGISTRY, Refusal
from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards.situation import Situation, situation_of

TOPICS = (dns, edges, order, partners, users)

__all__ = ("TOPICS", "Refusal", "Situation", "explain", "judge", "judge_all", "situation_of")


def judge(situation):
    """Return all refusals for this situation, sorted by code."""
    found = [refusal for function in REGISTRY for refusal in function(situation)]
    return sorted(found, key=lambda refusal: (refusal.code, refusal.found))


def judge_all(situation, steps):
    """Return the refusals of preflight over `steps`, each once."""
    seen = {}
    for step in steps:
        copy = replace(situation, step=step, preflight=True)
        for refusal in judge(copy):
            seen.setdefault((refusal.code, refusal.found), refusal)
    return [seen[key] for key in sorted(seen)]


def explain(refusals):
    """Return the refusals as lines for a terminal."""
    lines = []
    for refusal in refusals:
        lines += [f"[{refusal.code}] {refusal.reason}", f"    found: {refusal.found}", f"    now:   {refusal.hint}"]
    return "\n".join(lines)
