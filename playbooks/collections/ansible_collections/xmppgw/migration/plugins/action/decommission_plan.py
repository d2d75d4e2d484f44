"""Decide whether the legacy gateway may go: only with nothing left on it, and only if somebody says so in so many
words."""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.module_utils.chain import DECOMMISSION
from ansible_collections.xmppgw.migration.plugins.plugin_utils import farewell, run_facts
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction

from xmppgw.federation import ports


class ActionModule(MigrationAction):
    """See modules/decommission_plan.py."""

    def act(self, args, task_vars):
        """Return the run's facts, or refuse with everything that is left."""
        picture = self.picture(task_vars)
        picture.environment.check_inventory()
        if picture.environment.federation.legacy is None:
            return {
                "failed": True,
                "code": "migration-decommission",
                "msg": "[migration-decommission] The federation document names no legacy gateway to end.",
            }
        left = [] if picture.history.decommissioned else farewell.remaining(picture)
        if left:
            return {
                "failed": True,
                "code": "migration-decommission",
                "left": left,
                "msg": "[migration-decommission] The legacy gateway is still needed:\n    "
                + "\n    ".join(left)
                + "\n    now:   move what is named here (partner.yml -e do=switch, migrate.yml); a partner with our "
                "old host in its configuration has to change that.",
            }
        if str(args.get("point_of_no_return") or "") != farewell.ACCEPTED:
            return {
                "failed": True,
                "code": "migration-decommission",
                "msg": "[migration-decommission] Nothing is left on the legacy gateway. Decommissioning cannot be "
                "taken back: no rollback after it.\n    now:   run again with -e point_of_no_return=accepted",
            }
        return {
            **run_facts.of_no_step(picture, "decommission"),
            "stage": DECOMMISSION,
            "done_before": picture.history.decommissioned,
            "ended_by": farewell.ended_by(picture.environment),
            "ended": picture.history.decommissioned or picture.history.native_gone,
            "ports": farewell.ports_to_close(ports(picture.environment.document)),
        }
