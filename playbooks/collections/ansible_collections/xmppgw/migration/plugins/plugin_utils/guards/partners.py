"""Guards on how partners are switched, and facts on partners that several guards look at."""

from __future__ import annotations

from dataclasses import dataclass, field

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


def read(picture):
    """Return the Partners of a Picture."""
    federation = picture.environment.federation
    return Partners(
        configured=picture.gateways.configured_partners(),
        drain=federation.drain.provider,
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
