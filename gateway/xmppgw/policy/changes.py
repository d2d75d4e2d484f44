"""What differs between two users' tables, in one pass over both, and whether that is more than anybody expects.

Called by `xmppgw user sync`. Pure: tables come as sorted users.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from xmppgw.policy.users import User


@dataclass(slots=True)
class Changes:
    """Users who came, went or changed, by address."""

    before: int = 0
    after: int = 0
    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    #: Before and after.
    changed: list[tuple[User, User]] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many users are concerned."""
        return len(self.added) + len(self.removed) + len(self.changed)

    @property
    def percent(self) -> float:
        """The share of today's users that is concerned; 0 where there are none yet, for then nobody loses anything."""
        return 100.0 * self.count / self.before if self.before else 0.0


def compare(old: Iterable[User], new: Iterable[User]) -> Changes:
    """The changes from `old` to `new`, both sorted by address."""
    changes = Changes()
    left, right = iter(old), iter(new)
    was, will_be = next(left, None), next(right, None)
    while was is not None or will_be is not None:
        gone = was is not None and (will_be is None or was.user < will_be.user)
        come = will_be is not None and (was is None or will_be.user < was.user)
        if was is not None and gone:
            changes.removed.append(was.user)
        elif will_be is not None and come:
            changes.added.append(will_be.user)
        elif was is not None and will_be is not None and was != will_be:
            changes.changed.append((was, will_be))
        if not come:
            changes.before += 1
            was = next(left, None)
        if not gone:
            changes.after += 1
            will_be = next(right, None)
    return changes
