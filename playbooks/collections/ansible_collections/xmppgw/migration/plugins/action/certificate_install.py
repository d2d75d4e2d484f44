"""Put chains beside their keys, and stop the run if some are still awaited."""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction

AWAITED = "migration-certificate-awaited"
WAITS = 6
"""Exit status of a run that stops because people have to do something first."""


class ActionModule(MigrationAction):
    """See modules/certificate_install.py."""

    def act(self, args, task_vars):
        """Write what came; then fail with what has to be done for the rest."""
        chains, awaited = dict(args["chains"]), dict(args.get("awaited") or {})
        result = {"changed": False, "did": []}
        if chains and not self.checking:
            everything = self.environment(task_vars).wanted_host(task_vars["inventory_hostname"])
            bad = {name: everything["certificates"][name] for name in sorted(chains)}
            result = self.remote(
                "key_and_request",
                {"certificates": bad, "user": everything["user"], "chains": chains},
                task_vars,
            )
        if not awaited:
            return {"changed": result["changed"], "installed": sorted(chains)}
        lines = "\n    ".join(text for _name, text in sorted(awaited.items()))
        return {
            "failed": True,
            "exit_status": WAITS,
            "changed": result["changed"],
            "code": AWAITED,
            "awaited": awaited,
            "msg": f"[{AWAITED}] A certificate is awaited; everything before it is done and stays.\n    {lines}\n"
            f"    now:   run the same command again when it is there",
        }
