"""Non-INVITE transactions over a reliable transport, as two tables (RFC 3261 section 17, corrected by RFC 4320).

Called by `sip.connection`. It knows neither bytes nor connections, and it never answers anything by itself.

Theory of operation
===================
On TLS nothing is retransmitted (timers E and G do not run) and nothing lingers (timers J, K, D and I are zero). What is
left of RFC 3261's machines fits in two tables of (state, event) -> next state:

* A client transaction is TRYING until a provisional response (PROCEEDING) or a final one (TERMINATED). Timer F, 64*T1
  after the request, ends it without an answer.
* A server transaction is TRYING until our final response (TERMINATED). RFC 4320 forbids a late 408 and allows 100 only
  after a time that a reliable transport never needs, so a request that is not answered before the client's timer F is
  abandoned in silence.

All transactions of one kind live equally long, so the oldest is always the next to end: the dictionaries below are the
timer queues.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from types import MappingProxyType

from .message import Request, Response, Via

T1 = 0.5
"""Seconds; RFC 3261's estimate of a round trip, kept on TLS."""
TIMER_F = 64 * T1
"""Seconds a client waits for the final response to a non-INVITE request."""
MAGIC_COOKIE = "z9hG4bK"
"""Prefix of every branch that is a transaction identifier (RFC 3261 section 8.1.1.7)."""


class State(Enum):
    """States of both machines. COMPLETED is missing: on a reliable transport it lasts zero seconds."""

    TRYING = auto()
    PROCEEDING = auto()
    TERMINATED = auto()


class Event(Enum):
    """What can happen to a transaction."""

    PROVISIONAL = auto()
    FINAL = auto()
    RETRANSMISSION = auto()
    TIMEOUT = auto()
    TRANSPORT_LOST = auto()


CLIENT: Mapping[tuple[State, Event], State] = MappingProxyType(
    {
        (State.TRYING, Event.PROVISIONAL): State.PROCEEDING,
        (State.TRYING, Event.FINAL): State.TERMINATED,
        (State.TRYING, Event.TIMEOUT): State.TERMINATED,
        (State.TRYING, Event.TRANSPORT_LOST): State.TERMINATED,
        (State.PROCEEDING, Event.PROVISIONAL): State.PROCEEDING,
        (State.PROCEEDING, Event.FINAL): State.TERMINATED,
        (State.PROCEEDING, Event.TIMEOUT): State.TERMINATED,
        (State.PROCEEDING, Event.TRANSPORT_LOST): State.TERMINATED,
    }
)
"""RFC 3261 figure 6 without COMPLETED."""

SERVER: Mapping[tuple[State, Event], State] = MappingProxyType(
    {
        (State.TRYING, Event.RETRANSMISSION): State.TRYING,
        (State.TRYING, Event.FINAL): State.TERMINATED,
        (State.TRYING, Event.TIMEOUT): State.TERMINATED,
        (State.TRYING, Event.TRANSPORT_LOST): State.TERMINATED,
    }
)
"""RFC 3261 figure 8 without PROCEEDING (RFC 4320 section 4.1) and COMPLETED."""


class TooManyTransactionsError(Exception):
    """The table of open transactions is full; the request was not sent."""


@dataclass(slots=True)
class ClientTransaction:
    """One request of ours that waits for its final response."""

    branch: str
    method: str
    deadline: float
    state: State = State.TRYING

    def happens(self, event: Event) -> State:
        """Move by the table and return the new state."""
        self.state = CLIENT[self.state, event]
        return self.state


@dataclass(slots=True)
class ServerTransaction:
    """One request of the peer that waits for our final response."""

    identifier: str
    request: Request
    to_tag: str
    deadline: float
    state: State = State.TRYING

    def happens(self, event: Event) -> State:
        """Move by the table and return the new state."""
        self.state = SERVER[self.state, event]
        return self.state


def server_identifier(request: Request) -> str:
    """What makes two arrivals of a request the same transaction (RFC 3261 section 17.2.3).

    With the magic cookie: branch, sent-by and method. Without it (RFC 2543): everything that a retransmission
    repeats, the whole top Via among it.
    """
    via = request.vias[0]
    branch = via.branch
    if branch is not None and branch.startswith(MAGIC_COOKIE) and len(branch) > len(MAGIC_COOKIE):
        return f"{branch}|{via.sent_by}|{request.method}"
    return f"{request.target}|{request.to.tag}|{request.key}|{via}"


