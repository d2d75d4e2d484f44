"""What an edge's attempt to authenticate at a partner proves, and what counts where it proves nothing.

Used by the action `judge_proofs`. Pure: the edges' answers in, verdicts out.
"""

from __future__ import annotations

METHODS = {"S": "SASL EXTERNAL over TLS", "T": "dialback over TLS", "C": "dialback over TCP"}


def judge(answer, partner, *, at_switch):
    """Return {outcome, why, good, reached} for one edge's answer to `connect`.

    A partner that verifies us by dialback asks whoever DNS names, down a stream that may still end at the legacy
    gateway. Before its phase is `gateway` (`at_switch` False) it therefore cannot prove us; that it was `reached` (TCP,
    TLS where it is spoken, features, and our key sent) is all that can be seen, and so much must be. A named exception
    of the document stands in for a proof, never for a method that is not allowed.
    """
    outcome, reason = answer.get("outcome"), str(answer.get("reason") or "")
    if answer.get("ok") and outcome in METHODS:
        if outcome in partner["allowed"]:
            return _verdict(outcome, f"proved: {METHODS[outcome]}", good=True)
        allowed = ", ".join(partner["allowed"])
        return _verdict("refused", f"{METHODS[outcome]} came about, allowed is {allowed}", good=False)
    reached = answer.get("stage") == "dialback"
    found = reason or "the edge gave no reason"
    exception = partner.get("exception")
    if exception:
        why = f"excepted by {exception['by']}: {exception['reason']} (found: {found})"
        return _verdict("excepted", why, good=True, reached=reached)
    if partner["dialback"] and not at_switch and reached:
        why = f"waits for the switch: {reason or 'the partner asked the legacy gateway'}"
        return _verdict("unproved", why, good=True, reached=reached)
    return _verdict("failed", found, good=False, reached=reached)


def _verdict(outcome, why, *, good, reached=True):
    return {"outcome": outcome, "why": why, "good": good, "reached": reached}


def worst(verdicts):
    """Return the verdict that counts for a partner over all edges and domains: what went wrong first, proofs last."""
    rank = {"failed": 0, "refused": 0, "excepted": 1, "unproved": 2}
    return min(verdicts, key=lambda verdict: (rank.get(verdict["outcome"], 3), verdict["reached"], verdict["outcome"]))


def judge_all(results, partners, *, at_switch):
    """Return {domain: verdict} from the results of `prove_partners`, one for each edge. Verdicts carry their `edge`."""
    by_domain = {partner["domain"]: partner for partner in partners}
    found = {}
    for edge, answers in results:
        for item in answers:
            verdict = judge(item["answer"], by_domain[item["partner"]], at_switch=at_switch)
            found.setdefault(item["partner"], []).append({**verdict, "edge": edge, "local": item["local"]})
    return {domain: worst(verdicts) for domain, verdicts in sorted(found.items())}
