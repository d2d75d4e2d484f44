"""Where each partner stands, read from what was seen and from the journal, and what a run needs to know of it.

Used by the picture, by status and by the actions. It looks at no host itself.
"""

from __future__ import annotations

import hashlib

from ansible_collections.xmppgw.migration.plugins.module_utils import readiness
from ansible_collections.xmppgw.migration.plugins.module_utils.chain import canonical
from ansible_collections.xmppgw.migration.plugins.plugin_utils import plan_partners, planner

from xmppgw.federation import partner_outcome
from xmppgw.federation.support import support


def fingerprint(federation, partner):
    """Return what an authentication proof rests on: the partner's entry and our edges' names."""
    facts = {"partner": partner.model_dump(mode="json"), "edges": [edge.fqdn for edge in federation.edges]}
    return hashlib.sha256(canonical(facts).encode()).hexdigest()


def described(federation, partner):
    """Return a partner of the document as plain data, as plan_partners and the roles take it."""
    outcome = partner_outcome(partner.tls, partner.sasl, partner.dialback)
    exception = partner.proof_exception
    return {
        "domain": partner.domain,
        "domains": list(partner.domains),
        "dialback": partner.dialback,
        "allowed": outcome.letters.split(","),
        "rationale": outcome.rationale,
        "switch": partner.switch.value,
        "group": partner.group,
        "support": support(partner).line,
        "exception": exception.model_dump(mode="json") if exception else None,
        "fingerprint": fingerprint(federation, partner),
    }


def standing(picture, partner):
    """Return the Standing of one partner of the document."""
    history, domain = picture.history, partner.domain
    answers = [control_of(picture, edge, "streams") for edge in picture.environment.edges]
    told = {edge: control_of(picture, edge, "phases") for edge in picture.environment.edges}
    phases = {edge: phase for edge, answer in told.items() if (phase := phase_at(answer, partner.domains))}
    return plan_partners.Standing(
        routes={
            host: table.get(domain)
            for host, table in picture.platforms.tables("route").items()
            if host in picture.environment.route_platforms
        },
        phases=phases,
        kept=tuple(
            edge for edge, phase in phases.items() if (phase, told[edge].get("default")) == ("gateway", "legacy")
        ),
        spliced=sum(len(readiness.spliced_streams(answer, partner.domains)) for answer in answers),
        inbound=sum(len(readiness.inbound_streams(answer, partner.domains)) for answer in answers),
        record=history.switches.get(domain, {}),
        held=history.held.get(domain),
        proof=history.proofs.get(domain),
        relay=history.relays.get(domain),
    )


def control_of(picture, edge, command):
    """Return what an edge answered to one command of its control socket, or {}."""
    return picture.seen[edge]["gateway"]["control"].get(command) or {}


def answer_of(seen, host, command):
    """Return what a daemon answered to a command, or {} if it refused, or if the host or the daemon did not answer."""
    answer = seen.get(host, {}).get("gateway", {}).get("control", {}).get(command) or {}
    return answer if answer.get("ok", True) else {}


def phase_at(answer, domains):
    """Return the phase that an edge has for a partner, or None if it does not answer. An edge that knows no legacy
    gateway has one phase only."""
    if not answer.get("ok"):
        return None
    entry = answer.get("phases", {}).get(domains[0])
    return entry["phase"] if entry else answer.get("default")


def planned(picture, *, dns_moves):
    """Return the actions for all partners. `dns_moves`: whether step 6 changes an SRV RRset."""
    federation = picture.environment.federation
    actions = [
        item
        for partner in federation.partners
        for item in actions_of(described(federation, partner), standing(picture, partner), dns_moves=dns_moves)
    ]
    return [*actions, *restarts(picture, [item["subject"] for item in actions if item["kind"] == "drain"])]


def restarts(picture, drained):
    """Return the restart of the legacy proxy that partners (`drained`, by domain) are drained with, if they are so."""
    federation = picture.environment.federation
    partners = [partner for partner in federation.partners if partner.domain in drained]
    if not needs_restart(picture, partners):
        return []
    gateway, minute = federation.legacy.gateway.fqdn, federation.drain.quiet_minute
    what = (
        f"Restart the XMPP proxy of {gateway} at {minute} on its clock, for all partners at once; nobody can protect "
        "what is in flight there"
    )
    return [planner.action(6, "restart", gateway, what, "running", "restarted")]


def needs_restart(picture, partners):
    """Return whether the legacy proxy has to be restarted before these partners of the document are looked for.

    Not where it was restarted since our edges began to answer for all of them: whoever came back has asked DNS again.
    """
    if picture.environment.federation.drain.provider != "powershell":
        return False
    restarted = picture.history.proxy_restarted
    since = [answered_since(picture, partner) for partner in partners]
    return any(moment is None or moment > restarted for moment in since)


def answered_since(picture, partner):
    """Return since when every edge has answered for a partner, as epoch seconds; None where one does not."""
    moments = []
    for edge in picture.environment.edges:
        entry = (control_of(picture, edge, "phases").get("phases") or {}).get(partner.domain) or {}
        if entry.get("phase") != "gateway":
            return None
        moments.append(entry["since"])
    return max(moments)


