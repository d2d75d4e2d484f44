"""Have a legacy gateway ended that is not ours to switch off, and see whether that was done."""

from __future__ import annotations

import time
from pathlib import Path

from ansible.utils.display import Display
from ansible_collections.xmppgw.migration.plugins.plugin_utils import farewell, handing_over, steps_file
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import AWAITED
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction

display = Display()
FILE = "decommission.txt"


class ActionModule(MigrationAction):
    """See modules/farewell_order.py."""

    def act(self, args, task_vars):
        """Write the order (`given`), or judge whether it was carried out (`taken`)."""
        environment = self.environment(task_vars)
        folder = Path(self.setting(task_vars, "migration_output")) / "runbook"
        if args["event"] == "given":
            return self.given(environment, folder, args["provider"])
        return self.taken(folder, str(args.get("confirmed") or ""), list(args.get("looks") or []))

    def given(self, environment, folder, provider):
        """Write order and script."""
        script = farewell.script(environment)
        lines = farewell.order_lines(environment.federation, scripted=bool(script), runs=provider == "powershell")
        if not self.checking:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")
            if script:
                (folder / farewell.SCRIPT).write_bytes(script)
        display.display("      to be done by hand (the end of the legacy gateway):", color="yellow")
        for line in lines:
            display.display(f"        {line}", color="yellow")
        display.display(f"        all of it is in {folder / FILE}", color="yellow")
        steps_file.write(
            "handed_over", subject="legacy gateway", kind="native", file=str(folder / FILE), entries=len(lines)
        )
        entries = [{"key": partner.domain, "value": None} for partner in environment.federation.partners]
        return {"changed": False, "file": str(folder / farewell.SCRIPT) if script else "", "entries": entries}

    def taken(self, folder, confirmed, looks):
        """Return success if the script's part was seen and a person confirmed the rest; else fail."""
        open_keys, _problems = handing_over.open_entries(looks, "native")
        if open_keys:
            return {
                "failed": True,
                "code": "migration-read-back",
                "msg": "[migration-read-back] The script ended well on the management host, and the platform still has "
                f"the partners {', '.join(open_keys)}.",
            }
        if confirmed == farewell.CONFIRMED:
            return {"changed": False, "at": round(time.time(), 3)}
        seen = "The native partners are gone; the rest is not confirmed" if looks else "not confirmed yet"
        return {
            "failed": True,
            "code": "migration-handover",
            "exit_status": AWAITED,
            "msg": f"[migration-handover] the end of the legacy gateway: {seen}. Our edges still know it."
            f"\n    now:   do what {folder / FILE} says, then run this playbook again with -e legacy_off=confirmed as "
            "well: nobody can see from here whether it is done. It goes on from there.",
        }
