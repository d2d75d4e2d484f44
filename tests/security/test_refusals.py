"""Bad input on the running daemons: the protocol's own error, one log line with the reason, no cost for anyone else."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.security.world import OWN, PATIENCE, FakePartner, World, eventually, world_of

from xmppgw.link.connection import Connection
from xmppgw.link.messages import StanzaArrived, encode_message
from xmppgw.tls.context import mutual_context
from xmppgw.tls.identity import Identity
from xmppgw.xmpp.stream import Authorised, Closed, PeerPolicy

HEADER = (
    b"<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
    b"xmlns:db='jabber:server:dialback' from='%s' to='corp.example' version='1.0'>"
)


class Raw:
    """A TCP client that says what it wants."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def rest(self) -> bytes:
        """Everything until the other side closes."""
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(ConnectionError):
                return await self.reader.read(-1)
        return b""


@contextlib.asynccontextmanager
async def raw(port: int) -> AsyncIterator[Raw]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Raw(reader, writer)
    finally:
        writer.close()


async def unharmed(world: World) -> None:
    """Messages of a partner that does nothing wrong go through both ways."""
    leg = world.partner1.legs[0]
    text = secrets.token_hex(8)
    leg.send(world.partner1.message(text, number=text))
    await world.platform.requests.until(lambda _: text in world.platform.bodies(), "the innocent's message")
    assert await world.platform.status(await world.platform.send(text)) == 202
    await world.partner1.stanzas.until(lambda _: text in world.partner1.bodies(), "the answer to the innocent")


@pytest.fixture
async def innocent(world: World) -> World:
    await world.partner1.authenticated()
    await unharmed(world)
    return world


async def closing(world: World, **wanted: Any) -> dict[str, Any]:
    """The one log line about the end of a stream; it is written when the connection is gone."""

    def found() -> list[dict[str, Any]]:
        lines = world.edge_journal.lines("stream-closed")
        return [line for line in lines if all(line.get(name) == value for name, value in wanted.items())]

    await eventually(lambda: bool(found()), f"a stream with {wanted} has ended")
    (line,) = found()
    return line


async def ended(leg: Any) -> Closed:
    closed = await leg.events.first(Closed)
    assert isinstance(closed, Closed)
    return closed


async def test_a_partner_that_is_not_listed(innocent: World) -> None:
    stranger = FakePartner(innocent, "stranger.example", policy=PeerPolicy(True, True, False))
    closed = await ended(await stranger.connect())
    assert closed.condition == "policy-violation"
    line = await closing(innocent, remote="stranger.example")
    assert "not among the partners" in line["reason"]
    assert (line["level"], line["authenticated"]) == ("warning", False)
    await unharmed(innocent)


@pytest.mark.parametrize(
    ("names", "days", "reason"),
    [(["other.example"], 30, "not valid for your domain"), (["partner1.example"], -1, "has expired")],
)
async def test_a_certificate_that_is_wrong(innocent: World, names: list[str], days: int, reason: str) -> None:
    files = innocent.public.issue("bad", names, days=days)
    impostor = FakePartner(innocent, "partner1.example", policy=PeerPolicy(True, False, False), certificate=files)
    closed = await ended(await impostor.connect())
    assert closed.condition == "not-authorized"
    assert reason in closed.text
    line = await closing(innocent, condition="not-authorized")
    assert reason in line["reason"]
    await unharmed(innocent)


async def test_a_certificate_of_an_unknown_authority(innocent: World) -> None:
    files = innocent.private.issue("foreign", ["partner1.example"])
    impostor = FakePartner(innocent, "partner1.example", policy=PeerPolicy(True, False, False), certificate=files)
    assert (await ended(await impostor.connect())).condition == "not-authorized"
    await closing(innocent, condition="not-authorized")
    await unharmed(innocent)


@pytest.mark.parametrize(
    ("sender", "recipient", "condition"),
    [
        ("juliet@partner1.example", "alice@elsewhere.example", "host-unknown"),
        ("juliet@partner2.example", f"alice@{OWN}", "invalid-from"),
        (f"ceo@{OWN}", f"alice@{OWN}", "invalid-from"),
    ],
)
async def test_a_stanza_of_a_pair_that_was_not_authenticated(
    innocent: World, sender: str, recipient: str, condition: str
) -> None:
    leg = await innocent.partner1.authenticated()
    stanza = innocent.partner1.message("forged")
    stanza.attributes.update({"from": sender, "to": recipient})
    leg.send(stanza)
    assert (await ended(leg)).condition == condition
    await closing(innocent, condition=condition)
    await unharmed(innocent)
    assert "forged" not in innocent.platform.bodies()


