"""Say of every certificate that is served already whether it is good, and what is not served yet."""

from __future__ import annotations

import json
from pathlib import Path

from ansible.utils.display import Display
from ansible_collections.xmppgw.migration.plugins.plugin_utils import served_looks
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction

display = Display()

DIFFERS = 3
"""Exit status where something of ours is not as it should be, as of drift.yml."""


class ActionModule(MigrationAction):
    """See modules/served_report.py."""

    def act(self, args, task_vars):
        """Print the report and write out/served.json. What is not ours is said, and is nobody's failure here."""
        environment = self.environment(task_vars)
        verdicts, awaited = [], {}
        for host in [*environment.front_ends, *environment.edges]:
            looked = task_vars["hostvars"][host].get("migration_served") or {}
            verdicts += looked.get("verdicts", [])
            awaited |= looked.get("awaited", {})
        folder = Path(self.setting(task_vars, "migration_output"))
        folder.mkdir(parents=True, exist_ok=True)
        report = {"schema": 1, "served": verdicts, "awaited": awaited}
        (folder / "served.json").write_text(json.dumps(report, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        for line in served_looks.lines(verdicts, awaited):
            display.display(line)
        wrong = [item for item in verdicts if item["ours"] and item["findings"]]
        return {"changed": False, "exit_status": DIFFERS if wrong else 0, **report}
