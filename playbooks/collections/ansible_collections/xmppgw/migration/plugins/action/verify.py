"""Say of everything that stands whether it works; fail if something does not."""

from __future__ import annotations

import json
from pathlib import Path

from ansible.utils.display import Display
from ansible_collections.xmppgw.migration.plugins.plugin_utils import verifying
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction

display = Display()
CODE = "migration-verify"


class ActionModule(MigrationAction):
    """See modules/verify.py."""

    def act(self, args, task_vars):
        """Print and return the checks; write them to out/verify.json."""
        picture = self.picture(task_vars)
        picture.environment.check_inventory()
        hostvars = task_vars["hostvars"]
        verdicts, pings = [], []
        for host in [*picture.environment.front_ends, *picture.environment.edges]:
            verdicts += (hostvars[host].get("migration_served") or {}).get("verdicts", [])
            for result in (hostvars[host].get("verify_pings") or {}).get("results", []):
                if "answer" in result:
                    pings.append({"edge": host, "partner": result["partner"], "answer": result["answer"]})
        found = verifying.checks(picture, verdicts, pings)
        failed = [item for item in found if not item["ok"]]
        folder = Path(self.setting(task_vars, "migration_output"))
        folder.mkdir(parents=True, exist_ok=True)
        report = {"schema": 1, "step": picture.history.step, "failed": len(failed), "checks": found, "served": verdicts}
        (folder / "verify.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        for line in verifying.lines(found) or ["  Nothing stands yet: no step is done."]:
            display.display(line)
        if failed:
            texts = "\n    ".join(f"{item['subject']}: {item['what']}: {item['found']}" for item in failed)
            return {
                "failed": True,
                "code": CODE,
                "checks": found,
                "msg": f"[{CODE}] {len(failed)} checks failed\n    {texts}",
            }
        return {"changed": False, "checks": found, "say": f"{len(found)} checks, all well"}
