"""Compare document, hosts, DNS, certificates and journal; say every difference, change nothing."""

from __future__ import annotations

import json
from pathlib import Path

from ansible.utils.display import Display
from ansible_collections.xmppgw.migration.plugins.plugin_utils import damaged_journal, drifting
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction

display = Display()

DIFFERS = 3
"""Exit status of drift.yml when something differs."""


class ActionModule(MigrationAction):
    """See modules/drift.py."""

    def act(self, args, task_vars):
        """Print and return the differences; write them to out/drift.json and .txt."""
        self.environment(task_vars).check_inventory()
        picture, found = damaged_journal.look(self, task_vars)
        if picture is None:
            return self.report(task_vars, found, None, None)
        hostvars = task_vars["hostvars"]
        verdicts = [
            verdict
            for host in [*picture.environment.front_ends, *picture.environment.edges]
            for verdict in (hostvars[host].get("migration_served") or {}).get("verdicts", [])
        ]
        found += drifting.differences(picture, verdicts)
        return self.report(task_vars, found, picture.history.step, picture.state.lock)

    def report(self, task_vars, found, step, lock):
        """Print, write and return what was found. `step`: None where no journal can be read."""
        report = {
            "schema": 1,
            "differs": bool(found),
            "step": step,
            "running": bool(lock),
            "differences": found,
        }
        folder = Path(self.setting(task_vars, "migration_output"))
        folder.mkdir(parents=True, exist_ok=True)
        text = drifting.lines(found)
        if lock:
            text.insert(0, f"  A run of {lock['owner']} holds the lock: what it is changing may show as a difference.")
        (folder / "drift.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        (folder / "drift.txt").write_text("\n".join(text) + "\n", encoding="utf-8")
        for line in text:
            display.display(line)
        return {"changed": False, "exit_status": DIFFERS if found else 0, **report}
