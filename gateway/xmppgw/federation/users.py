"""Users of the document: who is left out of the move, how the others move, and who may use XMPP federation.

Part of the model. The document names few people; the many are in the platform's own directory and in the export beside
the document (`users.export`), which nobody needs to read to plan certificates, ports or records.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from xmppgw.federation.parts import Part
from xmppgw.federation.texts import Line, UserAddress, UsersTable


class ExceptionReason(StrEnum):
    """Why a user may stay where step 3 leaves nobody (rules R3, R8; the choices after Lync 2013)."""

    SURVIVABLE_BRANCH = "survivable_branch"
    CLOUD = "cloud"
    DISABLED = "disabled"
    INTERRUPTION = "interruption"


class UserException(Part):
    """A user who does not move, or who moves and is without XMPP until the switch, by somebody's decision."""

    user: UserAddress
    reason: ExceptionReason
    note: Line | None = None
    by: Line | None = None
    """who decided it; an interruption needs it"""
    minutes: Annotated[int, Field(ge=1, le=60 * 24 * 90)] | None = None
    """an interruption's expected length"""


class WaveHealth(Part):
    """What must hold after a wave before the next one begins."""

    maximum_failed: Annotated[int, Field(ge=0, le=10_000)] = 0
    """users of the wave who are not homed where they should be"""
    maximum_waiting: Annotated[int, Field(ge=0, le=100_000)] = 0
    """messages that wait in the front ends' lanes"""
    timeout_seconds: Annotated[int, Field(ge=1, le=86_400)] = 60
    """how long the gate is given to open; after that the run stops, resumably"""


class Waves(Part):
    """How the users move: the pilot first, then batches."""

    pilot: Annotated[tuple[UserAddress, ...], Field(max_length=1000)] = ()
    size: Annotated[int, Field(ge=1, le=10_000)] = 500
    """users of a batch"""
    pause_seconds: Annotated[int, Field(ge=0, le=7 * 86_400)] = 0
    """between one wave's health and the next wave's start"""
    health: WaveHealth = WaveHealth()


class Users(Part):
    """What the document says about users."""

    exceptions: Annotated[tuple[UserException, ...], Field(max_length=10_000)] = ()
    waves: Waves = Waves()
    export: UsersTable | None = None
    """file beside the document that `xmppgw user sync` writes"""


class AccessPolicy(Part):
    """Who may use XMPP federation; both switches are needed (`CsExternalAccessPolicy`)."""

    enable_federation_access: bool = False
    enable_xmpp_access: bool = False

    @property
    def open(self) -> bool:
        """Whether the policy lets messages pass."""
        return self.enable_federation_access and self.enable_xmpp_access


class NamedAccessPolicy(AccessPolicy):
    """A policy of a site (`site:<name>`) or one that is granted to users (`tag:<name>`), by the bare name."""

    name: Line


class AccessPolicies(Part):
    """Access policies by scope: that of the user beats that of the site, which beats the global one."""

    global_: Annotated[AccessPolicy, Field(alias="global")] = AccessPolicy()
    sites: Annotated[tuple[NamedAccessPolicy, ...], Field(max_length=10_000)] = ()
    users: Annotated[tuple[NamedAccessPolicy, ...], Field(max_length=10_000)] = ()
    """policies that are granted user by user; to whom is in `users.export`"""
    survivable_branch: bool = False
    """whether users of Survivable Branch Appliances may use XMPP, which the platform itself never gave them (R8)"""