def lines(picture):
    """Return the plan's line on every partner."""
    federation = picture.environment.federation
    return [line_of(described(federation, partner), standing(picture, partner)) for partner in federation.partners]


def actions_of(facts, here, *, dns_moves, retry=False):
    """Return the planned actions of one partner."""
    domain = facts["domain"]
    before = sorted({route or "none" for route in here.routes.values()})
    made = {
        "prove": (f"Open and authenticate our stream to {domain}", "unproved", facts["allowed"]),
        "drain": (
            f"Answer at every edge for {domain}, close its streams at the legacy gateway and see them arrive",
            "legacy",
            "gateway",
        ),
        "route": (f"Move the SIP route of {domain} to our pool", before[0] if before else "none", "target"),
    }
    needed = plan_partners.kinds_to_do(
        here,
        facts["fingerprint"],
        before_dns=facts["switch"] == "before_dns",
        dns_moves=dns_moves,
        retry=retry,
    )
    return [planner.action(step, kind, domain, *made[kind]) for step, kind in needed]


def line_of(facts, here):
    """Return the plan's line on one partner."""
    return {
        "domain": facts["domain"],
        "allowed": facts["allowed"],
        "outcome": (here.proof or {}).get("outcome", "unproved"),
        "switch": plan_partners.switch_words(facts, here, facts["fingerprint"]),
        "group": facts["group"],
        "why": plan_partners.why_words(facts, here, facts["fingerprint"]),
        "relay": plan_partners.relay_words(facts, here),
        "support": facts["support"],
        "arrives_elsewhere": plan_partners.elsewhere_words(facts, here),
    }


def run_facts(picture, plan_document):
    """Return what the roles need of the partners in this run."""
    federation = picture.environment.federation
    every = {}
    for partner in federation.partners:
        here = standing(picture, partner)
        facts = described(federation, partner)
        every[partner.domain] = {
            **facts,
            "held": here.held is not None,
            "touched": here.touched,
            "switched": here.switched,
            "needs_restart": needs_restart(picture, [partner]),
            "answered_since": answered_since(picture, partner),
            "route_before": route_before(picture.history, here, partner.domain),
        }
        every[partner.domain]["reset"] = sorted(
            edge for edge, phase in here.phases.items() if phase == "gateway" and not here.routed
        )
    actions = planner.all_actions(plan_document)
    planned = {(item["step"], item["kind"]): set() for item in actions}
    for item in actions:
        planned[item["step"], item["kind"]].add(item["subject"])

    def chosen(step, kind):
        return [every[domain] for domain in sorted(planned.get((step, kind), ()))]

    return {
        "partners": list(every.values()),
        "to_prove": sorted(planned.get((5, "prove"), ())),
        "to_switch": plan_partners.in_order(chosen(6, "drain")),
        "to_return": [facts for facts in every.values() if facts["touched"]],
        "before_dns": chosen(5, "route"),
        "before_dns_back": [every[d] for d in sorted(every) if f"5/route/{d}" in picture.history.before],
        "phases_to_reset": [
            {"edge": edge, "partner": domain} for domain, facts in sorted(every.items()) for edge in facts["reset"]
        ],
        "relayed": [facts for facts in every.values() if {"T", "C"} & set(facts["allowed"])],
        "spliced_domains": spliced_domains(picture, every),
    }


def route_before(history, here, domain):
    """Return the route to give back: what stood before it was moved, or what stands."""
    for step in (5, 6):
        if (before := history.before.get(f"{step}/route/{domain}")) is not None:
            return None if before == "none" else before
    routes = sorted(route for route in here.routes.values() if route and route != "target")
    return routes[0] if routes else "legacy"


def spliced_domains(picture, every):
    """Return the domains that may come through our edges to the legacy gateway: the partners', and whoever was seen."""
    seen = {stream["remote"] for stream in spliced(picture.environment, picture.seen)}
    return sorted(seen | {domain for facts in every.values() for domain in facts["domains"]})


def spliced(environment, seen):
    """Return the connections that our edges join to the legacy gateway and whose first header named its sender."""
    return [
        stream
        for edge in environment.edges
        for stream in answer_of(seen, edge, "streams").get("streams") or []
        if stream.get("method") == "spliced" and stream.get("remote")
    ]


def unlisted(environment, seen):
    """Return the domains seen at the legacy gateway that are no partner of the document, sorted.

    Seen by the legacy gateway itself, where it can be asked, and by our edges, which join them to it. Hosts that did
    not answer saw nobody.
    """
    federation = environment.federation
    listed = {domain for partner in federation.partners for domain in partner.domains}
    own = {*federation.own_domains, *federation.legacy_domains}
    streams = [tuple(s) for host in environment.legacy_hosts for s in seen.get(host, {}).get("legacy") or []]
    ends = {sender for way, sender, to in streams if way == "in" and to in federation.own_domains}
    ends |= {to for way, sender, to in streams if way == "out" and sender in federation.own_domains}
    ends |= {stream["remote"] for stream in spliced(environment, seen)}
    return sorted(ends - listed - own - {"?"})
