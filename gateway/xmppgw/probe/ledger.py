"""The ledger: what became of every message that people sent while the migration ran.

Theory of operation. A message is known by (pair, direction, kind, number). Its far ends are parts that are not ours,
so what they say is evidence: the receiver's `received` lines, the sender's `refused` and `returned` lines. From these
each message gets exactly one fate:

* delivered    - the receiver saw it at least once;
* returned     - the receiver never saw it and its sender was told so (SIP final reply, error stanza or notice);
* unprotected  - neither, but a part was killed about then, and the kill's stated bound is not used up; or the partner's
                 own log says that its server took the message from its user and wrote it to nobody; or the people's
                 agent was not there to see what became of it;
* lost         - neither.

`duplicated`, `reordered` and `returned_though_delivered` are counted beside the fates, they do not replace one.
Which gateway carried a message is told by the bottom-most Via (SIP end) or by the partner's stream log (XMPP end).

Called by the runner and by the re-render command. Pure: lines in, numbers out; no file, no clock. One sort, then
linear.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from xmppgw.probe.events import Direction, Event, Kind, Relayed

NOTICE_WINDOW_S = 60.0
"""A notice that names no message may only answer one that its sender sent at most this long before."""

NOTABLE_SILENCE_S = 0.5
"""Five missed messages in a row; shorter pauses are the lab machine's own breathing."""

SILENCES_KEPT = 20
"""Per flow, longest first: a report is read by people."""


class Fate(Enum):
    """What became of one message; exactly one each."""

    DELIVERED = "delivered"
    RETURNED = "returned"
    LOST = "lost"
    UNPROTECTED = "unprotected"


class Gateway(Enum):
    """Which gateway carried a message, as told by parts that are not ours."""

    LEGACY = "legacy"
    TARGET = "target"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Gateways:
    """The names and addresses by which the far ends know each gateway; lower case, no trailing dot."""

    legacy: frozenset[str]
    target: frozenset[str]

    def which(self, name_or_address: str) -> Gateway:
        """Name the gateway behind a Via sent-by host or a peer address."""
        name = name_or_address.lower().strip("[]").rstrip(".")
        if name in self.legacy:
            return Gateway.LEGACY
        if name in self.target:
            return Gateway.TARGET
        return Gateway.UNKNOWN


@dataclass(frozen=True)
class Kill:
    """A part that was killed on purpose, at `t`, and was away for `away_s` seconds.

    At most `bound` messages may go missing unprotected, of those sent while it was away or within 5 s of that.
    """

    t: float
    what: str
    bound: int
    away_s: float = 0.0
    near_s: float = 5.0


@dataclass(frozen=True)
class Blindness:
    """A stretch in which the people's agent was down: what was under way then, nobody can tell. Epoch seconds."""

    start: float
    end: float


UNDER_WAY_S = 30.0
"""The agent's own death reaches back this far: answers to what was sent before may have come while it was down."""


@dataclass(frozen=True)
class Flow:
    """One pair in one direction."""

    partner: str
    pair: str
    direction: Direction


@dataclass(frozen=True)
class Message:
    """One message and all that is known of it. Times are epoch seconds of host `users`."""

    flow: Flow
    kind: Kind
    n: int
    sent_at: float
    fate: Fate
    received_at: float | None
    copies: int
    gateway: Gateway
    both_gateways: bool
    returned_at: float | None
    returned_by: str
    """How it came back: `reply`, `error`, `notice`, `notice by address`; empty if it did not."""
    code: str


@dataclass(frozen=True)
class Silence:
    """A stretch without a delivery in one flow, and the control pair's longest one overlapping it. Seconds."""

    start: float
    length_s: float
    control_s: float


@dataclass(frozen=True)
class Through:
    """Delivered messages by the gateway that carried them."""

    legacy: int = 0
    target: int = 0
    unknown: int = 0


@dataclass(frozen=True)
class Tally:
    """Counts over a set of normal messages; sent = delivered + returned + lost + unprotected."""

    sent: int = 0
    delivered: int = 0
    returned: int = 0
    lost: int = 0
    unprotected: int = 0
    returned_though_delivered: int = 0
    duplicated: int = 0
    reordered: int = 0
    both_gateways: int = 0
    longest_gap_s: float = 0.0
    latency_p50_s: float = 0.0
    latency_p99_s: float = 0.0
    latency_max_s: float = 0.0
    through: Through = field(default_factory=Through)


