"""Access policies of users, on running daemons, in both directions, and across a reload."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.security.world import OWN, World, world_of

from xmppgw.frontend.settings import decode_front_end_settings
from xmppgw.policy.index import build_index
from xmppgw.policy.users import User

ON = {"enable_federation_access": True, "enable_xmpp_access": True}
OFF = {"enable_federation_access": True, "enable_xmpp_access": False}
ALICE, BOB, ERIN = f"alice@{OWN}", f"bob@{OWN}", f"erin@{OWN}"


@pytest.fixture
async def governed(tmp_path: Path) -> AsyncIterator[World]:
    """Global is open, the policy that bob was granted is closed, erin is on a branch appliance."""
    path = tmp_path / "users.sqlite"
    build_index([User(ALICE), User(BOB, policy="NoXmpp"), User(ERIN, survivable_branch=True)], path)

    async def prepare(world: World) -> None:
        policy = {"global": ON, "users": {"NoXmpp": OFF}, "users_table": str(path)}
        world.front_end_changes = {"access_policy": policy}

    async with world_of(tmp_path, prepare) as world:
        yield world


async def test_a_user_may_write_only_if_the_policy_that_holds_allows_it(governed: World) -> None:
    statuses = {}
    for user in (ALICE, BOB, ERIN, f"nobody@{OWN}"):
        statuses[user] = await governed.platform.status(await governed.platform.send(f"from {user}", user=user))
    assert statuses == {ALICE: 202, BOB: 403, ERIN: 403, f"nobody@{OWN}": 403}
    await governed.partner1.stanzas.count(1)
    assert governed.partner1.bodies() == [f"from {ALICE}"]
    warnings = governed.platform.warnings
    assert len(warnings) == 3
    assert any("tag:NoXmpp" in each for each in warnings), "the user's own platform is told which policy it was"


async def test_a_partner_reaches_only_whom_the_policy_allows_and_learns_nothing_of_the_others(governed: World) -> None:
    leg = await governed.partner1.authenticated()
    for number, user in enumerate((ALICE, BOB, ERIN, f"nobody@{OWN}")):
        leg.send(governed.partner1.message("hello", number=f"m{number}", to=user))
    errors = [each for each in (await governed.partner1.stanzas.count(3)) if each.type == "error"]
    assert len(errors) == 3
    texts = {each.element.child("error").to_bytes() for each in errors}
    assert len(texts) == 1, "all three look the same from outside"
    assert b"NoXmpp" not in next(iter(texts))
    await governed.platform.requests.count(1)
    assert governed.platform.bodies() == ["hello"]
    reasons = " ".join(line["reason"] for line in governed.front_end_journal.lines("stanza-refused"))
    assert all(word in reasons for word in ("tag:NoXmpp", "Survivable Branch", "not in the users' table"))


async def test_a_new_table_holds_after_a_reload_that_drops_no_stream(governed: World, tmp_path: Path) -> None:
    leg = await governed.partner1.authenticated()
    assert await governed.platform.status(await governed.platform.send("before", user=BOB)) == 403
    build_index([User(BOB)], tmp_path / "users.sqlite")
    assert await governed.platform.status(await governed.platform.send("not yet", user=BOB)) == 403
    governed.front_end.reload(decode_front_end_settings(governed.front_end_settings()))
    assert await governed.platform.status(await governed.platform.send("after", user=BOB)) == 202
    assert await governed.platform.status(await governed.platform.send("gone", user=ALICE)) == 403
    assert not leg.connection.closing


async def test_a_reload_without_the_table_changes_nothing(governed: World, tmp_path: Path) -> None:
    (tmp_path / "users.sqlite").unlink()
    with pytest.raises(ValueError, match="no such file"):
        governed.front_end.reload(decode_front_end_settings(governed.front_end_settings()))
    assert await governed.platform.status(await governed.platform.send("still", user=ALICE)) == 202
    assert await governed.platform.status(await governed.platform.send("still", user=BOB)) == 403
