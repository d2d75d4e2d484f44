"""Write the manifest of a backup, after every host's part is there."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

from ansible_collections.xmppgw.migration.plugins.plugin_utils import authority_keeping, backup_folder
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction


class ActionModule(MigrationAction):
    """See modules/backup_manifest.py."""

    def act(self, args, task_vars):
        """Return where the backup is."""
        picture = self.picture(task_vars)
        if self.checking:
            return {"changed": False, "folder": args["folder"]}
        folder = Path(args["folder"])
        document = Path(self.setting(task_vars, "migration_document")).read_bytes()
        backup_folder.write(folder / "federation.yml", document)
        seen = {
            "srv": picture.dns.rrsets,
            "homing": picture.platforms.tables("homing"),
            "route": picture.platforms.tables("route"),
        }
        backup_folder.write(folder / "world.json", (json.dumps(seen, indent=2, sort_keys=True) + "\n").encode())
        try:
            phrase = backup_folder.passphrase(self.secrets_file(task_vars))
        except backup_folder.BackupFolderError as problem:
            raise PictureError(problem.code, str(problem)) from problem
        authorities = dict(self.setting(task_vars, "migration_authorities"))
        backup_folder.write_manifest(
            folder,
            {
                authority_keeping.NAME: authority_keeping.keep(folder, authorities, phrase),
                "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "made_epoch": int(time.time()),
                "step": picture.history.step,
                "journal": {"records": len(picture.state.records), "tail": picture.state.tail},
                "document": hashlib.sha256(document).hexdigest(),
                "hosts": args["hosts"],
            },
        )
        kept = sum(len(host["entries"]) for host in args["hosts"].values())
        how = (
            "encrypted" if all(host["encrypted"] for host in args["hosts"].values()) else "not encrypted, without keys"
        )
        return {"changed": False, "folder": str(folder), "say": f"Backup of {kept} files at {folder} ({how})"}
