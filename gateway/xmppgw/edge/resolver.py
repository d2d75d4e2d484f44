"""DNS for outbound streams: SRV and addresses from the configured resolvers, cached as long as their TTL says.

Called by `edge.dialing`. Asks only for domains of listed partners (its caller sees to that). Never reads
/etc/resolv.conf: which resolver is trusted is the configuration's decision.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import dns.asyncresolver
import dns.exception
import dns.message
import dns.name
import dns.rdatatype
import dns.resolver

RecordType = Literal["SRV", "A", "AAAA"]

#: Records of one answer that are looked at; a partner has a handful.
MAXIMUM_RECORDS = 32
#: How long an answer that could not be got (SERVFAIL, timeout) is not asked for again.
FAILURE_SECONDS = 1.0


class ResolverFailure(Exception):  # noqa: N818 - an outcome
    """The resolver did not answer or could not find out (SERVFAIL, timeout): not the same as "there is none"."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Records in text form as in a zone file; empty when the name or the type does not exist."""

    records: tuple[str, ...]
    expires: float


class Resolver:
    """Asks `addresses` in order. `clock` returns seconds on a monotonic clock."""

    def __init__(
        self,
        addresses: Sequence[str],
        port: int = 53,
        *,
        seconds: float = 6.0,
        entries: int = 4096,
        maximum_ttl: float = 3600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resolver = dns.asyncresolver.Resolver(configure=False)
        self._resolver.nameservers = list(addresses)
        self._resolver.port = port
        self._resolver.lifetime = seconds
        self._resolver.timeout = min(2.0, seconds)
        self._resolver.use_edns(0, 0, 1232)
        # Queries are absolute; a search list would ask for partner.example.our.domain.
        self._resolver.search = []
        self._seconds = seconds
        self._entries = entries
        self._maximum_ttl = maximum_ttl
        self._clock = clock
        self._cache: OrderedDict[tuple[str, RecordType], Answer | float] = OrderedDict()
        self._asking: dict[tuple[str, RecordType], asyncio.Task[Answer]] = {}

    async def look_up(self, name: str, kind: RecordType) -> tuple[str, ...]:
        """Return the records of `name` (an A-label). Raises ResolverFailure."""
        key = (name.lower().rstrip("."), kind)
        known = self._cache.get(key)
        now = self._clock()
        if isinstance(known, Answer) and now < known.expires:
            return known.records
        if isinstance(known, float) and now < known:
            raise ResolverFailure(f"{kind} of {name}: the resolver failed a moment ago")
        task = self._asking.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._ask(key))
            self._asking[key] = task
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        # One who gives up must not take the answer from the others.
        return (await asyncio.shield(task)).records

    def forget(self) -> None:
        """Empty the cache."""
        self._cache.clear()

    async def _ask(self, key: tuple[str, RecordType]) -> Answer:
        name, kind = key
        try:
            answer = await self._query(name, kind)
        except ResolverFailure:
            self._keep(key, self._clock() + FAILURE_SECONDS)
            raise
        self._keep(key, answer)
        return answer

    async def _query(self, name: str, kind: RecordType) -> Answer:
        try:
            asked = dns.name.from_text(name + ".")
            found = await self._resolver.resolve(
                asked, dns.rdatatype.from_text(kind), raise_on_no_answer=False, lifetime=self._seconds
            )
        except dns.resolver.NXDOMAIN as error:
            response = error.response(asked)  # type: ignore[no-untyped-call]
            return Answer((), self._expiry(response))
        except (dns.exception.DNSException, OSError, ValueError) as error:
            raise ResolverFailure(f"{kind} of {name}: {_words(error)}") from None
        records = tuple(record.to_text() for record in found.rrset or ())[:MAXIMUM_RECORDS]
        return Answer(records, self._expiry(found.response))

    def _expiry(self, response: dns.message.Message) -> float:
        try:
            ttl = float(response.resolve_chaining().minimum_ttl)  # type: ignore[attr-defined]  # a QueryMessage it is
        except (dns.exception.DNSException, AttributeError):
            ttl = 0.0
        # A negative answer without SOA has no TTL of its own (dnspython then says 2^31 - 1).
        return self._clock() + (0.0 if ttl >= 2**31 - 1 else min(ttl, self._maximum_ttl))

    def _keep(self, key: tuple[str, RecordType], value: Answer | float) -> None:
        self._cache[key] = value
        self._cache.move_to_end(key)
        while len(self._cache) > self._entries:
            self._cache.popitem(last=False)


def _words(error: Exception) -> str:
    if isinstance(error, dns.resolver.NoNameservers):
        return "no resolver could answer"
    if isinstance(error, dns.exception.Timeout):
        return "the resolvers did not answer in time"
    return str(error) or type(error).__name__
