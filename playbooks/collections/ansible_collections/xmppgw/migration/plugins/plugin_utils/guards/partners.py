"""Guards on how partners are switched, and facts on partners that several guards look at."""

from __future__ import annotations

from dataclasses import dataclass, field

from ansible_collections.xmppgw.migration.plugins.plugin_utils.dns_providers import PROVIDERS
from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards.registry import Refusal, guard

DRAINS = ("lab", "wait")
"""What this version can close streams with at the legacy gateway."""


@dataclass
class Partners:
    """What guards look at."""

    configured: list = field(default_factory=list)
    """Partners in the configuration that stands on our edges and front ends."""
    drain: str = "lab"
    """What closes streams at the legacy gateway, as the document says."""
    dns: str = "rfc2136"
    """What changes SRV records, as the document says."""


def read(picture):
    """Return the Partners of a Picture."""
    federation = picture.environment.federation
    return Partners(
        configured=picture.gateways.configured_partners(),
        drain=federation.drain.provider,
        dns=federation.dns.provider,
    )


@guard("migration-drain-provider")
def streams_can_be_closed_at_legacy(situation):
    """Step 6 closes each partner's streams at the legacy gateway; without that nobody would come to us."""
    if situation.step != 6 or situation.partners.drain in DRAINS:
        return []
    return [
        Refusal(
            "migration-drain-provider",
            "This version cannot close partners' streams with the drain provider that the document names.",
            f"drain.provider is {situation.partners.drain}; this version has {', '.join(DRAINS)}",
            "Use `wait`, or stop after step 5 (-e last_step=5): partners go on through the legacy gateway.",
        )
    ]


@guard("migration-dns-provider")
def records_can_be_changed(situation):
    """Nothing may be begun that ends at a record which nobody can change."""
    if situation.step not in (4, 6) or situation.partners.dns in PROVIDERS:
        return []
    return [
        Refusal(
            "migration-dns-provider",
            "This version has no such DNS provider.",
            f"dns.provider is {situation.partners.dns}; this version has {', '.join(sorted(PROVIDERS))}",
            "Use `manual`: the run prints the records and waits for them.",
        )
    ]
