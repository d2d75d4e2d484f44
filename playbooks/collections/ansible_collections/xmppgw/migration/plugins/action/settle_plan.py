"""Decide whether the SRV records get their normal TTL back, and what is written."""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils import plan_dns, planner, run_facts
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction


class ActionModule(MigrationAction):
    """See modules/settle_plan.py."""

    def act(self, args, task_vars):
        """Return the run's facts with `settle`: the RRsets to write, and their announcement."""
        picture = self.picture(task_vars)
        picture.environment.check_inventory()
        if 6 not in picture.history.done:
            return {
                "failed": True,
                "code": "migration-order",
                "msg": "[migration-order] The normal TTL comes back after step 6; the journal says that steps up to "
                f"{picture.history.step} are done.\n    now:   run migrate.yml",
            }
        rrsets = plan_dns.settling(picture)
        return {
            **run_facts.of_no_step(picture, "settle"),
            "settle": rrsets,
            "settled": picture.history.settled,
            "announce": [
                planner.action(
                    6, "ttl", item["domain"], f"Give {item['name']} its normal TTL", item["expect"], item["rrset"]
                )
                for item in rrsets
            ],
        }
