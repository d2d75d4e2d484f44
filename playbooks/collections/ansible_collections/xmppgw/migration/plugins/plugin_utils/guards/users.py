"""Guards on users: nobody is left behind, nobody is moved too early, nobody is forgotten (R1, R3, R8)."""

from __future__ import annotations

from dataclasses import dataclass, field

from ansible_collections.xmppgw.migration.plugins.plugin_utils import plan_users
from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards.registry import Refusal, guard, some


@dataclass
class Users:
    """What these guards look at. Users are as the homing tables call them, or user@domain from the export."""

    legacy: list = field(default_factory=list)
    """Users whom step 3 moves and who are homed on the legacy pool, on any platform's table."""
    strays: dict = field(default_factory=dict)
    """User to home, for homes that are neither the legacy nor the target pool nor a Survivable Branch Appliance."""
    homed: int = 1
    """Users in the homing tables."""
    xmpp: bool = True
    """Whether anybody's access policy allows XMPP."""
    blank_names: list = field(default_factory=list)
    """Users who would still move in this run and have a name that begins or ends with a blank."""
    survivable: list = field(default_factory=list)
    """Users of Survivable Branch Appliances about whom nobody has decided."""
    pilots: list = field(default_factory=list)
    """The document's pilot users."""
    interrupted: list = field(default_factory=list)
    """Users whose interruption somebody accepted by name."""
    legacy_serves_moved: bool = True
    """Whether the legacy gateway still serves users who have moved (products, or as the document says)."""
    products: str = ""
    """From which product to which, in words."""
    pilot_only: bool = False
    """Whether this run moves the pilot users only."""


def read(picture):
    """Return the Users of a Picture."""
    environment, federation, homes = picture.environment, picture.environment.federation, picture.environment.homes
    tables = picture.platforms.tables("homing")
    directory, decided = environment.directory, federation.access_policies.survivable_branch
    branches = picture.platforms.on_branches()
    homed = sorted({(user, home) for table in tables.values() for user, home in table.items()})
    moving = [(user, home) for user, home in homed if not environment.stays(user)]
    # Where the target platform is the one in use nobody has to move, and nobody is left behind.
    leaving = picture.platforms.users_at(homes["legacy"]) if environment.users_change_pools else []
    on_branches = [environment.address_of(user) for user in branches]
    return Users(
        legacy=[user for user in leaving if user not in branches and not environment.stays(user)],
        strays={user: home for user, home in moving if home not in homes.values() and user not in branches},
        homed=len(homed),
        xmpp=directory.xmpp > 0 if directory.known else directory.global_open,
        blank_names=_blank_names(picture),
        survivable=[]
        if decided
        else sorted(user for user in {*directory.survivable, *on_branches} if user not in environment.excepted),
        pilots=list(federation.pilot.users),
        interrupted=[item.user for item in federation.users.exceptions if item.reason.value == "interruption"],
        legacy_serves_moved=federation.legacy_serves is None or federation.legacy_serves.value == "both",
        products=f"{federation.legacy.product} to {federation.target.product}" if federation.legacy else "",
        pilot_only=picture.pilot_only,
    )


def _blank_names(picture):
    """Return those with such a name whom this run would still move, sorted."""
    environment = picture.environment
    movers = {user for _wave, homes in plan_users.chosen(picture) for user in homes}
    marked = {environment.address_of(user) for user in movers} & environment.directory.blank_names
    return sorted(marked | {repr(user) for user in movers if user != user.strip()})


@guard("migration-r1")
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
            "A moved user keeps the legacy gateway only while the partner is not configured on the new side (R1).",
            f"{some(situation.partners.configured)} configured on our side, {len(situation.users.legacy)} users "
            f"not moved yet",
            "Take the partners out again (rollback.yml -e to=4), then run migrate.yml.",
        )
    ]


@guard(
    "migration-r1-pilot",
    accepted_as="a pilot user who was moved first still exchanges messages with partners, so the others may follow",
)
def moved_users_stay_served(situation):
    """R1 is documented for OCS 2007 R2 to Lync 2013; later products leave a moved user without the legacy gateway."""
    users = situation.users
    if situation.step != 3 or situation.done >= 6 or users.legacy_serves_moved:
        return []
    settled = {*users.interrupted, *(users.pilots if users.pilot_only else ())}
    short = {user.partition("@")[0] for user in settled}
    cut = [user for user in users.legacy if user not in (settled if "@" in user else short)]
    if users.pilot_only or not cut:
        return []
    prove = (
        f"move {some(users.pilots)} first (-e pilot=true), see them exchange messages, then accept it"
        if users.pilots
        else "name pilot.users in the document, move them first (-e pilot=true) and see them exchange messages"
    )
    return [
        Refusal(
            "migration-r1-pilot",
            f"From {users.products} a moved user loses the legacy gateway until step 6 (R1 does not hold there).",
            f"{len(cut)} users would be without XMPP meanwhile: {some(cut)}",
            f"Either {prove}. Otherwise one of three ways: replace the gateway in place first (target = the platform "
            "in use; users may move at any time afterwards); scenario coexist; or accept the interruption by name in "
            "users.exceptions (reason: interruption, by, minutes).",
        )
    ]


