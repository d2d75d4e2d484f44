"""Wait on the controller, with a reason and a countdown, until nobody can remember an earlier RRset."""

from __future__ import annotations

import time

from ansible.utils.display import Display
from ansible_collections.xmppgw.migration.plugins.plugin_utils import steps_file
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import AWAITED
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction

RENEW_EVERY = 240.0
"""Seconds; the lock is granted for 900, so a run that waits for hours keeps it and one that dies gives it up."""

display = Display()


class ActionModule(MigrationAction):
    """See modules/wait.py."""

    def act(self, args, task_vars):
        """Wait until the given epoch second, or until caches have forgotten what the journal says was served."""
        now = time.time()
        if args.get("until") is not None:
            until = float(args["until"])
        else:
            until = now + self.picture(
                task_vars, args.get("seen") or (), args.get("noted") or ()
            ).seconds_until_forgotten(now)
        reason, limit = str(args["reason"]), float(args.get("limit") or 7200)
        if until - now > limit:
            return {
                "failed": True,
                "code": "migration-wait",
                "exit_status": AWAITED,
                "msg": f"[migration-wait] {until - now:.0f} s would have to be waited ({reason}), the limit is "
                f"{limit:.0f} s. "
                f"Run again in {until - now - limit:.0f} s.",
            }
        if self.checking or until <= now:
            return {"changed": False, "waited_s": 0.0}
        number = int(args["step"]) if args.get("step") else None
        steps_file.write("wait_started", number=number, reason=reason, seconds=round(until - now, 1))
        renewed = 0.0
        while (left := until - time.time()) > 0:
            if time.time() - renewed > RENEW_EVERY:
                self.renew({"step": number, "reason": reason, "until": until}, task_vars)
                renewed = time.time()
            display.display(f"      waiting {left:4.0f} s more: {reason}", color="cyan")
            time.sleep(min(line_every(left), left))
        waited = round(time.time() - now, 2)
        steps_file.write("wait_finished", number=number, reason=reason, waited_s=waited)
        return {"changed": False, "waited_s": waited, "reason": reason}

    def renew(self, doing, task_vars):
        """Renew the run's lock, which says meanwhile what is waited for: where the task is delegated to its
        authority."""
        run = task_vars["hostvars"]["localhost"].get("migration") or {}
        if "run" not in run or self._task.delegate_to != run["journal"]["authority"]:
            return
        self.remote("journal", {"lock": {**run["run"]["lock"], "doing": doing}}, task_vars)


def line_every(left):
    """Return the seconds between two lines of the countdown: a wait of an hour does not fill the screen."""
    return 5.0 if left <= 60 else 30.0 if left <= 600 else 120.0
