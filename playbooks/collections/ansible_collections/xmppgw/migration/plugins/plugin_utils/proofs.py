"""What an edge's attempt to authenticate at a partner proves.

Used by the action `judge_proofs`. Pure: the edge's answers in, verdicts out.
"""

from __future__ import annotations

METHODS = {"S": "SASL EXTERNAL over TLS", "T": "dialback over TLS", "C": "dialback over TCP"}


def judge(answer, partner, *, dns_points_here):
    """Return {outcome, why, good} for one edge's answer to `connect`.

    A partner that verifies us by dialback asks whoever DNS names. Before step 6 that is the legacy gateway, which
    does not know our key, so a
    dialback that fails then proves reachability and TLS, and nothing is wrong.
    """
    outcome, reason = answer.get("outcome"), str(answer.get("reason") or "")
    if answer.get("ok") and outcome in METHODS:
        if outcome in partner["allowed"]:
            return {"outcome": outcome, "why": f"proved: {METHODS[outcome]}", "good": True}
        allowed = ", ".join(partner["allowed"])
        return {"outcome": "refused", "why": f"{METHODS[outcome]} came about, allowed is {allowed}", "good": False}
    if partner["dialback"] and not dns_points_here and answer.get("stage") == "dialback":
        return {
            "outcome": "unproved",
            "why": f"waits for DNS: {reason or 'the partner asked the legacy gateway'}",
            "good": True,
        }
    return {"outcome": "failed", "why": reason or "the edge gave no reason", "good": False}


def worst(verdicts):
    """Return the verdict that counts for a partner over all edges: a failure first, then unproved, then proved."""
    rank = {"failed": 0, "refused": 0, "unproved": 1}
    return min(verdicts, key=lambda verdict: (rank.get(verdict["outcome"], 2), verdict["outcome"]))
