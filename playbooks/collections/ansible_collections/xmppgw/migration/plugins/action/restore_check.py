"""Look at a backup before anything is put back: is it whole, whose is it, and what would it put where."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path

from ansible_collections.xmppgw.migration.plugins.plugin_utils import backup_folder, rrsets
from ansible_collections.xmppgw.migration.plugins.plugin_utils.environment import STATE_DIRECTORY
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction

JOURNAL = f"{STATE_DIRECTORY}/journal.jsonl"


class ActionModule(MigrationAction):
    """See modules/restore_check.py."""

    def act(self, args, task_vars):
        """Return what each host gets, {host: entries}."""
        folder = Path(str(args.get("backup") or ""))
        if not args.get("backup"):
            raise PictureError(
                "migration-backup", "Give the folder of the backup: -e backup=<folder>. Nothing was done."
            )
        try:
            manifest = backup_folder.read_manifest(folder)
        except backup_folder.BackupFolderError as problem:
            raise PictureError(problem.code, f"{problem}. Nothing was changed.") from problem
        around = self.environment(task_vars)
        known = [*around.front_ends, *around.edges]
        asked = args.get("hosts") or sorted(set(manifest["hosts"]) & set(known))
        strange = sorted(set(asked) - set(manifest["hosts"])) + sorted(set(asked) - set(known))
        if strange:
            raise PictureError(
                "migration-backup",
                f"{', '.join(dict.fromkeys(strange))} is not both in this backup and in the document. Nothing was "
                f"changed.",
            )
        keeps_journal = self.journal_stands(around, task_vars)
        hosts = {
            host: [
                entry
                for entry in manifest["hosts"][host]["entries"]
                # A journal that stands anywhere is newer than this one: it comes back from its copy (take_over).
                if entry["path"] != JOURNAL or not keeps_journal
            ]
            for host in asked
        }
        age = time.time() - manifest["made_epoch"]
        document = hashlib.sha256(Path(self.setting(task_vars, "migration_document")).read_bytes()).hexdigest()
        other = "; the federation document has changed since" if document != manifest["document"] else ""
        return {
            "changed": False,
            "hosts": hosts,
            "journal_stands": keeps_journal,
            "say": "\n  ".join(
                [
                    f"Backup of {manifest['made']} ({age / 3600:.1f} h old), made after step {manifest['step']}{other}",
                    *self.changed_records(folder, task_vars),
                ]
            ),
        }

    def changed_records(self, folder, task_vars):
        """Return in words where the SRV records are not those of the backup; they are migrate.yml's to change."""
        try:
            kept = json.loads((folder / "world.json").read_text(encoding="utf-8"))["srv"]
            now = self.picture(task_vars).dns.rrsets
        except (OSError, ValueError, KeyError, PictureError):
            return ["The SRV records cannot be compared with those of the backup."]
        return [
            f"{domain}: since the backup {sentence} ({server})"
            for domain in sorted(kept)
            for server, rrset in sorted(now.get(domain, {}).items())
            for sentence in rrsets.differences(kept[domain].get(server), rrset)
        ]

    def journal_stands(self, around, task_vars):
        """Return True if the journal's authority or its copy has records."""
        found = [
            (task_vars["hostvars"][host].get("migration_seen") or {}).get("seen", {}).get("state") or {}
            for host in {around.authority, around.copy}
        ]
        return any(state.get("records") or state.get("problem") for state in found)
