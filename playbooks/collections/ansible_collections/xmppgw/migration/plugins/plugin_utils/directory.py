"""What the exported users' table says that a migration has to know: few facts about many users.

Read once per action from the file that the document names in users.export; without it the document's global access
policy is all there is. The table is read as a stream: of 200,000 users only those that matter are kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError

from xmppgw.policy.document import policies_of
from xmppgw.policy.effective import effective
from xmppgw.policy.users import UsersProblem, read_users


@dataclass
class Directory:
    """Users by what is special about them; all addresses without `sip:`, in lower case."""

    known: bool = False
    """Whether there is a table; if not, only `global_open` says anything."""
    users: int = 0
    global_open: bool = False
    xmpp: int = 0
    """How many users' effective policy lets them use XMPP."""
    xmpp_of_legacy: set = field(default_factory=set)
    """Those of them in a SIP domain that the legacy gateway owns."""
    by_name: dict = field(default_factory=dict)
    """First half to address; only in the lab, whose platforms know users so."""
    survivable: set = field(default_factory=set)
    """Users of Survivable Branch Appliances."""
    blank_names: set = field(default_factory=set)
    """Users with a name that begins or ends with a blank."""

    def may_use_xmpp(self, user):
        """Return whether a user of a legacy-owned domain may use XMPP."""
        return user in self.xmpp_of_legacy if self.known else self.global_open


def read_directory(federation, folder):
    """Return the Directory of a document that lies in `folder`; raise PictureError if its table cannot be used."""
    policies = policies_of(federation)
    found = Directory(global_open=policies.everyone.open)
    if federation.users.export is None:
        return found
    found.known = True
    legacy, sba_pools = set(federation.legacy_domains), _survivable_pools(federation)
    try:
        for user in read_users(Path(folder) / federation.users.export):
            found.users += 1
            if federation.homing.provider == "lab":
                found.by_name[user.user.partition("@")[0]] = user.user
            if user.survivable_branch or user.pool.lower() in sba_pools:
                found.survivable.add(user.user)
            if user.blank_name:
                found.blank_names.add(user.user)
            if effective(policies, user, user.user).allowed:
                found.xmpp += 1
                if user.user.rpartition("@")[2] in legacy:
                    found.xmpp_of_legacy.add(user.user)
    except UsersProblem as problem:
        raise PictureError("migration-users", f"users.export: {problem} [{problem.code}]") from problem
    return found


def _survivable_pools(federation):
    return set(federation.legacy.survivable_branch_pools) if federation.legacy else set()
