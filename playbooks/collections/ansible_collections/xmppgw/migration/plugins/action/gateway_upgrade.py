"""Compute how a gateway host goes to the release that `upgrade_check` named for it, and have it go there."""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction

EXPECTED = {"edge": ["ok", "links_up"], "front_end": ["ok", "links_up", "platform_up"]}
"""What a daemon must say of itself before the next host is touched."""


class ActionModule(MigrationAction):
    """See modules/gateway_upgrade.py."""

    def act(self, args, task_vars):
        """Switch the release of this host; the other hosts stay as they are."""
        host = task_vars["inventory_hostname"]
        everything = self.environment(task_vars).wanted_host(host)
        done = int(args["stage"])
        return self.remote(
            "switch_release",
            {
                "release": args["release"],
                "kind": {"edge": "edge", "front_end": "frontend"}[everything["kind"]],
                "settings": everything["settings"],
                "service": everything["service"],
                "control_socket": everything["control_socket"],
                # A link is up only where the other end was deployed.
                "expect": [name for name in EXPECTED[everything["kind"]] if done >= 2 or name != "links_up"],
                "limit": int(args.get("limit") or 60),
            },
            task_vars,
        )