async def test_a_megabyte_of_opening_brackets(innocent: World) -> None:
    async with raw(innocent.edge.ports[0]) as client:
        client.writer.write(b"<" * 1_000_000)
        answer = await client.rest()
    if answer:  # the reset of a peer that still had bytes under way may overtake the error
        assert b"not-well-formed" in answer or b"policy-violation" in answer
    line = await closing(innocent, authenticated=False)
    assert line["condition"] in {"not-well-formed", "policy-violation"}
    await unharmed(innocent)


async def test_a_megabyte_of_elements_before_authentication(innocent: World) -> None:
    async with raw(innocent.edge.ports[0]) as client:
        client.writer.write(HEADER % b"partner1.example" + b"<a>" * 333_333)
        await client.rest()
    line = await closing(innocent, authenticated=False)
    assert line["condition"] in {"policy-violation", "unsupported-stanza-type", "not-authorized"}
    await unharmed(innocent)


async def test_a_megabyte_of_brackets_from_an_authenticated_partner(innocent: World) -> None:
    leg = await innocent.partner1.authenticated()
    leg.connection.write(b"<" * 1_000_000)
    closed = await ended(leg)
    assert closed.condition in {"not-well-formed", None}
    await closing(innocent, condition="not-well-formed")
    await unharmed(innocent)


async def test_connections_that_never_authenticate_are_capped_per_address(innocent: World) -> None:
    async with contextlib.AsyncExitStack() as stack:
        idle = [await stack.enter_async_context(raw(innocent.edge.ports[0])) for _ in range(64)]
        await eventually(lambda: innocent.edge.context.admission.waiting == 64, "64 connections wait")
        async with raw(innocent.edge.ports[0]) as one_too_many:
            assert b"<resource-constraint" in await one_too_many.rest()
        (line,) = innocent.edge_journal.lines("connection-refused")
        assert "64 connections" in line["reason"]
        await unharmed(innocent)
        idle[0].writer.close()
        await eventually(lambda: innocent.edge.context.admission.waiting == 63, "one place is free")
        await innocent.partner2.authenticated()


async def test_a_connection_that_stays_silent_is_closed(tmp_path: Path) -> None:
    async def hurried(world: World) -> None:
        world.edge_limits["negotiation_seconds"] = 0.3

    async with world_of(tmp_path, hurried) as world, raw(world.edge.ports[0]) as client:
        assert b"connection-timeout" in await client.rest()
        await closing(world, condition="connection-timeout")


async def test_streams_of_one_partner_are_capped(tmp_path: Path) -> None:
    async def few(world: World) -> None:
        world.edge_limits["streams_per_partner"] = 2

    async with world_of(tmp_path, few) as world:
        await world.partner1.authenticated()
        await world.partner1.authenticated()
        leg = await world.partner1.connect()
        assert (await ended(leg)).condition == "resource-constraint"
        await unharmed(world)


async def test_federation_that_is_not_enabled_answers_nobody(tmp_path: Path) -> None:
    async with world_of(tmp_path) as world:
        await world.edge.stop()
        settings = world.edge_settings
        world.edge_settings = lambda **changes: settings(federation_enabled=False, **changes)  # type: ignore[method-assign]
        await world.start_edge()
        leg = await world.partner1.connect()
        closed = await ended(leg)
        assert not closed.authorised
        assert world.edge_journal.lines("connection-refused")[-1]["code"] == "closed"
        assert await world.platform.status(await world.platform.send("kept")) == 202


async def test_a_partner_that_reads_nothing_costs_only_itself(tmp_path: Path) -> None:
    async def small(world: World) -> None:
        world.edge_limits |= {"outbound_queue_stanzas": 50, "write_buffer_bytes": 4096}

    async with world_of(tmp_path, small) as world:
        await world.partner1.authenticated()
        await unharmed(world)
        await world.platform.status(await world.platform.send("first", to="romeo@partner2.example"))
        await world.partner2.stanzas.count(1)
        (deaf,) = [leg for leg in world.partner2.legs if any(isinstance(i, Authorised) for i in leg.events.items)]
        deaf.connection.pause_reading()
        text = "x" * 8000
        pending = [await world.platform.send(text, to="romeo@partner2.example") for _ in range(600)]
        assert {await world.platform.status(each) for each in pending} == {202}
        await unharmed(world)
        outbound = world.edge.context.outbound
        assert outbound.waiting() <= 50


async def test_sip_that_is_not_sip(innocent: World) -> None:
    end = await innocent.platform.connect()
    end.connection.write(b"GET / HTTP/1.1\r\nHost: me\r\n\r\n")
    await innocent.platform.lost.count(1)
    faults = innocent.front_end_journal.lines("sip-fault")
    assert 1 <= len(faults) <= 2, "what it was, and that the connection had to go"
    assert faults[0]["reason"]
    await unharmed(innocent)


