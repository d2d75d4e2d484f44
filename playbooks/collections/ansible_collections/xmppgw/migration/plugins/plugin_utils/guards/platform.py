"""Guards on the SIP platform: it can be spoken to, and a static route is known to win over an allowed partner."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field

from ansible_collections.xmppgw.migration.plugins.plugin_utils import evidence, next_hop_judging, wanted
from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards.registry import Refusal, guard, some


@dataclass
class Platform:
    """What these guards look at."""

    microsoft: bool = False
    """Whether a Microsoft platform is the next hop, where an allowed partner is admission and route at once."""
    winner: str = "static_route"
    """What the first act showed."""
    no_evidence: str = ""
    """Why there is no evidence of it, or nothing."""
    unreached: list = field(default_factory=list)
    """What is wrong with the handshakes of our front ends with the next hop, in words."""


def read(picture):
    """Return the Platform of a Picture."""
    environment, federation = picture.environment, picture.environment.federation
    microsoft = federation.sip.next_hop.platform.value == "microsoft" and bool(federation.partners)
    winner, problem = evidence.read_first_act(environment.evidence, federation) if microsoft else ("static_route", "")
    return Platform(
        microsoft=microsoft,
        winner=winner,
        no_evidence=problem,
        unreached=[f"{host}: {sentence}" for host in environment.front_ends for sentence in _problems(picture, host)],
    )


def _problems(picture, host):
    """Return what is wrong with the next hop as a front end sees it, with our certificate or without."""
    environment, seen = picture.environment, picture.seen[host].get("next_hop") or {}
    now = datetime.datetime.fromtimestamp(picture.now, datetime.UTC)
    problems, _found = next_hop_judging.judge(seen, now)
    if not seen.get("served"):
        return problems
    roots = wanted.roots(environment.authorities, environment.wanted_host(host)["certificates"]["sip"])
    return next_hop_judging.judge_unarmed(seen, environment.next_hop["name"], roots, now)


@guard(
    "migration-route-evidence",
    accepted_as="partners' routes are moved without the proof that a static route wins over an allowed partner",
    on_the_way=True,
)
def static_routes_are_proved_to_win(situation):
    """On a Microsoft platform nobody has documented which of the two wins; moving partners one by one rests on it.

    The first act needs front ends that answer and know no partner, so it comes after step 4.
    """
    platform = situation.platform
    # Once partners are with us the act would show nothing any more; what moved them was proved or accepted.
    due = situation.step >= 5 and situation.done < 6
    if not due or not platform.microsoft or platform.winner == "static_route":
        return []
    lost = platform.winner == "native_partner"
    return [
        Refusal(
            "migration-route-evidence",
            "Partners can be switched one by one only if a static route wins over the platform's allowed partner.",
            "the first act showed that the allowed partner wins" if lost else platform.no_evidence,
            "Attach the pool as an allowed domain (`xmppgw runbook --attachment allowed-domain`) and plan an "
            "interruption."
            if lost
            else "Stop after step 4 (-e last_step=4, or a hold before step 5), run the runbook's part first-act with "
            "the pilot user and the pilot partner, and copy first-act.json into the folder evidence of the inventory.",
        )
    ]


@guard("migration-next-hop")
def the_next_hop_answers_our_front_ends(situation):
    """As soon as a front end has its certificate, it must be able to speak to the platform, and be trusted there;
    before that the platform's own certificate must be one that it will trust."""
    if not situation.platform.unreached:
        return []
    return [
        Refusal(
            "migration-next-hop",
            "Every front end must complete a TLS handshake with the SIP next hop, which must accept its certificate.",
            some(situation.platform.unreached),
            "Repair what is named here: trust (our root on the platform's servers, theirs in our configuration), "
            "names, dates, usages, or the firewall on 5061; on a Microsoft platform with the runbook's parts trust and "
            "attach.",
        )
    ]
