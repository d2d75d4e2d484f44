"""Hand work over to a person, see whether it is done, and stop resumably while it is not."""

from __future__ import annotations

from pathlib import Path

from ansible.utils.display import Display
from ansible_collections.xmppgw.migration.plugins.plugin_utils import handing_over, steps_file
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction

display = Display()
AWAITED = 6
"""Exit status of a run that waits for somebody: nothing failed, and the same playbook goes on afterwards."""
SHOWN = 10
"""Lines of an order that are printed; the file has them all."""


class ActionModule(MigrationAction):
    """See modules/handover.py."""

    def act(self, args, task_vars):
        """Say what is to be done (`given`), or whether it was (`taken`)."""
        environment = self.environment(task_vars)
        open_keys, problems = handing_over.open_entries(
            environment, args["kind"], args["entries"], list(args.get("looks") or [])
        )
        folder = Path(self.setting(task_vars, "migration_output")) / "runbook"
        found = {"changed": False, "open": open_keys, "problems": problems}
        if not open_keys and not problems:
            return {**found, "needed": False}
        entries = [entry for entry in args["entries"] if entry["key"] in set(open_keys)]
        order = handing_over.order(
            environment,
            kind=args["kind"],
            provider=args["provider"],
            subject=args["subject"],
            entries=entries,
            back=bool(args.get("back")),
        )
        path = folder / order.file
        if args["event"] == "given":
            if not self.checking:
                folder.mkdir(parents=True, exist_ok=True)
                path.write_bytes(order.content)
            self.say(args, order, path, len(entries))
            return {**found, "needed": True, "file": str(path)}
        if len(open_keys) <= int(args.get("tolerated") or 0) and not problems:
            return {**found, "needed": False}
        more = f" and {len(open_keys) - 5} more" if len(open_keys) > 5 else ""
        export = (
            "" if environment.platforms else " Then export again and run `xmppgw user sync`, so that it can be seen."
        )
        return {
            "failed": True,
            "code": "migration-handover",
            "exit_status": AWAITED,
            "msg": f"[migration-handover] {args['subject']}: not done yet: {', '.join(open_keys[:5])}{more}"
            + "".join(f"\n    {problem}" for problem in problems)
            + f"\n    now:   do what {path} says.{export} Then run the same playbook again: it verifies this and goes "
            "on. -e watch=SECONDS waits for it instead.",
            **found,
        }

    def say(self, args, order, path, count):
        """Print the order, shortened."""
        display.display(
            f"      to be done by hand ({args['subject']}, {count} of {len(args['entries'])}):", color="yellow"
        )
        for line in order.lines[:SHOWN]:
            display.display(f"        {line}", color="yellow")
        if len(order.lines) > SHOWN:
            display.display(f"        and {len(order.lines) - SHOWN} more", color="yellow")
        display.display(f"        all of it is in {path}", color="yellow")
        steps_file.write("handed_over", subject=args["subject"], kind=args["kind"], file=str(path), entries=count)
