"""Put the certificate authorities' folders back on the controller where nothing stands in them."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.xmppgw.migration.plugins.plugin_utils import authority_keeping, backup_folder
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction


class ActionModule(MigrationAction):
    """See modules/restore_authorities.py."""

    def act(self, args, task_vars):
        """Return which files were put back."""
        folder, authorities = Path(args["backup"]), dict(self.setting(task_vars, "migration_authorities"))
        try:
            manifest = backup_folder.read_manifest(folder)
            phrase = backup_folder.passphrase(self.secrets_file(task_vars))
            absent = authority_keeping.missing(folder, manifest, authorities, phrase)
        except backup_folder.BackupFolderError as problem:
            raise PictureError(problem.code, f"{problem}. Nothing was changed.") from problem
        if not self.checking:
            for path, data in absent.items():
                backup_folder.write(path, data)
        return {"changed": bool(absent), "did": [f"put back {path}" for path in sorted(map(str, absent))]}
