"""Try from a host what the port table lets through, and what it does not."""

from __future__ import annotations

from dataclasses import asdict

from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction

from xmppgw.federation.host_firewall import UnknownHostError
from xmppgw.federation.reachability import attempts, attempts_from_outside


class ActionModule(MigrationAction):
    """See modules/reachability.py."""

    def act(self, args, task_vars):
        """Return every attempt with what came of it."""
        wanted = wanted_from(self.environment(task_vars), task_vars["inventory_hostname"])
        asked = [asdict(each) for each in wanted]
        answers = self.remote("try_connections", {"attempts": asked}, task_vars)["answers"]
        tried = [{**each, "found": found, "why": why} for each, (found, why) in zip(asked, answers, strict=True)]
        return {"changed": False, "tried": tried}


def wanted_from(environment, host):
    """Return what is to be tried from a host: one of ours, or one that stands outside."""
    if host in environment.vantages:
        return attempts_from_outside(environment.document)
    try:
        return attempts(environment.document, host, writes_dns=host in environment.groups.get("dns_writer", []))
    except UnknownHostError:
        raise PictureError(
            "migration-inventory", f"{host} is no edge and no front end of the federation document."
        ) from None
