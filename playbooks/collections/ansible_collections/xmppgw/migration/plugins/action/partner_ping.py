"""Ping, through one edge, every partner whose traffic is ours."""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction


class ActionModule(MigrationAction):
    """See modules/partner_ping.py."""

    def act(self, args, task_vars):
        """Return what each partner in phase `gateway` answered."""
        picture, host = self.picture(task_vars), task_vars["inventory_hostname"]
        if picture.history.step < 5:
            return {"changed": False, "results": []}
        phases = (picture.gateways.seen_on(host)["control"].get("phases") or {}).get("phases") or {}
        ours = [domain for domain, entry in phases.items() if entry["phase"] == "gateway"]
        if not ours:
            return {"changed": False, "results": []}
        socket = picture.environment.wanted_host(host)["control_socket"]
        answers = self.remote("partner_pings", {"control_socket": socket, "partners": ours}, task_vars)
        return {"changed": False, "results": answers["results"]}
