"""Our SRV records as resolvers give them to the first edge: signatures that do not hold, and views that differ.

Part of Picture. An edge that did not answer asked nobody: the guards that need it name it.
"""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils import dns_sight
from ansible_collections.xmppgw.migration.plugins.plugin_utils.environment import RESOLVED, UNCHECKED

from xmppgw.federation import srv_name


class SeenResolvers:
    """What resolvers said, and the judgement on it. `dns`: the SeenDns of the same moment."""

    def __init__(self, environment, seen, dns):
        said = _said(seen.get(environment.resolving_edge, {}))
        self.problems, self.notices = [], []
        """Sentences on signatures that are missing or do not hold; sentences to know."""
        for domain in environment.federation.own_domains:
            name, signed = srv_name(domain), domain in dns.signed
            problems, notices = dns_sight.resolvers_say(name, said.get(domain, {}), dns.rrset(domain), signed=signed)
            self.problems += problems + (dns_sight.unsigned(name, dns.signatures[domain]) if signed else [])
            self.notices += notices


def _said(answers):
    """Return {domain: {resolver: what it said, with `unchecked`}}."""
    said = {}
    for (resolver, domain, name, kind), answer in zip(
        answers.get("about") or (), answers.get("packets") or (), strict=True
    ):
        if kind in RESOLVED:
            found = said.setdefault(domain, {}).setdefault(resolver, {})
            read = dns_sight.answered(answer, name)
            found.update({"unchecked": read} if kind == UNCHECKED else read)
    return said
