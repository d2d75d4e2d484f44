"""Run the guards of one step on fresh observations."""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils import guards
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction


class ActionModule(MigrationAction):
    """See modules/guard.py."""

    def act(self, args, task_vars):
        """Return success, or the refusals."""
        step = int(args["step"])
        picture = self.picture(task_vars, args.get("seen") or (), args.get("noted") or ())
        refusals = guards.judge(guards.situation_of(picture, step))
        if not refusals:
            return {"changed": False, "refusals": []}
        return {
            "failed": True,
            "code": refusals[0].code,
            "refusals": [refusal.as_dict() for refusal in refusals],
            "msg": guards.explain(refusals),
        }
