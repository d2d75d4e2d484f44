"""Say what one step is about to do, and in check mode show it as a difference. Decides nothing."""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils import planner
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction


class ActionModule(MigrationAction):
    """See modules/step.py."""

    def act(self, args, task_vars):
        """Return the step's actions, as a difference in check mode."""
        number = int(args["number"])
        run = task_vars["hostvars"]["localhost"]["migration"]
        if args.get("undo"):
            return self.shown({"actions": run["back"][str(number)], "held": not run["undo"][str(number)]})
        actions = next((step["actions"] for step in run["plan"]["steps"] if step["number"] == number), [])
        hold = run["held"]
        beyond = bool(hold) and number >= hold["step"] and not self.checking
        result = {"actions": actions, "held": beyond or str(number) not in run["pending"]}
        if hold and number == hold["step"]:
            result["hold"] = hold["why"]
        return self.shown(result)

    def shown(self, result):
        """Return the result; in check mode the step's actions are its changes."""
        if not self.checking:
            return {"changed": False, **result}
        actions = result["actions"]
        return {"changed": bool(actions), "diff": planner.as_diff(actions), **result}
