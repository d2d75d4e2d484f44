"""Note what became of one partner: a line for whoever watches, a line in the steps file, and the journal's record."""

from __future__ import annotations

import time

from ansible.utils.display import Display
from ansible_collections.xmppgw.migration.plugins.plugin_utils import steps_file
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction

display = Display()
COLOURS = {"gateway": "green", "legacy": "green"}


class ActionModule(MigrationAction):
    """See modules/note_partner.py."""

    def act(self, args, task_vars):
        """Return {body}."""
        domain, state, reason = str(args["partner"]), str(args["state"]), str(args.get("reason") or "")
        now = time.time()
        seconds = round(now - float(args["began"]), 2) if args.get("began") else None
        body = {"event": "partner_switched", "partner": domain, "state": state, "reason": reason, "at": round(now, 3)}
        if args.get("fingerprint"):
            body["fingerprint"] = str(args["fingerprint"])
        steps_file.write("partner_switched", partner=domain, state=state, reason=reason, seconds=seconds)
        took = "" if seconds is None else f", {seconds:.1f} s"
        words = f"      {domain}: {state}{f' ({reason})' if reason else ''}{took}"
        display.display(words, color=COLOURS.get(state, "yellow"))
        return {"changed": False, "body": body}
