"""Compute a gateway host's files and units for one step, and bring the host there."""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils import wanted
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction


class ActionModule(MigrationAction):
    """See modules/gateway_host.py."""

    def act(self, args, task_vars):
        """Bring the host to the given stage."""
        host = args.get("host") or task_vars["inventory_hostname"]
        stage = int(args["stage"])
        everything = self.environment(task_vars).wanted_host(host)
        stopped = bool(args.get("stopped"))
        files = {path: wanted.at_stage(stages, stage) for path, stages in everything["files"].items()}
        units = {
            name: "disabled" if stopped else wanted.at_stage(stages, stage)
            for name, stages in everything["units"].items()
        }
        if self.checking:
            return {"changed": False, "did": []}
        needs_secret = everything["kind"] == "edge" and stage >= 5
        return self.remote(
            "host_configuration",
            {
                "user": everything["user"],
                "files": {
                    path: {key: item[key] for key in ("content", "mode", "group")}
                    for path, item in files.items()
                    if item
                },
                "units": {name: state for name, state in units.items() if state},
                "service": everything["service"],
                "secret": wanted.DIALBACK_SECRET if needs_secret else None,
                "reload": bool(args.get("reload")),
                "control_socket": everything["control_socket"],
                "facts": wanted.facts_in_force(everything, stage),
                "expect": "" if stopped else args.get("expect", ""),
                "limit": int(args.get("limit") or 30),
            },
            task_vars,
        )
