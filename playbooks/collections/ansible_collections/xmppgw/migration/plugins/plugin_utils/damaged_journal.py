"""A journal that was changed, cut off or removed by hand: said as a difference, and the world judged all the same.

Used by the actions that only look (`drift`, `served`). Whoever changes something refuses such a journal (SeenState).
"""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.module_utils.chain import ChainError, missing_tail


def difference(kind, subject, found, expected, *, step=None):
    """Return one difference. `found` and `expected` are for people."""
    return {"kind": kind, "subject": subject, "found": found, "expected": expected, "step": step}


def look(action, task_vars):
    """Return (the Picture, or None where no journal can be read; what is wrong with journal, copy and lock)."""
    around, hostvars = action.environment(task_vars), task_vars["hostvars"]
    seen = {
        host: (hostvars[host].get("migration_seen") or {}).get("seen") or {} for host in (around.authority, around.copy)
    }
    over, found = readable(around, seen)
    if over is None:
        return None, found
    return action.picture(task_vars, [{"host": host, "seen": one} for host, one in over.items()]), found


def readable(environment, seen):
    """Return (observations to lay over `seen`, or None where neither can be read; what is wrong).

    `seen`: what the hosts said, by host. The rest of the world is judged by whichever of the two is whole.
    """
    states = {host: (seen.get(host) or {}).get("state") or {} for host in (environment.authority, environment.copy)}
    found = [
        difference("journal", host, state["problem"], "journal and lock as this toolkit writes them")
        for host, state in states.items()
        if state.get("problem")
    ]
    whole = {host: state for host, state in states.items() if not state.get("problem") and "records" in state}
    if not whole:
        return None, found
    mine, copy = (whole.get(host, {}).get("records", []) for host in (environment.authority, environment.copy))
    if environment.authority in whole and copy and not mine:
        found.append(difference("journal", environment.authority, "no journal", f"the {len(copy)} records of its copy"))
    elif len(whole) == len(states):
        try:
            missing_tail(mine, copy)
        except ChainError as problem:
            found.append(difference("journal", environment.authority, problem.text, "the same records as its copy"))
    if not found:
        return {}, []
    lock = whole.get(environment.authority, {}).get("lock")
    one = {"present": True, "records": mine or copy, "lock": lock, "problem": None}
    return {host: {**(seen.get(host) or {}), "state": one} for host in states}, found
