"""Filters of the roles: journal records, table entries and lists of partners from what tasks returned."""

from __future__ import annotations

from datetime import UTC

from ansible_collections.xmppgw.migration.plugins.module_utils import readiness
from ansible_collections.xmppgw.migration.plugins.plugin_utils import caches

from xmppgw.federation import srv_name

DOCUMENTATION = r"""
name: records
short_description: Journal records and table entries
description: [See the functions.]
"""


def to_announce(rrsets):
    """Return the actions of the RRsets that will change, for the journal's `step_opened`."""
    return [item["action"] for item in rrsets if item.get("action")]


def _ended(results, changing, announced=()):
    """Yield (result, TTL that stood before) for every RRset that stopped being served just now.

    An RRset that already stood as wanted, but whose change was announced (`announced`: actions of this run; `changing`:
    by an earlier one that did not live to note it), counts from now.
    """
    changing = changing | {srv_name(each["subject"]): (each["before"] or {}).get("ttl") for each in announced}
    for result in results:
        if result.get("changed"):
            yield result, (result.get("before") or {}).get("ttl")
        elif result.get("name") in changing:
            yield result, changing[result["name"]]


def served_last(results, changing, announced=()):
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
        for result, ttl in _ended(results, changing, announced)
    ]


def forgotten_at(results, changing, announced=()):
    """Return the epoch second after which no resolver may hold any of the RRsets that were just replaced; 0 if none
    was."""
    return max(
        (
            caches.remembered_until(
                [(result["name"], ttl, result["served_until"])], result["negative_ttl"], result["name"]
            )
            for result, ttl in _ended(results, changing, announced)
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


def epoch_seconds(moment):
    """Return the epoch seconds of `now(utc=true)`, which does not say that it is UTC: its own `timestamp()` takes it
    for the controller's local time."""
    return moment.replace(tzinfo=UTC).timestamp()


class FilterModule:
    """Registers the filters."""

    def filters(self):
        """Return them by name."""
        return {
            "epoch_seconds": epoch_seconds,
            "to_announce": to_announce,
            "served_last": served_last,
            "forgotten_at": forgotten_at,
            "relay_records": relay_records,
            "reachable": reachable,
            "through_edges": through_edges,
        }
