"""The trail of one message through the log lines of both daemons, and which rule decided about it.

Called by `xmppgw explain`. Pure: lines in, a value out. The lines are those that `log.py` writes; how journald or a
container runtime wraps them does not matter, as long as the JSON object is the end of the line. A message is known by
its correlation id, which it has from its first byte on, by its stanza id, or by its SIP Call-ID.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

Verdict = Literal["delivered", "returned", "refused", "ignored", "repeated", "under way"]

#: Events that end a message or say what was decided about it; others (received, sent, deferred) are only its way.
DECIDES: Final[dict[str, Verdict]] = {
    "xmpp-delivered": "delivered",
    "sip-delivered": "delivered",
    "message-returned": "returned",
    "message-bounced": "returned",
    "stanza-refused": "refused",
    "request-refused": "refused",
    "delivery-refused": "refused",
    "edge-fault": "refused",
    "reply-dropped": "ignored",
    "stanza-ignored": "ignored",
    "repetition-dropped": "repeated",
}

#: What an event means, for who does not know the daemons' words.
MEANS: Final[dict[str, str]] = {
    "stanza-received": "came in from the partner",
    "message-accepted": "was accepted and stored: from here on it is delivered or returned",
    "sip-sent": "was sent to the SIP platform",
    "sip-delivered": "the SIP platform took it",
    "stanza-delivered": "was written to the partner's stream",
    "stanza-not-delivered": "could not be written to the partner's stream",
    "xmpp-delivered": "the edge delivered it to the partner",
    "message-deferred": "waits for another attempt",
    "message-returned": "went back to its sender as an error",
    "message-bounced": "the partner sent it back; its sender is told",
    "reply-dropped": "an error or notice of ours could not be delivered, and nobody waits for it",
    "stanza-refused": "was refused, and the sender told",
    "request-refused": "was refused with a SIP status",
    "delivery-refused": "the edge knows no such partner",
    "edge-fault": "the front end did not believe what the edge handed over",
    "stanza-ignored": "needs no answer and was passed over",
    "repetition-dropped": "came a second time and was dropped",
}

_NAMES: Final = ("correlation", "id", "call_id", "reference")
_HEAD: Final = frozenset({"time", "level", "daemon", "node", "event", "correlation"})

Value = str | int | float | bool | None


class Line(msgspec.Struct, frozen=True):
    """The part that every log line has."""

    time: float
    daemon: str
    node: str
    event: str
    level: str = "info"
    correlation: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to the message. `time` is in seconds since the epoch."""

    time: float
    daemon: str
    node: str
    event: str
    correlation: str
    details: tuple[tuple[str, Value], ...] = ()

    @property
    def means(self) -> str:
        """The event in words."""
        return MEANS.get(self.event, "")


@dataclass(frozen=True, slots=True)
class Trail:
    """All that the lines say about one message, in order of time."""

    wanted: str
    events: tuple[Event, ...]
    read: int
    """how many lines were log lines of ours"""
    skipped: int
    """how many were not"""
    correlations: tuple[str, ...]

    @property
    def deciding(self) -> Event | None:
        """The event that decided: the first that is neither a delivery nor a repetition, else the last that decides."""
        found = [event for event in self.events if event.event in DECIDES]
        against = [event for event in found if DECIDES[event.event] not in ("delivered", "repeated")]
        if against:
            return against[0]
        return found[-1] if found else None

    @property
    def verdict(self) -> Verdict:
        """What became of the message."""
        deciding = self.deciding
        return DECIDES[deciding.event] if deciding is not None else "under way"


def follow(lines: Iterable[str], wanted: str) -> Trail:
    """Collect what `lines` say about the message that `wanted` names.

    They are gone through twice (an iterator will not do): a stanza id or Call-ID stands in one line or two only, which
    tell the correlation ids of all the others. Nothing is kept of other messages' lines.
    """
    found = {
        event.correlation
        for event in _mentioning(lines, [wanted])
        if wanted == event.correlation or any(name in _NAMES and value == wanted for name, value in event.details)
    }
    events = [event for event in _mentioning(lines, sorted(found)) if event.correlation in found] if found else []
    read, skipped = _count(lines)
    return Trail(wanted, tuple(sorted(events, key=lambda event: event.time)), read, skipped, tuple(sorted(found)))


def _mentioning(lines: Iterable[str], words: Sequence[str]) -> Iterator[Event]:
    """The events that have to do with a message and contain one of `words`; other lines are not even decoded."""
    # As they stand in a line: `log.py` escapes what is not ASCII.
    written = [json.dumps(word) for word in words]
    for text in lines:
        if any(word in text for word in written):
            event = _event(text)
            if event is not None and event.correlation:
                yield event


def _count(lines: Iterable[str]) -> tuple[int, int]:
    """How many lines look like log lines of ours, and how many do not."""
    ours = others = 0
    for text in lines:
        if '"daemon":' in text and '"event":' in text:
            ours += 1
        elif text.strip():
            others += 1
    return ours, others


def _event(text: str) -> Event | None:
    data = text[text.find("{") :].strip()
    try:
        line = msgspec.json.decode(data, type=Line)
        fields = msgspec.json.decode(data, type=dict[str, Value])
    except (msgspec.MsgspecError, UnicodeEncodeError):
        return None
    details = tuple((name, value) for name, value in fields.items() if name not in _HEAD and value not in (None, ""))
    return Event(line.time, line.daemon, line.node, line.event, line.correlation, details)
