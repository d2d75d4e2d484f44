"""The environment as one run sees it: the document, the inventory's groups, and what `observe` found on every host.

Used on the controller only, by the actions. It turns raw observations into what the planner and the guards take. Each
subject has a part of its own (seen_<subject>.py); what needs two of them is here. It talks to no host itself.
"""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.module_utils.reaching import end_of
from ansible_collections.xmppgw.migration.plugins.plugin_utils import caches, dns_messages
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError
from ansible_collections.xmppgw.migration.plugins.plugin_utils.seen_dns import SeenDns
from ansible_collections.xmppgw.migration.plugins.plugin_utils.seen_gateways import SeenGateways
from ansible_collections.xmppgw.migration.plugins.plugin_utils.seen_platforms import SeenPlatforms
from ansible_collections.xmppgw.migration.plugins.plugin_utils.seen_resolvers import SeenResolvers
from ansible_collections.xmppgw.migration.plugins.plugin_utils.seen_state import SeenState

from xmppgw.federation import srv_name


class Seen(dict):
    """Hosts to what was seen on them. To ask for one that did not answer is a refusal by its name, never a fault."""

    def __missing__(self, host):
        """Refuse; `get` tells those apart who can do without."""
        raise PictureError("migration-unreachable", f"{host} did not answer: repair the connection to it, run again.")


class Picture:
    """What stands, as `observe` found it: `seen` maps hosts to its results."""

    def __init__(self, environment, seen, now, *, noted=(), take_over="", pilot_only=False):
        seen = Seen(seen)
        self.environment = environment
        self.seen = seen
        self.now = now
        self.pilot_only = pilot_only
        self.state = SeenState(environment, seen, noted=noted, take_over=take_over)
        self.history = self.state.history
        self.dns = SeenDns(environment, seen)
        self.resolvers = SeenResolvers(environment, seen, self.dns)
        self.platforms = SeenPlatforms(environment, seen, self.history)
        self.gateways = SeenGateways(environment, seen, now, self.history.step)
        environment.arriving = self._arriving()

    def _arriving(self):
        """Return the SIP domains that became ours after step 6, while their SRV RRset still leads to legacy.

        Their users move after it, not before: the routes of the target platform are ours already, and a partner that
        asks who speaks for the domain would be told: the legacy gateway.
        """
        federation = self.environment.federation
        ours = {edge.fqdn for edge in federation.edges}
        return frozenset(
            domain
            for domain in federation.own_domains
            if self.history.step >= 6 and self.history.done_for(domain) < 6 and not ours & self.dns.targets(domain)
        )

    def legacy_silence(self):
        """Return why the legacy gateway counts as not answering, or nothing: no edge reaches it, or it says so."""
        federation = self.environment.federation
        problems = [
            f"{host}: {self.seen[host]['legacy_problem']}"
            for host in self.environment.legacy_hosts
            if self.seen.get(host, {}).get("legacy_problem")
        ]
        if problems:
            return "; ".join(problems)
        if federation.legacy is None:
            return ""
        for host in self.environment.edges:
            tried = self._reached(host, federation.legacy.gateway.addresses, federation.legacy.gateway.port)
            if tried and all(tried.values()):
                return f"{host} reaches none of " + ", ".join(f"{end} ({why})" for end, why in sorted(tried.items()))
        return ""

    def deaf_edges(self):
        """Return {edge: why} of those that reach none of the document's resolvers."""
        dns = self.environment.federation.dns
        found = {}
        for host in self.environment.edges:
            tried = self._reached(host, dns.resolvers, dns_messages.PORT)
            if tried and all(tried.values()):
                found[host] = ", ".join(f"{end} ({why})" for end, why in sorted(tried.items()))
        return found

    def _reached(self, host, addresses, port):
        """Return {end: why it was not reached, or None} of what a host tried of these."""
        tried = self.seen.get(host, {}).get("reach") or {}
        ends = {end_of(str(address), port) for address in addresses}
        return {end: why for end, why in tried.items() if end in ends}

    def seconds_until_forgotten(self, now):
        """Return how long resolvers may still hold an earlier SRV RRset of any of our domains."""
        return max(0.0, self.forgotten_at() - now)

    def forgotten_at(self):
        """Return the epoch second after which no resolver may hold an earlier SRV RRset of any of our domains."""
        return max(
            caches.remembered_until(self.history.served, self.dns.negative_ttl.get(domain, 0), srv_name(domain))
            for domain in self.environment.federation.own_domains
        )
