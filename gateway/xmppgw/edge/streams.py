"""The streams that are there: counted, capped, listed for the operator, found for a reload or a drain.

Called by `edge.inbound`, `edge.outbound` and `edge.daemon`. Holds no stanza and decides nothing about authentication.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from xmppgw.xmpp.stream import Closed, Pair


class LiveStream(Protocol):
    """A stream as the registry sees it."""

    closed: Closed | None

    def describe(self) -> list[StreamFacts]:
        """One entry per authorised pair."""

    def close(self, condition: str | None = None, text: str = "") -> None:
        """End the stream, gracefully without a condition."""

    def close_quietly(self, text: str) -> None:
        """End the stream gracefully when it suits the peer."""


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """One authorised pair on one stream, as the control socket shows it."""

    local: str
    remote: str
    direction: Literal["in", "out"]
    method: str
    encrypted: bool
    #: Seconds since the epoch.
    since: float
    stanzas: int
    address: str


def network_of(address: str) -> str:
    """Return what one client can be taken to own: an IPv4 address, or an IPv6 /64."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


class Admission:
    """Counts connections that have not authenticated yet. All counters are bounded by the total."""

    def __init__(self, per_address: int, total: int) -> None:
        self.per_address = per_address
        self.total = total
        self._waiting: Counter[str] = Counter()

    @property
    def waiting(self) -> int:
        """Connections that have not authenticated yet."""
        return self._waiting.total()

    def admit(self, network: str) -> str:
        """Count a new connection; the reason in words if it is one too many."""
        if self._waiting[network] >= self.per_address:
            return f"{self.per_address} connections of {network} are waiting for authentication already"
        if self._waiting.total() >= self.total:
            return f"{self.total} connections are waiting for authentication already"
        self._waiting[network] += 1
        return ""

    def release(self, network: str) -> None:
        """Count it no more: it has authenticated, or is gone."""
        self._waiting[network] -= 1
        if self._waiting[network] <= 0:
            del self._waiting[network]


class StreamRegistry:
    """All streams with at least one authorised pair, and inbound ones on their way there."""

    def __init__(self) -> None:
        #: Of each stream: its pairs, each with the partner's half of it.
        self._streams: dict[LiveStream, dict[Pair, str]] = {}
        self._per_remote: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._streams)

    def add(self, stream: LiveStream) -> None:
        """A stream begins."""
        self._streams.setdefault(stream, {})

    def authorised(self, stream: LiveStream, pair: Pair, remote: str) -> None:
        """A pair was authorised; `remote` is the partner's half of it."""
        pairs = self._streams.setdefault(stream, {})
        if pair not in pairs:
            pairs[pair] = remote
            self._per_remote[remote] += 1

    def remove(self, stream: LiveStream) -> None:
        """A stream is over."""
        for remote in self._streams.pop(stream, {}).values():
            self._per_remote[remote] -= 1
            if self._per_remote[remote] <= 0:
                del self._per_remote[remote]

    def count(self, remote: str) -> int:
        """Authorised pairs with that domain."""
        return self._per_remote[remote]

    def __iter__(self) -> Iterator[LiveStream]:
        return iter(list(self._streams))

    def facts(self) -> list[StreamFacts]:
        """Describe every authorised pair, sorted."""
        found = [facts for stream in self._streams for facts in stream.describe()]
        return sorted(found, key=lambda each: (each.remote, each.local, each.direction, each.since, each.address))
