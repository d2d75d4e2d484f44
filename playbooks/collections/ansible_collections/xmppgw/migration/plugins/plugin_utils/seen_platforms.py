"""The SIP platforms' tables: who is homed where, which domain is routed where.

Part of Picture.
"""

from __future__ import annotations


class SeenPlatforms:
    """Homing and routes as every platform has them."""

    def __init__(self, environment, seen):
        self.groups = environment.groups
        self.seen = seen

    def tables(self, table):
        """Return {pool: {key: value}} of one table on every platform."""
        return {host: self.seen[host]["platform"][table] for host in sorted(self.groups["platforms"])}

    def users_at(self, pool):
        """Return the users whom any platform homes on `pool` (as the tables call it)."""
        return sorted(
            {user for table in self.tables("homing").values() for user, home in table.items() if home == pool}
        )
