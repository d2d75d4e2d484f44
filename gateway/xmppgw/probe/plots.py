"""The report's pictures: inline SVG, drawn here, no library and no network.

Called by the report's template. Pure: values in, safe markup out; every text that came from outside is escaped.
Colours are CSS classes of the report's style sheet, so that the same picture serves light, dark and print; gateways
differ by texture as well as by colour.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from xmppgw.probe.timeline import Span, Timeline, Track

WIDTH = 1200
LEFT, RIGHT = 44, 12
STEPS_HEIGHT = 34
TITLE, RATE, LATENCY, GAP = 22, 72, 36, 16
MANY_TRACKS, LOW_RATE, LOW_LATENCY = 6, 36, 24
"""With more flows than that each is drawn lower, so that the whole still fits on a page or two."""
CONTROL_RATE = 30
"""The control pair is there to compare with; it need not be tall."""
LATENCY_FLOOR_S, LATENCY_CEILING_S = 0.001, 10.0
LABEL_CHARACTER = 6.4
"""Width of a character of the 11 px labels: a label that does not fit is left to its tooltip."""

ARROWS = {"xmpp_to_sip": "XMPP to SIP", "sip_to_xmpp": "SIP to XMPP", "control": "control pair, touches no gateway"}


def clock(seconds: float) -> str:
    """Seconds since the start as m:ss."""
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d}"


def span_text(seconds: float) -> str:
    """A length of time as a person says it: 12 ms, 0.18 s, 4.2 s, 93 s, 2 min 05 s."""
    if 0 < seconds < 0.0995:
        return f"{max(1, round(seconds * 1000))} ms"
    if seconds < 9.95:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60:02d} s"


@dataclass(frozen=True)
class _Axis:
    """Seconds to picture coordinates."""

    length_s: float

    def x(self, seconds: float) -> float:
        share = seconds / self.length_s if self.length_s else 0.0
        return round(LEFT + min(1.0, max(0.0, share)) * (WIDTH - LEFT - RIGHT), 2)


def sender_and_recipient(pair: str, direction: str) -> tuple[str, str]:
    """Pairs are written SIP person first (control: sender first); say who speaks to whom."""
    first, _, second = pair.partition("/")
    return (second, first) if direction == "xmpp_to_sip" else (first, second)


def timeline_svg(timeline: Timeline) -> Markup:
    """The whole timeline: steps on top, one band per flow with rate and latency, the control pair last."""
    if not timeline.tracks:
        return _safe('<p class="none">No message was sent, so there is nothing to draw.</p>')
    axis = _Axis(timeline.length_s)
    top_of_tracks = STEPS_HEIGHT + 14
    heights = _Heights.of(timeline.tracks)
    bottom = top_of_tracks + sum(heights.band(track) for track in timeline.tracks) - GAP
    highest = _rate_ceiling(timeline)
    parts: list[str] = [_definitions()]
    parts += [_shade(axis, wait, top_of_tracks, bottom) for wait in timeline.waits]
    top = top_of_tracks
    for track in timeline.tracks:
        parts.append(_track(axis, timeline, track, top, highest, heights=heights))
        top += heights.band(track)
    parts += [_step(axis, step, bottom) for step in timeline.steps]
    parts.append(_time_axis(axis, timeline.length_s, bottom))
    height = bottom + 26
    label = f"Messages per second and latency of {len(timeline.tracks)} flows over {span_text(timeline.length_s)}"
    return _safe(
        f'<svg class="timeline" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}" '
        f'preserveAspectRatio="xMinYMin meet">{"".join(parts)}</svg>'
    )


def _safe(markup: str) -> Markup:
    """Vouch for markup made here: its words are ours, numbers, or went through `escape`."""
    return Markup(markup)  # noqa: S704


def _definitions() -> str:
    return (
        '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<rect class="legacy-fill" width="6" height="6"/><rect class="legacy-stripe" width="2" height="6"/></pattern>'
        '<pattern id="rest" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<rect class="wait-stripe" width="1.2" height="7"/></pattern></defs>'
    )


def _shade(axis: _Axis, wait: Span, top: float, bottom: float) -> str:
    x, right = axis.x(wait.start), axis.x(wait.end)
    tip = escape(f"waiting {span_text(wait.end - wait.start)}: {wait.label}")
    return (
        f'<rect class="wait" x="{x}" y="{top}" width="{max(0.6, right - x):.2f}" height="{bottom - top}">'
        f"<title>{tip}</title></rect>"
    )


def _step(axis: _Axis, step: Span, bottom: float) -> str:
    x, right = axis.x(step.start), axis.x(step.end)
    width = max(2.0, right - x)
    full, short = f"{step.number} {step.label}", str(step.number)
    fits = [text for text in (full, short) if len(text) * LABEL_CHARACTER < width - 8]
    text = f'<text class="step-label" x="{x + 6}" y="{STEPS_HEIGHT - 13}">{escape(fits[0])}</text>' if fits else ""
    tip = escape(f"step {full}: {step.state}, {clock(step.start)} to {clock(step.end)}")
    return (
        f'<g><title>{tip}</title><rect class="step step-{escape(step.state)}" x="{x}" y="4" width="{width:.2f}" '
        f'height="{STEPS_HEIGHT - 8}" rx="3"/>{text}<line class="boundary" x1="{x}" x2="{x}" y1="4" y2="{bottom}"/></g>'
    )


@dataclass(frozen=True)
class _Heights:
    """How tall a track is drawn."""

    rate: int
    latency: int

    @classmethod
    def of(cls, tracks: Sequence[Track]) -> _Heights:
        return cls(RATE, LATENCY) if len(tracks) <= MANY_TRACKS else cls(LOW_RATE, LOW_LATENCY)

    def rate_of(self, track: Track) -> int:
        return min(CONTROL_RATE, self.rate) if track.direction == "control" else self.rate

    def band(self, track: Track) -> int:
        return TITLE + self.rate_of(track) + 3 + self.latency + GAP


def _rate_ceiling(timeline: Timeline) -> float:
    """The top of the rate scale: half as much again as a usual second, so that a burst does not flatten the rest."""
    rates = sorted(
        (a + b + c) / timeline.bin_s
        for track in timeline.tracks
        for a, b, c in zip(track.legacy, track.target, track.other, strict=True)
        if a + b + c
    )
    usual = rates[len(rates) // 2] if rates else 1.0
    return max(1.0, usual * 1.5)


def _track(axis: _Axis, timeline: Timeline, track: Track, top: float, highest: float, *, heights: _Heights) -> str:
    rate_top, rate_bottom = top + TITLE, top + TITLE + heights.rate_of(track)
    latency_top = rate_bottom + 3
    latency_bottom = latency_top + heights.latency
    control = track.direction == "control"

    def rate_y(rate: float) -> float:
        return round(rate_bottom - min(1.0, rate / highest) * (rate_bottom - rate_top), 2)

    usual_y = rate_y(highest / 1.5)
    sender, recipient = sender_and_recipient(track.pair, track.direction)
    subtitle = ARROWS.get(track.direction, track.direction)
    where = f"{track.partner} · {subtitle}" if track.partner else subtitle
    parts = [
        f'<text class="track-name" x="{LEFT}" y="{top + 15}">{escape(sender)} → {escape(recipient)}'
        f'<tspan class="track-where" dx="10">{escape(where)}</tspan></text>',
        _frame(rate_top, rate_bottom),
        _tick(usual_y, f"{highest / 1.5:.0f}/s"),
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{usual_y}" y2="{usual_y}"/>',
    ]
    below = [0] * len(track.legacy)
    for kind, counts in (("legacy", track.legacy), ("target", track.target), ("other", track.other)):
        if any(counts):
            look = "control" if control else kind
            parts.append(_area(axis, timeline.bin_s, below, counts, y=rate_y, look=f"area area-{look}"))
            below = [a + b for a, b in zip(below, counts, strict=True)]
    parts += [
        _cross(axis.x((index + 0.5) * timeline.bin_s), rate_bottom - 6, count)
        for index, count in enumerate(track.missing)
        if count
    ]
    parts += [_switch(axis.x(at), state, rate_top, latency_bottom) for at, state in track.switched]
    parts += _silences(axis, track, rate_top)
    parts.append(_latency(axis, timeline.bin_s, track, latency_top, latency_bottom))
    return "".join(parts)


def _switch(x: float, state: str, top: float, bottom: float) -> str:
    tip = {"gateway": "switched to our gateway", "legacy": "back at the old gateway"}.get(state, state)
    return (
        f'<g><title>{escape(tip)}</title><line class="switch" x1="{x}" x2="{x}" y1="{top}" y2="{bottom}"/>'
        f'<path class="switch-head" d="M{x - 4} {top - 6}h8l-4 6z"/></g>'
    )


def _frame(top: float, bottom: float) -> str:
    return (
        f'<line class="frame" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{bottom}" y2="{bottom}"/>'
        f'<line class="frame" x1="{LEFT}" x2="{LEFT}" y1="{top}" y2="{bottom}"/>'
    )


def _tick(y: float, text: str) -> str:
    return f'<text class="tick" x="{LEFT - 5}" y="{y + 3.5}" text-anchor="end">{escape(text)}</text>'


def _area(
    axis: _Axis, bin_s: float, below: Sequence[int], counts: Sequence[int], *, y: Callable[[float], float], look: str
) -> str:
    """A stepped band between two heights, one closed path per unbroken stretch."""
    path: list[str] = []
    for start, stop in _stretches(counts):
        up = [f"M{axis.x(start * bin_s)} {y(below[start] / bin_s)}"]
        for index in range(start, stop):
            up.append(f"V{y((below[index] + counts[index]) / bin_s)}H{axis.x((index + 1) * bin_s)}")
        for index in range(stop - 1, start - 1, -1):
            up.append(f"V{y(below[index] / bin_s)}H{axis.x(index * bin_s)}")
        path.append("".join(up) + "Z")
    return f'<path class="{look}" d="{"".join(path)}"/>'


def _stretches(counts: Sequence[int]) -> Iterable[tuple[int, int]]:
    start: int | None = None
    for index, count in enumerate(counts):
        if count and start is None:
            start = index
        elif not count and start is not None:
            yield start, index
            start = None
    if start is not None:
        yield start, len(counts)


def _cross(x: float, y: float, count: int) -> str:
    return f'<path class="missing" d="M{x - 3} {y - 3}l6 6m0 -6l-6 6"><title>{count} did not arrive here</title></path>'


def _silences(axis: _Axis, track: Track, top: float) -> list[str]:
    """Brackets over the notable silences; the longest also says its length and the control pair's beside it."""
    if not track.silences:
        return []
    longest = max(track.silences, key=lambda silence: silence.length_s)
    parts = []
    for silence in track.silences:
        x, right = axis.x(silence.start), axis.x(silence.start + silence.length_s)
        tip = escape(f"silent for {span_text(silence.length_s)}; control pair {span_text(silence.control_s)}")
        bracket = f"M{x} {top + 9}V{top + 4}H{max(right, x + 3):.2f}V{top + 9}"
        parts.append(f'<g><title>{tip}</title><path class="silence" d="{bracket}"/></g>')
        if silence is longest:
            text = f"{span_text(silence.length_s)} silent (control {span_text(silence.control_s)})"
            room_on_right = right + len(text) * LABEL_CHARACTER < WIDTH - RIGHT
            at, anchor = (right + 5, "start") if room_on_right else (x - 5, "end")
            parts.append(f'<text class="silence-label" x="{at:.2f}" y="{top + 8}" text-anchor="{anchor}">{text}</text>')
    return parts


