"""DNS provider `rfc2136`: one signed update, compare and swap, sent to the primary.

Used through dns_providers. Never overwrites what it has not read: the update's prerequisites are the whole RRset and
the zone's SOA.
"""

from __future__ import annotations

import base64

import dns.message
import dns.name
import dns.rcode
import dns.tsigkeyring
import dns.update
from ansible_collections.xmppgw.migration.plugins.plugin_utils import dns_messages, rrsets
from ansible_collections.xmppgw.migration.plugins.plugin_utils.dns_changes import ChangeError

ATTEMPTS = 5
"""Updates sent when only the zone's serial moves under us."""
CHALLENGE_TTL = 60
"""Seconds; the authority's resolver may ask again after a failed try."""


class Rfc2136:
    """See dns_providers."""

    read_back_seconds = 30.0
    """Until every authoritative server must serve the new RRset: NOTIFY and a transfer take well under one."""

    def __init__(self, dns, world):
        self.dns = dns
        self.world = world

    @staticmethod
    def how(dns):
        """Return how a change is made, for the plan."""
        return f"one RFC 2136 update to {dns.primary}, signed by {dns.tsig.name}, if RRset and SOA are as read"

    def change(self, change):
        """Make the change; if only the serial moved, read again and retry. Raises ChangeError."""
        key = self._key()
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

    def texts(self, records, verb):
        """Add or delete TXT values ({name: [text]}), one value beside others' values. Raises DnsError."""
        key, by_zone = self._key(), {}
        for name, values in sorted(records.items()):
            by_zone.setdefault(dns_messages.zone_of(name, self.dns.zones), []).append((name, values))
        for zone, entries in sorted(by_zone.items()):
            self._send_texts(zone, entries, verb, key)

    def _send_texts(self, zone, entries, verb, key):
        keyring = dns.tsigkeyring.from_text({key["name"]: (key["algorithm"], key["secret"])})
        update = dns.update.UpdateMessage(zone, keyring=keyring, keyname=dns.name.from_text(key["name"]))
        for name, values in entries:
            for value in values:
                if verb == "add":
                    update.add(dns.name.from_text(name), CHALLENGE_TTL, "TXT", f'"{value}"')
                else:
                    update.delete(dns.name.from_text(name), "TXT", f'"{value}"')
        packet = {
            "server": self.dns.primary,
            "port": dns_messages.PORT,
            "message": base64.b64encode(update.to_wire()).decode(),
        }
        (answer,) = self.world.exchange([packet])
        if "error" in answer:
            raise dns_messages.DnsError(answer["error"])
        reply = dns.message.from_wire(
            base64.b64decode(answer["answer"]), keyring=update.keyring, request_mac=update.mac
        )
        if reply.rcode() != dns.rcode.NOERROR:
            raise dns_messages.DnsError(
                f"{self.dns.primary} answered the update of {zone} with {dns.rcode.to_text(reply.rcode())}"
            )

    def servers(self, _name):
        """Return the addresses of the servers that must serve a challenge."""
        return list(self.dns.authoritative)

    def _key(self):
        tsig = self.dns.tsig
        return {"name": tsig.name, "algorithm": tsig.algorithm, "secret": self.world.secret(f"tsig/{tsig.secret}")}
