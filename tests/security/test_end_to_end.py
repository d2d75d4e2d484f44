"""Messages both ways through both daemons, and what comes back when they cannot be delivered."""

from __future__ import annotations

from tests.security.world import OWN, World


async def test_a_partner_with_external_and_a_sip_user_exchange_messages(world: World) -> None:
    leg = await world.partner1.authenticated()
    leg.send(world.partner1.message("from juliet"))
    await world.platform.requests.count(1)
    assert world.platform.bodies() == ["from juliet"]
    transaction = await world.platform.send("from alice")
    assert await world.platform.status(transaction) == 202
    await world.partner1.stanzas.count(1)
    assert world.partner1.bodies() == ["from alice"]


async def test_a_partner_with_dialback_and_a_sip_user_exchange_messages(world: World) -> None:
    leg = await world.partner2.authenticated()
    leg.send(world.partner2.message("from romeo", user="romeo"))
    await world.platform.requests.count(1)
    transaction = await world.platform.send("from bob", to="romeo@partner2.example", user=f"bob@{OWN}")
    assert await world.platform.status(transaction) == 202
    await world.partner2.stanzas.count(1)
    assert world.partner2.bodies() == ["from bob"]
    (facts,) = [facts for facts in world.edge.context.registry.facts() if facts.direction == "out"]
    assert (facts.method, facts.encrypted, facts.remote) == ("dialback", True, "partner2.example")
