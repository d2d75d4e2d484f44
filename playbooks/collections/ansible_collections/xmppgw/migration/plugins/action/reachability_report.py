"""Say whether the firewalls let through what the port table says, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

from ansible.utils.display import Display
from ansible_collections.xmppgw.migration.plugins.plugin_utils import reached
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction

display = Display()

DIFFERS = 3
"""Exit status where something is not as the table says, as of drift.yml."""


class ActionModule(MigrationAction):
    """See modules/reachability_report.py."""

    def act(self, args, task_vars):
        """Print the report, write out/reachability.json; refuse if a host could not be asked."""
        environment = self.environment(task_vars)
        environment.check_inventory()
        asked = {
            host: (task_vars["hostvars"][host].get("migration_reached") or {}).get("tried")
            for host in [*environment.front_ends, *environment.edges, *environment.vantages]
        }
        if silent := sorted(host for host, tried in asked.items() if tried is None):
            raise PictureError(
                "migration-unreachable", f"{', '.join(silent)} could not be asked; see above. Nothing was judged."
            )
        found = reached.report(asked, environment.vantages)
        folder = Path(self.setting(task_vars, "migration_output"))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "reachability.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        for row in reached.lines(found):
            display.display(row)
        return {"changed": False, "exit_status": DIFFERS if found["differs"] else 0, **found}
