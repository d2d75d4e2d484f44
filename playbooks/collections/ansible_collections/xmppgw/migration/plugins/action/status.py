"""Say where the migration stands: from the journal, and beside it from what the hosts say themselves."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from ansible.utils.display import Display
from ansible_collections.xmppgw.migration.plugins.plugin_utils import run_facts, standing, standing_text
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction

display = Display()


class ActionModule(MigrationAction):
    """See modules/status.py."""

    def act(self, args, task_vars):
        """Print and return where the migration stands; write it to out/status.json."""
        environment = self.environment(task_vars)
        environment.check_inventory()
        seen, silent = self.observed(task_vars, environment)
        status = standing.describe(environment, seen, time.time(), silent, is_gone=run_facts.holder_is_gone)
        folder = Path(self.setting(task_vars, "migration_output"))
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".status.json.{os.getpid()}"
        temporary.write_text(json.dumps(status, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        temporary.replace(folder / "status.json")
        for line in standing_text.lines(status):
            display.display(line)
        return {"changed": False, "status": status}

    def observed(self, task_vars, environment):
        """Return (host to what was seen of it, host to why nothing was)."""
        seen, silent = {}, {}
        looked_at = ("front_ends", "edges", "platforms", "legacy_gateway", "dns_writer")
        for host in sorted({host for group in looked_at for host in environment.groups.get(group, ())}):
            found = task_vars["hostvars"][host].get("migration_seen") or {}
            if "seen" in found:
                seen[host] = found["seen"]
            else:
                silent[host] = str(found.get("msg") or "cannot be reached").strip().splitlines()[0]
        return seen, silent