def _latency(axis: _Axis, bin_s: float, track: Track, top: float, bottom: float) -> str:
    """Median as a line, the slowest message of each second as a bar above it; logarithmic, 1 ms to 10 s."""

    def y(seconds: float) -> float:
        decades = math.log10(LATENCY_CEILING_S / LATENCY_FLOOR_S)
        share = math.log10(min(LATENCY_CEILING_S, max(LATENCY_FLOOR_S, seconds)) / LATENCY_FLOOR_S) / decades
        return round(bottom - share * (bottom - top), 2)

    bars, line = [], []
    pen_down = False
    for index, (middle, slowest) in enumerate(zip(track.latency_p50_s, track.latency_max_s, strict=True)):
        if middle is None or slowest is None:
            pen_down = False
            continue
        x = axis.x((index + 0.5) * bin_s)
        bars.append(f"M{x} {y(middle)}V{y(slowest)}")
        line.append(f"{'L' if pen_down else 'M'}{x} {y(middle)}")
        pen_down = True
    grid = "".join(
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value)}" y2="{y(value)}"/>{_tick(y(value), text)}'
        for value, text in ((0.01, "10 ms"), (1.0, "1 s"))
    )
    return (
        f'{_frame(top, bottom)}{grid}<path class="slowest" d="{"".join(bars)}"/>'
        f'<path class="median" d="{"".join(line)}"/>'
    )


