"""When may the probe stop? When every flow has come to rest on one gateway and nothing came through the other lately.

Called by the runner after the command has ended well. Pure: what the far ends say and a moment go in, an answer comes
out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from xmppgw.probe.events import Relayed
from xmppgw.probe.ledger import Gateway, Gateways
from xmppgw.probe.people import FlowStatus
from xmppgw.probe.steps import Course

QUIET_S = 10.0
"""DESIGN 7.7: nothing through the other gateway for this long."""

FRESH_S = 3.0
"""A flow counts as carried by a gateway only if that gateway carried something just now."""


@dataclass(frozen=True)
class Rest:
    """Where the traffic rests: the gateway (of partners that stay behind nothing is said), or what is still awaited."""

    gateway: Gateway | None
    awaited: tuple[str, ...]


SWITCHED = "gateway"
"""What the migration calls a partner that has moved to our gateway; any other state leaves it at the old one."""


def expected_gateway(course: Course, states: Mapping[str, str]) -> Gateway | None:
    """Where the traffic belongs after the command: ours once step 6 is done, the old one once it is taken back.

    A command that walked no step to either end (a restart, one partner's switch) leaves it where the partners stand by
    the journal; None: nobody has been switched, and any one gateway will do.
    """
    walked = {step.number: step.state for step in course.steps}
    if walked.get(6) == "done":
        return Gateway.TARGET
    if "undone" in walked.values():
        return Gateway.LEGACY
    return Gateway.TARGET if SWITCHED in _standing(course, states).values() else None


def expected_of(partner: str, course: Course, states: Mapping[str, str]) -> Gateway | None:
    """Where one partner's traffic belongs: as the whole, unless the migration says that this one stays behind.

    `states` are those of the journal; what the run itself has said since goes before them.
    """
    whole = expected_gateway(course, states)
    if whole is not Gateway.TARGET:
        return whole
    standing = _standing(course, states)
    otherwise = SWITCHED if {step.number: step.state for step in course.steps}.get(6) == "done" else ""
    return whole if standing.get(partner, otherwise) == SWITCHED else Gateway.LEGACY


def _standing(course: Course, states: Mapping[str, str]) -> dict[str, str]:
    return {**states, **{switch.partner: switch.state for switch in course.switches}}


def rest(
    flows: Iterable[FlowStatus],
    relayed: Mapping[str, Sequence[Relayed]],
    gateways: Gateways,
    expected: Gateway | None,
    now: float,
    *,
    behind: Collection[str] = (),
    staying: Collection[str] = (),
) -> Rest:
    """Judge all flows of numbered messages at a moment.

    `now` is the hosts' clock; with `expected` None any one gateway will do, the same for all. `behind` are the partners
    that stay at the old gateway though the others have moved, `staying` the SIP domains that are the old gateway's own.
    """
    common = expected
    awaited: list[str] = []
    for flow in flows:
        if flow.kind != "normal" or flow.direction == "control":
            continue
        last = _last_by_gateway(flow, relayed, gateways)
        fresh = [gateway for gateway, t in last.items() if t >= now - FRESH_S]
        recent = [gateway for gateway, t in last.items() if t >= now - QUIET_S]
        name = f"{flow.pair} {flow.direction}"
        wanted = Gateway.LEGACY if flow.partner in behind or flow.own in staying else common
        if not fresh:
            awaited.append(f"{name}: nothing arrives")
        elif wanted is not None and recent != [wanted]:
            others = ", ".join(sorted(g.value for g in recent if g is not wanted)) or "nothing"
            awaited.append(f"{name}: {others} within the last {QUIET_S:.0f} s")
        elif wanted is None and len(recent) == 1:
            common = recent[0]
        elif wanted is None:
            awaited.append(f"{name}: both gateways within the last {QUIET_S:.0f} s")
    return Rest(None if awaited else common, tuple(awaited))


def _last_by_gateway(
    flow: FlowStatus, relayed: Mapping[str, Sequence[Relayed]], gateways: Gateways
) -> dict[Gateway, float]:
    last: dict[Gateway, float] = {}
    if flow.direction == "xmpp_to_sip":
        seen = [(gateways.which(via), seen.last) for via, seen in flow.via.items()]
    else:
        # Of this flow's own sender: what comes back to the partner's people for others says nothing about it.
        sender = flow.pair.partition("/")[0]
        lines = [line for line in relayed.get(flow.partner, ()) if line.sender.partition("@")[0] == sender]
        seen = [(gateways.which(line.address), line.t) for line in lines if line.address]
    for gateway, t in seen:
        last[gateway] = max(last.get(gateway, 0.0), t)
    return last
