"""Hand work over to a person, see whether it is done, and stop resumably while it is not."""

from __future__ import annotations

import time
from pathlib import Path

from ansible.utils.display import Display
from ansible_collections.xmppgw.migration.plugins.plugin_utils import handing_over, newest_word, steps_file
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import AWAITED, PictureError
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction

display = Display()
SHOWN = 10
"""Lines of an order that are printed; the file has them all."""
POLL = 2.0
"""Seconds between two looks for a newer export."""


class ActionModule(MigrationAction):
    """See modules/handover.py."""

    def act(self, args, task_vars):
        """Write the script (`written`), say what is to be done (`given`), or whether it was (`taken`)."""
        environment = self.environment(task_vars)
        folder = Path(self.setting(task_vars, "migration_output")) / "runbook"
        if args["event"] == "written":
            order = self.order(environment, args, args["entries"])
            # A list is written only when something on it is left to do.
            if args["provider"] == "powershell":
                self.write(folder, order)
            return {"changed": False, "file": str(folder / order.file)}
        results = handing_over.answered(environment, list(args.get("looks") or []))
        if args["event"] == "given":
            return self.given(environment, args, task_vars, folder, results)
        return self.taken(environment, args, task_vars, folder, results)

    def given(self, environment, args, task_vars, folder, results):
        """Say what is to be done; nothing if all of it stands."""
        since, found = None, None
        if results is None:
            history = self.picture(task_vars).history
            moving, since = newest_word.asked(history, args["kind"], args["subject"], back=bool(args.get("back")))
            # Whoever was asked for the opposite may have done it just now: no export that stands tells.
            newer_than = (since or time.time()) if moving else 0.0
            found, _left = newest_word.elsewhere(
                environment, history, args["kind"], args["entries"], newer_than=newer_than
            )
        open_keys, problems = (found, []) if results is None else handing_over.open_entries(results, args["kind"])
        report = {"changed": False, "open": open_keys, "problems": problems, "since": since or time.time()}
        if not open_keys and not problems:
            return {**report, "needed": False}
        entries = [entry for entry in args["entries"] if entry["key"] in set(open_keys)]
        # A script names them all: it is asked about them all, and leaves alone what stands.
        order = self.order(environment, args, args["entries"] if args["provider"] == "powershell" else entries)
        self.write(folder, order)
        self.say(args, order, folder / order.file, len(entries), environment.management)
        return {**report, "needed": True, "file": str(folder / order.file)}

    def taken(self, environment, args, task_vars, folder, results):
        """Return success if it stands now, waiting for an export where nobody can be asked; else fail."""
        tolerated = int(args.get("tolerated") or 0)
        if results is None:
            open_keys, problems = self.watched(environment, args, task_vars, tolerated)
        else:
            open_keys, problems = handing_over.open_entries(results, args["kind"])
        if len(open_keys) <= tolerated and not problems:
            return {"changed": False, "open": open_keys, "problems": [], "needed": False, "at": round(time.time(), 3)}
        found = {"changed": False, "failed": True, "open": open_keys, "problems": problems}
        more = f" and {len(open_keys) - 5} more" if len(open_keys) > 5 else ""
        what = f"{', '.join(open_keys[:5])}{more}" + "".join(f"\n    {problem}" for problem in problems)
        if args.get("ran"):
            return {
                **found,
                "code": "migration-read-back",
                "msg": f"[migration-read-back] {args['subject']}: the script ended well on the management host, and "
                f"the platform does not have it: {what}",
            }
        path = folder / self.order(environment, args, args["entries"]).file
        export = (
            ""
            if results is not None
            else " Then bring a new export, which alone shows it (routes: into the folder exports; users: `user sync`)."
        )
        return {
            **found,
            "code": "migration-handover",
            "exit_status": AWAITED,
            "msg": f"[migration-handover] {args['subject']}: not done yet: {what}"
            f"\n    now:   do what {path} says.{export} Then run the same playbook again: it verifies this and goes "
            "on. -e watch=SECONDS waits for it instead.",
        }

    def watched(self, environment, args, task_vars, tolerated):
        """Look at the exports until one that is new enough shows it, for at most `limit` seconds."""
        history = self.picture(task_vars).history
        end = time.time() + float(args.get("limit") or 0)
        while True:
            try:
                open_keys, _left = newest_word.elsewhere(
                    environment, history, args["kind"], args["entries"], newer_than=float(args["since"])
                )
                problems = []
            except PictureError as problem:
                # One that is being copied is cut off for a moment.
                open_keys, problems = [entry["key"] for entry in args["entries"]], [str(problem)]
            if (len(open_keys) <= tolerated and not problems) or time.time() >= end:
                return open_keys, problems
            time.sleep(POLL)

    def order(self, environment, args, entries):
        """Return the Order for entries."""
        return handing_over.order(
            environment,
            kind=args["kind"],
            provider=args["provider"],
            subject=args["subject"],
            entries=entries,
            back=bool(args.get("back")),
        )

    def write(self, folder, order):
        """Write an order's file."""
        if not self.checking:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / order.file).write_bytes(order.content)

    def say(self, args, order, path, count, management):
        """Print the order, shortened."""
        scripted = args["provider"] == "powershell" and management
        who = "by a script, and by people what follows" if scripted else "by hand"
        display.display(
            f"      to be done {who} ({args['subject']}, {count} of {len(args['entries'])}):", color="yellow"
        )
        for line in order.lines[:SHOWN]:
            display.display(f"        {line}", color="yellow")
        if len(order.lines) > SHOWN:
            display.display(f"        and {len(order.lines) - SHOWN} more", color="yellow")
        display.display(f"        all of it is in {path}", color="yellow")
        steps_file.write("handed_over", subject=args["subject"], kind=args["kind"], file=str(path), entries=count)
