"""Connect from one gateway host to what it talks to, and judge the certificates that are really served."""

from __future__ import annotations

import datetime

from ansible_collections.xmppgw.migration.plugins.plugin_utils import damaged_journal, served_looks
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction


class ActionModule(MigrationAction):
    """See modules/served.py."""

    def act(self, args, task_vars):
        """Return the verdicts of this host's looks."""
        host = task_vars["inventory_hostname"]
        picture, _damage = damaged_journal.look(self, task_vars)
        if picture is None:
            return {"changed": False, "verdicts": [], "awaited": {}}
        around = picture.environment
        stage = picture.history.step
        entries = (picture.gateways.seen_on(host)["control"].get("phases") or {}).get("phases") or {}
        phases = {partner: entry["phase"] for partner, entry in entries.items()}
        looks = list(served_looks.looks(around, host, stage, phases))
        asked = [{key: value for key, value in look.items() if key not in ("about", "names")} for look in looks]
        found = self.remote("served_certificates", {"looks": asked}, task_vars)["served"] if asked else []
        standing = {
            (other, name): (certificate or {}).get("pem")
            for other in [*around.front_ends, *around.edges]
            for name, certificate in picture.gateways.seen_on(other)["certificates"].items()
        }
        now = datetime.datetime.now(datetime.UTC)
        return {
            "changed": False,
            "awaited": served_looks.awaited(around, host, stage, {look["name"] for look in looks}),
            "verdicts": [
                {"from": host, **served_looks.verdict(look, served, around, standing, now)}
                for look, served in zip(looks, found, strict=True)
            ],
        }