@guard("migration-r1-left", accepted_as="moved users and these partners do not reach each other")
def moved_users_lose_whom_the_legacy_gateway_keeps(situation):
    """R1 again: after step 6 users may move at any time, but for whoever still comes through the legacy gateway."""
    users, left = situation.users, situation.partners.at_legacy
    if situation.step != 3 or situation.done < 6 or users.legacy_serves_moved or not users.legacy or not left:
        return []
    return [
        Refusal(
            "migration-r1-left",
            f"From {users.products} the legacy gateway does not serve a moved user, and some partners still use it.",
            f"{some(left)}; {len(users.legacy)} users to move",
            "Have them switched first (xmppgw partner letter DOMAIN; partner.yml -e do=switch), or take the routes of "
            "domains away that nobody writes to.",
        )
    ]


@guard("migration-r3")
def all_users_moved_first(situation):
    """R3: policies, certificates, partners and DNS come only after the last user has moved."""
    if situation.step < 4 or situation.preflight or not situation.users.legacy:
        return []
    return [
        Refusal(
            "migration-r3",
            f"Step {situation.step} may start only when no user is homed on the legacy pool (R3).",
            f"{len(situation.users.legacy)} still there: {some(situation.users.legacy)}",
            "Run migrate.yml: step 3 moves them. Who has to stay (Survivable Branch, cloud, disabled) is named in "
            "users.exceptions.",
        )
    ]


@guard("migration-r3")
def every_user_has_a_known_home(situation):
    """R3 again: a user homed where this migration does not look would be left behind unseen."""
    if situation.step < 3 or not situation.users.strays:
        return []
    users = [f"{user} ({home})" for user, home in situation.users.strays.items()]
    return [
        Refusal(
            "migration-r3",
            "Every user must be homed on the legacy or the target pool (R3).",
            f"elsewhere: {some(users)}",
            "Home these users on one of the two pools, name them in users.exceptions, or correct legacy.pool and "
            "target.pool in the federation document.",
        )
    ]


@guard("migration-r8", accepted_as="these users stay without XMPP federation, as they are today")
def survivable_branch_users_are_decided(situation):
    """R8: users of a Survivable Branch Appliance have no XMPP; our gateway could serve them, if somebody decides so."""
    if situation.step < 3 or situation.done >= 6 or not situation.users.survivable:
        return []
    return [
        Refusal(
            "migration-r8",
            "Users of Survivable Branch Appliances have no XMPP on the platform; somebody has to decide (R8).",
            f"{len(situation.users.survivable)} undecided: {some(situation.users.survivable)}",
            "Give them XMPP (access_policies.survivable_branch: true), or name them in users.exceptions (reason: "
            "survivable_branch).",
        )
    ]


@guard("migration-blank-name")
def names_can_be_moved(situation):
    """The platform's own tools fail on names with leading or trailing blanks (Microsoft, Move-CsLegacyUser)."""
    if situation.step != 3 or not situation.users.blank_names:
        return []
    return [
        Refusal(
            "migration-blank-name",
            "A user whose name begins or ends with a blank cannot be moved.",
            f"{len(situation.users.blank_names)} such users: {some(situation.users.blank_names)}",
            "Trim the names in the directory, export the users again, and run `xmppgw user sync`.",
        )
    ]


@guard("migration-nobody")
def somebody_uses_it(situation):
    """A migration for nobody is a mistake: an export left out, or a policy that lets no one through."""
    if situation.done >= 6 or (situation.users.homed and situation.users.xmpp):
        return []
    found = "no user is homed anywhere" if not situation.users.homed else "no access policy lets a user through"
    return [
        Refusal(
            "migration-nobody",
            "At least one user must be allowed XMPP, or there is nothing to migrate.",
            found,
            "Open access_policies (both switches) for those who use it, or repair users.export.",
        )
    ]
