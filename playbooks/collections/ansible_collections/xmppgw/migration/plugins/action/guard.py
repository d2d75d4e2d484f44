"""Run the guards of one step on fresh observations."""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils import guards, steps_file
from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards import acceptance
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction


class ActionModule(MigrationAction):
    """See modules/guard.py."""

    def act(self, args, task_vars):
        """Return success, or the refusals."""
        step = int(args["step"])
        picture = self.picture(task_vars, args.get("seen") or (), args.get("noted") or ())
        run = task_vars["hostvars"]["localhost"]["migration"]
        found = guards.judge(guards.situation_of(picture, step))
        accepted, refusals = acceptance.sort(
            found, run["accept"]["codes"], run["accept"]["why"], run["run"]["who"], picture.history.accepted
        )
        result = guards.outcome(step, refusals, accepted)
        steps_file.write("guards", **result)
        if not refusals:
            return {
                "changed": False,
                "refusals": [],
                "passed": result["passed"],
                "overridden": [item.as_record() for item in accepted],
            }
        return {
            "failed": True,
            "code": refusals[0].code,
            "refusals": [refusal.as_dict() for refusal in refusals],
            "msg": guards.explain(refusals),
        }
