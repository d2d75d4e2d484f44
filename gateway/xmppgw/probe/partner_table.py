"""One line per partner: where it stands, when and how fast it was switched, and what its people noticed.

Called by the report. Pure. A silence is only the migration's doing as far as it goes beyond what the control pair,
which touches no gateway, suffered at the same time.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from xmppgw.probe.journal import Story
from xmppgw.probe.ledger import Ledger, beyond_control, by_flow, control_gaps, gaps
from xmppgw.probe.steps import Course


@dataclass(frozen=True)
class PartnerLine:
    """One partner. Times are seconds; `at_s` since the first message, None where it was not switched in this run."""

    domain: str
    state: str
    """`gateway`, `legacy`, `static?` as the migration calls it; empty where nothing was decided; `away`: unreachable"""
    at_s: float | None
    took_s: float | None
    reason: str
    stays_behind: bool
    longest_gap_s: float
    beyond_control_s: float


def partner_lines(ledger: Ledger, course: Course, story: Story, behind: Collection[str]) -> tuple[PartnerLine, ...]:
    """Every partner that somebody wrote to, sorted by domain."""
    flows = by_flow(ledger.normal())
    beside = control_gaps(ledger.control())
    origin = min((message.sent_at for message in ledger.messages if message.kind == "normal"), default=0.0)
    away = {message.flow.partner for message in ledger.unreachable()}
    lines = []
    for domain in sorted({flow.partner for flow in flows} | away):
        own = [messages for flow, messages in flows.items() if flow.partner == domain]
        switch = next((found for found in reversed(course.switches) if found.partner == domain), None)
        noted = next((event for event in reversed(story.partners) if event.partner == domain), None)
        lines.append(
            PartnerLine(
                domain=domain,
                state=(switch.state if switch else story.states.get(domain, "")) or ("away" if domain in away else ""),
                at_s=round(switch.t - origin, 2) if switch else None,
                took_s=switch.seconds if switch else None,
                reason=(switch.reason if switch else "") or (noted.reason if noted else ""),
                stays_behind=domain in behind,
                longest_gap_s=round(max((length for flow in own for _, length in gaps(flow)), default=0.0), 3),
                beyond_control_s=round(max((beyond_control(flow, beside) for flow in own), default=0.0), 3),
            )
        )
    return tuple(lines)
