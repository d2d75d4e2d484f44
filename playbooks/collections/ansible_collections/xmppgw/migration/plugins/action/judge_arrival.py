"""Judge whether a partner's server has come to our edges, from what both sides show. Changes nothing."""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.module_utils import readiness
from ansible_collections.xmppgw.migration.plugins.plugin_utils import switching
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction


class ActionModule(MigrationAction):
    """See modules/judge_arrival.py."""

    def act(self, args, task_vars):
        """Return {state, reason}; the state is empty while it is not known and there is time left."""
        answers = [result.get("answer") or {} for result in args["edges"]]
        verdict = switching.arrival(
            inbound=sum(len(readiness.inbound_streams(answer, args["domains"])) for answer in answers),
            closed=int(args["closed"]) if "closed" in args else None,
            left=list(args["left"]),
            seconds=round(float(args.get("seconds") or 0)),
            over=float(args.get("seconds") or 0) >= float(args.get("limit") or 0),
        )
        return {"changed": False, **verdict}
