"""The plan: what the six steps would change, computed from what was seen and what the federation document wants.

Used by the `plan` action and by status. Pure: dictionaries in, a dictionary out; no clock, no host, no file. The order
of the result never depends on the order of what was seen.
"""

from __future__ import annotations

import hashlib

from ansible_collections.xmppgw.migration.plugins.module_utils.chain import canonical

NAMES = {
    1: "Deploy the pool",
    2: "Deploy the edge",
    3: "Move all users",
    4: "Configure access policies and the edge certificate",
    5: "Enable XMPP federation",
    6: "Update DNS",
}
"""The documented names of the six steps, in the documented order."""

SCHEMA = 1


FOLLOWING = ("outcome", "relay", "support", "arrives_elsewhere")
"""What a partner's line says beyond what was decided."""


def action(step, kind, subject, what, before, after, host=None):  # noqa: PLR0917
    """Return one planned action. Its id is what the journal and rollback know it by."""
    return {
        "id": f"{step}/{kind}/{subject}",
        "step": step,
        "kind": kind,
        "subject": subject,
        "host": host,
        "what": what,
        "before": before,
        "after": after,
    }


def observed_stage(stages, seen):
    """Return the latest stage whose wanted value is the one `seen`, or 0. `stages` maps step to wanted value."""
    return max((step for step, wanted in stages.items() if wanted == seen), default=0)


def stage_in_force(stages, seen, done):
    """Return which stage of something must hold now: the later of what is journalled as done and what was seen."""
    return max(max((step for step in stages if step <= done), default=0), observed_stage(stages, seen))


def staged(stages, seen, done):
    """Yield (step, before, after) for something that is rewritten at several steps.

    What stands where a later stage is wanted was changed by nobody but us (a killed run), so it is left alone. What
    matches
    no stage in force is repaired in the step that wrote it.
    """
    in_force = stage_in_force(stages, seen, done)
    value = seen
    for step in sorted(stages):
        last = max([other for other in stages if other <= max(step, in_force)], default=step)
        wanted = stages[last]
        if value != wanted:
            yield step, value, wanted
            value = wanted


ORDER = ("install", "secret", "file", "certificate", "unit", "homing", "srv", "prove", "restart", "drain", "route")
"""Kinds in the order in which a step performs them; route last, because it is what moves a partner."""


def assemble(actions, partners, *, scenario, until=6):
    """Return the plan document: steps with their actions, partners, and the digest over all that was decided."""
    ordered = sorted(actions, key=lambda item: (item["step"], ORDER.index(item["kind"]), item["id"]))
    plan = {
        "schema": SCHEMA,
        "scenario": scenario,
        "steps": [
            {"number": number, "name": name, "actions": [item for item in ordered if item["step"] == number]}
            for number, name in NAMES.items()
            if number <= until
        ],
        "partners": sorted(partners, key=lambda item: item["domain"]),
    }
    return {"digest": digest(plan), **plan}


def digest(plan):
    """Return the plan's digest: 64 hex digits over its sorted content. Times, serials and controllers are not in it.

    Neither are the waves of users: each has a digest of its own, so that somebody who joined yesterday voids nothing.
    Of a partner what was seen of it, whose word stands for its software, and what follows from its `switch` decide
    nothing.
    """
    content = {key: plan[key] for key in ("schema", "scenario")}
    content["steps"] = [
        {**step, "actions": [item for item in step["actions"] if item["kind"] != "homing"]} for step in plan["steps"]
    ]
    content["accepted"] = sorted({item["code"] for item in plan.get("accepted", [])})
    content["partners"] = [
        {key: value for key, value in partner.items() if key not in FOLLOWING} for partner in plan["partners"]
    ]
    return hashlib.sha256(canonical(content).encode()).hexdigest()


def all_actions(plan):
    """Return the plan's actions in order."""
    return [item for step in plan["steps"] for item in step["actions"]]


def resumes(plan, wanted_digest, history):
    """Return (True, "") if applying `plan` finishes the earlier plan `wanted_digest`, else (False, reason).

    True when that plan was begun and not undone, everything still to do was in it, and everything of it that no longer
    has to be done was announced in the journal under that digest: then only we changed the world since.
    """
    planned = history.plans.get(wanted_digest)
    if planned is None:
        return (
            False,
            f"the plan now has digest {plan['digest'][:16]}…, and no plan {wanted_digest[:16]}… was begun here",
        )
    remaining = {item["id"]: item["after"] for item in all_actions(plan) if item["kind"] != "homing"}
    strange = sorted(
        key for key, after in remaining.items() if key not in planned or canonical(planned[key]) != canonical(after)
    )
    if strange:
        return False, f"not in that plan: {', '.join(strange[:5])}"
    announced = history.announced.get(wanted_digest, set())
    vanished = sorted(
        key for key in planned if key not in remaining and key not in announced and not key.startswith("3/homing/")
    )
    if vanished:
        return False, f"done by somebody else meanwhile: {', '.join(vanished[:5])}"
    return True, ""


def show(value):
    """Return a value of an action as a person reads it."""
    if value is None:
        return "nothing"
    if isinstance(value, dict) and "records" in value:
        return f"TTL {value['ttl']}: " + "; ".join(value["records"])
    if isinstance(value, dict):
        return ", ".join(f"{key} {show(item)}" for key, item in sorted(value.items()))
    if isinstance(value, (list, tuple)):
        return ", ".join(show(item) for item in value)
    text = str(value)
    is_digest = len(text) == 64 and all(letter in "0123456789abcdef" for letter in text)
    return f"content {text[:12]}" if is_digest else text


def as_diff(actions):
    """Return {before, after} texts for Ansible's --diff."""
    return {
        "before": "".join(f"{item['id']}: {show(item['before'])}\n" for item in actions),
        "after": "".join(f"{item['id']}: {show(item['after'])}\n" for item in actions),
    }
