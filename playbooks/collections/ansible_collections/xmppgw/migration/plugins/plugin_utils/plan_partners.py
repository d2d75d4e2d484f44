"""Plan, partners: what steps 5 and 6 do for each, and the line on each that a reviewer reads.

Called by whole_plan. Pure but for `planned` and `described`, which read the Picture.
"""

from __future__ import annotations

import hashlib

from ansible_collections.xmppgw.migration.plugins.module_utils.chain import canonical
from ansible_collections.xmppgw.migration.plugins.plugin_utils import planner

from xmppgw.federation import partner_outcome


def planned(picture, *, dns_moves):
    """Return the actions for all partners. `dns_moves`: whether step 6 changes an SRV RRset."""
    routes = picture.platforms.tables("route")
    return [
        item
        for partner in picture.environment.federation.partners
        for item in partner_actions(
            facts_of(partner),
            {host: table.get(partner.domain) for host, table in routes.items()},
            picture.history.proofs.get(partner.domain),
            fingerprint(picture.environment, partner),
            dns_moves=dns_moves,
        )
    ]


def described(picture):
    """Return the plan's line on every partner."""
    return [
        describe_partner(facts_of(partner), picture.history.proofs.get(partner.domain))
        for partner in picture.environment.federation.partners
    ]


def facts_of(partner):
    """Return what the plan says of a partner from the document alone: domain, allowed, rationale."""
    outcome = partner_outcome(partner.tls, partner.sasl, partner.dialback)
    return {"domain": partner.domain, "allowed": outcome.letters.split(","), "rationale": outcome.rationale}


def fingerprint(environment, partner):
    """Return what an authentication proof rests on: the partner's entry and our edges' names."""
    facts = {
        "partner": partner.model_dump(mode="json"),
        "edges": [edge.fqdn for edge in environment.federation.edges],
    }
    return hashlib.sha256(canonical(facts).encode()).hexdigest()


def partner_actions(partner, routes, proof, wanted_fingerprint, *, dns_moves):
    """Yield what steps 5 and 6 do for one partner. `routes`: pool -> `legacy`, `target` or None."""
    domain = partner["domain"]
    moved = set(routes.values()) == {"target"}
    if not moved and (proof or {}).get("fingerprint") != wanted_fingerprint:
        yield planner.action(
            5, "prove", domain, f"Open and authenticate our stream to {domain}", "unproved", partner["allowed"]
        )
    if not moved or dns_moves:
        yield planner.action(
            6,
            "drain",
            domain,
            f"Close the streams of {domain} at the legacy gateway gracefully and see them arrive at our edge",
            "legacy",
            "gateway",
        )
    if not moved:
        before = sorted({route or "none" for route in routes.values()})
        yield planner.action(6, "route", domain, f"Move the SIP route of {domain} to our pool", before[0], "target")


def describe_partner(partner, proof):
    """Return the plan's line on a partner: outcome proved or `unproved`, how it is switched, and why."""
    outcome = (proof or {}).get("outcome", "unproved")
    return {
        "domain": partner["domain"],
        "allowed": partner["allowed"],
        "outcome": outcome,
        "switch": "with_dns",
        "why": partner["rationale"],
    }
