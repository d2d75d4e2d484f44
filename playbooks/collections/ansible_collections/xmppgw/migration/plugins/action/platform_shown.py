"""Ask the platform, by its script on the management host, what it has now. Changes nothing."""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils import shown_platform
from ansible_collections.xmppgw.migration.plugins.plugin_utils.management_host import (
    ManagementAction,
    refusal,
    script_name,
)


class ActionModule(ManagementAction):
    """See modules/platform_shown.py."""

    def act(self, args, task_vars):
        """Return, as platform_look does of a platform of the lab, which entries are not as they should be."""
        if self.checking or not args["entries"]:
            return {"changed": False, "elsewhere": [], "left": [], "problem": ""}
        said = self.run_script(args, ["-Show"])
        shown = shown_platform.read(said)
        if not shown:
            return refusal(f"{script_name(args)} -Show did not say what the platform has", said)
        standing = shown_platform.standing(self.environment(task_vars), args["table"], shown)
        left = shown_platform.left(standing, args["entries"]) if args["table"] == "homing" else []
        if left and len(left) == len(args["entries"]):
            return refusal(
                f"{script_name(args)} -Show found none of its users: see whether the host may read them. If they did "
                "leave, a new export shows it (`xmppgw user sync`); then run the same playbook again",
                said,
            )
        open_entries = [entry for entry in args["entries"] if not shown_platform.stands(standing, entry)]
        elsewhere = sorted({entry["key"] for entry in open_entries} - {*left})
        return {"changed": False, "elsewhere": elsewhere, "left": left, "problem": ""}
