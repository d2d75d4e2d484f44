"""The TXT records by which an ACME authority is shown that a name is ours: put in, seen on every server, taken out.

Used on the controller only, by the action `certificate_issue`. The document's DNS provider writes them; only the named
values are touched, since others at the same name belong to somebody else's order.
"""

from __future__ import annotations

import time

from ansible_collections.xmppgw.migration.plugins.plugin_utils import dns_messages

SERVED_POLL = 0.3


class Challenges:
    """Publishes and withdraws. `provider`: a DNS provider that writes TXT records; `exchange`: packets -> answers."""

    def __init__(self, provider, exchange):
        self.provider, self.exchange = provider, exchange

    def publish(self, records):
        """Add the records ({name: [text]}) and wait until every authoritative server serves them."""
        self.provider.texts(records, "add")
        limit = 2 * self.provider.read_back_seconds
        waiting, started = self.unserved(records), time.monotonic()
        while waiting:
            if time.monotonic() - started > limit:
                raise dns_messages.DnsError(f"after {limit:.0f} s not served: {'; '.join(waiting)}")
            time.sleep(SERVED_POLL)
            waiting = self.unserved(records)

    def withdraw(self, records):
        """Delete the records; those that are gone already do not matter."""
        self.provider.texts(records, "delete")

    def unserved(self, records):
        """Return `name on server` for every record that a server does not serve."""
        about = [(server, name) for name in sorted(records) for server in self.provider.servers(name)]
        answers = self.exchange([dns_messages.question(server, name, "TXT") for server, name in about])
        missing = []
        for (server, name), answer in zip(about, answers, strict=True):
            found = dns_messages.read_rrset(answer, name, "TXT")["rrset"] or {"records": []}
            served = {record.strip('"').lower() for record in found["records"]}
            if not {value.lower() for value in records[name]} <= served:
                missing.append(f"{name} on {server}")
        return missing
