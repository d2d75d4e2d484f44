"""What a reviewer of the plan wants to know beyond its actions: what will be noticed and by whom, how long the waits
are, where a run stops, what was accepted, and from where there is no way back.

Called by the action `plan`. None of it is in the digest but the codes that were accepted: it follows from the document
and from the clock.
"""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils import planner
from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards.window import read

from xmppgw.federation import srv_name

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
        "notices": _notices(plan, picture, accepted, refusals, later),
        "accepted": [item.as_dict() for item in accepted],
        "refused": [refusal.as_dict() for refusal in refusals],
        "refused_later": [refusal.as_dict() for refusal in later],
        "holds": [{"step": hold[0], "why": hold[1]}] if hold else [],
        "maintenance_window": None if window.opens is None else window.says(),
        "expected_waits": expected_waits(plan, picture),
        "noticed": noticed(plan, picture),
        "dns_writes": dns_writes(plan),
        "waves": waves(plan),
        "point_of_no_return": POINT_OF_NO_RETURN,
        "products": f"{federation.legacy.product} to {federation.target.product}" if federation.legacy else "",
    }
    return {**complete, "digest": planner.digest(complete)}


def _notices(plan, picture, accepted, refusals, later):
    """Return what has to be read before all else; the plan's first lines."""
    lines = [f"REFUSED [{refusal.code}] {refusal.reason} Found: {refusal.found}" for refusal in refusals]
    lines += [f"LATER [{refusal.code}] {refusal.reason} Found: {refusal.found}" for refusal in later]
    lines += [f"ACCEPTED [{item.code}] by {item.by} ({item.why}): {item.means}" for item in accepted]
    interrupted = [
        f"{item.user} has no XMPP for about {item.minutes} minutes (accepted by {item.by})"
        for item in picture.environment.federation.users.exceptions
        if item.reason.value == "interruption"
    ]
    lines += [f"INTERRUPTED {line}" for line in interrupted]
    if plan["scenario"] == "coexist":
        owned = ", ".join(picture.environment.federation.legacy_domains)
        lines.append(f"COEXIST {owned} stays with the legacy gateway: its records, partners and users are not touched")
    return lines


def waves(plan):
    """Return [{name, users, digest}]: the waves of step 3. Their digests are their own, not part of the plan's."""
    return [
        {"name": item["subject"], "users": item["after"]["users"], "digest": item["after"]["wave"]}
        for step in plan["steps"]
        for item in step["actions"]
        if item["kind"] == "homing"
    ]


def dns_writes(plan):
    """Return [{step, name, before, after, prerequisite}]: every RRset that is written, compared and swapped."""
    return [
        {
            "step": step["number"],
            "name": srv_name(item["subject"]),
            "before": item["before"],
            "after": item["after"],
            "prerequisite": "the zone's SOA is unchanged and "
            + ("there is no such RRset" if item["before"] is None else f"the RRset is {planner.show(item['before'])}"),
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


def noticed(plan, picture):
    """Return [{step, who, what}]: what people will notice, and who they are."""
    federation = picture.environment.federation
    kinds = {(step["number"], item["kind"]) for step in plan["steps"] for item in step["actions"]}
    found = []
    if any(step == 3 for step, _kind in kinds):
        gone = federation.legacy_serves is not None and federation.legacy_serves.value == "legacy_pool"
        what = "sign in again when moved" + ("; no XMPP federation from the move until step 6" if gone else "")
        found.append((3, "users who move", what))
    if (5, "prove") in kinds:
        found.append((5, "partners", "one authenticated stream from our edges, without messages"))
    if (6, "srv") in kinds or (6, "drain") in kinds:
        found.append((6, "partners", "their streams to us are closed gracefully once and come back at our edges"))
    if any(step == 6 for step, _kind in kinds):
        found.append((6, "users with XMPP contacts", "nothing but a pause of a fraction of a second per partner"))
        if federation.sip.next_hop.platform.value == "microsoft":
            found.append((6, "users with XMPP contacts", "presence and contacts stop working; messages go on"))
    if federation.drain.provider == "powershell" and (6, "drain") in kinds:
        found.append(
            (6, "users with XMPP contacts", f"what is in flight at {federation.drain.quiet_minute} may be lost")
        )
    return [{"step": step, "who": who, "what": what} for step, who, what in found]
