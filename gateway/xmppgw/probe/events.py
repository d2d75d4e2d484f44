"""What the probe reads: the agent's event lines, the partners' stream logs, the migration's step lines.

The runner and `python -m xmppgw.probe report` call this to turn collected bytes into typed values; the ledger takes
them from there. Nothing here opens a file or reads a clock. A line that cannot be decoded (the last one of a process
that was killed) is counted, never guessed at.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeVar

import msgspec

Direction = Literal["sip_to_xmpp", "xmpp_to_sip", "control"]
Kind = Literal["normal", "unknown_user", "unreachable"]
"""`unknown_user` goes to nobody at a partner that answers, `unreachable` to a partner that does not: both come back."""

Happening = Literal[
    "sent", "accepted", "received", "returned", "refused", "online", "offline", "started", "stopped", "died", "resumed"
]
"""`died` and `resumed` enclose a stretch in which the agent itself was not there to see anything."""

DIRECTIONS: tuple[Direction, Direction] = ("xmpp_to_sip", "sip_to_xmpp")
"""The two directions that cross a gateway; `control` crosses none."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the agent on host `users`, in the order in which it was seen there.

    `t` is that host's clock in seconds since the epoch: both ends of a message are measured by one clock.
    """

    t: float
    e: Happening
    partner: str = ""
    """XMPP domain of the pair; empty for the control pair."""
    pair: str = ""
    direction: Direction = "control"
    n: int | None = None
    """Message number within (pair, direction, kind); None for a notice that names no message we know."""
    id: str = ""
    """The identifier at the end where it happened: stanza id or SIP Call-ID."""
    via: str = ""
    """At the SIP end: sent-by of the bottom-most Via, the element that wrote the request."""
    kind: Kind = "normal"
    code: str = ""
    """SIP status or XMPP error condition of what came back."""


class Relayed(msgspec.Struct, frozen=True, kw_only=True):
    """One message in a partner server's own stream log: which peer address it came from.

    An empty address tells the reverse: a message that the server took from its user and wrote to nobody.
    """

    id: str
    address: str
    t: float = 0.0
    sender: str = msgspec.field(default="", name="from")


class StepLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the migration's callback plug-in, or of a test that kills something (`event` = `killed`)."""

    t: float
    event: str
    number: int | None = None
    name: str = ""
    changed: int | bool | None = None
    reason: str = ""
    state: str = ""
    waited_s: float | None = None
    duration_s: float | None = None
    what: str = ""
    bound: int = 0
    """How many messages a kill may cost unprotected, stated by whoever kills."""
    partner: str = ""
    seconds: float | None = None
    """How long a partner's switch took, from its phase to its route; how long what was killed was away."""


Line = TypeVar("Line", Event, Relayed, StepLine)


def decode_lines(data: bytes, line: type[Line]) -> tuple[list[Line], int]:
    """Decode JSON lines of one type.

    Returns the values in file order and the number of non-empty lines that are not such a value.
    """
    decoder = msgspec.json.Decoder(line)
    values: list[Line] = []
    broken = 0
    for raw in data.splitlines():
        if not raw.strip():
            continue
        try:
            values.append(decoder.decode(raw))
        except msgspec.MsgspecError:
            broken += 1
    return values, broken


def encode_lines(values: Iterable[msgspec.Struct]) -> bytes:
    """Encode values as JSON lines, the inverse of `decode_lines`."""
    return b"".join(msgspec.json.encode(value) + b"\n" for value in values)
