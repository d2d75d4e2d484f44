"""Guards that the document alone decides: what `xmppgw check` refuses, and what the SIP platform will miss.

R7 (one FQDN for all services of the legacy edge), AllowFederatedUsers off, our own CA towards partners: the rules are
in xmppgw.federation; here they stop a run.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards.registry import Refusal, guard

from xmppgw.federation import CODES, Severity

R7_UNKNOWN = "migration-r7-unknown"
REFUSED_CODES = tuple(sorted(name for name, code in CODES.items() if code.severity is Severity.REFUSED))


@dataclass
class Document:
    """What these guards look at."""

    refused: list = field(default_factory=list)
    """Problems that `check` refuses."""
    microsoft_next_hop: str = ""
    """The SIP next hop, if a Microsoft platform stands there."""
    edge_unknown: list = field(default_factory=list)
    """The problem that nobody has said whether the legacy edge has one name for all services, if so."""


def read(picture):
    """Return the Document of a Picture."""
    hop = picture.environment.federation.sip.next_hop
    return Document(
        refused=picture.environment.refused_by_the_document(),
        microsoft_next_hop=hop.fqdn if hop.platform.value == "microsoft" else "",
        edge_unknown=[problem for problem in picture.environment.problems if problem.code == R7_UNKNOWN],
    )


@guard(*REFUSED_CODES)
def the_document_is_not_refused(situation):
    """What `xmppgw check` refuses cannot be migrated: R7, AllowFederatedUsers, our own CA towards partners."""
    return [
        Refusal(
            problem.code,
            CODES[problem.code].meaning,
            f"{problem.file}:{problem.line} {problem.path}: {problem.message}",
            problem.hint or CODES[problem.code].remedy,
        )
        for problem in situation.document.refused
    ]


@guard(
    R7_UNKNOWN,
    accepted_as="the route is moved although nobody has said that the legacy edge has names of its own for Access, Web "
    "Conferencing and A/V",
)
def somebody_has_looked_at_the_legacy_edge(situation):
    """R7 again: a document that says nothing of the edge's names has not been checked against it."""
    if situation.done >= 6:
        return []
    return [
        Refusal(
            R7_UNKNOWN,
            "The federation route of a legacy edge with one FQDN for all services must not be moved (R7).",
            f"{problem.file}:{problem.line} {problem.path}: {problem.message}",
            "Look at the Edge pool (Get-CsService -EdgeServer, Topology Builder). Say legacy.single_edge_fqdn: false "
            "in the document, or name access_fqdn, web_conferencing_fqdn and av_fqdn in legacy.edge.",
        )
        for problem in situation.document.edge_unknown
    ]


@guard("text-only", accepted_as="presence and contacts stop working at the switch; messages go on")
def the_platform_is_carried_whole(situation):
    """Presence and the platform's own dialect are not built yet: only text survives the switch."""
    if situation.step < 5 or situation.done >= 6 or not situation.document.microsoft_next_hop:
        return []
    return [
        Refusal(
            "text-only",
            "Towards a Microsoft platform this version carries text only: presence and contacts stop working at the "
            "switch.",
            f"sip.next_hop {situation.document.microsoft_next_hop} is a Microsoft platform",
            "Tell the users, and accept it; or wait for a version that carries presence.",
        )
    ]
