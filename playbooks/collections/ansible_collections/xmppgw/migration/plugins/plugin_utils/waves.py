"""Waves: the users of step 3 in a pilot and batches, such that one user more or less changes one batch and no other.

Pure; plan_users calls it. A batch is what a binary tree over the users' hashes has at a leaf: a leaf with more users
than fit is split in two, everything else stays as it was. So a wave that was reviewed is still that wave after somebody
joined or left elsewhere, and while a killed run is being resumed.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from dataclasses import dataclass

from ansible_collections.xmppgw.migration.plugins.module_utils.chain import canonical

PILOT = "0-pilot"
"""Name of the first wave; sorts before every batch."""
RANK_BITS = 64
"""Bits of a user's hash that place it in the tree: beyond a million users two still hardly ever share one."""


@dataclass(frozen=True)
class Wave:
    """Users who move together. `name` is stable, `number` is its place in the order of this plan."""

    number: int
    name: str
    users: tuple
    """Sorted."""

    def digest(self, target):
        """Return the wave's own digest: who moves where, 64 hex digits."""
        return hashlib.sha256(canonical({"users": list(self.users), "pool": target}).encode()).hexdigest()


def waves_of(users, pilot, size):
    """Return the waves of `users`: those of `pilot` first, then batches of at most `size`."""
    first = sorted(user for user in users if user in pilot)
    named = [(PILOT, first)] if first else []
    named += batches([user for user in users if user not in pilot], size)
    return [Wave(number, name, tuple(members)) for number, (name, members) in enumerate(named, start=1)]


def batches(users, size):
    """Return [(name, sorted users)] with at most `size` users each (more only where hashes collide)."""
    ranked = sorted((rank(user), user) for user in users)
    ranks = [number for number, _user in ranked]
    found = []

    def split(path, low, high):
        """Place ranked[low:high], whose hashes begin with the bits of `path`."""
        if low == high:
            return
        if high - low <= size or len(path) == RANK_BITS:
            found.append((f"batch-{path or 'all'}", sorted(user for _rank, user in ranked[low:high])))
            return
        upper = int(path + "1", 2) << (RANK_BITS - len(path) - 1)
        middle = bisect_left(ranks, upper, low, high)
        split(path + "0", low, middle)
        split(path + "1", middle, high)

    split("", 0, len(ranked))
    return found


def rank(user):
    """Return a user's place in the tree: the first bits of a hash, the same on every machine."""
    return int.from_bytes(hashlib.sha256(user.encode()).digest()[: RANK_BITS // 8], "big")
