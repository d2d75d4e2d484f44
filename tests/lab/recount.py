"""Counts a stretch of a report's evidence: what people sent between two moments, and what became of it.

Used by the long walks, which do many things under one probe and owe an account of each.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.lab.servers_stand_ins.stand_ins import ROOT

from xmpp_infra.lab.servers.kamailio import FINAL_RESPONSE_MS
from xmppgw.federation import load_document
from xmppgw.probe.events import Event, Relayed, decode_lines
from xmppgw.probe.ledger import Ledger, Message, beyond_control, by_flow, classify, control_gaps, tally
from xmppgw.probe.runner import gateways_of

STOOD_STILL_S = 1.0
"""A silence of the control pair, which no gateway touches (0.3 s on a quiet machine), from which on the lab itself has
stood still. Its platform then gives up waiting and tells senders so, about messages that still arrive."""
PLATFORM_WAITS_S = FINAL_RESPONSE_MS["near"] / 1000
"""How long the lab's platform waits for an answer; what was sent so soon after a standstill meets its backlog."""
DOCUMENT = ROOT / "inventories/lab/group_vars/all/federation.yml"


@dataclass(frozen=True)
class Stretch:
    """One thing that was done while people chatted; epoch seconds."""

    name: str
    begin: float
    end: float


def read(evidence: Path) -> Ledger:
    """The ledger of a report's evidence folder."""
    events, _ = decode_lines((evidence / "events.jsonl").read_bytes(), Event)
    relayed = {
        path.stem.removeprefix("through-"): decode_lines(path.read_bytes(), Relayed)[0]
        for path in sorted(evidence.glob("through-*.jsonl"))
    }
    return classify(events, relayed, gateways_of(load_document(DOCUMENT).federation))


def count(ledger: Ledger, stretch: Stretch) -> dict[str, object]:
    """What was sent in a stretch and what became of it; silences beyond the control pair's, by partner."""
    messages = [message for message in ledger.normal() if stretch.begin <= message.sent_at < stretch.end]
    whole = tally(messages)
    silences = silence_beyond_control(ledger, messages)
    return {
        "sent": whole.sent,
        "delivered": whole.delivered,
        "returned": whole.returned,
        "lost": whole.lost,
        "doubled": whole.duplicated,
        "returned_though_delivered": whole.returned_though_delivered,
        "unexplained": unexplained(ledger, messages),
        "unprotected": whole.unprotected,
        "longest_silence_s": whole.longest_gap_s,
        "beyond_control_s": max(silences.values(), default=0.0),
        "beyond_control_by_partner": silences,
        "returned_as": returned_as(messages),
        "seconds": round(stretch.end - stretch.begin, 1),
    }


def unexplained(ledger: Ledger, messages: Iterable[Message]) -> int:
    """How many were returned though delivered, and not because the lab stood still meanwhile or just before."""
    stood_still = [gap for gap in control_gaps(ledger.control()) if gap[1] >= STOOD_STILL_S]
    return sum(
        message.received_at is not None
        and message.returned_at is not None
        and not any(
            begin < message.returned_at and message.sent_at < begin + length + PLATFORM_WAITS_S
            for begin, length in stood_still
        )
        for message in messages
    )


def silence_beyond_control(ledger: Ledger, messages: list[Message]) -> dict[str, float]:
    """Partner to the longest silence of any of its flows beyond the control pair's at that time, seconds."""
    control = control_gaps(ledger.control())
    found: dict[str, float] = {}
    for flow, sent in by_flow(messages).items():
        found[flow.partner] = max(found.get(flow.partner, 0.0), round(beyond_control(sent, control), 3))
    return found


def returned_as(messages: list[Message]) -> dict[str, int]:
    """Whose messages came back, and as what."""
    found: dict[str, int] = {}
    for message in messages:
        if message.fate.value == "returned":
            name = f"{message.flow.partner} {message.flow.direction} {message.code}"
            found[name] = found.get(name, 0) + 1
    return found
