"""Every certificate of the gateway as it stands: names, issuer, end, and what is wrong with it."""

from __future__ import annotations

import datetime
import json
import time
from pathlib import Path

from ansible.utils.display import Display
from ansible_collections.xmppgw.migration.plugins.plugin_utils import authority_rollover, issuing, wanted
from ansible_collections.xmppgw.migration.plugins.plugin_utils import certificate_judging as judging
from ansible_collections.xmppgw.migration.plugins.plugin_utils.issuing import IssuingError
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction

display = Display()

RENEW = ("due", "all", "public", "link", "sip")
"""What `-e renew=` may say."""


class ActionModule(MigrationAction):
    """See modules/certificate_table.py."""

    def act(self, args, task_vars):
        """Print and return the table; write it to out/certificates.json."""
        if args.get("renew") is not None and args["renew"] not in RENEW:
            raise IssuingError(
                f"renew is one of {', '.join(RENEW)}; found {args['renew']!r}. Nothing was changed.", "migration-renew"
            )
        picture = self.picture(task_vars)
        around, now = picture.environment, datetime.datetime.fromtimestamp(time.time(), datetime.UTC)
        rows = []
        for host in [*around.front_ends, *around.edges]:
            seen = picture.gateways.seen_on(host)["certificates"]
            for name, item in sorted(around.wanted_host(host)["certificates"].items()):
                rows.append(
                    {
                        "host": host,
                        "name": name,
                        **verdict(item, seen.get(name) or {}, wanted.roots(around.authorities, item), now),
                    }
                )
        folder = around.authorities.get(around.federation.certificates.of_link.authority)
        rollover = authority_rollover.phase_of(folder) if folder else "settled"
        table = {"schema": 1, "rollover": rollover, "certificates": rows}
        out = Path(self.setting(task_vars, "migration_output"))
        out.mkdir(parents=True, exist_ok=True)
        (out / "certificates.json").write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
        for line in lines(table, now):
            display.display(line)
        return {"changed": False, **table, "due": [f"{row['host']}:{row['name']}" for row in rows if row["problem"]]}


def verdict(item, seen, roots, now):
    """Return what the table says of one certificate."""
    try:
        standing = judging.describe(judging.read_chain(seen["pem"])[0])
    except (KeyError, TypeError, ValueError):
        standing = None
    return {
        "step": item["step"],
        "issuer": item["issuer"],
        "authority": item["authority"],
        "wanted": item["names"],
        "problem": issuing.problem_of(seen, item, roots, now),
        "standing": standing,
    }


def lines(table, now):
    """Return the table as text."""
    shown = [f"  {'certificate':<16} {'from':<22} {'ends':<12} {'days':>5}  state"]
    for item in table["certificates"]:
        ends = (item["standing"] or {}).get("not_after", "")
        days = str((datetime.datetime.fromisoformat(ends) - now).days) if ends else ""
        source = f"{item['issuer']} {item['authority']}".strip()
        shown.append(
            f"  {item['host'] + ':' + item['name']:<16} {source:<22} {ends[:10]:<12} {days:>5}  "
            f"{item['problem'] or 'good'}"
        )
    if table["rollover"] != "settled":
        shown.append(f"  roll-over of the link's authority: {table['rollover']}; go on with -e rollover=true")
    return shown
