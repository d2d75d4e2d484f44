"""Which access policy holds for a SIP user, and whether it lets XMPP messages pass: user beats site beats global.

Called by the front end for every message and by `xmppgw policy explain`. Pure. The scopes are those of
`CsExternalAccessPolicy`: `global` exists always, a site has at most one, a user has the one that was granted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from xmppgw.policy.users import User


@dataclass(frozen=True, slots=True)
class Switches:
    """The two switches of an access policy; both are needed for XMPP."""

    enable_federation_access: bool = False
    enable_xmpp_access: bool = False

    @property
    def open(self) -> bool:
        """Whether messages may pass."""
        return self.enable_federation_access and self.enable_xmpp_access

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the switches that are off, as the platform writes them."""
        switches = (
            ("EnableFederationAccess", self.enable_federation_access),
            ("EnableXmppAccess", self.enable_xmpp_access),
        )
        return tuple(name for name, on in switches if not on)


@dataclass(frozen=True, slots=True)
class Policies:
    """The access policies of a deployment. Names of sites and of user policies are compared without case.

    `survivable_branch`: what an administrator decided for users of Survivable Branch Appliances. They have no XMPP on
    the platform (R8), so nothing changes for them until somebody says so.
    """

    everyone: Switches = field(default_factory=Switches)
    sites: Mapping[str, Switches] = field(default_factory=dict)
    users: Mapping[str, Switches] = field(default_factory=dict)
    survivable_branch: bool = False

    def __post_init__(self) -> None:
        # Folded once, so that a look-up costs the same however many there are.
        object.__setattr__(self, "sites", {name.casefold(): each for name, each in self.sites.items()})
        object.__setattr__(self, "users", {name.casefold(): each for name, each in self.users.items()})


class Scope(StrEnum):
    """Which policy decided."""

    GLOBAL = "global"
    SITE = "site"
    USER = "user"


@dataclass(frozen=True, slots=True)
class Effective:
    """What holds for one user. `name` is the site's or the policy's, empty for global."""

    scope: Scope
    name: str
    switches: Switches
    #: Why the user may not exchange messages, each a sentence with what to change; empty: the user may.
    obstacles: tuple[Obstacle, ...] = ()

    @property
    def allowed(self) -> bool:
        """Whether messages may pass."""
        return not self.obstacles

    @property
    def policy(self) -> str:
        """The policy as the platform names it: `Global`, `site:Redmond`, `tag:FedPic`."""
        return {Scope.GLOBAL: "Global", Scope.SITE: f"site:{self.name}", Scope.USER: f"tag:{self.name}"}[self.scope]


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One reason against a user: a stable word for counters, what was found, and what a person can do about it."""

    code: str
    found: str
    remedy: str


def effective(policies: Policies, user: User | None, address: str) -> Effective:
    """The policy that holds for `address`. `user` is None where no users' table is kept: then only global can hold."""
    scope, name, switches = _deciding(policies, user)
    found = Effective(scope, name, switches)
    obstacles: list[Obstacle] = []
    if user is not None:
        obstacles += _of_user(policies, user)
    if switches is _UNKNOWN:
        obstacles.append(
            Obstacle(
                "policy-unknown",
                f"{address} was granted the policy {found.policy}, which the document does not describe",
                "add it to access_policies.users, or export the users again",
            )
        )
    elif switches.missing:
        off = " and ".join(switches.missing)
        obstacles.append(
            Obstacle(
                "policy",
                f"{off} {'are' if len(switches.missing) > 1 else 'is'} off in the policy {found.policy}, "
                f"which holds for {address}",
                f"set {off} there, or grant {address} a policy that has both switches on",
            )
        )
    return Effective(scope, name, switches, tuple(obstacles))


def not_in_table(address: str) -> Effective:
    """What holds for a user whom the users' table does not know: nothing, until the table is brought up to date."""
    obstacle = Obstacle(
        "user-unknown",
        f"{address} is not in the users' table",
        "run `xmppgw user sync` with a new export, if the user exists",
    )
    return Effective(Scope.GLOBAL, "", Switches(), (obstacle,))


# A granted policy of which nothing is known decides all the same: the platform would not fall back to another scope.
_UNKNOWN = Switches()


def _deciding(policies: Policies, user: User | None) -> tuple[Scope, str, Switches]:
    if user is not None and user.policy:
        return Scope.USER, user.policy, policies.users.get(user.policy.casefold(), _UNKNOWN)
    if user is not None and user.site:
        at_site = policies.sites.get(user.site.casefold())
        if at_site is not None:
            return Scope.SITE, user.site, at_site
    return Scope.GLOBAL, "", policies.everyone


def _of_user(policies: Policies, user: User) -> list[Obstacle]:
    obstacles: list[Obstacle] = []
    if not user.enabled:
        obstacles.append(
            Obstacle("user-disabled", f"{user.user} is disabled on the SIP platform", "enable the user there")
        )
    if user.hosting == "cloud":
        obstacles.append(
            Obstacle(
                "user-in-cloud",
                f"{user.user} is homed at a hosting provider, where the gateway has no say",
                "move the user to the platform, or leave it without XMPP",
            )
        )
    if user.survivable_branch and not policies.survivable_branch:
        obstacles.append(
            Obstacle(
                "user-survivable-branch",
                f"{user.user} is homed on the Survivable Branch Appliance {user.pool or '(unnamed)'}; "
                "the platform gives such users no XMPP (R8)",
                "move the user to a full pool, or decide for such users in access_policies",
            )
        )
    return obstacles
