"""What the actions start with that run a script of the runbook on a Windows management host, over whatever connection
reaches it (WinRM, PSRP, SSH).

Used by the actions platform_script and platform_shown, on the controller.
"""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction, ModuleFailed

FOLDER = "C:/xmppgw"
"""Where scripts are put if a task says nothing: Ansible fills in defaults for modules only."""
TAIL = 3000
"""Characters of the script's output that a message shows; the rest is for the host's own eyes."""


class ManagementAction(MigrationAction):
    """An action on the management host."""

    TRANSFERS_FILES = True

    def run_script(self, args, words):
        """Copy the script and run it with `words`; return all that it printed. Fails as the script failed."""
        name = script_name(args)
        remote = f"{str(args.get('directory') or FOLDER).rstrip('/')}/{name}"
        self._connection.put_file(str(args["file"]), remote)
        if args.get("partner"):
            words = [*words, "-Partner", str(args["partner"])]
        result = self._low_level_execute_command(
            f"powershell.exe -NoProfile -NonInteractive -ExecutionPolicy Bypass -File {remote} {' '.join(words)}"
        )
        # Windows ends lines with CR LF, and so does any terminal.
        said = "\n".join(f"{result.get('stdout') or ''}{result.get('stderr') or ''}".strip().splitlines())
        if result.get("rc"):
            raise ModuleFailed(refusal(f"{name} ended with {result['rc']}", said))
        return said


def script_name(args):
    """Return the name of the script that a task names."""
    return str(args["file"]).rpartition("/")[2]


def refusal(what, said):
    """Return the failure of a script: what it did, and the end of what it printed."""
    return {
        "failed": True,
        "code": "migration-platform-script",
        "msg": f"[migration-platform-script] {what}:\n{said[-TAIL:]}",
    }
