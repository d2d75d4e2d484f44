"""DNS as every authoritative server answered: SRV RRsets, negative TTLs, which targets have addresses.

Part of Picture.
"""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils import dns_messages
from ansible_collections.xmppgw.migration.plugins.plugin_utils.environment import RESOLVED
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError

from xmppgw.federation import srv_name


class SeenDns:
    """What the name servers said."""

    def __init__(self, environment, seen):
        self.federation = environment.federation
        answers = seen[environment.dns_writer]
        self.rrsets, self.negative_ttl, self.addressed, self.addresses = {}, {}, {}, {}
        self.signed, self.signatures = set(), {}
        """Domains whose zones are signed; domain to server to its answer on the SRV RRset (read_answer)."""
        for (server, domain, name, kind), answer in zip(answers["about"], answers["packets"], strict=True):
            if kind in RESOLVED:
                continue
            try:
                found = dns_messages.read_rrset(answer, name, kind)
            except dns_messages.DnsError as problem:
                raise PictureError("migration-unreachable", f"Name server {server}: {problem}") from problem
            if kind == "SRV" and name == srv_name(domain):
                self.rrsets.setdefault(domain, {})[server] = found["rrset"]
                self.signatures.setdefault(domain, {})[server] = dns_messages.read_answer(answer, name, kind)
            elif kind == "SOA":
                self.negative_ttl[domain] = max(self.negative_ttl.get(domain, 0), found["negative_ttl"] or 0)
                if dns_messages.read_answer(answer, name, kind)["signed"]:
                    self.signed.add(domain)
            elif found["rrset"]:
                self.addressed.setdefault(name, set()).add(server)
            if kind in ("A", "AAAA"):
                self.addresses[name, kind, server] = (found["rrset"] or {"records": []})["records"]

    def targets(self, domain):
        """Return the host names that any server's SRV RRset of a domain names."""
        return {
            record.split()[3].rstrip(".")
            for rrset in self.rrsets.get(domain, {}).values()
            if rrset
            for record in rrset["records"]
        }

    def rrset(self, domain):
        """Return the SRV RRset of a domain as its primary serves it."""
        dns = self.federation.dns
        by_server = self.rrsets[domain]
        return by_server.get(dns.primary or dns.authoritative[0], by_server[sorted(by_server)[0]])
