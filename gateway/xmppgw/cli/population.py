"""How many users there are, where, and what that means for step 3: one pass over the users' table, counts only.

Called by `documents` for `check` and `plan`. The table is the file beside the document that `users.export` names;
`xmppgw user sync` writes it. 200,000 users are read in about a second and never kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from xmppgw.federation import Document
from xmppgw.federation.model import ExceptionReason
from xmppgw.policy.document import policies_of
from xmppgw.policy.effective import effective
from xmppgw.policy.users import User, read_users


@dataclass(frozen=True, slots=True)
class Population:
    """Counts of users. A user may be counted under several of the lower headings."""

    total: int
    to_move: int
    """on the legacy pool, in a domain of ours, not excepted, and of no Survivable Branch Appliance"""
    on_target_pool: int
    with_xmpp: int
    """allowed to use XMPP by their effective policy"""
    in_cloud: int
    disabled: int
    survivable_branch: int
    blank_names: int
    """names with leading or trailing blanks: moving them fails"""
    of_foreign_domains: int
    """in none of `sip_domains`"""


def export_path(path: Path, document: Document) -> Path | None:
    """Where the users' table of the document at `path` should be; None where it names none."""
    name = document.federation.users.export
    return None if name is None else path.parent / name


_Plain = tuple[str, str, str, str, bool, str, bool, bool, bool]


class _Alike(NamedTuple):
    """All that the counts depend on: users who are alike in it are counted together."""

    domain: str
    pool: str
    policy: str
    site: str
    enabled: bool
    hosting: str
    survivable_branch: bool
    blank_name: bool
    excepted: bool


def count_users(export: Path, document: Document) -> Population:
    """The counts; raises UsersProblem (`xmppgw.policy.users`) where the table cannot be used."""
    federation = document.federation
    staying = {e.user for e in federation.users.exceptions if e.reason is not ExceptionReason.INTERRUPTION}
    counts: dict[_Plain, int] = {}
    examples: dict[_Plain, User] = {}
    for user in read_users(export):
        # A plain tuple: this is done for every user.
        alike = (
            user.user.rpartition("@")[2], user.pool, user.policy, user.site, user.enabled, user.hosting,
            user.survivable_branch, user.blank_name, user.user in staying,
        )  # fmt: skip
        if alike in counts:
            counts[alike] += 1
        else:
            counts[alike], examples[alike] = 1, user
    numbers = {_Alike(*alike): number for alike, number in counts.items()}
    one_of = {_Alike(*alike): user for alike, user in examples.items()}

    legacy_pool = federation.legacy.pool if federation.legacy is not None else None
    all_domains, own_domains = {domain.name for domain in federation.sip_domains}, set(federation.own_domains)
    policies = policies_of(federation)

    def count(holds: Callable[[_Alike], bool]) -> int:
        return sum(number for alike, number in numbers.items() if holds(alike))

    return Population(
        total=sum(numbers.values()),
        to_move=count(
            lambda u: (
                u.pool.lower() == legacy_pool and u.domain in own_domains and not u.excepted and not u.survivable_branch
            )
        ),
        on_target_pool=count(lambda u: u.pool.lower() == federation.target.pool),
        with_xmpp=count(lambda u: effective(policies, one_of[u], one_of[u].user).allowed),
        in_cloud=count(lambda u: u.hosting == "cloud"),
        disabled=count(lambda u: not u.enabled),
        survivable_branch=count(lambda u: u.survivable_branch),
        blank_names=count(lambda u: u.blank_name),
        of_foreign_domains=count(lambda u: u.domain not in all_domains),
    )