@dataclass(frozen=True)
class Ledger:
    """All messages of a run with what could not be attributed."""

    messages: tuple[Message, ...]
    unmatched_notices: int
    """Notices to a sender that fit no message: shown, never counted as a return."""
    unexpected: int
    """Receipts of a message that nobody recorded as sent: never zero silently."""
    dropped_by_partner: int = 0
    """Of the unprotected ones, those that ended inside a partner's own server."""
    blind: tuple[Blindness, ...] = ()
    """When the people's agent was down."""
    unseen: int = 0
    """Of the unprotected ones, those whose fate nobody was there to see."""

    def normal(self) -> list[Message]:
        """The numbered messages that crossed a gateway."""
        return [m for m in self.messages if m.kind == "normal" and m.flow.direction != "control"]

    def unreachable(self) -> list[Message]:
        """The messages to a partner that nobody reaches: each must come back."""
        return [m for m in self.messages if m.kind == "unreachable"]

    def between_domains(self) -> list[Message]:
        """All that people wrote to people through a gateway, whether the partner can be reached or not."""
        return [m for m in self.messages if m.kind != "unknown_user" and m.flow.direction != "control"]

    def control(self) -> list[Message]:
        """The numbered messages of the pair that touches no gateway."""
        return [m for m in self.messages if m.kind == "normal" and m.flow.direction == "control"]

    def unknown_users(self) -> list[Message]:
        """The messages to nobody, each of which must come back."""
        return [m for m in self.messages if m.kind == "unknown_user"]


_Key = tuple[str, Direction, Kind, int]


@dataclass
class _Draft:
    flow: Flow
    kind: Kind
    n: int
    sent_at: float
    sent_id: str
    receipts: list[Event] = field(default_factory=list)
    returns: list[tuple[float, str, str]] = field(default_factory=list)


def classify(
    events: Iterable[Event],
    relayed: Mapping[str, Sequence[Relayed]],
    gateways: Gateways,
    kills: Sequence[Kill] = (),
) -> Ledger:
    """Give every message its fate.

    `relayed` holds each partner domain's own stream log; `gateways` the names and addresses of both gateways; `kills`
    what was killed on purpose. The order of `events` does not matter: they are put in the order of their times first.
    """
    drafts: dict[_Key, _Draft] = {}
    receipts: list[tuple[_Key, Event]] = []
    returns: list[tuple[_Key, Event]] = []
    nameless: list[Event] = []
    ordered = sorted(events, key=lambda e: e.t)
    blind = _blindness(ordered)
    for event in ordered:
        if event.n is None:
            if event.e == "returned":
                nameless.append(event)
            continue
        key = (event.pair, event.direction, event.kind, event.n)
        if event.e == "sent":
            flow = Flow(event.partner, event.pair, event.direction)
            drafts.setdefault(key, _Draft(flow, event.kind, event.n, event.t, event.id))
        elif event.e == "received":
            receipts.append((key, event))
        elif event.e in ("returned", "refused"):
            returns.append((key, event))

    unexpected = 0
    for key, event in receipts:
        if (draft := drafts.get(key)) is None:
            unexpected += 1
        else:
            draft.receipts.append(event)
    for key, event in returns:
        if (draft := drafts.get(key)) is None:
            unexpected += 1
        else:
            draft.returns.append((event.t, _return_path(event), event.code))

    unmatched = _match_by_address(nameless, drafts.values())
    addresses = {domain: _addresses_by_id(lines) for domain, lines in relayed.items()}
    dropped = _dropped_by_partner(drafts.values(), relayed)
    unseen = {key for key, draft in drafts.items() if key not in dropped and _nobody_saw(draft, blind)}
    covered = dropped | unseen
    unprotected = _unprotected([draft for key, draft in drafts.items() if key not in covered], kills) | covered
    messages = [
        _settle(draft, _carriers(draft, addresses, gateways), key in unprotected) for key, draft in drafts.items()
    ]
    messages.sort(key=lambda m: (m.flow.partner, m.flow.pair, m.flow.direction, m.kind, m.n))
    return Ledger(tuple(messages), unmatched, unexpected, len(dropped), blind, len(unseen))


def _blindness(ordered: Sequence[Event]) -> tuple[Blindness, ...]:
    """From each death of the agent (its last line before) to its return."""
    died: float | None = None
    found = []
    for event in ordered:
        if event.e == "died":
            died = event.t
        elif event.e == "resumed" and died is not None:
            found.append(Blindness(died, event.t))
            died = None
    return tuple(found)


def _nobody_saw(draft: _Draft, blind: Sequence[Blindness]) -> bool:
    if draft.receipts or draft.returns:
        return False
    return any(gap.start - UNDER_WAY_S <= draft.sent_at <= gap.end for gap in blind)


