"""Guards on our edges: closed until step 5 (R5)."""

from __future__ import annotations

from dataclasses import dataclass, field

from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards.registry import Refusal, guard, some


@dataclass
class Edges:
    """What these guards look at."""

    open: list = field(default_factory=list)
    """Edges on which 5269 is open or XMPP federation is enabled."""


def read(picture):
    """Return the Edges of a Picture."""
    return Edges(open=picture.gateways.open_edges())


@guard
def edges_stay_closed_until_step_5(situation):
    """R5: a new edge is deployed with neither SIP nor XMPP federation; both stay on the legacy edge until cut-over."""
    if situation.step >= 5 or situation.done >= 5 or not situation.edges.open:
        return []
    return [
        Refusal(
            "migration-r5",
            "An edge is deployed with federation off; it may open 5269 only in step 5.",
            f"open already: {some(situation.edges.open)}",
            "Find out who opened it, close it there (systemctl disable --now xmppgw-edge.socket xmppgw-edge.service), "
            "and run migrate.yml again.",
        )
    ]
