"""What people will notice of a migration, step by step, and what has to be said before everything else.

`xmppgw plan` prints it. From the document alone: what a run will really do, and so which of this will come, says the
plan that `playbooks/plan.yml` makes. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from xmppgw.federation.model import Document, ExceptionReason, Federation, Platform, Scenario, Serves

TEXT_ONLY: Final = (
    "TEXT ONLY: at the switch presence and contacts stop working for users of {hop}; messages go on. This version"
    " speaks no more with a Microsoft platform; a migration wants `-e accept=text-only`."
)


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


def noticed(document: Document) -> list[Noticed]:
    """What will be noticed and by whom, in the order of the steps."""
    return list(_noticed(document.federation))


def _noticed(federation: Federation) -> Iterator[Noticed]:
    ours = ", ".join(federation.own_domains)
    yield Noticed(1, "nobody", "new front ends; no user and no partner is sent there")
    yield Noticed(2, "nobody", "new edges; 5269 stays shut until step 5 (rule R5)")
    gone = federation.legacy_serves is Serves.LEGACY_POOL and federation.scenario is Scenario.REPLACE
    if federation.legacy is not None and federation.legacy.pool == federation.target.pool:
        yield Noticed(3, "nobody", "the target platform is the one in use: nobody moves")
    else:
        loses = "; no XMPP from the move until their partner is switched in step 6" if gone else ""
        yield Noticed(3, "users who move", f"they sign in again when they have moved{loses}")
    yield Noticed(4, "nobody", f"SRV records of {ours} get the TTL {federation.dns.ttl.migration} s; the targets stay")
    yield Noticed(5, "partners", "one authenticated stream from our edges, without messages")
    yield Noticed(
        6, "partners", "the stream to the legacy gateway is closed in good order, once; the next one ends at us"
    )
    contacts = f"users of {ours} with XMPP contacts"
    yield Noticed(
        6, contacts, "a pause when their partner is switched, partner by partner; the lab's report measures it"
    )
    if federation.sip.next_hop.platform is Platform.MICROSOFT:
        yield Noticed(6, contacts, "presence and contacts stop working; messages go on")
    if federation.drain.provider == "powershell":
        minute = federation.drain.quiet_minute
        yield Noticed(6, contacts, f"what is in flight when the legacy proxy restarts at {minute} is not protected")
    if federation.drain.provider == "wait":
        yield Noticed(6, "partners", "no stream is closed for them: each arrives when it opens its next connection")
