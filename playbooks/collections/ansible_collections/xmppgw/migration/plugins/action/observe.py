"""Look at one host: builds the questions on the controller, asks them in one round trip."""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction


class ActionModule(MigrationAction):
    """See modules/observe.py."""

    def act(self, args, task_vars):
        """Return {host, seen}."""
        host = args.get("host") or task_vars["inventory_hostname"]
        environment = self.environment(task_vars)
        arguments, about = environment.reading(host)
        if not arguments:
            # A legacy Edge Server, on which a script restarts a service and nothing of ours can look around.
            return {"changed": False, "host": host, "seen": {"about": []}}
        result = self.remote("host_state", arguments, task_vars)
        return {"changed": False, "host": host, "seen": {**result["seen"], "about": about}}
