"""How many users there are, where, and what that means for step 3: one pass over the users' table, counts only.

Called by `documents` for `check` and `plan`. The table is the file beside the document that `users.export` names;
`xmppgw user sync` writes it. 200,000 users are read in about a second and never kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from xmppgw.federation import Document
from xmppgw.federation.model import ExceptionReason, Federation, NamedAccessPolicy
from xmppgw.policy.effective import Policies, Switches, effective
from xmppgw.policy.users import User, read_users


@dataclass(frozen=True, slots=True)
class Population:
    """Counts of users. A user may be counted under several of the lower headings."""

    total: int
    to_move: int
    """on the legacy pool, in a domain of ours, and not excepted"""
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


def count_users(export: Path, document: Document) -> Population:
    """The counts; raises UsersProblem (`xmppgw.policy.users`) where the table cannot be used."""
    federation = document.federation
    legacy_pool = federation.legacy.pool if federation.legacy is not None else None
    all_domains = {domain.name for domain in federation.sip_domains}
    own_domains = set(federation.own_domains)
    staying = {e.user for e in federation.users.exceptions if e.reason is not ExceptionReason.INTERRUPTION}
    allowed = _allowance(federation)
    counts: Counter[str] = Counter()
    for user in read_users(export):
        domain = user.user.rpartition("@")[2]
        pool = user.pool.lower()
        counts["total"] += 1
        counts["to_move"] += pool == legacy_pool and domain in own_domains and user.user not in staying
        counts["on_target_pool"] += pool == federation.target.pool
        counts["with_xmpp"] += allowed(user)
        counts["in_cloud"] += user.hosting == "cloud"
        counts["disabled"] += not user.enabled
        counts["survivable_branch"] += user.survivable_branch
        counts["blank_names"] += user.blank_name
        counts["of_foreign_domains"] += domain not in all_domains
    return Population(**{name: counts[name] for name in Population.__slots__})


def _allowance(federation: Federation) -> Callable[[User], bool]:
    """Whether a user may use XMPP; decided once for all users who are alike."""
    policies = _policies(federation)
    decided: dict[tuple[object, ...], bool] = {}

    def allowed(user: User) -> bool:
        alike = (user.policy, user.site, user.enabled, user.hosting, user.survivable_branch)
        if alike not in decided:
            decided[alike] = effective(policies, user, user.user).allowed
        return decided[alike]

    return allowed


def _policies(federation: Federation) -> Policies:
    given = federation.access_policies

    def named(policies: tuple[NamedAccessPolicy, ...]) -> dict[str, Switches]:
        return {one.name: Switches(one.enable_federation_access, one.enable_xmpp_access) for one in policies}

    everyone = Switches(given.global_.enable_federation_access, given.global_.enable_xmpp_access)
    return Policies(everyone, named(given.sites), named(given.users), survivable_branch=given.survivable_branch)
