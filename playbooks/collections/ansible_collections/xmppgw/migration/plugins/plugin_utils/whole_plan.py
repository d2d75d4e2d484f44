"""The whole plan of a Picture: every topic's actions, put together and digested.

Called by the actions `plan` and `status`. A topic is a module plan_<topic>.py with a function `planned`.
"""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils import (
    plan_certificates,
    plan_dns,
    plan_hosts,
    plan_users,
    planner,
    seen_partners,
)


def plan_of(picture, until=6):
    """Return the plan document: what a run would do up to step `until`."""
    dns = plan_dns.planned(picture)
    actions = [
        *plan_hosts.planned(picture),
        *plan_certificates.planned(picture),
        *plan_users.planned(picture),
        *dns,
        *seen_partners.planned(picture, dns_moves=any(item["step"] == 6 for item in dns)),
    ]
    return planner.assemble(
        [item for item in actions if item["step"] <= until],
        seen_partners.lines(picture),
        scenario=picture.environment.federation.scenario.value,
        until=until,
    )
