"""DNS provider `rfc2136`: one signed update, compare and swap, sent to the primary.

Used through dns_providers. Never overwrites what it has not read: the update's prerequisites are the whole RRset and
the zone's SOA.
"""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils import dns_messages, rrsets
from ansible_collections.xmppgw.migration.plugins.plugin_utils.dns_changes import ChangeError

ATTEMPTS = 5
"""Updates sent when only the zone's serial moves under us."""


class Rfc2136:
    """See dns_providers."""

    read_back_seconds = 30.0
    """Until every authoritative server must serve the new RRset: NOTIFY and a transfer take well under one."""

    def __init__(self, dns, world):
        self.dns = dns
        self.world = world

    def how(self):
        """Return how a change is made, for the plan."""
        return (
            f"one RFC 2136 update to {self.dns.primary}, signed by {self.dns.tsig.name}, if RRset and SOA are as read"
        )

    def change(self, change):
        """Make the change; if only the serial moved, read again and retry. Raises ChangeError."""
        key = {
            "name": self.dns.tsig.name,
            "algorithm": self.dns.tsig.algorithm,
            "secret": self.world.secret(f"tsig/{self.dns.tsig.secret}"),
        }
        soa, outcome = change.soa, ""
        for _attempt in range(ATTEMPTS):
            packet, read = dns_messages.swap(change.zone, change.name, change.before, change.after, soa=soa, key=key)
            outcome = read(self.world.exchange([{**packet, "server": self.dns.primary}])[0])
            if outcome == "NOERROR":
                return
            if outcome not in ("NXRRSET", "YXRRSET"):
                break
            standing = self.world.look(self.dns.primary, change.zone, change.name)
            if standing["rrset"] != change.before:
                words = "; ".join(rrsets.differences(change.before, standing["rrset"]))
                raise ChangeError(
                    "migration-write-conflict",
                    f"{change.name} changed under us: {words}. Nothing was written.",
                )
            soa = standing["soa"]
        raise ChangeError(
            "migration-dns-update",
            f"{self.dns.primary} answered the update of {change.name} with {outcome}; nothing was written.",
        )