async def test_a_sip_request_that_is_broken_gets_400_and_the_connection_goes_on(innocent: World) -> None:
    end = await innocent.platform.connect()
    end.connection.write(
        b"MESSAGE sip:juliet@partner1.example SIP/2.0\r\nVia: SIP/2.0/TLS pool.corp.example;branch=z9hG4bKbad1\r\n"
        b"From: <sip:alice@corp.example>;tag=1\r\nTo: <sip:juliet@partner1.example>\r\nCall-ID: broken\r\n"
        b"CSeq: 99999999999 MESSAGE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
    await eventually(lambda: bool(innocent.front_end_journal.lines("sip-fault")), "the fault is logged")
    assert not end.connection.closing
    await unharmed(innocent)


async def test_a_sip_peer_that_is_not_listed(innocent: World) -> None:
    certificate, key = innocent.private.issue("other", ["other.corp.example"])
    identity = Identity.from_files(Path(certificate), Path(key), datetime.datetime.now(datetime.UTC))
    innocent.platform.context = mutual_context(identity, innocent.private.pem)
    end = await innocent.platform.connect()  # with TLS 1.3 the client learns of the refusal after its own handshake
    await innocent.platform.lost.count(1)
    assert end.connection.closing
    (line,) = innocent.front_end_journal.lines("sip-refused")
    assert "other.corp.example" in line["reason"]


async def test_sip_without_tls(innocent: World) -> None:
    async with raw(innocent.front_end.ports[0]) as client:
        client.writer.write(b"OPTIONS sip:corp.example SIP/2.0\r\n\r\n")
        answer = await client.rest()
    assert not answer.startswith(b"SIP/2.0")
    assert len(innocent.front_end_journal.lines("sip-refused")) == 1
    await unharmed(innocent)


async def test_a_front_end_that_is_not_listed(innocent: World) -> None:
    certificate, key = innocent.private.issue("fe9", ["fe9.corp.example"])
    identity = Identity.from_files(Path(certificate), Path(key), datetime.datetime.now(datetime.UTC))
    context = mutual_context(identity, innocent.private.pem)
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(Connection, "127.0.0.1", innocent.edge.link_port)
    gone = loop.create_future()

    class User:
        def received(self, data: bytes) -> None: ...
        def secured(self, tls: Any) -> None: ...
        def drained(self) -> None: ...
        def lost(self, reason: str) -> None:
            gone.set_result(reason)

    connection.use(User())
    connection.start_tls(context, server_side=False)
    await gone
    (line,) = innocent.edge_journal.lines("link-refused")
    assert "fe9.corp.example" in line["reason"]
    await unharmed(innocent)


async def test_garbage_on_the_link_port(innocent: World) -> None:
    async with raw(innocent.edge.link_port) as client:
        client.writer.write(b"\0" * 100_000)
        await client.rest()
    assert len(innocent.edge_journal.lines("link-refused")) == 1
    await unharmed(innocent)


async def test_the_front_end_believes_no_edge(innocent: World) -> None:
    """What a taken-over edge could send: other people's domains, forged pairs, no stanza at all."""
    good = innocent.partner1.message("fine", number="g1")
    forged = innocent.partner1.message("forged")
    forged.attributes["from"] = "juliet@partner2.example"
    stranger = innocent.partner1.message("stranger")
    stranger.attributes["from"] = "eve@stranger.example"
    foreign = innocent.partner1.message("foreign")
    foreign.attributes["to"] = "alice@elsewhere.example"
    link = next(iter(innocent.edge.context.hub._links.values()))
    for remote, local, data in (
        ("partner1.example", OWN, forged.to_bytes()),
        ("stranger.example", OWN, stranger.to_bytes()),
        ("partner1.example", "elsewhere.example", foreign.to_bytes()),
        ("partner1.example", OWN, b"<message><broken"),
        ("partner1.example", OWN, b"<!DOCTYPE x [<!ENTITY a 'b'>]><message/>"),
    ):
        link.send(encode_message(StanzaArrived("c", remote, local, "external", data, time.time())))
    link.send(b"not a message")
    link.send(encode_message(StanzaArrived("c", "partner1.example", OWN, "external", good.to_bytes(), time.time())))
    await innocent.platform.requests.until(lambda _: "fine" in innocent.platform.bodies(), "the honest one")
    assert not {"forged", "stranger", "foreign"} & set(innocent.platform.bodies())
    assert len(innocent.front_end_journal.lines("edge-fault")) == 3
    assert len(innocent.front_end_journal.lines("stanza-refused")) == 2
    assert len(innocent.front_end_journal.lines("link-message-refused")) == 1


async def test_an_edge_of_the_wrong_name_is_not_talked_to(tmp_path: Path) -> None:
    async with world_of(tmp_path) as world:
        await world.edge.stop()
        world._edge_link = world.private.issue("edge9", ["edge9-int.corp.example"])
        await world.start_edge()
        await eventually(
            lambda: any("edge9-int" in line["reason"] for line in world.front_end_journal.lines("link-unreachable")),
            "the front end says why",
        )
        assert not world.edge.context.hub.connected
