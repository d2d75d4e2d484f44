"""What people will notice of a migration, step by step, and what has to be said before everything else.

`xmppgw plan` prints all of it, from the document alone; the plan that `playbooks/plan.yml` makes prints what its
actions will really bring. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from xmppgw.federation.model import Document, ExceptionReason, Federation, Platform, Scenario, Serves

TEXT_ONLY: Final = (
    "TEXT ONLY: at the switch presence and contacts stop working for users of {hop}; messages go on. This version"
    " speaks no more with a Microsoft platform; a migration wants `-e accept=text-only`."
)

# Kinds of a plan's actions (`planner.ORDER` of the collection) by which a partner's people come to our gateway.
MOVES_PARTNERS: Final = ("srv", "drain", "route")


@dataclass(frozen=True, slots=True)
class Noticed:
    """One thing that somebody will notice in a step."""

    step: int
    who: str
    what: str


def notices(document: Document) -> list[str]:
    """What stands on the first lines of a plan; empty where there is nothing of that weight."""
    federation = document.federation
    found = []
    if federation.sip.next_hop.platform is Platform.MICROSOFT:
        found.append(TEXT_ONLY.format(hop=federation.sip.next_hop.fqdn))
    return [*found, *decided(document)]


def decided(document: Document) -> list[str]:
    """What the document has decided for people: who stays with the legacy gateway, whose federation is interrupted."""
    federation = document.federation
    found = []
    if federation.scenario is Scenario.COEXIST:
        found.append(
            f"COEXIST: {', '.join(federation.legacy_domains)} stays with the legacy gateway; its records, partners and "
            "users are not touched."
        )
    found += [
        f"INTERRUPTED: {exception.user} has no XMPP for about {exception.minutes} minutes (accepted by {exception.by})."
        for exception in federation.users.exceptions
        if exception.reason is ExceptionReason.INTERRUPTION
    ]
    return found


def noticed(document: Document, planned: Collection[tuple[int, str]] | None = None) -> list[Noticed]:
    """What will be noticed and by whom, in the order of the steps.

    `planned`: (step, kind) of the actions of a plan; then only what these bring somebody to notice. None: all six steps
    are still to come.
    """
    everything = _noticed(document.federation)
    if planned is None:
        return [one for _, one in everything]
    return [one for kinds, one in everything if any((one.step, kind) in planned for kind in kinds)]


def _noticed(federation: Federation) -> Iterator[tuple[tuple[str, ...], Noticed]]:
    """Each with the kinds of actions that bring it; none of them for what nobody notices."""
    ours = ", ".join(federation.own_domains)
    yield (), Noticed(1, "nobody", "new front ends; no user and no partner is sent there")
    yield (), Noticed(2, "nobody", "new edges; 5269 stays shut until step 5 (rule R5)")
    gone = federation.legacy_serves is Serves.LEGACY_POOL and federation.scenario is Scenario.REPLACE
    if federation.legacy is not None and federation.legacy.pool == federation.target.pool:
        yield (), Noticed(3, "nobody", "the target platform is the one in use: nobody moves")
    else:
        loses = "; no XMPP from the move until their partner is switched in step 6" if gone else ""
        yield ("homing",), Noticed(3, "users who move", f"they sign in again when they have moved{loses}")
    ttl = federation.dns.ttl.migration
    yield (), Noticed(4, "nobody", f"SRV records of {ours} get the TTL {ttl} s; the targets stay")
    yield ("prove",), Noticed(5, "partners", "one authenticated stream from our edges, without messages")
    closed = "the stream to the legacy gateway is closed in good order, once; the next one ends at us"
    if federation.drain.provider == "powershell":
        closed = "the streams to the legacy gateway end when its proxy restarts, all at once; the next ones end at us"
    yield MOVES_PARTNERS, Noticed(6, "partners", closed)
    contacts = f"users of {ours} with XMPP contacts"
    pause = "a pause when their partner is switched, partner by partner; the lab's report measures it"
    yield MOVES_PARTNERS, Noticed(6, contacts, pause)
    if federation.sip.next_hop.platform is Platform.MICROSOFT:
        yield MOVES_PARTNERS, Noticed(6, contacts, "presence and contacts stop working; messages go on")
    if federation.drain.provider == "powershell":
        minute = federation.drain.quiet_minute
        cut = f"what is in flight when the legacy proxy restarts at {minute} is not protected"
        yield ("restart",), Noticed(6, contacts, cut)
    if federation.drain.provider == "wait":
        slow = "no stream is closed for them: each arrives when it opens its next connection"
        yield MOVES_PARTNERS, Noticed(6, "partners", slow)
