"""Run a script of the runbook on a Windows management host, over whatever connection reaches it (WinRM, PSRP, SSH)."""

from __future__ import annotations

import re

from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction

FOLDER = "C:/xmppgw"
"""Where scripts are put if a task says nothing: Ansible fills in defaults for modules only."""
TAIL = 3000
"""Characters of the script's output that are returned; the rest is for the host's own eyes."""


class ActionModule(MigrationAction):
    """See modules/platform_script.py."""

    TRANSFERS_FILES = True

    def act(self, args, task_vars):
        """Copy the script and run it; fail as it failed."""
        if self.checking:
            return {"changed": False, "said": ""}
        name = str(args["file"]).rpartition("/")[2]
        remote = f"{str(args.get('directory') or FOLDER).rstrip('/')}/{name}"
        self._connection.put_file(str(args["file"]), remote)
        question = bool(args.get("question"))
        words = " ".join(["-When"] if question else ["-Apply", *(["-Undo"] if args.get("undo") else [])])
        if args.get("partner"):
            words += f" -Partner {args['partner']}"
        result = self._low_level_execute_command(
            f"powershell.exe -NoProfile -NonInteractive -ExecutionPolicy Bypass -File {remote} {words}"
        )
        # Windows ends lines with CR LF, and so does any terminal.
        said = "\n".join(f"{result.get('stdout') or ''}{result.get('stderr') or ''}".strip().splitlines())[-TAIL:]
        if result.get("rc"):
            return {
                "failed": True,
                "code": "migration-platform-script",
                "msg": f"[migration-platform-script] {name} ended with {result['rc']}:\n{said}",
            }
        if question:
            return self.answer(name, said)
        return {"changed": any(line.startswith("done ") for line in said.splitlines()), "said": said}

    def answer(self, name, said):
        """Return how many seconds the script says are left."""
        found = re.search(r"^seconds +(\d{1,5})$", said, re.MULTILINE)
        if found is None:
            return {
                "failed": True,
                "code": "migration-platform-script",
                "msg": f"[migration-platform-script] {name} did not say when it may run:\n{said}",
            }
        return {"changed": False, "said": said, "seconds": int(found[1])}
