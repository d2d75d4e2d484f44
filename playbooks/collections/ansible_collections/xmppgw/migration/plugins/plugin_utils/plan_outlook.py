"""What a reviewer of the plan wants to know beyond its actions: what will be noticed and by whom, how long the waits
are, where a run stops, what was accepted, and from where there is no way back.

Called by the action `plan`. None of it is in the digest but the codes that were accepted: it follows from the document
and from the clock.
"""

from __future__ import annotations

from dataclasses import asdict

from ansible_collections.xmppgw.migration.plugins.plugin_utils import dns_providers, plan_notices, planner
from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards.window import read

from xmppgw.federation import srv_name
from xmppgw.federation.noticed import noticed

POINT_OF_NO_RETURN = (
    "decommission.yml. Until then every step can be taken back (rollback.yml -e to=N), users and records included; "
    "nothing in steps 1 to 6 switches the legacy gateway off."
)
WAIT_MARGIN = 1.1
"""A wait is the TTL that was served, or the negative TTL, and 10 % (see caches.py)."""


def with_outlook(plan, picture, accepted, refusals, hold, *, later=()):
    """Return the plan with everything around its actions, and its digest over what was decided."""
    federation = picture.environment.federation
    window = read(picture)
    complete = {
        **plan,
        "notices": plan_notices.notices(plan, picture, accepted, refusals, later),
        "accepted": [item.as_dict() for item in accepted],
        "refused": [refusal.as_dict() for refusal in refusals],
        "refused_later": [refusal.as_dict() for refusal in later],
        "holds": [{"step": hold[0], "why": hold[1]}] if hold else [],
        "maintenance_window": None if window.opens is None else window.says(),
        "expected_waits": expected_waits(plan, picture),
        "noticed": what_is_noticed(plan, picture),
        "dns_writes": dns_writes(plan, federation.dns),
        "waves": waves(plan),
        "point_of_no_return": POINT_OF_NO_RETURN,
        "products": f"{federation.legacy.product} to {federation.target.product}" if federation.legacy else "",
    }
    return {**complete, "digest": planner.digest(complete)}


def waves(plan):
    """Return [{name, users, digest}]: the waves of step 3. Their digests are their own, not part of the plan's."""
    return [
        {"name": item["subject"], "users": item["after"]["users"], "digest": item["after"]["wave"]}
        for step in plan["steps"]
        for item in step["actions"]
        if item["kind"] == "homing"
    ]


def dns_writes(plan, dns):
    """Return [{step, name, before, after, prerequisite, how}]: every RRset that is written, what must stand there right
    before, whoever writes (`dns_rrset` looks), and how the document's provider writes it."""
    return [
        {
            "step": step["number"],
            "name": srv_name(item["subject"]),
            "before": item["before"],
            "after": item["after"],
            "prerequisite": "there is no such RRset"
            if item["before"] is None
            else f"the RRset is {planner.show(item['before'])}",
            "how": dns_providers.how_of(dns),
        }
        for step in plan["steps"]
        for item in step["actions"]
        if item["kind"] == "srv"
    ]


def expected_waits(plan, picture):
    """Return [{step, seconds, reason}] as the TTLs that are served now let expect."""
    federation = picture.environment.federation
    kinds = {(step["number"], item["kind"]) for step in plan["steps"] for item in step["actions"]}
    served = [
        rrset["ttl"]
        for domain in federation.own_domains
        for rrset in picture.dns.rrsets.get(domain, {}).values()
        if rrset
    ]
    negative = max(picture.dns.negative_ttl.values(), default=0)
    numbers = {step["number"] for step in plan["steps"]}
    waits = []
    if (4, "srv") in kinds and 5 in numbers:
        waits.append((5, max([*served, negative]), "resolvers may still hold the SRV records with their old TTL"))
    if (6, "srv") in kinds:
        waits.append((6, max(federation.dns.ttl.migration, negative), "resolvers may still lead to the legacy gateway"))
    pause = federation.users.waves.pause_seconds
    moves = sum(1 for step in plan["steps"] for item in step["actions"] if item["kind"] == "homing")
    if pause and moves > 1:
        waits.append((3, pause, f"between two of {moves} waves of users"))
    return [
        {"step": step, "seconds": round(seconds * (1 if step == 3 else WAIT_MARGIN)), "reason": reason}
        for step, seconds, reason in sorted(waits)
    ]


def what_is_noticed(plan, picture):
    """Return [{step, who, what}]: what people will notice of this plan's actions, and who they are."""
    planned = {(step["number"], item["kind"]) for step in plan["steps"] for item in step["actions"]}
    return [asdict(one) for one in noticed(picture.environment.document, planned)]
