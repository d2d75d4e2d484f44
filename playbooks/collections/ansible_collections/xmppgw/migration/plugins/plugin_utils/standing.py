"""Where the migration stands, as data and as one screen of text.

Used by the action `status`. Pure: a Picture in, data and lines out.
"""

from __future__ import annotations

from collections import Counter

from ansible_collections.xmppgw.migration.plugins.plugin_utils import planner, rrsets, whole_plan


def describe(picture):
    """Return where the migration stands as plain data."""
    history = picture.history
    plan = whole_plan.plan_of(picture)
    homes = Counter(home for table in picture.platforms.tables("homing").values() for home in table.values())
    platforms = len(picture.platforms.tables("homing"))
    return {
        "schema": 1,
        "steps": [
            {
                "number": step["number"],
                "name": step["name"],
                "done": step["number"] in history.done,
                "open_actions": len(step["actions"]),
            }
            for step in plan["steps"]
        ],
        "users": {home: -(-count // platforms) for home, count in sorted(homes.items())},
        "srv": {domain: picture.dns.rrset(domain) for domain in sorted(picture.dns.rrsets)},
        "partners": [_partner(picture, partner) for partner in plan["partners"]],
        "lock": picture.state.lock,
        "journal": {
            "records": len(picture.state.records),
            "copy_lacks": len(picture.state.missing),
            "last_run": history.runs[-1] if history.runs else None,
        },
    }


def _partner(picture, planned):
    domain = planned["domain"]
    own = picture.environment.federation.own_domains[0]
    legacy = [
        tuple(stream)
        for host in picture.environment.groups["legacy_gateway"]
        for stream in picture.seen[host]["legacy"]
    ]
    edge_streams = [
        stream
        for host in picture.environment.edges
        for stream in (picture.seen[host]["gateway"]["control"].get("streams") or {}).get("streams") or []
        if stream.get("remote") == domain
    ]
    return {
        "domain": domain,
        "outcome": planned["outcome"],
        "state": picture.history.partners.get(domain, "legacy"),
        "route": sorted({str(table.get(domain)) for table in picture.platforms.tables("route").values()}),
        "streams_at_legacy": sum(1 for item in legacy if item in {("in", domain, own), ("out", own, domain)}),
        "streams_at_edges": {
            direction: sum(1 for stream in edge_streams if stream.get("direction") == direction)
            for direction in ("in", "out")
        },
    }


def lines(status):
    """Return the status as one screen of text."""
    text = ["", "  step"]
    for step in status["steps"]:
        state = "done" if step["done"] else "open"
        more = f", {step['open_actions']} to do" if step["open_actions"] else ""
        text.append(f"  ({step['number']}/{len(planner.NAMES)}) {step['name']:<52} {state}{more}")
    users = ", ".join(f"{count} on {home}" for home, count in status["users"].items()) or "none"
    text += ["", f"  users     {users}"]
    for domain, rrset in status["srv"].items():
        text.append(f"  SRV       {domain}: {rrsets.show(rrset)}")
    for partner in status["partners"]:
        streams = partner["streams_at_edges"]
        text.append(
            f"  partner   {partner['domain']}: route {'/'.join(partner['route'])}, {partner['outcome']}; "
            f"streams at legacy "
            f"{partner['streams_at_legacy']}, at our edges {streams['in']} in and {streams['out']} out"
        )
    lock = status["lock"]
    held = (
        f"held by {lock['owner']} (process {lock['pid']} on {lock['host']}, since {lock['start_text']})"
        if lock
        else "free"
    )
    journal = status["journal"]
    lacks = f", {journal['copy_lacks']} not on the copy yet" if journal["copy_lacks"] else ""
    text += [f"  lock      {held}", f"  journal   {journal['records']} records{lacks}"]
    if journal["last_run"]:
        when, who, verb = journal["last_run"]
        text.append(f"  last run  {verb} by {who} at {when}")
    return text
