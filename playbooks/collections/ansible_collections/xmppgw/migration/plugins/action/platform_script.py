"""Run a script of the runbook on a Windows management host."""

from __future__ import annotations

import re

from ansible_collections.xmppgw.migration.plugins.plugin_utils.management_host import (
    TAIL,
    ManagementAction,
    refusal,
    script_name,
)


class ActionModule(ManagementAction):
    """See modules/platform_script.py."""

    def act(self, args, task_vars):
        """Copy the script and run it; fail as it failed."""
        if self.checking:
            return {"changed": False, "said": ""}
        question = bool(args.get("question"))
        said = self.run_script(args, ["-When"] if question else ["-Apply", *(["-Undo"] if args.get("undo") else [])])
        if question:
            return self.answer(script_name(args), said)
        return {"changed": any(line.startswith("done ") for line in said.splitlines()), "said": said[-TAIL:]}

    def answer(self, name, said):
        """Return how many seconds the script says are left."""
        found = re.search(r"^seconds +(\d{1,5})$", said, re.MULTILINE)
        if found is None:
            return refusal(f"{name} did not say when it may run", said)
        return {"changed": False, "said": said[-TAIL:], "seconds": int(found[1])}
