"""What any store of the front end does, whichever engine is behind it.

A transaction is a sequence of operations that is applied as a whole and is durable when its future is done. The event
loop never waits for a disk: it submits and goes on. Everything that is not finished is handed over once at start, in
pages, and from then on the front end keeps its lanes in memory beside the store.

Called by the front end only. `tests/unit/store/conformance.py` is what an engine must pass.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Direction = Literal["to_sip", "to_xmpp"]
Kind = Literal["message", "error", "notice"]


class StoreProblem(Exception):  # noqa: N818 - says what is the case
    """The store cannot be opened or written; the text says why. The daemon then stops: it cannot keep its word."""


@dataclass(frozen=True, slots=True)
class Item:
    """One message that was accepted and is not finished. Times are seconds since the epoch."""

    #: Drawn by the front end, rising; never used again.
    id: int
    direction: Direction
    kind: Kind
    #: Items of one lane leave in the order of their ids.
    lane: str
    #: The partner's main domain: queues are bounded and counted by it.
    partner: str
    correlation: str
    #: What the layer above needs to send it, and to answer its sender.
    payload: bytes
    created: float
    expires: float
    not_before: float = 0.0
    attempts: int = 0
    #: Who may have it already: empty while it only waits here.
    holder: str = ""


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that we sent to a partner, kept so that an error which comes back later finds its sender."""

    stanza_id: str
    call_id: str
    #: XMPP addresses of that message: an error must come from its recipient to its sender.
    sender: str
    recipient: str
    at: float


@dataclass(frozen=True, slots=True)
class Accept:
    """Add items unless `key` was seen before (then nothing of this operation happens). Result: whether they are new."""

    items: tuple[Item, ...]
    at: float
    #: Recognises a repetition; None: never one.
    key: bytes | None = None
    sent: Sent | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """Say that `holder` may have the item from now on. Must be durable before the item leaves. Result: True."""

    id: int
    holder: str


@dataclass(frozen=True, slots=True)
class Defer:
    """Give the item back to its lane, to be tried after `not_before`. Result: True."""

    id: int
    not_before: float
    attempts: int


@dataclass(frozen=True, slots=True)
class Finish:
    """Remove the item and add what follows from its end (an error to its sender). Result: whether it was there."""

    id: int
    follow: tuple[Item, ...] = ()


@dataclass(frozen=True, slots=True)
class Position:
    """Remember that everything of `peer`'s link session up to `sequence` is in this store. Result: True."""

    peer: str
    session: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Forget:
    """Forget keys seen and messages sent before these times, a bounded number. Result: whether more may be left."""

    keys_before: float
    sent_before: float


Operation: TypeAlias = Accept | Hold | Defer | Finish | Position | Forget


class Store(ABC):
    """A front end's store."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """A random name given to this store when it was made: item ids are unique together with it."""

    @abstractmethod
    def submit(self, operations: Sequence[Operation]) -> asyncio.Future[tuple[bool, ...]]:
        """Apply `operations` as one transaction; the future is done, with one result each, when they are durable.

        Transactions take effect in the order of submission. The future fails with StoreProblem if that cannot be done.
        """

    @abstractmethod
    async def unfinished(self, after: int = 0) -> list[Item]:
        """Return items that are not finished and have a higher id than `after`, by id: a bounded number of octets.

        Empty when there are no more. Ask again with the last id of one answer for the next.
        """

    @abstractmethod
    async def last_id(self) -> int:
        """Return the highest id ever used; 0 in a new store."""

    @abstractmethod
    async def find_sent(self, stanza_id: str) -> Sent | None:
        """Return the message that we sent under `stanza_id`, None if it is not known (any more)."""

    @abstractmethod
    async def positions(self) -> dict[str, tuple[str, int]]:
        """Return for each link peer its session and the last number that is in this store."""

    @abstractmethod
    async def copy(self) -> str:
        """Write a whole and consistent copy of what is durable now beside the store; return where it is.

        An earlier copy is replaced. Readable by the daemon's own user only. Raises StoreProblem.
        """

    @abstractmethod
    async def close(self) -> None:
        """Write what was submitted, and close."""
