"""Refuse an upgrade that cannot be meant, before anything is touched."""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils import wanted
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction

CODE = "migration-upgrade"


class ActionModule(MigrationAction):
    """See modules/upgrade_check.py."""

    def act(self, args, task_vars):
        """Return where the wheels are and what is to be done."""
        back, version = bool(args.get("back")), str(args.get("to_version") or "")
        if back == bool(version):
            raise PictureError(CODE, "Give either -e to_version=<version> or -e back=true. Nothing was changed.")
        facts = task_vars["hostvars"]["localhost"]["migration"]
        if not facts["standing"]:
            raise PictureError(CODE, "No gateway host stands yet: migrate.yml deploys them. Nothing was changed.")
        wheelhouse = args.get("wheelhouse") or self.setting(task_vars, "migration_wheelhouse")
        if back:
            return {"changed": False, "wheelhouse": wheelhouse, "say": "Every host goes back to the release before."}
        found = wanted.release(wheelhouse)
        if found["version"] != version:
            raise PictureError(
                CODE,
                f"{wheelhouse} holds version {found['version']}, not {version}. Put the wheels of {version} there, or "
                f"name their folder with -e wheelhouse=<folder>. Nothing was changed.",
            )
        running = sorted({item["version"] for item in facts["installed"].values()})
        return {
            "changed": False,
            "wheelhouse": wheelhouse,
            "say": f"{', '.join(facts['standing'])}: from {', '.join(running)} to {version}, one after another",
        }
