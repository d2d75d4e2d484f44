"""Put a host's part of a backup back where it is absent."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ansible_collections.xmppgw.migration.plugins.plugin_utils import backup_folder, wanted
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction


class ActionModule(MigrationAction):
    """See modules/restore_host.py."""

    TRANSFERS_FILES = True

    def act(self, args, task_vars):
        """Carry the archive over and have the host take from it what it lacks."""
        host, entries = task_vars["inventory_hostname"], list(args["entries"])
        if self.checking or not entries:
            return {"changed": False, "did": []}
        everything = self.environment(task_vars).wanted_host(host)
        folder = Path(args["backup"])
        try:
            manifest = backup_folder.read_manifest(folder)
            phrase = backup_folder.passphrase(self.secrets_file(task_vars))
            data = backup_folder.decrypt((folder / manifest["hosts"][host]["archive"]).read_bytes(), phrase)
        except backup_folder.BackupFolderError as problem:
            raise PictureError(problem.code, f"{problem}. Nothing was changed.") from problem
        there = f"/var/tmp/xmppgw-restore-{folder.name}.tar"  # noqa: S108 - removed by the module
        with tempfile.TemporaryDirectory(prefix="xmppgw-restore-") as temporary:
            here = Path(temporary) / "archive.tar"
            here.write_bytes(data)
            self._transfer_file(str(here), there)
        result = self.remote(
            "restore_files",
            {
                "archive": there,
                "entries": entries,
                "store": wanted.STORE if everything["kind"] == "front_end" else "",
                "service": everything["service"],
                "user": everything["user"],
                "deliver_waiting": bool(args.get("deliver_waiting")),
            },
            task_vars,
        )
        if result.get("set_aside"):
            result["say"] = (
                f"{result['set_aside']} messages that waited in the store then are set aside in "
                f"{wanted.STORE}.set-aside.jsonl on {host}: some may have been delivered since"
            )
        return result
