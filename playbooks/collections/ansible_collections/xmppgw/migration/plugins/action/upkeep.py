"""The facts of a run that is no migration: renewal, upgrade, restore. They take the same lock and write the same
journal."""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils import run_facts
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction


class ActionModule(MigrationAction):
    """See modules/upkeep.py."""

    def act(self, args, task_vars):
        """Return lock, journal and what stands where."""
        picture = self.picture(task_vars)
        around = picture.environment
        around.check_inventory()
        hosts = [*around.front_ends, *around.edges]
        installed = [host for host in hosts if picture.gateways.seen_on(host).get("version")]
        done = picture.history.step
        return {
            "changed": False,
            "digest": "",
            "plan": {"steps": []},
            "notes": [],
            "held": {},
            "accept": {"codes": [], "why": ""},
            "run": run_facts.who_runs(picture, args["verb"]),
            "journal": {"authority": around.authority, "copy": around.copy},
            "dns_writer": around.dns_writer,
            "done": done,
            "stages": {host: picture.gateways.stage(host) for host in hosts},
            # Deployed and not taken back: what upkeep may touch.
            "standing": sorted(host for host in installed if done >= around.wanted_host(host)["step"]),
        }
