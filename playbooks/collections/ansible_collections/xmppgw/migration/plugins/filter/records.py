"""Filters of the roles: journal records, table entries and lists of partners from what tasks returned."""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.module_utils import readiness
from ansible_collections.xmppgw.migration.plugins.plugin_utils import caches

DOCUMENTATION = r"""
name: records
short_description: Journal records and table entries
description: [See the functions.]
"""


def _ended(results, changing):
    """Yield (result, TTL that stood before) for every RRset that stopped being served just now.

    An RRset that already stood as wanted, but whose change an earlier run announced and did not live to note, counts
    from now.
    """
    for result in results:
        if result.get("changed"):
            yield result, (result.get("before") or {}).get("ttl")
        elif result.get("name") in changing:
            yield result, changing[result["name"]]


def served_last(results, changing):
    """Return the journal's `rrset_changed` records from the results of dns_rrset."""
    return [
        {
            "event": "rrset_changed",
            "name": result["name"],
            "domain": result["name"].removeprefix("_xmpp-server._tcp."),
            "ttl_before": ttl,
            "before": result.get("before"),
            "after": result.get("after"),
            "served_until": result["served_until"],
        }
        for result, ttl in _ended(results, changing)
    ]


def forgotten_at(results, changing):
    """Return the epoch second after which no resolver may hold any of the RRsets that were just replaced; 0 if none
    was."""
    return max(
        (
            caches.remembered_until(
                [(result["name"], ttl, result["served_until"])], result["negative_ttl"], result["name"]
            )
            for result, ttl in _ended(results, changing)
        ),
        default=0.0,
    )


def relay_records(results):
    """Return the journal's `relay_checked` records from what the edges answered; the worst edge counts."""
    found = {}
    for result in results:
        domain, answer = result["federation_pair"][1]["domain"], result.get("answer") or {}
        said = str(answer.get("answer") or "none")
        body = {"event": "relay_checked", "partner": domain, "answer": said, "reason": str(answer.get("reason") or "")}
        if domain not in found or said != "invalid":
            found[domain] = body
    return [found[domain] for domain in sorted(found)]


def reachable(partners, verdicts):
    """Return the partners whose server our edges reached, or that have a named exception, in their order."""
    return [
        partner
        for partner in partners
        if verdicts[partner["domain"]]["good"]
        and (verdicts[partner["domain"]]["reached"] or verdicts[partner["domain"]]["outcome"] == "excepted")
    ]


def through_edges(results, domains):
    """Return those of the partners' domains that an edge joins to the legacy gateway; all if one cannot be told."""
    answers = [result.get("answer") or {} for result in results]
    joined = {
        stream.get("remote") for answer in answers for stream in readiness.spliced_streams(answer, {*domains, "", None})
    }
    if joined <= set(domains) and all(answer.get("ok") for answer in answers):
        return sorted(joined)
    return sorted(domains)


class FilterModule:
    """Registers the filters."""

    def filters(self):
        """Return them by name."""
        return {
            "served_last": served_last,
            "forgotten_at": forgotten_at,
            "relay_records": relay_records,
            "reachable": reachable,
            "through_edges": through_edges,
        }
