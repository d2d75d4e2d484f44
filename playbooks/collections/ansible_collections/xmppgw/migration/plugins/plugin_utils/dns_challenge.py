"""The TXT records by which an ACME authority is shown that a name is ours: put in, seen on every server, taken out.

Used on the controller only, by the action `certificate_issue`. Only the named values are touched: others at the same
name belong to somebody else's order. Bytes go through `dns_exchange` on the DNS writer.
"""

from __future__ import annotations

import base64
import time

import dns.message
import dns.name
import dns.rcode
import dns.tsigkeyring
import dns.update
from ansible_collections.xmppgw.migration.plugins.plugin_utils import dns_messages

TTL = 60
"""Seconds; the authority's resolver may ask again after a failed try."""
SERVED_LIMIT = 60.0
"""Seconds until every authoritative server must serve the records: NOTIFY and a transfer take well under one."""
SERVED_POLL = 0.3


class Challenges:
    """Publishes and withdraws. `exchange`: packets -> answers; `dns_settings`: the document's dns part."""

    def __init__(self, dns_settings, key, exchange):
        self.settings, self.key, self.exchange = dns_settings, key, exchange

    def publish(self, records):
        """Add the records ({name: [text]}) and wait until every authoritative server serves them."""
        self._update(records, "add")
        waiting, started = self.unserved(records), time.monotonic()
        while waiting:
            if time.monotonic() - started > SERVED_LIMIT:
                raise dns_messages.DnsError(f"after {SERVED_LIMIT:.0f} s not served: {'; '.join(waiting)}")
            time.sleep(SERVED_POLL)
            waiting = self.unserved(records)

    def withdraw(self, records):
        """Delete the records; those that are gone already do not matter."""
        self._update(records, "delete")

    def _update(self, records, verb):
        keyring = dns.tsigkeyring.from_text({self.key["name"]: (self.key["algorithm"], self.key["secret"])})
        by_zone = {}
        for name, values in sorted(records.items()):
            by_zone.setdefault(dns_messages.zone_of(name, self.settings.zones), []).append((name, values))
        for zone, entries in sorted(by_zone.items()):
            update = dns.update.UpdateMessage(zone, keyring=keyring, keyname=dns.name.from_text(self.key["name"]))
            for name, values in entries:
                for value in values:
                    if verb == "add":
                        update.add(dns.name.from_text(name), TTL, "TXT", f'"{value}"')
                    else:
                        update.delete(dns.name.from_text(name), "TXT", f'"{value}"')
            packet = {
                "server": self.settings.primary,
                "port": dns_messages.PORT,
                "message": base64.b64encode(update.to_wire()).decode(),
            }
            answer = self.exchange([packet])[0]
            if "error" in answer:
                raise dns_messages.DnsError(answer["error"])
            reply = dns.message.from_wire(
                base64.b64decode(answer["answer"]), keyring=update.keyring, request_mac=update.mac
            )
            if reply.rcode() != dns.rcode.NOERROR:
                raise dns_messages.DnsError(
                    f"{self.settings.primary} answered the update of {zone} with {dns.rcode.to_text(reply.rcode())}"
                )

    def unserved(self, records):
        """Return `name on server` for every record that a server does not serve."""
        about = [(server, name) for server in self.settings.authoritative for name in sorted(records)]
        answers = self.exchange([dns_messages.question(server, name, "TXT") for server, name in about])
        missing = []
        for (server, name), answer in zip(about, answers, strict=True):
            found = dns_messages.read_rrset(answer, name, "TXT")["rrset"] or {"records": []}
            served = {record.strip('"').lower() for record in found["records"]}
            if not {value.lower() for value in records[name]} <= served:
                missing.append(f"{name} on {server}")
        return missing
