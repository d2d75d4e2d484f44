"""What a script of the runbook printed with -Show, as the tables that the migration knows.

Used by the action platform_shown. Pure: text in, tables out. One line is `shows     VALUE KEY`; a value has no blank.
"""

from __future__ import annotations

import re

LINE = re.compile(r"^shows +(\S+) (\S.*)$")
GONE = ("gone", "none")


def read(said):
    """Return {key: value} of the lines that a script printed; empty where it printed none."""
    found = (LINE.match(line.rstrip()) for line in said.splitlines())
    return {match[2].strip().lower(): match[1] for match in found if match}


def standing(environment, table, shown):
    """Return {key: value} as entries name both: users to homes, partners to `target`, `legacy` or `partly`, native
    partners to `there` or None."""
    if table == "homing":
        names = {fqdn.lower(): name for fqdn, name in environment.pool_names.items()}
        return {user: names.get(pool.lower(), pool.lower()) for user, pool in shown.items()}
    if table == "route":
        return {
            partner.domain: _route([shown.get(domain) for domain in partner.domains])
            for partner in environment.federation.partners
            if any(domain in shown for domain in partner.domains)
        }
    return {domain: None if value in GONE else value for domain, value in shown.items()}


def _route(leads):
    """Return where a partner leads, from where each of its domains does; None is a domain of which nothing was said."""
    if all(lead == "ours" for lead in leads):
        return "target"
    return "partly" if "ours" in leads or None in leads else "legacy"


def left(table, entries):
    """Return the keys of users whom the platform was asked for and does not home anywhere, sorted."""
    return sorted(str(entry["key"]) for entry in entries if table.get(str(entry["key"]).lower()) in GONE)


def stands(table, entry):
    """Return whether an entry is as it should be; one of which nothing was shown is not."""
    key = str(entry["key"]).lower()
    if key not in table:
        return False
    # No route at all is what the legacy gateway serves by its native partner.
    wanted = "legacy" if entry["value"] is None and table[key] == "legacy" else entry["value"]
    return str(table[key]).lower() == str(wanted).lower()
