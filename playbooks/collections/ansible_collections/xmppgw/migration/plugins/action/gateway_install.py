"""Carry the bundled wheels to a host that does not have this release yet, and install them there."""

from __future__ import annotations

import tarfile
import tempfile
from pathlib import Path

from ansible_collections.xmppgw.migration.plugins.plugin_utils import wanted
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction


class ActionModule(MigrationAction):
    """See modules/gateway_install.py."""

    TRANSFERS_FILES = True

    def act(self, args, task_vars):
        """Install the release if it is not the current one."""
        release = wanted.release(args.get("wheelhouse") or self.setting(task_vars, "migration_wheelhouse"))
        switch = bool(args.get("switch", True))
        arguments = {
            "version": release["version"],
            "wheels": release["wheels"],
            "user": self.user(args, task_vars),
            "switch": switch,
        }
        seen = (task_vars.get("migration_seen") or {}).get("seen", {}).get("gateway", {})
        if (seen.get("version"), seen.get("wheels")) == (release["version"], release["wheels"]):
            return {"changed": False, "present": True}
        if not switch and self.remote("install_release", arguments, task_vars)["present"]:
            return {"changed": False, "present": True}
        if self.checking:
            return {"changed": True, "present": False}
        with tempfile.TemporaryDirectory(prefix="xmppgw-wheels-") as folder:
            archive = Path(folder) / "wheels.tar"
            with tarfile.open(archive, "w") as tar:
                for path in release["files"]:
                    tar.add(path, arcname=Path(path).name)
            # Outside Ansible's own temporary folder, which pipelining does not make.
            there = f"/var/tmp/xmppgw-{release['wheels'][:12]}.tar"  # noqa: S108 - root's, removed by the module
            self._transfer_file(str(archive), there)
        return self.remote("install_release", {**arguments, "archive": there}, task_vars)

    def user(self, args, task_vars):
        """Return the daemon's system user: as given, or as the host's kind has it."""
        if args.get("user"):
            return args["user"]
        return self.environment(task_vars).wanted_host(task_vars["inventory_hostname"])["user"]
