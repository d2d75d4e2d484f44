"""What still needs the legacy gateway, and who ends it. While anything needs it, it is not decommissioned.

Used by the actions `decommission_plan` and `farewell_order`. Pure: a Picture or an Environment in, sentences out.
"""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils import seen_partners
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError

from xmppgw.runbook.products import PRODUCTS
from xmppgw.runbook.quoting import QuotingProblem
from xmppgw.runbook.rendering import PROXY_SERVICE, SITE_ROUTE, RunbookProblem, native_script

SCRIPT = "native.ps1"
CONFIRMED = "confirmed"
"""What -e legacy_off= must say, once a person has carried out the order."""
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
    environment = picture.environment
    users = picture.platforms.users_at(environment.homes["legacy"]) if environment.users_change_pools else []
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


def ended_by(environment):
    """Return what ends the legacy gateway: `lab`, `powershell` (a script on the management host), or `manual`."""
    if environment.legacy_hosts:
        return "lab"
    scripted = environment.federation.routes.provider == "powershell" and environment.management
    return "powershell" if scripted and script(environment) else "manual"


def script(environment):
    """Return the script that removes the native partners; empty where the product has no cmdlets for that.

    Raises PictureError for a document that no script may show.
    """
    try:
        return native_script(environment.document, "the migration's federation document")
    except RunbookProblem:
        return b""
    except QuotingProblem as problem:
        raise PictureError("migration-handover", f"the script that removes the native partners: {problem}") from problem


def order_lines(federation, *, scripted, runs):
    """Return what a person does to end the legacy gateway. `scripted`: there is a script; `runs`: the run runs it."""
    gateway, native = federation.legacy.gateway, PRODUCTS[federation.legacy.product].native_gateway
    domains = ", ".join(partner.domain for partner in federation.partners)
    if runs:
        first = f"The run removes the allowed XMPP partners by .\\{SCRIPT} -Apply on the management host: {domains}"
    elif scripted:
        shell = PRODUCTS[federation.target.product].shell
        first = f"In the {shell}, run: .\\{SCRIPT} -Apply (it removes the allowed XMPP partners {domains})"
    else:
        first = f"On {gateway.fqdn}, remove these partners from the XMPP gateway's own configuration: {domains}"
    service = f"the service named '{PROXY_SERVICE.replace('*', '... ')}'" if native else "the XMPP gateway's service"
    return [
        first,
        *([f"Then, {SITE_ROUTE}"] if native else []),
        f"On {gateway.fqdn}, stop {service} and disable it: nothing may answer on port {gateway.port}",
        f"When all of this is done, run decommission.yml again with -e legacy_off={CONFIRMED} as well",
    ]
