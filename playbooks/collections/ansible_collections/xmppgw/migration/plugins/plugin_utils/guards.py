"""The guards: rules of the product documentation that a program can decide, each with a stable code.

Run by preflight for the whole migration and again before each step on fresh observations. Each guard is a small pure
function of the Situation; it returns refusals and never changes anything. Sources: Microsoft's rules R1..R8 as listed
in
docs/codes.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field

REGISTRY = []


@dataclass(frozen=True)
class Refusal:
    """Why a step may not start: what was found, what was expected, what to do now."""

    code: str
    reason: str
    found: str
    hint: str

    def as_dict(self):
        """Return it as plain data for results and reports."""
        return {"code": self.code, "reason": self.reason, "found": self.found, "hint": self.hint}


@dataclass
class Situation:
    """What the guards look at. Times in epoch seconds."""

    step: int
    """The step about to start; in preflight, each step that has something to do."""
    preflight: bool = False
    """True while earlier steps have not run yet: their planned effects count as done."""
    done: int = 0
    """The last step such that it and all before are journalled as done."""
    legacy_users: list = field(default_factory=list)
    """Users homed on the legacy pool, on any platform's table."""
    stray_users: dict = field(default_factory=dict)
    """User to home, for homes that are neither the legacy nor the target pool."""
    configured_partners: list = field(default_factory=list)
    """Partners in the configuration that stands on our edges and front ends."""
    open_edges: list = field(default_factory=list)
    """Edges on which 5269 is open or XMPP federation is enabled."""
    seconds_until_forgotten: float = 0.0
    """How long the world may still remember the SRV RRset with its old TTL."""
    ttl_lowered: bool = True
    """True if every SRV RRset is served with the migration's TTL everywhere."""
    server_disagreement: list = field(default_factory=list)
    """Sentences on authoritative servers that do not say the same."""
    missing_addresses: list = field(default_factory=list)
    """SRV targets without an address record."""


def guard(function):
    """Register a guard."""
    REGISTRY.append(function)
    return function


def _some(names, limit=5):
    names = sorted(names)
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest


@guard
def partners_wait_for_the_users(situation):
    """R1: a moved user keeps the legacy gateway only as long as the partner is not configured on the new side.

    Once step 6 is done every user's messages go through us, wherever the user lives, and a late one may move.
    """
    users_move = situation.step == 3 and situation.done < 6 and bool(situation.legacy_users)
    if not (users_move and situation.configured_partners):
        return []
    return [
        Refusal(
            "migration-r1",
            "A moved user keeps the legacy gateway only while the partner is not configured on the new side.",
            f"{_some(situation.configured_partners)} configured on our side, {len(situation.legacy_users)} users "
            f"not moved yet",
            "Take the partners out again (rollback.yml -e to=4), then run migrate.yml.",
        )
    ]


@guard
def all_users_moved_first(situation):
    """R3: policies, certificates, partners and DNS come only after the last user has moved."""
    if situation.step < 4 or situation.preflight or not situation.legacy_users:
        return []
    return [
        Refusal(
            "migration-r3",
            f"Step {situation.step} may start only when no user is homed on the legacy pool.",
            f"{len(situation.legacy_users)} still there: {_some(situation.legacy_users)}",
            "Run migrate.yml: step 3 moves them.",
        )
    ]


@guard
def every_user_has_a_known_home(situation):
    """R3 again: a user homed where this migration does not look would be left behind unseen."""
    if situation.step < 3 or not situation.stray_users:
        return []
    users = [f"{user} ({home})" for user, home in situation.stray_users.items()]
    return [
        Refusal(
            "migration-r3",
            "Every user must be homed on the legacy or the target pool.",
            f"elsewhere: {_some(users)}",
            "Home these users on one of the two pools, or correct legacy.pool and target.pool in the federation "
            "document.",
        )
    ]


@guard
def edges_stay_closed_until_step_5(situation):
    """R5: a new edge is deployed with neither SIP nor XMPP federation; both stay on the legacy edge until cut-over."""
    if situation.step >= 5 or situation.done >= 5 or not situation.open_edges:
        return []
    return [
        Refusal(
            "migration-r5",
            "An edge is deployed with federation off; it may open 5269 only in step 5.",
            f"open already: {_some(situation.open_edges)}",
            "Find out who opened it, close it there (systemctl disable --now xmppgw-edge.socket xmppgw-edge.service), "
            "and run migrate.yml again.",
        )
    ]


@guard
def steps_in_order(situation):
    """The documented order: each step rests on the one before."""
    if situation.preflight or situation.done >= situation.step - 1:
        return []
    return [
        Refusal(
            "migration-order",
            f"Step {situation.step} rests on step {situation.step - 1}.",
            f"the journal says that steps up to {situation.done} are done",
            f"Run migrate.yml; it starts with step {situation.done + 1}.",
        )
    ]


@guard
def old_ttl_has_passed(situation):
    """Steps 5 and 6 need the TTL lowered, and the time gone by in which caches may hold the RRset with the old one."""
    if situation.step < 5 or situation.preflight:
        return []
    refusals = []
    if not situation.ttl_lowered:
        refusals.append(
            Refusal(
                "migration-ttl",
                f"Step {situation.step} needs every SRV RRset at the migration's TTL on every authoritative server.",
                "at least one server still gives another TTL",
                "Run migrate.yml: step 4 lowers it.",
            )
        )
    if situation.seconds_until_forgotten > 0:
        refusals.append(
            Refusal(
                "migration-ttl",
                "Resolvers may still remember the RRset with its old TTL.",
                f"{situation.seconds_until_forgotten:.0f} s are left",
                "Wait that long and run migrate.yml again.",
            )
        )
    return refusals


@guard
def authoritative_servers_agree(situation):
    """A change may be judged only where every authoritative server says the same to begin with."""
    if situation.step < 4 or not situation.server_disagreement:
        return []
    return [
        Refusal(
            "migration-dns-disagree",
            "All authoritative servers must give the same answer before DNS is touched.",
            _some(situation.server_disagreement),
            "Repair the zone transfer between the servers named here; nothing was changed.",
        )
    ]


@guard
def targets_have_addresses(situation):
    """Nobody may be told of a name that has no address (RFC 2782: targets must have address records)."""
    if situation.step not in (5, 6) or not situation.missing_addresses:
        return []
    return [
        Refusal(
            "migration-dns-address",
            "Every edge must have an A or AAAA record before an SRV record names it.",
            f"without: {_some(situation.missing_addresses)}",
            "Create the address records (the infrastructure stack does) and run migrate.yml again.",
        )
    ]


def judge(situation):
    """Return all refusals for this situation, sorted by code."""
    found = [refusal for function in REGISTRY for refusal in function(situation)]
    return sorted(found, key=lambda refusal: (refusal.code, refusal.found))


def judge_all(situation, steps):
    """Return the refusals of preflight over `steps`, each once."""
    seen = {}
    for step in steps:
        copy = Situation(**{**vars(situation), "step": step, "preflight": True})
        for refusal in judge(copy):
            seen.setdefault((refusal.code, refusal.found), refusal)
    return [seen[key] for key in sorted(seen)]


def explain(refusals):
    """Return the refusals as lines for a terminal."""
    lines = []
    for refusal in refusals:
        lines += [f"[{refusal.code}] {refusal.reason}", f"    found: {refusal.found}", f"    now:   {refusal.hint}"]
    return "\n".join(lines)