def _time_axis(axis: _Axis, length_s: float, bottom: float) -> str:
    step = next((s for s in (5, 10, 15, 30, 60, 120, 300, 600, 1800) if length_s / s <= 14), 3600)
    marks = range(0, int(length_s) + 1, step)
    return "".join(
        f'<line class="frame" x1="{axis.x(t)}" x2="{axis.x(t)}" y1="{bottom}" y2="{bottom + 4}"/>'
        f'<text class="tick" x="{axis.x(t)}" y="{bottom + 17}" text-anchor="middle">{clock(t)}</text>'
        for t in marks
    )


def split_bar_svg(legacy: int, target: int, other: int) -> Markup:
    """How a flow's messages divide between the gateways, as one bar."""
    total = legacy + target + other
    if not total:
        return _safe("")
    parts, x = [], 0.0
    for look, count in (("legacy", legacy), ("target", target), ("other", other)):
        width = 160 * count / total
        if count:
            parts.append(f'<rect class="area area-{look}" x="{x:.2f}" width="{width:.2f}" height="10"/>')
        x += width
    text = f"{legacy} through the legacy gateway, {target} through ours"
    return _safe(
        f'<svg class="split" viewBox="0 0 160 10" role="img" aria-label="{text}" preserveAspectRatio="none">'
        f"<title>{text}</title>{''.join(parts)}</svg>"
    )


def duration_bar_svg(own_s: float, waited_s: float, longest_s: float) -> Markup:
    """A step's own time and its waiting on one scale with the other steps."""
    scale = 220 / longest_s if longest_s else 0.0
    own, waited = own_s * scale, waited_s * scale
    text = f"{span_text(own_s)} of work, {span_text(waited_s)} of waiting"
    return _safe(
        f'<svg class="duration" viewBox="0 0 220 12" role="img" aria-label="{text}"><title>{text}</title>'
        f'<rect class="own" width="{max(own, 1.5 if own_s else 0):.2f}" height="12" rx="1"/>'
        f'<rect class="waited" x="{own:.2f}" width="{waited:.2f}" height="12"/></svg>'
    )
