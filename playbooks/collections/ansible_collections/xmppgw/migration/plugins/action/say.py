"""Say something to whoever runs the playbook; changes nothing."""

from __future__ import annotations

from ansible.utils.display import Display
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction

display = Display()


class ActionModule(MigrationAction):
    """See modules/say.py."""

    def act(self, args, task_vars):
        """Print the text."""
        for line in str(args["text"]).splitlines():
            display.display(f"  {line}", color="yellow" if args.get("warn") else None)
        return {"changed": False}
