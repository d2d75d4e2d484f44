"""Refuse an upgrade that cannot be meant, before anything is touched, and say host by host what it does."""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.module_utils.release_switching import folder_of
from ansible_collections.xmppgw.migration.plugins.plugin_utils import upgrading, wanted, wheel_fit
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction, as_bool

CODE = upgrading.CODE


class ActionModule(MigrationAction):
    """See modules/upgrade_check.py."""

    def act(self, args, task_vars):
        """Return where the wheels are and which host goes where."""
        back, version = as_bool(args.get("back")), str(args.get("to_version") or "")
        if back == bool(version):
            raise PictureError(CODE, "Give either -e to_version=<version> or -e back=true. Nothing was changed.")
        standing = task_vars["hostvars"]["localhost"]["migration"]["standing"]
        if not standing:
            raise PictureError(CODE, "No gateway host stands yet: migrate.yml deploys them. Nothing was changed.")
        wheelhouse = args.get("wheelhouse") or self.setting(task_vars, "migration_wheelhouse")
        picture = self.picture(task_vars)
        hosts = {host: picture.gateways.seen_on(host) for host in standing}
        if back:
            services = {host: picture.environment.wanted_host(host)["service"] for host in standing}
            moves, found, say = upgrading.back(hosts, picture.history, services)
        else:
            moves, found = self.forth(hosts, version, wheelhouse), {}
            running = sorted({seen["version"] for seen in hosts.values()})
            say = f"{', '.join(standing)}: from {', '.join(running)} to {version}, one after another"
        return {
            "changed": False,
            "wheelhouse": wheelhouse,
            "moves": {
                host: {"event": "upgrade_begun", "host": host, **way, "back": back} for host, way in moves.items()
            },
            "notes": [{"event": "upgrade_found", "hosts": found}] if found else [],
            "say": say,
        }

    def forth(self, hosts, version, wheelhouse):
        """Return the way of each host to the version; refuse wheels that are not its."""
        found = wanted.release(wheelhouse)
        if found["version"] != version:
            raise PictureError(
                CODE,
                f"{wheelhouse} holds version {found['version']}, not {version}. Put the wheels of {version} there, or "
                f"name their folder with -e wheelhouse=<folder>. Nothing was changed.",
            )
        misfits = wheel_fit.misfits(found, hosts)
        if misfits:
            raise PictureError(
                "migration-wheels",
                f"Wheels that do not run: {'; '.join(misfits)}. {wheel_fit.NOW} Nothing was changed.",
            )
        return upgrading.forth(hosts, folder_of("/", version, found["wheels"]).name)