class ClientTransactions:
    """The requests of one connection that wait for an answer."""

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._open: OrderedDict[str, ClientTransaction] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def open(self, branch: str, method: str, now: float) -> None:
        """Begin a transaction. Raises `TooManyTransactionsError` where the table is full."""
        if len(self._open) >= self._maximum:
            raise TooManyTransactionsError(f"{self._maximum} requests already wait for an answer on this connection")
        self._open[branch] = ClientTransaction(branch, method, now + TIMER_F)

    def match(self, via: Via, response: Response) -> ClientTransaction | None:
        """The transaction a response belongs to: branch of the top Via and method of CSeq (section 17.1.3)."""
        found = self._open.get(via.branch or "")
        return found if found is not None and found.method == response.cseq.method else None

    def receive(self, transaction: ClientTransaction, status: int) -> bool:
        """Move by a response; True where it was the final one."""
        if transaction.happens(Event.PROVISIONAL if status < 200 else Event.FINAL) is State.TERMINATED:
            del self._open[transaction.branch]
            return True
        return False

    def expire(self, now: float) -> list[ClientTransaction]:
        """End and return those whose timer F has fired."""
        ended: list[ClientTransaction] = []
        while self._open:
            oldest = next(iter(self._open.values()))
            if oldest.deadline > now:
                break
            del self._open[oldest.branch]
            oldest.happens(Event.TIMEOUT)
            ended.append(oldest)
        return ended

    def abort(self) -> list[ClientTransaction]:
        """End and return all, because the connection is gone."""
        ended = list(self._open.values())
        self._open.clear()
        for transaction in ended:
            transaction.happens(Event.TRANSPORT_LOST)
        return ended

    def next_deadline(self) -> float | None:
        """When the oldest ends, or None."""
        return next(iter(self._open.values())).deadline if self._open else None


@dataclass(slots=True)
class OngoingRequests:
    """Requests being worked on, over all connections of the daemon: finds merged ones (RFC 3261 section 8.2.2.2).

    A request that was forked upstream and joins again here has another branch, perhaps on another connection, and the
    same From tag, Call-ID and CSeq. Bounded by the server transactions of the connections that share it.
    """

    _by_key: dict[str, str] = field(default_factory=dict)
    _connections: int = 0

    def __len__(self) -> int:
        return len(self._by_key)

    def join(self) -> str:
        """A name for one more connection that shares this."""
        self._connections += 1
        return str(self._connections)

    def merged(self, request: Request, identifier: str) -> bool:
        """Whether another transaction works on the same request right now."""
        return request.to.tag is None and self._by_key.get(request.key, identifier) != identifier

    def begin(self, request: Request, identifier: str) -> None:
        """Remember a request that is being worked on."""
        self._by_key.setdefault(request.key, identifier)

    def end(self, request: Request, identifier: str) -> None:
        """Forget it, if this transaction is the one remembered."""
        if self._by_key.get(request.key) == identifier:
            del self._by_key[request.key]


class ServerTransactions:
    """The peer's requests on one connection that wait for our answer."""

    def __init__(self, maximum: int, ongoing: OngoingRequests) -> None:
        self._maximum = maximum
        self._ongoing = ongoing
        self._connection = ongoing.join()
        self._open: OrderedDict[str, ServerTransaction] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    @property
    def full(self) -> bool:
        """Whether the table has no room for another request."""
        return len(self._open) >= self._maximum

    def retransmitted(self, identifier: str) -> bool:
        """Whether the request is being worked on already; then nothing is to be done."""
        found = self._open.get(identifier)
        if found is None:
            return False
        found.happens(Event.RETRANSMISSION)
        return True

    def merged(self, request: Request, identifier: str) -> bool:
        """Whether the same request is being worked on under another identifier or on another connection."""
        return self._ongoing.merged(request, f"{self._connection}|{identifier}")

    def open(self, identifier: str, request: Request, to_tag: str, now: float) -> None:
        """Begin a transaction."""
        self._open[identifier] = ServerTransaction(identifier, request, to_tag, now + TIMER_F)
        self._ongoing.begin(request, f"{self._connection}|{identifier}")

    def answer(self, identifier: str) -> ServerTransaction | None:
        """End a transaction with our final response; None where it is no longer there."""
        return self._end(identifier, Event.FINAL)

    def expire(self, now: float) -> list[ServerTransaction]:
        """End and return those that were not answered in time."""
        ended: list[ServerTransaction] = []
        while self._open:
            oldest = next(iter(self._open.values()))
            if oldest.deadline > now:
                break
            self._end(oldest.identifier, Event.TIMEOUT)
            ended.append(oldest)
        return ended

    def abort(self) -> None:
        """End all, because the connection is gone."""
        for identifier in list(self._open):
            self._end(identifier, Event.TRANSPORT_LOST)

    def next_deadline(self) -> float | None:
        """When the oldest ends, or None."""
        return next(iter(self._open.values())).deadline if self._open else None

    def _end(self, identifier: str, event: Event) -> ServerTransaction | None:
        transaction = self._open.pop(identifier, None)
        if transaction is not None:
            transaction.happens(event)
            self._ongoing.end(transaction.request, f"{self._connection}|{identifier}")
        return transaction
