"""How long the world may still remember an old RRset.

Used by the waits before steps 5 and 6 and by the TTL guard. Pure arithmetic: seconds in, seconds out, no clock.
"""

from __future__ import annotations

MARGIN = 1.1
"""Ten per cent on top of the TTL: resolvers round, clocks differ (DESIGN 7.4)."""


def remembered_until(served, negative_ttl, name):
    """Return the epoch second after which no resolver may still hold an earlier RRset of `name`.

    `served` holds (name, TTL, epoch second at which the last authoritative server stopped serving it). An RRset that
    did
    not exist is remembered for the negative TTL (RFC 2308 section 5), so that is the least TTL counted. 0.0 = never
    served.
    """
    ends = [until + MARGIN * max(ttl or 0, negative_ttl) for served_name, ttl, until in served if served_name == name]
    return max(ends, default=0.0)
