"""The SIP platforms' tables: who is homed where, which domain is routed where.

Part of Picture. From the platforms themselves where the inventory has them, else from their exports and from what the
journal knows since.
"""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils import exported_platform, newest_word


class SeenPlatforms:
    """Homing and routes as every platform has them."""

    def __init__(self, environment, seen, history):
        self.environment = environment
        self.seen = seen
        self.history = history
        self.exported = {}

    def tables(self, table):
        """Return {pool: {key: value}} of one table on every platform."""
        platforms = self.environment.platforms
        if platforms:
            return {host: self.seen[host]["platform"][table] for host in platforms}
        if table not in self.exported:
            self.exported[table] = newest_word.table(self.environment, self.history, table)
        return {exported_platform.EXPORT: self.exported[table]}

    def on_branches(self):
        """Return the users whom any platform homes on a Survivable Branch Appliance."""
        branches = self.environment.branches
        if not branches:
            return frozenset()
        return frozenset(
            user
            for table in self.tables("homing").values()
            for user, home in table.items()
            if str(home).lower() in branches
        )

    def users_at(self, pool):
        """Return the users whom any platform homes on `pool` (as the tables call it)."""
        return sorted(
            {user for table in self.tables("homing").values() for user, home in table.items() if home == pool}
        )
