"""Guards on our own hosts: fit to be deployed to, and edges closed until step 5 (R5)."""

from __future__ import annotations

from dataclasses import dataclass, field

from ansible_collections.xmppgw.migration.plugins.plugin_utils import wheel_fit
from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards.registry import Refusal, guard, some


@dataclass
class Edges:
    """What these guards look at."""

    open: list = field(default_factory=list)
    """Edges on which 5269 is open or XMPP federation is enabled."""
    taken: list = field(default_factory=list)
    """Ports that we need and somebody else listens on, in words; only where nothing of ours is installed yet."""
    misfits: list = field(default_factory=list)
    """Hosts on which the bundled wheels do not run, in words."""
    uncertified: dict = field(default_factory=dict)
    """Edge to what is wrong with its public certificate."""


def read(picture):
    """Return the Edges of a Picture."""
    edges = picture.environment.edges
    return Edges(
        open=picture.gateways.open_edges(),
        taken=picture.gateways.taken_ports(),
        misfits=picture.gateways.misfits(),
        uncertified={
            host: problem
            for host in edges
            if (problem := picture.gateways.judged(host).get("public", {}).get("problem"))
        },
    )


@guard("migration-r5")
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


@guard("migration-port-taken")
def our_ports_are_free(situation):
    """The port table of the planning guide: 5061 on front ends, 23456 on the edges' inner side."""
    if situation.step > 2 or not situation.edges.taken:
        return []
    return [
        Refusal(
            "migration-port-taken",
            "The ports that our daemons need must be free before they are deployed.",
            some(situation.edges.taken),
            "Stop what listens there (ss -ltnp shows it), or deploy to another host.",
        )
    ]


@guard("migration-wheels")
def the_bundled_wheels_run_on_our_hosts(situation):
    """A gateway host has no way out: what it runs was collected beforehand, for one Python and one processor."""
    if situation.step > 2 or not situation.edges.misfits:
        return []
    return [
        Refusal(
            "migration-wheels",
            "The bundled wheels must run on every gateway host.",
            some(situation.edges.misfits),
            wheel_fit.NOW,
        )
    ]


@guard("migration-certificate-public")
def edges_show_a_good_certificate(situation):
    """An edge opens only with a certificate that carries every name that partners look for (planning guide, R4)."""
    if situation.step != 5 or situation.preflight or not situation.edges.uncertified:
        return []
    found = [f"{edge}: {problem}" for edge, problem in situation.edges.uncertified.items()]
    return [
        Refusal(
            "migration-certificate-public",
            "Step 5 needs a good public certificate on every edge.",
            some(found),
            "Run migrate.yml: step 4 has it signed.",
        )
    ]
