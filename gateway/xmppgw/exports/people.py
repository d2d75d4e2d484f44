"""From exported users to users of the table: where each is homed, which policy was granted, what stands in the way.

Called by `xmppgw user sync` and, for counts only, by the import of a whole platform. The site and whether a pool is a
Survivable Branch Appliance come from the exports of `Get-CsPool` and `Get-CsSite`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

import msgspec

from xmppgw.exports import cmdlets
from xmppgw.exports.findings import Findings, Origin
from xmppgw.exports.records import Reader, Record
from xmppgw.policy.users import MAXIMUM_USERS, User, sip_address


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """What the topology says of one pool."""

    fqdn: str
    site: str = ""
    #: None: PowerShell flattened the list of services, so nobody knows.
    survivable_branch: bool | None = False
    #: Such a pool without a mediation server: a Director, unless users are homed there after all.
    director: bool = False


@dataclass(slots=True)
class Topology:
    """Pools by name in lower case."""

    pools: Mapping[str, PoolFacts] = field(default_factory=dict)

    def pool(self, fqdn: str) -> PoolFacts:
        """The pool of that name, or one of which only the name is known."""
        return self.pools.get(fqdn.casefold(), PoolFacts(fqdn))


def user_of(record: Record, topology: Topology, reader: Reader) -> User | None:
    """The user in a record of `Get-CsUser`; None for an account without a SIP address, or one that is refused."""
    written = reader.text(record, "SipAddress")
    if not written:
        return None
    try:
        address = sip_address(written)
    except ValueError as error:
        reader.wrong(record, "SipAddress", f"a SIP address ({error})")
        return None
    pool = without_scope(reader.text(record, "RegistrarPool")).lower()
    facts = topology.pool(pool)
    host = reader.text(record, "HostingProvider").strip()
    return User(
        user=address,
        pool=pool,
        site=facts.site,
        policy=without_scope(reader.text(record, "ExternalAccessPolicy")).strip(),
        enabled=reader.flag(record, "Enabled", True) if record.has("Enabled") else True,
        survivable_branch=bool(facts.survivable_branch),
        # "SRV:" and nothing stand for this platform; anything else names a hosting provider.
        hosting="on_premises" if host.upper() in ("", "SRV:", "SRV") else "cloud",
        blank_name=any(_blanks_around(record, column) for column in ("Name", "DisplayName", "SamAccountName")),
    )


def without_scope(text: str) -> str:
    """`FedPic` of `Tag:FedPic`, `Redmond` of `Site:Redmond`, the FQDN of `Registrar:pool.corp.example`."""
    return text.strip().rpartition(":")[2]


def _blanks_around(record: Record, column: str) -> bool:
    value = record.get(column)
    return isinstance(value, str) and value != value.strip()


class GatheredUsers:
    """Users of any number of files, each once, to be completed with what the topology says."""

    def __init__(self, reader: Reader, findings: Findings) -> None:
        self._reader = reader
        self._findings = findings
        self._users: dict[str, User] = {}
        self._files: dict[str, str] = {}

    def add(self, record: Record) -> None:
        """Take one record of Get-CsUser."""
        user = user_of(record, Topology(), self._reader)
        if user is None:
            return
        before = self._users.get(user.user)
        if before is None:
            if len(self._users) >= MAXIMUM_USERS:
                self._findings.refuse("export-too-many", Origin(record.file), f"found more than {MAXIMUM_USERS} users")
                return
            self._users[user.user] = user
            self._files[user.user] = record.file
        elif self._files[user.user] == record.file:
            self._findings.refuse("export-duplicate", record.origin(user.user), f"found {user.user} a second time")
        elif before != user:
            message = f"found {user.user} with other values than in {self._files[user.user]}"
            self._findings.refuse("export-conflict", record.origin(user.user), message)

    def finish(self, topology: Topology, branch_pools: Sequence[str] = ()) -> list[User]:
        """The users, sorted, with sites and Survivable Branch Appliances. An export without users is refused."""
        if not self._users and not self._findings.problems:
            self._findings.refuse("export-empty", Origin(""), "found no user with a SIP address")
        branches = {pool.casefold() for pool in branch_pools}
        self._name_what_is_not_known(topology, branches)
        completed: list[User] = []
        for address in sorted(self._users):
            user = self._users.pop(address)
            facts = topology.pool(user.pool)
            branch = bool(facts.survivable_branch) or user.pool in branches
            if facts.site or branch:
                user = msgspec.structs.replace(user, site=facts.site, survivable_branch=branch)
            completed.append(user)
        return completed

    def _name_what_is_not_known(self, topology: Topology, branches: Set[str]) -> None:
        pools = sorted({user.pool for user in self._users.values() if user.pool and user.hosting == "on_premises"})
        for pool in pools:
            facts = topology.pools.get(pool)
            if facts is None and topology.pools:
                message = f"found users in the pool {pool}, which the export of {cmdlets.POOL} does not have"
                self._findings.refuse("export-mixed", Origin(""), message)
            elif (facts is None or facts.survivable_branch is None) and pool not in branches:
                self._findings.lose(
                    "lost-topology",
                    cmdlets.POOL,
                    Origin("", 0, pool),
                    "Services",
                    "no export tells its site, and whether it is a Survivable Branch Appliance; read as a full pool",
                    f"add an export of {cmdlets.POOL} as CLIXML, or say --branch-pool",
                )
