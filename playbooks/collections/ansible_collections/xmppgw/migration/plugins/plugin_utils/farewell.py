"""What still needs the legacy gateway. While there is anything, it is not decommissioned.

Used by the action `decommission_plan`. Pure: a Picture in, sentences out.
"""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils import seen_partners

ACCEPTED = "accepted"
"""What -e point_of_no_return= must say: a switch that nobody types by accident."""


def remaining(picture):
    """Return a sentence for everything that is left on the legacy gateway, sorted."""
    return sorted([*_steps(picture), *_users(picture), *_partners(picture), *_strangers(picture)])


def _steps(picture):
    federation = picture.environment.federation
    if federation.legacy_domains:
        yield f"domains: {', '.join(federation.legacy_domains)} belong to the legacy gateway (scenario coexist)"
    if picture.history.step < 6:
        yield f"steps: only {picture.history.step} of 6 are done"


def _users(picture):
    users = picture.platforms.users_at(picture.environment.homes.get("legacy", ""))
    if users:
        more = f" and {len(users) - 5} more" if len(users) > 5 else ""
        yield f"users: {', '.join(users[:5])}{more} are homed on the legacy pool"


def _partners(picture):
    federation = picture.environment.federation
    legacy = [tuple(s) for host in picture.environment.legacy_hosts for s in picture.seen[host]["legacy"]]
    for partner in federation.partners:
        here = seen_partners.standing(picture, partner)
        # What the legacy gateway has open towards a partner is idle once no route leads through it, and no server
        # closes an idle stream; it ends with the gateway. What a partner has open towards it is in use.
        ends = [begin for way, begin, _end in legacy if way == "in"]
        why = []
        if not here.routed:
            why.append(f"route {'/'.join(sorted({str(route) for route in here.routes.values()}))}")
        if not here.answered_here:
            why.append(f"phase {'/'.join(sorted(set(here.phases.values()))) or 'unknown'}")
        if streams := sum(end in partner.domains for end in ends):
            why.append(f"{streams} streams into the legacy gateway")
        if here.spliced:
            why.append(f"{here.spliced} connections joined to it")
        if why:
            held = f", held: {here.held}" if here.held is not None else ""
            yield f"partner {partner.domain} ({here.record.get('state', 'legacy')}{held}): {', '.join(why)}"


def _strangers(picture):
    unlisted = seen_partners.unlisted(picture.environment, picture.seen)
    if unlisted:
        yield f"unlisted domains with streams at the legacy gateway: {', '.join(unlisted)}"
    listed = {partner.domain for partner in picture.environment.federation.partners}
    for host, table in sorted(picture.platforms.tables("route").items()):
        routes = sorted(domain for domain, route in table.items() if route != "target" and domain not in listed)
        if routes:
            yield f"routes on {host} that name the legacy gateway: {', '.join(routes)}"


def ports_to_close(rules):
    """Return, for people, the port rules that end with the legacy gateway. `rules`: of the federation document."""
    return sorted(
        f"{rule.application} {rule.transport}/{rule.port}: {rule.source} to {rule.destination} ({rule.purpose})"
        for rule in rules
        if rule.until == "decommission"
    )
