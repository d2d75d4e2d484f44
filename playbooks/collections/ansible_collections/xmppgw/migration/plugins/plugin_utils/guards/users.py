"""Guards on users: nobody is left behind, nobody is moved too early (R1, R3)."""

from __future__ import annotations

from dataclasses import dataclass, field

from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards.registry import Refusal, guard, some


@dataclass
class Users:
    """What these guards look at."""

    legacy: list = field(default_factory=list)
    """Users homed on the legacy pool, on any platform's table."""
    strays: dict = field(default_factory=dict)
    """User to home, for homes that are neither the legacy nor the target pool."""


def read(picture):
    """Return the Users of a Picture."""
    homes = picture.environment.homes
    known = set(homes.values())
    return Users(
        legacy=picture.platforms.users_at(homes.get("legacy", "")),
        strays={
            user: home
            for table in picture.platforms.tables("homing").values()
            for user, home in table.items()
            if home not in known
        },
    )


@guard
def partners_wait_for_the_users(situation):
    """R1: a moved user keeps the legacy gateway only as long as the partner is not configured on the new side.

    Once step 6 is done every user's messages go through us, wherever the user lives, and a late one may move.
    """
    users_move = situation.step == 3 and situation.done < 6 and bool(situation.users.legacy)
    if not (users_move and situation.partners.configured):
        return []
    return [
        Refusal(
            "migration-r1",
            "A moved user keeps the legacy gateway only while the partner is not configured on the new side.",
            f"{some(situation.partners.configured)} configured on our side, {len(situation.users.legacy)} users "
            f"not moved yet",
            "Take the partners out again (rollback.yml -e to=4), then run migrate.yml.",
        )
    ]


@guard
def all_users_moved_first(situation):
    """R3: policies, certificates, partners and DNS come only after the last user has moved."""
    if situation.step < 4 or situation.preflight or not situation.users.legacy:
        return []
    return [
        Refusal(
            "migration-r3",
            f"Step {situation.step} may start only when no user is homed on the legacy pool.",
            f"{len(situation.users.legacy)} still there: {some(situation.users.legacy)}",
            "Run migrate.yml: step 3 moves them.",
        )
    ]


@guard
def every_user_has_a_known_home(situation):
    """R3 again: a user homed where this migration does not look would be left behind unseen."""
    if situation.step < 3 or not situation.users.strays:
        return []
    users = [f"{user} ({home})" for user, home in situation.users.strays.items()]
    return [
        Refusal(
            "migration-r3",
            "Every user must be homed on the legacy or the target pool.",
            f"elsewhere: {some(users)}",
            "Home these users on one of the two pools, or correct legacy.pool and target.pool in the federation "
            "document.",
        )
    ]
