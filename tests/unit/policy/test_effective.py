"""User beats site beats global, both switches are needed, and every refusal says what to change."""

from __future__ import annotations

import itertools

import pytest

from xmppgw.policy.effective import Policies, Scope, Switches, effective, not_in_table
from xmppgw.policy.users import User

ON, OFF = Switches(True, True), Switches(False, False)
ALICE = "alice@corp.example"


@pytest.mark.parametrize(
    ("everyone", "site", "tag", "scope", "allowed"),
    [
        (everyone, site, tag, scope, allowed)
        for everyone, site, tag in itertools.product((ON, OFF), (ON, OFF, None), (ON, OFF, None))
        for scope, decides in [(Scope.USER, tag) if tag else (Scope.SITE, site) if site else (Scope.GLOBAL, everyone)]
        for allowed in [decides is ON]
    ],
)
def test_the_narrowest_scope_decides(
    everyone: Switches, site: Switches | None, tag: Switches | None, scope: Scope, allowed: bool
) -> None:
    policies = Policies(everyone, {"Redmond": site} if site else {}, {"FedPic": tag} if tag else {})
    found = effective(policies, User(ALICE, site="REDMOND", policy="fedpic" if tag else ""), ALICE)
    assert (found.scope, found.allowed) == (scope, allowed)


@pytest.mark.parametrize(
    ("federation", "xmpp", "off"),
    [
        (True, True, ""),
        (True, False, "EnableXmppAccess is off"),
        (False, True, "EnableFederationAccess is off"),
        (False, False, "EnableFederationAccess and EnableXmppAccess are off"),
    ],
)
def test_both_switches_are_needed_and_the_missing_one_is_named(federation: bool, xmpp: bool, off: str) -> None:
    found = effective(Policies(Switches(federation, xmpp)), None, ALICE)
    assert found.allowed is (not off)
    assert [each.code for each in found.obstacles] == (["policy"] if off else [])
    assert all(each.found.startswith(off) and "Global" in each.found and each.remedy for each in found.obstacles)


def test_nothing_is_allowed_by_default() -> None:
    assert not effective(Policies(), None, ALICE).allowed


def test_another_site_has_no_say() -> None:
    policies = Policies(OFF, {"Redmond": ON})
    assert not effective(policies, User(ALICE, site="Berlin"), ALICE).allowed
    assert effective(policies, User(ALICE, site="Redmond"), ALICE).policy == "site:Redmond"


def test_a_granted_policy_that_nobody_describes_closes() -> None:
    found = effective(Policies(ON, {"Redmond": ON}), User(ALICE, site="Redmond", policy="Secret"), ALICE)
    assert (found.policy, [each.code for each in found.obstacles]) == ("tag:Secret", ["policy-unknown"])


@pytest.mark.parametrize(
    ("user", "code"),
    [
        (User(ALICE, enabled=False), "user-disabled"),
        (User(ALICE, hosting="cloud"), "user-in-cloud"),
        (User(ALICE, pool="sba1.corp.example", survivable_branch=True), "user-survivable-branch"),
    ],
)
def test_what_a_user_is_can_stand_in_the_way(user: User, code: str) -> None:
    found = effective(Policies(ON), user, ALICE)
    assert [each.code for each in found.obstacles] == [code]


def test_survivable_branch_users_wait_for_the_administrator() -> None:
    user = User(ALICE, pool="sba1.corp.example", survivable_branch=True)
    assert not effective(Policies(ON), user, ALICE).allowed
    assert effective(Policies(ON, survivable_branch=True), user, ALICE).allowed


def test_every_obstacle_is_named_at_once() -> None:
    user = User(ALICE, enabled=False, survivable_branch=True, hosting="cloud")
    assert len(effective(Policies(OFF), user, ALICE).obstacles) == 4


def test_who_is_not_in_the_table_gets_nothing() -> None:
    assert [each.code for each in not_in_table(ALICE).obstacles] == ["user-unknown"]
