"""Guards on what partners will meet: somebody outside our firewall has reached every edge before DNS names it."""

from __future__ import annotations

from dataclasses import dataclass, field

from ansible_collections.xmppgw.migration.plugins.plugin_utils import certificate_judging as judging
from ansible_collections.xmppgw.migration.plugins.plugin_utils import seen_partners
from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards.registry import Refusal, guard, some

NO_FAMILY = ("Network is unreachable", "Cannot assign requested address", "Address family not supported")
"""What a host says that has no address of a family: it has tried nothing."""


@dataclass
class Outside:
    """What these guards look at."""

    problems: list = field(default_factory=list)
    """Sentences on edges that hosts outside could not speak to, or that showed them somebody else's certificate."""


def read(picture):
    """Return the Outside of a Picture. Hosts outside look before step 6 only: nothing listens before step 5."""
    return Outside(
        problems=[
            f"{host}: {problem}"
            for host in picture.environment.vantages
            for look in picture.seen.get(host, {}).get("outside") or []
            if (problem := _problem(picture, look))
        ]
    )


def _problem(picture, look):
    edge = look["name"]
    if "error" in look:
        return "" if any(words in look["error"] for words in NO_FAMILY) else f"{edge} is not reached: {look['error']}"
    partners = picture.environment.federation.partners
    phases = seen_partners.control_of(picture, edge, "phases")
    # A partner that is not switched yet is joined to the legacy gateway, and shown its certificate.
    if not partners or seen_partners.phase_at(phases, partners[0].domains) != "gateway":
        return ""
    ours = (picture.gateways.seen_on(edge)["certificates"].get("public") or {}).get("pem")
    return "" if not ours or _leaf(ours) == _leaf(look["chain"]) else f"{edge} shows another certificate than its own"


def _leaf(pem):
    try:
        return judging.fingerprint(judging.read_chain(pem)[0])
    except ValueError:
        return None


@guard(
    "migration-vantage",
    accepted_as="the SRV records name edges that a host outside our firewall could not speak to",
)
def somebody_outside_reaches_every_edge(situation):
    """An edge enters SRV only after somebody outside has opened a stream to it, TLS included."""
    if situation.step != 6 or situation.preflight or not situation.outside.problems:
        return []
    return [
        Refusal(
            "migration-vantage",
            "Every edge must be reached from outside our firewall, stream and TLS, before the SRV records name it.",
            some(situation.outside.problems),
            "Open TCP 5269 from the Internet to the edges (row s2s-in of `xmppgw plan`), mind address translation and "
            "public_addresses, and run again.",
        )
    ]
