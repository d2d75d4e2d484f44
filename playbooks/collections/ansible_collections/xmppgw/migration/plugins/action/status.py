"""Say where the migration stands: from the journal, and beside it from what the hosts say themselves."""

from __future__ import annotations

import json
from pathlib import Path

from ansible.utils.display import Display
from ansible_collections.xmppgw.migration.plugins.plugin_utils import standing
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction

display = Display()


class ActionModule(MigrationAction):
    """See modules/status.py."""

    def act(self, args, task_vars):
        """Print and return where the migration stands; write it to out/status.json."""
        picture = self.picture(task_vars)
        picture.environment.check_inventory()
        status = standing.describe(picture)
        folder = Path(self.setting(task_vars, "migration_output"))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "status.json").write_text(json.dumps(status, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        for line in standing.lines(status):
            display.display(line)
        return {"changed": False, "status": status}
