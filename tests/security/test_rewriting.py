"""One user's stanza that our own rewriting cannot carry: that user is told, the stream and everybody on it go on."""

from __future__ import annotations

from typing import Any

import pytest
from tests.security.world import OWN, World, eventually

from xmppgw.link.frames import FrameError
from xmppgw.xmpp.stream import Closed

SENDER = f"from='eve@partner1.example/x' to='alice@{OWN}'"
#: Inflated past the link's frames: each attribute gets a declaration of its own, each child one, each quote six octets.
ATTRIBUTES = " ".join(f"p:a{number}=''" for number in range(60))
DECLARED = "xmlns:p='urn:" + "u" * 480 + "'"
MANY_ATTRIBUTES = f"<x xmlns='urn:x' {DECLARED}>" + f"<y {ATTRIBUTES}/>" * 350 + "</x>"
MANY_CHILDREN = f"<x xmlns='urn:x' {DECLARED}>" + "<p:y/>" * 1900 + "</x>"
MANY_QUOTES = '<x xmlns="urn:x" a="' + "'" * 200_000 + '"/>'
#: Past what a reader takes, and within a frame.
HALF_A_MEGABYTE = '<x xmlns="urn:x" a="' + "'" * 80_000 + '"/>'
MANY_DECLARATIONS = "<x xmlns='urn:x' xmlns:p='urn:p'>" + "<p:y/>" * 65 + "</x>"
BEFORE_IT = " ".join(f"a{number}=''" for number in range(40))
LONGER_NAME = f"<x xmlns='urn:x' xmlns:p='{'u' * 505}' {BEFORE_IT} p:abcd=''/>"


def stanza(content: str, number: str, kind: str = "message", more: str = "type='chat'") -> bytes:
    return f"<{kind} {SENDER} id='{number}' {more}>{content}</{kind}>".encode()


async def answered(world: World, number: str) -> Any:
    await world.partner1.stanzas.until(lambda items: any(each.id == number for each in items), f"an answer to {number}")
    (answer,) = [each for each in world.partner1.stanzas.items if each.id == number]
    return answer


@pytest.mark.parametrize(
    "content",
    [MANY_ATTRIBUTES, MANY_CHILDREN, MANY_QUOTES, HALF_A_MEGABYTE, MANY_DECLARATIONS, LONGER_NAME],
    ids=["attributes", "children", "quotes", "half a megabyte", "declarations", "a name"],
)
async def test_what_grows_too_large_when_rewritten_is_refused_and_nothing_else(world: World, content: str) -> None:
    assert len(content) < 262_144
    leg = await world.partner1.authenticated()
    before = world.partner1.message("before", number="b1").to_bytes()
    after = world.partner1.message("after", number="a1").to_bytes()
    leg.send(before + stanza(content, "bad") + stanza("<body>of the same user</body>", "own") + after)
    await world.platform.requests.count(3)
    assert sorted(world.platform.bodies()) == ["after", "before", "of the same user"]
    error = await answered(world, "bad")
    assert error.type == "error"
    assert str(error.recipient) == "eve@partner1.example/x"
    assert next(error.element.child("error").elements()).name == "policy-violation"
    (line,) = world.edge_journal.lines("stanza-refused")
    assert line["reason"]
    assert not any(isinstance(event, Closed) for event in leg.events.items), "the stream goes on"
    assert not world.front_end_journal.lines("edge-fault"), "the front end reads whatever it gets"


@pytest.mark.parametrize(
    "content",
    ["<x xmlns='urn:x' xmlns:p='urn:{y}' p:q='1'/>", "<xml:foo/>", "<xml:foo xml:lang='de'>a<y/></xml:foo>"],
)
async def test_what_can_be_written_is_carried(world: World, content: str) -> None:
    leg = await world.partner1.authenticated()
    after = world.partner1.message("after", number="a1").to_bytes()
    leg.send(stanza(f"<body>with it</body>{content}", "odd") + after)
    await world.platform.requests.count(2)
    assert sorted(world.platform.bodies()) == ["after", "with it"]
    assert not any(isinstance(event, Closed) for event in leg.events.items)
    assert not world.front_end_journal.lines("edge-fault")


async def test_an_error_or_a_result_that_is_refused_is_not_answered(world: World) -> None:
    leg = await world.partner1.authenticated()
    leg.send(
        stanza(MANY_DECLARATIONS, "e1", more="type='error'")
        + stanza(MANY_DECLARATIONS, "r1", kind="iq", more="type='result'")
        + stanza(MANY_DECLARATIONS, "g1", kind="iq", more="type='get'")
    )
    await answered(world, "g1")
    assert [each.id for each in world.partner1.stanzas.items] == ["g1"]
    await eventually(lambda: len(world.edge_journal.lines("stanza-refused")) == 3, "each of them is in the log")


async def test_a_frame_that_is_too_large_is_the_stanza_s_fault_only(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limits of a stanza keep it far from a frame's; should they ever not, nobody else may pay for it."""
    leg = await world.partner1.authenticated()
    hub = world.edge.context.hub
    hand_over = hub.hand_over

    def narrow(arrived: Any) -> None:
        if b"eve@" in arrived.data:
            raise FrameError("a frame of 9 bytes; the limit is 8")
        hand_over(arrived)

    monkeypatch.setattr(hub, "hand_over", narrow)
    leg.send(stanza("<body>no</body>", "f1") + world.partner1.message("after").to_bytes())
    assert (await answered(world, "f1")).type == "error"
    await world.platform.requests.count(1)
    assert world.platform.bodies() == ["after"]
    assert not any(isinstance(event, Closed) for event in leg.events.items)