def _return_path(event: Event) -> str:
    if event.e == "refused":
        return "reply"
    return "notice" if event.direction == "sip_to_xmpp" else "error"


def _match_by_address(notices: Sequence[Event], drafts: Iterable[_Draft]) -> int:
    """Give notices that name no message to the oldest unanswered one between the same addresses; count the rest."""
    if not notices:
        return 0
    waiting: dict[tuple[str, Direction, Kind], list[_Draft]] = defaultdict(list)
    for draft in sorted(drafts, key=lambda d: d.sent_at):
        if not draft.receipts and not draft.returns:
            waiting[draft.flow.pair, draft.flow.direction, draft.kind].append(draft)
    unmatched = 0
    for notice in notices:
        queue = waiting[notice.pair, notice.direction, notice.kind]
        while queue and queue[0].sent_at < notice.t - NOTICE_WINDOW_S:
            queue.pop(0)
        if queue and queue[0].sent_at <= notice.t:
            queue.pop(0).returns.append((notice.t, "notice by address", notice.code))
        else:
            unmatched += 1
    return unmatched


def _addresses_by_id(lines: Sequence[Relayed]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        if line.address:
            found[line.id].append(line.address)
    return found


def _carriers(draft: _Draft, addresses: Mapping[str, Mapping[str, Sequence[str]]], gateways: Gateways) -> list[Gateway]:
    """The gateway of each copy that arrived, in order of arrival."""
    if draft.flow.direction != "sip_to_xmpp":
        return [gateways.which(event.via) for event in draft.receipts]
    by_id = addresses.get(draft.flow.partner, {})
    carriers = []
    seen: dict[str, int] = defaultdict(int)
    for event in draft.receipts:
        peers = by_id.get(event.id, ())
        nth = seen[event.id]
        seen[event.id] += 1
        carriers.append(gateways.which(peers[min(nth, len(peers) - 1)]) if peers else Gateway.UNKNOWN)
    return carriers


def _dropped_by_partner(drafts: Iterable[_Draft], relayed: Mapping[str, Sequence[Relayed]]) -> set[_Key]:
    """The missing messages of partners' users that never left their server; its own log is the evidence."""
    unwritten = {domain: {line.id for line in lines if not line.address} for domain, lines in relayed.items()}
    return {
        (draft.flow.pair, draft.flow.direction, draft.kind, draft.n)
        for draft in drafts
        if draft.flow.direction == "xmpp_to_sip"
        and not draft.receipts
        and not draft.returns
        and draft.sent_id in unwritten.get(draft.flow.partner, ())
    }


def _unprotected(drafts: Iterable[_Draft], kills: Sequence[Kill]) -> set[_Key]:
    """The missing messages that a kill's bound covers; what goes beyond a bound stays lost."""
    if not kills:
        return set()
    missing = sorted((d for d in drafts if not d.receipts and not d.returns), key=lambda d: (d.sent_at, d.n))
    covered: set[_Key] = set()
    for kill in kills:
        left = kill.bound
        for draft in missing:
            key = (draft.flow.pair, draft.flow.direction, draft.kind, draft.n)
            since = draft.sent_at - kill.t
            if left and key not in covered and -kill.near_s <= since <= kill.away_s + kill.near_s:
                covered.add(key)
                left -= 1
    return covered


def _settle(draft: _Draft, carriers: Sequence[Gateway], unprotected: bool) -> Message:
    if draft.receipts:
        fate = Fate.DELIVERED
    elif draft.returns:
        fate = Fate.RETURNED
    else:
        fate = Fate.UNPROTECTED if unprotected else Fate.LOST
    returned_at, returned_by, code = draft.returns[0] if draft.returns else (None, "", "")
    return Message(
        flow=draft.flow,
        kind=draft.kind,
        n=draft.n,
        sent_at=draft.sent_at,
        fate=fate,
        received_at=draft.receipts[0].t if draft.receipts else None,
        copies=len(draft.receipts),
        gateway=carriers[0] if carriers else Gateway.UNKNOWN,
        both_gateways=len({c for c in carriers if c is not Gateway.UNKNOWN}) > 1,
        returned_at=returned_at,
        returned_by=returned_by,
        code=code,
    )


def tally(messages: Sequence[Message]) -> Tally:
    """Count a set of messages; silences and order are looked at flow by flow, the worst flow speaks for the set."""
    fates = dict.fromkeys(Fate, 0)
    carried = dict.fromkeys(Gateway, 0)
    returned_though_delivered = duplicated = both = 0
    latencies: list[float] = []
    for message in messages:
        fates[message.fate] += 1
        if message.received_at is not None:
            carried[message.gateway] += 1
            latencies.append(message.received_at - message.sent_at)
            duplicated += message.copies > 1
            both += message.both_gateways
            returned_though_delivered += message.returned_at is not None
    latencies.sort()
    # Where nothing is meant to arrive, nothing can be late or silent.
    flows = by_flow(message for message in messages if message.kind == "normal")
    return Tally(
        sent=len(messages),
        delivered=fates[Fate.DELIVERED],
        returned=fates[Fate.RETURNED],
        lost=fates[Fate.LOST],
        unprotected=fates[Fate.UNPROTECTED],
        returned_though_delivered=returned_though_delivered,
        duplicated=duplicated,
        reordered=sum(reordered(flow) for flow in flows.values()),
        both_gateways=both,
        longest_gap_s=round(max((length for flow in flows.values() for _, length in gaps(flow)), default=0.0), 3),
        latency_p50_s=round(quantile(latencies, 0.5), 4),
        latency_p99_s=round(quantile(latencies, 0.99), 4),
        latency_max_s=round(quantile(latencies, 1.0), 4),
        through=Through(carried[Gateway.LEGACY], carried[Gateway.TARGET], carried[Gateway.UNKNOWN]),
    )


def by_flow(messages: Iterable[Message]) -> dict[Flow, list[Message]]:
    """Group messages by pair and direction, sorted."""
    flows: dict[Flow, list[Message]] = defaultdict(list)
    for message in messages:
        flows[message.flow].append(message)
    return {flow: flows[flow] for flow in sorted(flows, key=lambda f: (f.partner, f.pair, f.direction))}


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below or at which `share` of an ascending sequence lies; 0.0 of nothing."""
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def reordered(flow: Sequence[Message]) -> int:
    """How many messages of one flow arrived (first copy) after one that was sent later."""
    arrivals = sorted((m.received_at, m.n) for m in flow if m.received_at is not None)
    highest = -1
    late = 0
    for _, n in arrivals:
        late += n < highest
        highest = max(highest, n)
    return late


def gaps(flow: Sequence[Message]) -> list[tuple[float, float]]:
    """The stretches between deliveries of one flow, as (start, seconds), from its first sending to its end."""
    if not flow:
        return []
    arrivals = sorted(m.received_at for m in flow if m.received_at is not None)
    start = min(m.sent_at for m in flow)
    end = max(m.sent_at for m in flow)
    marks = [start, *arrivals]
    if end > marks[-1]:
        marks.append(end)
    return [(a, b - a) for a, b in itertools.pairwise(marks)]


def silences(flow: Sequence[Message], control: Sequence[tuple[float, float]]) -> list[Silence]:
    """The notable silences of one flow beside the control pair's longest pause overlapping each.

    `control` holds the control pair's own gaps sorted by their start, see `control_gaps`.
    """
    notable = [(start, length) for start, length in gaps(flow) if length >= NOTABLE_SILENCE_S]
    notable.sort(key=lambda gap: -gap[1])
    beside = _Beside(control)
    found = [Silence(start, length, beside.longest(start, length)) for start, length in notable[:SILENCES_KEPT]]
    return sorted(found, key=lambda silence: silence.start)


def beyond_control(flow: Sequence[Message], control: Sequence[tuple[float, float]]) -> float:
    """By how much the flow's worst gap exceeded the control pair's longest one overlapping it; 0.0 if none did."""
    beside = _Beside(control)
    return max((length - beside.longest(start, length) for start, length in gaps(flow)), default=0.0)


class _Beside:
    """The control pair's gaps, asked for the longest that overlaps a stretch."""

    def __init__(self, control: Sequence[tuple[float, float]]) -> None:
        self._gaps = control
        self._starts = [start for start, _ in control]
        # A gap is at most the longest of all, so only those that begin within that distance can reach in.
        self._reach = max((length for _, length in control), default=0.0)

    def longest(self, start: float, length: float) -> float:
        near = self._gaps[bisect_left(self._starts, start - self._reach) : bisect_right(self._starts, start + length)]
        return max((own for begin, own in near if begin + own > start), default=0.0)


def control_gaps(control: Sequence[Message]) -> list[tuple[float, float]]:
    """All gaps of the control pair, both ways, sorted by start."""
    return sorted(gap for flow in by_flow(control).values() for gap in gaps(flow))
