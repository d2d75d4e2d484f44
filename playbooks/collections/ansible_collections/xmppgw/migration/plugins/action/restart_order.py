"""Write the script that restarts the legacy proxy, and see whether somebody has run it."""

from __future__ import annotations

import time
from pathlib import Path

from ansible.utils.display import Display
from ansible_collections.xmppgw.migration.plugins.plugin_utils import evidence, steps_file
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import AWAITED
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction

from xmppgw.runbook.quoting import QuotingProblem
from xmppgw.runbook.rendering import RunbookProblem, drain_script

display = Display()
FILE = "drain.ps1"


class ActionModule(MigrationAction):
    """See modules/restart_order.py."""

    def act(self, args, task_vars):
        """Write the script (`given`), or judge the evidence that it leaves (`taken`)."""
        environment = self.environment(task_vars)
        path = Path(self.setting(task_vars, "migration_output")) / "runbook" / FILE
        if args["event"] == "given":
            return self.given(environment, path)
        return self.taken(environment, path, [partner.get("answered_since") for partner in args["partners"]])

    def given(self, environment, path):
        """Write the script and say what it is for, where nobody but a person can run it."""
        try:
            content = drain_script(environment.document, "the migration's federation document")
        except (RunbookProblem, QuotingProblem) as problem:
            return {"failed": True, "code": "migration-handover", "msg": f"[migration-handover] {problem}"}
        if not self.checking:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if not environment.proxies:
            display.display("      to be done by hand (restart of the legacy XMPP proxy):", color="yellow")
            display.display(f"        {self.how(environment, path)}", color="yellow")
            steps_file.write("handed_over", subject="legacy proxy", kind="restart", file=str(path), entries=1)
        return {"changed": False, "file": str(path)}

    def taken(self, environment, path, answered):
        """Return when it was restarted; fail resumably unless that was after every edge answered for everybody."""
        restarted, problem = evidence.read_drain(environment.evidence, environment.federation)
        # One for whom the edges answer only since this run: nothing that was done before can count.
        since = time.time() if None in answered else max(answered, default=0.0)
        if restarted is not None and restarted > since:
            return {"changed": False, "restarted": restarted}
        text = problem or (
            f"{evidence.DRAIN} tells of a restart at {moment(restarted)}, but our edges answer for all partners only "
            f"since {moment(since)}"
        )
        return {
            "failed": True,
            "code": "migration-handover",
            "exit_status": AWAITED,
            "msg": f"[migration-handover] restart of the legacy XMPP proxy: not done yet: {text}"
            f"\n    now:   {self.how(environment, path)} Then run the same playbook again: it goes on from here.",
        }

    def how(self, environment, path):
        """Return what to do, in a sentence."""
        gateway, minute = environment.federation.legacy.gateway.fqdn, environment.federation.drain.quiet_minute
        return (
            f"On {gateway}, at {minute} on its own clock, run .\\{path.name} -Apply ({path}), and copy the "
            f"{evidence.DRAIN} that it writes into {environment.evidence}."
        )


def moment(epoch):
    """Return a moment as people read it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))
