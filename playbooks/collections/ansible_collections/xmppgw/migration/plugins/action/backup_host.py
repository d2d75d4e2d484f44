"""Fetch what a backup keeps of one gateway host, and put it into the backup's folder on the controller."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ansible_collections.xmppgw.migration.plugins.plugin_utils import backup_folder, wanted
from ansible_collections.xmppgw.migration.plugins.plugin_utils.environment import STATE_DIRECTORY
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction

ALWAYS = (
    "/etc/xmppgw/*.json",
    "/etc/xmppgw/ca/*.pem",
    "/etc/xmppgw/tls/*.crt",
    "/etc/xmppgw/tls/*.csr",
    wanted.DIALBACK_SECRET,
    f"{STATE_DIRECTORY}/journal.jsonl",
    f"{STATE_DIRECTORY}/waves/*.json",
    "/var/lib/xmppgw-edge/phases.json",
)
"""Of every gateway host, where it is there."""
ENCRYPTED_ONLY = ("/etc/xmppgw/tls/*.key",)
"""Private keys leave their host only into an encrypted archive."""


class ActionModule(MigrationAction):
    """See modules/backup_host.py."""

    TRANSFERS_FILES = True

    def act(self, args, task_vars):
        """Return this host's part of the manifest."""
        if self.checking:
            return {"changed": False, "kept": {}}
        host = task_vars["inventory_hostname"]
        everything = self.environment(task_vars).wanted_host(host)
        try:
            phrase = backup_folder.passphrase(self.secrets_file(task_vars))
            there = f"/var/tmp/xmppgw-backup-{Path(args['folder']).name}.tar"  # noqa: S108 - root's alone, 0600
            packed = self.remote(
                "backup_files",
                {
                    "patterns": [*ALWAYS, *(ENCRYPTED_ONLY if phrase else ())],
                    "store": wanted.STORE if everything["kind"] == "front_end" else None,
                    "control_socket": everything["control_socket"],
                    "archive": there,
                },
                task_vars,
            )
            with tempfile.TemporaryDirectory(prefix="xmppgw-backup-") as folder:
                here = Path(folder) / "archive.tar"
                self._connection.fetch_file(there, str(here))
                self._execute_module(
                    module_name="ansible.builtin.file",
                    module_args={"path": there, "state": "absent"},
                    task_vars=task_vars,
                )
                kept = backup_folder.keep(args["folder"], host, here.read_bytes(), phrase)
        except backup_folder.BackupFolderError as problem:
            raise PictureError(problem.code, str(problem)) from problem
        return {
            "changed": False,
            "kept": {**kept, "entries": packed["entries"], "waiting": packed["waiting"], "kind": everything["kind"]},
        }
