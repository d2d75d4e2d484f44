"""Say what the access policies will mean for whom, before they are put in force."""

from __future__ import annotations

from pathlib import Path

from ansible.utils.display import Display
from ansible_collections.xmppgw.migration.plugins.plugin_utils import policy_effect, steps_file
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction

from xmppgw.policy.document import policies_of
from xmppgw.policy.users import UsersProblem, read_users

display = Display()


class ActionModule(MigrationAction):
    """See modules/policy_effect.py."""

    def act(self, _args, task_vars):
        """Print the effect and return it as numbers."""
        environment = self.environment(task_vars)
        federation = environment.federation
        if federation.users.export is None:
            shown, counts = policy_effect.lines_without_table(federation.access_policies.global_), {}
        else:
            try:
                users = read_users(Path(environment.folder) / federation.users.export)
                found = policy_effect.effect(policies_of(federation), users)
            except UsersProblem as problem:
                raise PictureError("migration-export", f"[{problem.code}] {problem}") from problem
            shown = policy_effect.lines(found)
            refused = {reason: count for reason, (count, _names) in sorted(found.refused.items())}
            counts = {"allowed": dict(sorted(found.allowed.items())), "refused": refused}
        for line in shown:
            display.display(f"      {line}")
        steps_file.write("policies", **counts)
        return {"changed": False, "effect": counts}
