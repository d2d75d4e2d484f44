"""Messages both ways through both daemons, and what comes back when they cannot be delivered."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.security.world import OWN, World, eventually, world_of

from xmppgw.xmpp.element import NS_PING, NS_SERVER, Element
from xmppgw.xmpp.stanza import error_reply


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


async def test_one_correlation_id_leads_from_the_first_byte_to_the_last(world: World) -> None:
    leg = await world.partner1.authenticated()
    leg.send(world.partner1.message("secret words"))
    await world.platform.requests.count(1)
    transaction = await world.platform.send("more secret words")
    await world.platform.status(transaction)
    await world.partner1.stanzas.count(1)
    (received,) = world.edge_journal.lines("stanza-received")
    assert [
        line["event"] for line in world.front_end_journal.lines() if line.get("correlation") == received["correlation"]
    ][:2] == ["message-accepted", "sip-sent"]
    (accepted,) = [line for line in world.front_end_journal.lines("message-accepted") if line["direction"] == "to_xmpp"]
    (delivered,) = world.edge_journal.lines("stanza-delivered")
    assert delivered["correlation"] == accepted["correlation"]
    assert "secret words" not in world.edge_journal.getvalue() + world.front_end_journal.getvalue()


async def test_an_unknown_sip_user_comes_back_as_an_error_stanza(world: World) -> None:
    world.platform.answer = lambda request: 404
    leg = await world.partner1.authenticated()
    leg.send(world.partner1.message("anybody?", number="x7", to=f"nobody@{OWN}"))
    (error,) = await world.partner1.stanzas.count(1)
    assert (error.type, error.id, str(error.sender)) == ("error", "x7", f"nobody@{OWN}")
    assert str(error.recipient) == "juliet@partner1.example/chamber"


async def test_an_unknown_xmpp_user_comes_back_as_a_notice_that_names_the_message(world: World) -> None:
    leg = await world.partner1.authenticated()
    transaction = await world.platform.send("anybody?", to="nobody@partner1.example", call_id="call-1@pool")
    assert await world.platform.status(transaction) == 202
    (stanza,) = await world.partner1.stanzas.count(1)
    answer = error_reply(stanza.element, "service-unavailable", "no such user")
    assert answer is not None
    leg.send(answer)
    (notice,) = await world.platform.requests.count(1)
    text = notice.body.decode()
    assert text.startswith("Message not delivered")
    assert text.endswith(f"(reference {stanza.id})")
    assert notice.header("In-Reply-To") == "call-1@pool"
    assert str(notice.uri) == f"sip:alice@{OWN}"
    leg.send(answer)
    leg.send(world.partner1.message("after", number="m2"))
    await world.platform.requests.until(lambda items: b"after" in [item.body for item in items])
    assert len(world.platform.requests.items) == 2, "the same error is shown once"


async def test_an_error_for_a_message_of_the_other_gateway_is_a_notice_without_its_call_id(world: World) -> None:
    leg = await world.partner1.authenticated()
    foreign = Element(
        "message",
        NS_SERVER,
        {"type": "chat", "from": f"alice@{OWN}", "to": "nobody@partner1.example", "id": "legacy-9"},
    )
    answer = error_reply(foreign, "item-not-found")
    assert answer is not None
    leg.send(answer)
    (notice,) = await world.platform.requests.count(1)
    assert notice.body.decode().endswith("(reference legacy-9)")
    assert notice.header("In-Reply-To") is None


async def test_a_partner_that_cannot_be_reached_in_time_is_a_notice(tmp_path: Path) -> None:
    async def short(world: World) -> None:
        world.message_ttl = 1.0
        world.edge_limits["retry_seconds"] = 0.1

    async with world_of(tmp_path, short) as world:
        world.partner1.stop_listening()
        transaction = await world.platform.send("hello?", call_id="call-2@pool")
        assert await world.platform.status(transaction) == 202
        (notice,) = await world.platform.requests.count(1)
        assert notice.header("In-Reply-To") == "call-2@pool"
        assert notice.body.decode().startswith("Message not delivered")


async def test_a_partner_that_comes_back_gets_what_waited_in_order(world: World) -> None:
    world.partner1.stop_listening()
    for number in range(5):
        assert await world.platform.status(await world.platform.send(f"m{number}")) == 202
    await eventually(lambda: bool(world.front_end_journal.lines("message-deferred")), "it was tried")
    await world.partner1.listen()
    await world.partner1.stanzas.count(5)
    assert world.partner1.bodies() == [f"m{number}" for number in range(5)]


async def test_a_platform_that_comes_back_gets_what_waited_in_order(world: World) -> None:
    leg = await world.partner1.authenticated()
    world.platform.stop_listening()
    for number in range(5):
        leg.send(world.partner1.message(f"m{number}", number=str(number)))
    await world.platform.listen()
    await world.platform.requests.count(5)
    assert world.platform.bodies() == [f"m{number}" for number in range(5)]


async def test_a_platform_that_is_overloaded_is_asked_again(world: World) -> None:
    answers = iter([503, 503, 200])
    world.platform.answer = lambda request: next(answers)
    leg = await world.partner1.authenticated()
    leg.send(world.partner1.message("patience"))
    await world.platform.requests.count(3)
    assert world.platform.bodies() == ["patience"] * 3
    assert not world.partner1.stanzas.items, "no error was sent"


async def test_one_message_at_a_time_goes_to_one_user(tmp_path: Path) -> None:
    async def hurried(world: World) -> None:
        world.front_end_limits["drain_seconds"] = 0.1

    async with world_of(tmp_path, hurried) as world:
        world.platform.answer = lambda request: 0  # never
        leg = await world.partner1.authenticated()
        for number in range(3):
            leg.send(world.partner1.message(f"alice {number}", number=f"a{number}"))
            leg.send(world.partner1.message(f"bob {number}", number=f"b{number}", to=f"bob@{OWN}"))
        leg.send(world.partner1.message("carol", number="c", to=f"carol@{OWN}"))
        await world.platform.requests.until(lambda _: "carol" in world.platform.bodies(), "the last one's first")
        assert sorted(world.platform.bodies()) == ["alice 0", "bob 0", "carol"]


async def test_a_repeated_sip_request_is_accepted_again_and_delivered_once(world: World) -> None:
    for _ in range(2):
        # The same Call-ID, tag and CSeq on a new branch: what a proxy does after it failed over.
        end = await world.platform.connect()
        world.platform._client = end
        transaction = await world.platform.send("once", call_id="same@pool", tag="tag")
        assert await world.platform.status(transaction) == 202
        end.connection.close()
    await world.platform.status(await world.platform.send("last"))
    await world.partner1.stanzas.until(lambda items: world.partner1.bodies()[-1:] == ["last"])
    assert world.partner1.bodies() == ["once", "last"]


async def test_a_repeated_stanza_is_delivered_once(world: World) -> None:
    leg = await world.partner1.authenticated()
    for _ in range(2):
        leg.send(world.partner1.message("once", number="same"))
    leg.send(world.partner1.message("last", number="other"))
    await world.platform.requests.until(lambda items: world.platform.bodies()[-1:] == ["last"])
    assert world.platform.bodies() == ["once", "last"]


async def test_pings_are_answered_presence_is_not_other_questions_are_refused(world: World) -> None:
    leg = await world.partner1.authenticated()
    sender = "juliet@partner1.example/chamber"
    leg.send(Element("presence", NS_SERVER, {"type": "subscribe", "from": sender, "to": f"alice@{OWN}"}))
    leg.send(
        Element(
            "iq",
            NS_SERVER,
            {"type": "get", "id": "v1", "from": sender, "to": f"alice@{OWN}"},
            [Element("query", "jabber:iq:version")],
        )
    )
    leg.send(
        Element(
            "iq",
            NS_SERVER,
            {"type": "get", "id": "p1", "from": "partner1.example", "to": OWN},
            [Element("ping", NS_PING)],
        )
    )
    answers = await world.partner1.stanzas.count(2)
    assert sorted((stanza.kind, stanza.type, stanza.id) for stanza in answers) == [
        ("iq", "error", "v1"),
        ("iq", "result", "p1"),
    ]


@pytest.mark.parametrize("flag", ["enable_federation_access", "enable_xmpp_access"])
async def test_both_flags_of_the_access_policy_must_be_set_in_both_directions(tmp_path: Path, flag: str) -> None:
    async def closed(world: World) -> None:
        world.policy = {**world.policy, flag: False}

    async with world_of(tmp_path, closed) as world:
        leg = await world.partner1.authenticated()
        leg.send(world.partner1.message("hello", number="n1"))
        (error,) = await world.partner1.stanzas.count(1)
        assert (error.type, error.id) == ("error", "n1")
        assert await world.platform.status(await world.platform.send("hello")) == 403
        assert not world.platform.requests.items
        assert len(world.front_end_journal.lines("stanza-refused")) == 1
        assert len(world.front_end_journal.lines("request-refused")) == 1


async def test_a_sip_message_to_a_domain_that_is_no_partner_is_refused_at_once(world: World) -> None:
    assert await world.platform.status(await world.platform.send("hi", to="eve@elsewhere.example")) == 404
    assert await world.platform.status(await world.platform.send("hi", user="eve@elsewhere.example")) == 403
    assert await world.platform.status(await world.platform.send("hi", to=f"bob@{OWN}")) == 404
