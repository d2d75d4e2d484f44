"""The probe's timeline: what each flow carried, second by second, and through which gateway.

Called by the report; drawn by `plots`. Pure. Times are seconds since the first message, so that a timeline says
nothing about the clock of the machine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from xmppgw.probe.ledger import Fate, Gateway, Message, Silence, by_flow, control_gaps, quantile, silences
from xmppgw.probe.steps import Course

MOST_BINS = 480
"""More would be narrower than a pixel of a printed page."""


@dataclass(frozen=True)
class Track:
    """One flow over time. All sequences have one entry per bin; latencies are None where nothing arrived."""

    partner: str
    pair: str
    direction: str
    legacy: tuple[int, ...]
    target: tuple[int, ...]
    other: tuple[int, ...]
    missing: tuple[int, ...]
    """Messages that were returned, lost or unprotected, by the time they were sent."""
    latency_p50_s: tuple[float | None, ...]
    latency_max_s: tuple[float | None, ...]
    silences: tuple[Silence, ...]
    switched: tuple[tuple[float, str], ...] = ()
    """When the migration said something about this partner, and what: `gateway`, `legacy`, `static?`."""


@dataclass(frozen=True)
class Span:
    """A stretch on the timeline, seconds since its start."""

    start: float
    end: float
    label: str
    number: int | None = None
    state: str = ""


@dataclass(frozen=True)
class Timeline:
    """All flows over the same seconds, with the steps and the waits."""

    origin: float
    length_s: float
    bin_s: float
    tracks: tuple[Track, ...]
    steps: tuple[Span, ...]
    waits: tuple[Span, ...]


def draw_up(messages: Sequence[Message], course: Course) -> Timeline:
    """Lay the ledger's messages and the migration's course on one time axis."""
    normal = [message for message in messages if message.kind == "normal"]
    if not normal:
        return Timeline(0.0, 0.0, 1.0, (), (), ())
    origin = min(message.sent_at for message in normal)
    end = max(max(message.sent_at, message.received_at or 0.0) for message in normal)
    length = end - origin
    bin_s = float(max(1, math.ceil(length / MOST_BINS)))
    bins = int(length / bin_s) + 1
    beside = control_gaps([message for message in normal if message.flow.direction == "control"])
    tracks = [
        replace(
            _track(flow, origin, bin_s, bins, beside),
            switched=tuple(
                (round(switch.t - origin, 2), switch.state)
                for switch in course.switches
                if switch.partner == flow[0].flow.partner
            ),
        )
        for flow in by_flow(normal).values()
    ]
    tracks.sort(key=lambda track: (track.direction == "control", track.partner, track.pair, track.direction))

    def within(start: float, stop: float) -> tuple[float, float]:
        return max(0.0, start - origin), min(length, max(0.0, stop - origin))

    steps = [
        Span(*within(step.started, step.started + step.duration_s), step.name, step.number, step.state)
        for step in course.steps
        if step.started is not None
    ]
    waits = [Span(*within(wait.start, wait.end), wait.reason, wait.number) for wait in course.waits]
    steps.sort(key=lambda span: span.start)
    return Timeline(origin, length, bin_s, tuple(tracks), tuple(steps), tuple(waits))


def _track(
    flow: Sequence[Message], origin: float, bin_s: float, bins: int, control: list[tuple[float, float]]
) -> Track:
    carried = {gateway: [0] * bins for gateway in Gateway}
    missing = [0] * bins
    latencies: list[list[float]] = [[] for _ in range(bins)]
    for message in flow:
        if message.received_at is None:
            missing[int((message.sent_at - origin) / bin_s)] += message.fate is not Fate.DELIVERED
        else:
            at = int((message.received_at - origin) / bin_s)
            carried[message.gateway][at] += 1
            latencies[at].append(message.received_at - message.sent_at)
    for values in latencies:
        values.sort()
    first = flow[0].flow
    is_control = first.direction == "control"
    noted = [] if is_control else silences(flow, control)
    return Track(
        partner=first.partner,
        pair=first.pair,
        direction=first.direction,
        legacy=tuple(carried[Gateway.LEGACY]),
        target=tuple(carried[Gateway.TARGET]),
        other=tuple(carried[Gateway.UNKNOWN]),
        missing=tuple(missing),
        latency_p50_s=tuple(round(quantile(v, 0.5), 4) if v else None for v in latencies),
        latency_max_s=tuple(round(v[-1], 4) if v else None for v in latencies),
        silences=tuple(Silence(round(s.start - origin, 3), round(s.length_s, 3), round(s.control_s, 3)) for s in noted),
    )
