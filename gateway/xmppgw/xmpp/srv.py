"""In which order a partner's servers are tried (RFC 6120 3.2, RFC 2782). Pure: DNS answers and random numbers go in.

Called by the edge's dialler, which resolves the names to addresses and connects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SERVICE = "_xmpp-server._tcp"
DEFAULT_PORT = 5269
MAX_TARGETS = 16
"""Targets of one domain that are tried; a zone may list any number."""


class NoService(Exception):  # noqa: N818 - an answer, not a fault
    """The domain says that it has no XMPP server: the single SRV target is `.` (RFC 2782). There is no fall-back."""


@dataclass(frozen=True, slots=True)
class SrvRecord:
    """One SRV record.

    Attributes:
        priority: lower is tried first.
        weight: share among records of one priority.
        port: TCP port.
        target: host name as A-labels; with or without the final dot.
    """

    priority: int
    weight: int
    port: int
    target: str


@dataclass(frozen=True, slots=True)
class Target:
    """A host to resolve and connect to.

    Attributes:
        host: name as A-labels, without the final dot.
        port: TCP port.
    """

    host: str
    port: int


def order_targets(records: Sequence[SrvRecord], randoms: Sequence[float]) -> list[Target]:
    """Order by priority, and by weighted chance within one priority (RFC 2782 "Weight").

    Args:
        records: in any order.
        randoms: one number in [0, 1) per record, drawn anew for each call.

    Raises:
        ValueError: too few random numbers.
    """
    if len(randoms) < len(records):
        raise ValueError(f"{len(records)} records need as many random numbers, not {len(randoms)}")
    chances = iter(randoms)
    ordered: list[Target] = []
    for priority in sorted({record.priority for record in records}):
        # Weight 0 comes first in the running sum, so that it is chosen only when chance falls on 0.
        group = sorted(
            (record for record in records if record.priority == priority),
            key=lambda record: (record.weight > 0, record.target, record.port),
        )
        while group:
            point = next(chances) * sum(record.weight for record in group)
            running = 0
            for record in group:
                running += record.weight
                if running >= point:
                    break
            group.remove(record)
            ordered.append(Target(record.target.rstrip("."), record.port))
    return ordered


def plan_connection(domain: str, records: Sequence[SrvRecord], randoms: Sequence[float]) -> list[Target]:
    """The targets to try for a domain, best first, at most `MAX_TARGETS`.

    If all of them fail there is no further fall-back (RFC 6120 3.2.1 step 8).

    Args:
        domain: the partner's domain as A-labels.
        records: the SRV answer for `_xmpp-server._tcp.<domain>`; empty if the name or the type does not exist
            (RFC 6120 3.2.2: then the domain itself on port 5269). A failed look-up is not an empty answer.
        randoms: one number in [0, 1) per record.

    Raises:
        NoService: the domain has no XMPP server.
    """
    if not records:
        return [Target(domain.rstrip("."), DEFAULT_PORT)]
    real = [record for record in records if record.target.rstrip(".") and 0 < record.port < 65536]
    if not real:
        raise NoService(domain)
    return order_targets(real, randoms)[:MAX_TARGETS]
