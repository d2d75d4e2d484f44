"""The plan's first lines: what has to be read before all else, from what was refused to what nobody has tried.

Called by plan_outlook. Pure: a plan and a Picture in, sentences out; none of them is in the plan's digest.
"""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils import (
    next_hop_judging,
    plan_users,
    planner,
    seen_partners,
)
from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards.registry import some

from xmppgw.federation.noticed import decided

NOBODY_OUTSIDE = (
    "NOT TRIED [migration-vantage]: nobody outside our firewall has tried to reach our edges, and before step 6 nobody "
    "will: the inventory's group vantage is empty. The first to connect is a partner."
)
UNLISTED_SHOWN = 20
"""Names on one line."""


def notices(plan, picture, accepted, refusals, later):
    """Return what has to be read before all else; the plan's first lines."""
    lines = [f"REFUSED [{refusal.code}] {refusal.reason} Found: {refusal.found}" for refusal in refusals]
    lines += [f"LATER [{refusal.code}] {refusal.reason} Found: {refusal.found}" for refusal in later]
    lines += [f"ACCEPTED [{item.code}] by {item.by} ({item.why}): {item.means}" for item in accepted]
    lines += decided(picture.environment.document)
    unlisted = seen_partners.unlisted(picture.environment, picture.seen)
    lines += [unlisted_words(unlisted)] if unlisted else []
    left = plan_users.left_now(picture)
    lines += [left_words(left)] if left else []
    lines += _not_tried(picture)
    lines += [NOBODY_OUTSIDE] if not picture.environment.vantages and _moves_dns(plan) else []
    return lines + [f"DNS: {notice}" for notice in picture.resolvers.notices]


def _moves_dns(plan):
    return any(item["step"] == 6 and item["kind"] == "srv" for item in planner.all_actions(plan))


def _not_tried(picture):
    """Return what preflight could not try yet with the SIP next hop, front end by front end."""
    found = {
        host: next_hop_judging.not_tried(picture.seen[host].get("next_hop") or {})
        for host in picture.environment.front_ends
    }
    name = picture.environment.next_hop["name"]
    return [
        f"NOT TRIED: mutual TLS from {host} to {name}; it is tried as soon as step 1 has given {host} its certificate. "
        f"Seen without: {said}"
        for host, said in found.items()
        if said
    ]


def left_words(users):
    """Return what becomes of those who left the platform after the wave that has them began."""
    return (
        f"LEFT: in a wave that was begun, and not on the platform any more: {some(users, UNLISTED_SHOWN)}. Nobody "
        "moves them, and no wave waits for them."
    )


def unlisted_words(domains):
    """Return what will become of those who use the legacy gateway and whom the document does not name. Whoever
    connects is among them, so only some are named."""
    return (
        f"UNLISTED: seen at the legacy gateway and no partners of the document: {some(domains, UNLISTED_SHOWN)}. They "
        "stay with the legacy gateway, through our edges once the SRV records name them; nobody switches them, and "
        "decommission.yml refuses while they are there. Who is to be switched belongs in partners."
    )
