"""Close a gateway host but for its rows of the port table: rules are made here, tried there, confirmed anew."""

from __future__ import annotations

from ansible.errors import AnsibleConnectionFailure
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError
from ansible_collections.xmppgw.migration.plugins.plugin_utils.room import MigrationAction

from xmppgw.federation.host_firewall import Surroundings, UnknownHostError, WrongNetworkError, host_rules


class ActionModule(MigrationAction):
    """See modules/host_firewall.py."""

    def act(self, args, task_vars):
        """Return whether anything changed."""
        if args.get("state") == "absent":
            return {"changed": self.remote("host_rules", {"act": "remove"}, task_vars)["changed"]}
        seconds = int(args.get("seconds") or 60)
        rules = self.rules(args, task_vars)
        tried = self.remote("host_rules", {"act": "attempt", "rules": rules, "seconds": seconds}, task_vars)
        if tried["changed"] and not self.checking:
            self.come_again(rules, seconds, task_vars)
        return {"changed": tried["changed"]}

    def rules(self, args, task_vars):
        """Return this host's nftables file."""
        environment, host = self.environment(task_vars), task_vars["inventory_hostname"]
        around = Surroundings(
            tuple(args.get("administrators") or ()),
            tuple(args.get("time_servers") or ()),
            writes_dns=host in environment.groups.get("dns_writer", []),
        )
        try:
            return host_rules(environment.document, host, around)
        except UnknownHostError:
            raise PictureError("migration-firewall", f"{host} is no edge and no front end of the document.") from None
        except WrongNetworkError as problem:
            raise PictureError(
                "migration-firewall", f"{problem}; name networks in host_firewall_administrators."
            ) from None

    def come_again(self, rules, seconds, task_vars):
        """Confirm the rules over a connection that is made under them."""
        self._connection.reset()
        try:
            self.remote("host_rules", {"act": "confirm", "rules": rules}, task_vars)
        except AnsibleConnectionFailure as failure:
            raise PictureError(
                "migration-firewall-locked-out",
                f"With the new rules the host cannot be reached from here ({failure}). It takes the former ones back "
                f"by itself {seconds} s after they were loaded. Is this machine's address in "
                "host_firewall_administrators?",
            ) from None
