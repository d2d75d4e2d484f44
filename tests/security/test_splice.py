"""While partners are moved one by one, each connection goes to whoever serves its partner, whatever it claims to be."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.security.world import OWN, PATIENCE, FakePartner, World, eventually, world_of

from xmppgw.edge.settings import decode_edge_settings
from xmppgw.telemetry.settings import SettingsProblem
from xmppgw.xmpp.stanza import message
from xmppgw.xmpp.stream import Authorised, Closed, DialbackRequest, Method, PeerPolicy

HEADER = (
    "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'"
    "{names} version='1.0'>"
)


def header(**names: str) -> bytes:
    return HEADER.format(names="".join(f" {key.rstrip('_')}='{value}'" for key, value in names.items())).encode()


PARTNER1 = header(from_="partner1.example", to=OWN)


class Migration:
    """The world with a legacy gateway behind the edge: a server of our own domain that partners already know."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.legacy = FakePartner(world, OWN, policy=PeerPolicy(True, True, False))
        self.legacy.takes = frozenset({"partner1.example", "partner2.example", "stranger.example"})

    def spliced(self) -> list[dict[str, Any]]:
        return [each for each in self._facts() if each["method"] == "spliced"]

    def _facts(self) -> list[dict[str, Any]]:
        splices = self.world.edge.context.splices.facts()
        return [{name: getattr(each, name) for name in ("local", "remote", "method", "bytes_in")} for each in splices]

    async def phase(self, partner: str, phase: str) -> dict[str, Any]:
        return await self.world.control("phase", partner=partner, phase=phase)


class Raw:
    """A peer that sends whatever a test wants."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, world: World, port: int | None = None) -> Raw:
        return cls(*await asyncio.open_connection("127.0.0.1", port or world.sockets[0].getsockname()[1]))

    async def says(self, data: bytes) -> Raw:
        self.writer.write(data)
        await self.writer.drain()
        return self

    async def until(self, text: bytes) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readuntil(text)

    async def rest(self) -> bytes:
        async with asyncio.timeout(PATIENCE):
            data = await self.reader.read()
        self.writer.close()
        return data


class RawLegacy:
    """A legacy gateway of which a test sees every byte."""

    def __init__(self) -> None:
        self.peers: asyncio.Queue[Raw] = asyncio.Queue()
        self.port = 0

    async def listen(self) -> asyncio.Server:
        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.peers.put_nowait(Raw(reader, writer))

        server = await asyncio.start_server(accepted, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def peer(self) -> Raw:
        async with asyncio.timeout(PATIENCE):
            return await self.peers.get()


@contextlib.asynccontextmanager
async def raw_legacy(folder: Path, **limits: Any) -> AsyncIterator[tuple[World, RawLegacy]]:
    legacy = RawLegacy()
    server = await legacy.listen()

    async def prepare(world: World) -> None:
        world.edge_changes["legacy"] = settings_of(legacy.port, folder)
        world.edge_limits.update(limits)

    async with world_of(folder, prepare) as world:
        yield world, legacy
    server.close()


def settings_of(port: int, folder: Path) -> dict[str, Any]:
    return {"addresses": [{"host": "127.0.0.1", "port": port}], "phases_file": str(folder / "phases.json")}


@pytest.fixture
async def migration(tmp_path: Path) -> AsyncIterator[Migration]:
    made: list[Migration] = []

    async def prepare(world: World) -> None:
        made.append(Migration(world))
        await made[0].legacy.listen()
        world.edge_changes["legacy"] = settings_of(made[0].legacy.port, tmp_path)

    async with world_of(tmp_path, prepare):
        yield made[0]
        made[0].legacy.close()


# Whose connection is it?


async def test_a_partner_that_was_not_switched_speaks_with_the_legacy_gateway_end_to_end(migration: Migration) -> None:
    leg = await migration.world.partner1.authenticated()
    found = await leg.events.first(Authorised)
    assert (found.method, found.encrypted) == (Method.EXTERNAL, True), "our edge could not have proved itself as legacy"
    leg.send(migration.world.partner1.message("to legacy"))
    await migration.legacy.stanzas.until(lambda _: migration.legacy.bodies() == ["to legacy"])
    assert not migration.world.platform.bodies()
    [facts] = (await migration.world.control("streams"))["streams"]
    assert (facts["method"], facts["remote"], facts["local"], facts["direction"]) == (
        "spliced", "partner1.example", OWN, "in",
    )  # fmt: skip
    assert facts["bytes_in"] > 0
    assert facts["bytes_out"] > 0
    assert facts["since"] > 0


async def test_a_switched_partner_speaks_with_us_as_soon_as_legacy_has_closed_its_stream(migration: Migration) -> None:
    world, partner = migration.world, migration.world.partner1
    first = await partner.authenticated()
    assert await migration.phase("partner1.example", "gateway") == {"ok": True, "changed": True}
    assert await migration.phase("partner1.example", "gateway") == {"ok": True, "changed": False}
    first.send(partner.message("still legacy", number="1"))
    await migration.legacy.stanzas.until(lambda _: migration.legacy.bodies() == ["still legacy"])
    migration.legacy.legs[0].close()
    assert (await first.events.first(Closed)).graceful, "the end of the stream has passed both ways"
    await eventually(lambda: not migration.spliced(), "nothing is joined any more")

    second = await partner.authenticated()
    second.send(partner.message("ours", number="2"))
    await world.platform.requests.until(lambda _: world.platform.bodies() == ["ours"])

    # And back.
    assert (await migration.phase("partner1.example", "legacy"))["changed"]
    second.send(partner.message("ours still", number="3"))
    await world.platform.requests.until(lambda _: world.platform.bodies() == ["ours", "ours still"])
    closed = await world.control("close", partner="partner1.example", direction="in")
    assert closed == {"ok": True, "closed": 1, "complete": True}
    assert (await second.events.first(Closed)).graceful
    third = await partner.authenticated()
    third.send(partner.message("legacy again", number="4"))
    await migration.legacy.stanzas.until(lambda _: migration.legacy.bodies() == ["still legacy", "legacy again"])


async def test_phases_survive_a_restart_and_name_every_partner(migration: Migration) -> None:
    world = migration.world
    before = await world.control("phases")
    assert before["default"] == "legacy"
    untouched = {"phase": "legacy", "since": None}
    assert before["phases"] == {"partner1.example": untouched, "partner2.example": untouched}
    await migration.phase("partner2.example", "gateway")
    since = (await world.control("phases"))["phases"]["partner2.example"]["since"]
    await world.edge.stop()
    await world.start_edge()
    after = (await world.control("phases"))["phases"]
    assert after["partner2.example"] == {"phase": "gateway", "since": since}
    assert after["partner1.example"]["phase"] == "legacy"


async def test_a_domain_that_is_not_listed_is_legacys_to_judge(migration: Migration) -> None:
    raw = await Raw.connect(migration.world)
    await raw.says(header(from_="stranger.example", to=OWN))
    assert b"<stream:features" in await raw.until(b"</stream:features>")
    assert migration.spliced()[0]["remote"] == "stranger.example"
    await raw.says(b"</stream:stream>")
    assert (await raw.rest()).endswith(b"</stream:stream>")


async def test_a_header_that_does_not_say_who_it_is_goes_to_legacy(migration: Migration) -> None:
    raw = await Raw.connect(migration.world)
    await raw.says(header(to=OWN))
    await raw.until(b"</stream:features>")
    assert migration.spliced()[0]["remote"] == ""
    raw.writer.close()


@pytest.mark.parametrize(
    ("first", "condition"),
    [
        pytest.param(header(from_="partner1.example", to="other.example"), b"host-unknown", id="not our domain"),
        pytest.param(header(from_=OWN, to=OWN), b"policy-violation", id="pretends to be us"),
        pytest.param(header(from_="partner1.example"), b"improper-addressing", id="names no domain"),
        pytest.param(header(from_="no domain", to=OWN), b"improper-addressing", id="not a domain"),
        pytest.param(PARTNER1.replace(b"jabber:server", b"jabber:client"), b"invalid-namespace", id="a client"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"not-well-formed", id="TLS first"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"not-well-formed", id="HTTP"),
        pytest.param(b"<!DOCTYPE a [<!ENTITY b 'c'>]>" + PARTNER1, b"restricted-xml", id="a document type"),
    ],
)
async def test_what_is_no_header_of_a_partner_never_reaches_legacy(
    tmp_path: Path, first: bytes, condition: bytes
) -> None:
    async with raw_legacy(tmp_path) as (world, legacy):
        raw = await (await Raw.connect(world)).says(first)
        answer = await raw.until(b"</stream:stream>")
        assert b"<" + condition in answer
        assert legacy.peers.empty()
        raw.writer.close()


async def test_the_header_may_come_byte_by_byte_and_is_replayed_as_it_came(tmp_path: Path) -> None:
    async with raw_legacy(tmp_path) as (world, legacy):
        raw = await Raw.connect(world)
        for number in range(len(PARTNER1)):
            await raw.says(PARTNER1[number : number + 1])
            await asyncio.sleep(0)
        peer = await legacy.peer()
        assert await peer.until(b"version='1.0'>") == PARTNER1


async def test_what_comes_with_the_header_is_passed_on_behind_it(tmp_path: Path) -> None:
    async with raw_legacy(tmp_path) as (world, legacy):
        behind = b"<db:result xmlns:db='jabber:server:dialback'>k</db:result>\x00\xff not even XML"
        await (await Raw.connect(world)).says(PARTNER1 + behind)
        peer = await legacy.peer()
        assert await peer.until(b"not even XML") == PARTNER1 + behind


async def test_a_header_that_never_ends_is_refused_at_its_limit_of_bytes(tmp_path: Path) -> None:
    async with raw_legacy(tmp_path, first_header_bytes=1024) as (world, legacy):
        raw = await (await Raw.connect(world)).says(PARTNER1[:-1] + b" a='" + b"x" * 2048)
        assert b"<policy-violation" in await raw.until(b"</stream:stream>")
        assert legacy.peers.empty()
        assert world.edge.context.admission.waiting == 0


async def test_a_header_that_dawdles_is_refused_at_its_limit_of_time(tmp_path: Path) -> None:
    async with raw_legacy(tmp_path, first_header_seconds=0.2) as (world, legacy):
        raw = await (await Raw.connect(world)).says(PARTNER1[:20])
        assert b"<connection-timeout" in await raw.until(b"</stream:stream>")
        assert legacy.peers.empty()
        assert world.edge.context.admission.waiting == 0


async def test_who_says_nothing_is_bounded_like_everyone_who_has_not_authenticated(tmp_path: Path) -> None:
    async with raw_legacy(tmp_path, preauthentication_per_address=3) as (world, _):
        silent = [await Raw.connect(world) for _ in range(3)]
        await eventually(lambda: world.edge.context.admission.waiting == 3, "three are waiting")
        refused = await Raw.connect(world)
        assert b"<resource-constraint" in await refused.until(b"</stream:stream>")
        for each in silent:
            each.writer.close()
        await eventually(lambda: world.edge.context.admission.waiting == 0, "all are gone")


async def test_a_forged_sender_gains_nothing_at_either_gateway(migration: Migration) -> None:
    """A claim is enough to be joined, never to be believed: here partner2's certificate for partner1's name."""
    world = migration.world
    forged = await world.partner2.connect(local="partner1.example")
    assert not (await forged.events.first(Closed)).authorised
    await migration.phase("partner1.example", "gateway")
    forged = await world.partner2.connect(local="partner1.example")
    assert not (await forged.events.first(Closed)).authorised


# Bounds.


@pytest.mark.parametrize("limit", ["splices_per_address", "splices_total"])
async def test_joined_connections_are_bounded_and_the_place_of_one_that_ended_is_free(
    tmp_path: Path, limit: str
) -> None:
    async with raw_legacy(tmp_path, **{limit: 3}) as (world, legacy):
        joined = [await (await Raw.connect(world)).says(PARTNER1) for _ in range(3)]
        peers = [await legacy.peer() for _ in range(3)]
        refused = await (await Raw.connect(world)).says(PARTNER1)
        assert b"<resource-constraint" in await refused.until(b"</stream:stream>")
        assert world.edge_journal.lines("connection-refused")[-1]["code"] == limit.replace("_", "-")
        peers[0].writer.close()
        joined[0].writer.close()
        await eventually(lambda: len(world.edge.context.splices) == 2, "one has ended")
        again = await (await Raw.connect(world)).says(PARTNER1)
        await legacy.peer()
        again.writer.close()


async def test_a_side_that_does_not_read_stops_the_other_and_loses_nothing(tmp_path: Path) -> None:
    async with raw_legacy(tmp_path, splice_buffer_bytes=65536) as (world, legacy):
        raw = await (await Raw.connect(world)).says(PARTNER1)
        peer = await legacy.peer()
        assert await peer.until(b"version='1.0'>") == PARTNER1
        amount = 12 * 1024 * 1024
        raw.writer.write(b"x" * amount)
        [splice] = world.edge.context.splices._open
        legacy_end = splice._legacy.connection
        await eventually(lambda: splice._partner._paused, "reading has stopped")
        # One read may have come on top of a full buffer.
        assert legacy_end.unsent <= 2 * 65536
        async with asyncio.timeout(PATIENCE):
            received = await peer.reader.readexactly(amount)
        assert received == b"x" * amount


async def test_each_end_of_file_is_passed_on_and_the_other_direction_goes_on(tmp_path: Path) -> None:
    async with raw_legacy(tmp_path) as (world, legacy):
        raw = await (await Raw.connect(world)).says(PARTNER1)
        peer = await legacy.peer()
        await peer.until(b"version='1.0'>")
        await peer.says(b"</stream:stream>")
        peer.writer.write_eof()
        assert await raw.reader.read() == b"</stream:stream>"
        for number in range(100):
            await raw.says(b"<message>%d</message>" % number)
        raw.writer.write_eof()
        assert (await peer.rest()).count(b"<message>") == 100
        await eventually(lambda: not len(world.edge.context.splices), "it is over")
        [line] = world.edge_journal.lines("splice-closed")
        assert line["reason"] == "both sides have ended"


async def test_a_side_that_is_torn_down_ends_the_other(tmp_path: Path) -> None:
    async with raw_legacy(tmp_path) as (world, legacy):
        raw = await (await Raw.connect(world)).says(PARTNER1)
        peer = await legacy.peer()
        await peer.says(b"last words")
        peer.writer.transport.abort()  # type: ignore[attr-defined]
        with contextlib.suppress(ConnectionError):
            await raw.rest()
        await eventually(lambda: not len(world.edge.context.splices), "it is over")


@pytest.mark.parametrize("half_open", [False, True])
async def test_silence_ends_a_joined_connection(tmp_path: Path, half_open: bool) -> None:
    limits = {"splice_half_open_seconds": 0.2} if half_open else {"splice_idle_seconds": 0.2}
    async with raw_legacy(tmp_path, **limits) as (world, legacy):
        raw = await (await Raw.connect(world)).says(PARTNER1)
        peer = await legacy.peer()
        if half_open:
            peer.writer.write_eof()
        assert await raw.reader.read() == b"", "told that the other side has ended"
        assert await peer.rest() == PARTNER1
        [line] = world.edge_journal.lines("splice-closed")
        assert "nothing has passed for 0.2 s" in line["reason"]


# The legacy gateway is not there.


async def test_a_legacy_gateway_that_refuses_is_named_to_the_partner_and_in_the_log(tmp_path: Path) -> None:
    async with raw_legacy(tmp_path) as (world, legacy):
        with contextlib.closing(await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)) as gone:
            port = gone.sockets[0].getsockname()[1]
        world.edge_changes["legacy"] = settings_of(port, tmp_path)
        world.edge.reload(decode_edge_settings(world.edge_settings()))
        raw = await (await Raw.connect(world)).says(PARTNER1)
        assert b"<remote-connection-failed" in await raw.until(b"</stream:stream>")
        line = world.edge_journal.lines("connection-refused")[-1]
        assert (line["code"], line["remote"]) == ("legacy-unreachable", "partner1.example")
        assert f"port {port}" in line["reason"]
        assert legacy.peers.empty()


async def test_the_second_address_is_tried_when_the_first_is_dead(tmp_path: Path) -> None:
    async with raw_legacy(tmp_path) as (world, legacy):
        with contextlib.closing(await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)) as gone:
            dead = gone.sockets[0].getsockname()[1]
        settings = settings_of(dead, tmp_path)
        settings["addresses"].append({"host": "127.0.0.1", "port": legacy.port})
        world.edge_changes["legacy"] = settings
        world.edge.reload(decode_edge_settings(world.edge_settings()))
        await (await Raw.connect(world)).says(PARTNER1)
        assert await (await legacy.peer()).until(b"version='1.0'>") == PARTNER1


async def test_a_legacy_address_that_leads_back_to_us_ends_at_once(tmp_path: Path) -> None:
    async with raw_legacy(tmp_path) as (world, _):
        world.edge_changes["legacy"] = settings_of(world.sockets[0].getsockname()[1], tmp_path)
        world.edge.reload(decode_edge_settings(world.edge_settings()))
        raw = await (await Raw.connect(world)).says(PARTNER1)
        assert b"<remote-connection-failed" in await raw.until(b"</stream:stream>")
        assert [line["code"] for line in world.edge_journal.lines("connection-refused")] == ["splice-loop"]
        raw.writer.close()
        await eventually(lambda: not len(world.edge.context.splices), "it is over")


# Reload, drain, restart.


async def test_without_a_legacy_gateway_everyone_is_ours_and_the_phases_wait_for_its_return(
    migration: Migration,
) -> None:
    world = migration.world
    await migration.phase("partner1.example", "gateway")
    kept = world.edge_changes.pop("legacy")
    world.edge.reload(decode_edge_settings(world.edge_settings()))
    assert (await world.control("phases"))["default"] == "gateway"
    refused = await migration.phase("partner2.example", "legacy")
    assert (refused["ok"], refused["code"]) == (False, "phase-no-legacy")
    leg = await world.partner1.authenticated()
    leg.send(world.partner1.message("ours"))
    await world.platform.requests.until(lambda _: world.platform.bodies() == ["ours"])
    world.edge_changes["legacy"] = kept
    world.edge.reload(decode_edge_settings(world.edge_settings()))
    phases = (await world.control("phases"))["phases"]
    assert [phases[each]["phase"] for each in sorted(phases)] == ["gateway", "legacy"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"{", "phases-invalid"),
        (b'{"schema": 2, "phases": {}}', "phases-invalid"),
        (b'{"schema": 1, "phases": {"partner1.example": {"phase": "both", "since": 1}}}', "phases-invalid"),
        (b"\xff\xfe", "phases-invalid"),
        (None, "phases-unreadable"),
    ],
)
async def test_phases_that_cannot_be_believed_are_refused_and_the_old_ones_stay(
    migration: Migration, tmp_path: Path, content: bytes | None, code: str
) -> None:
    world = migration.world
    await migration.phase("partner1.example", "gateway")
    file = tmp_path / "phases.json"
    file.unlink()
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    with pytest.raises(SettingsProblem) as problem:
        world.edge.reload(decode_edge_settings(world.edge_settings()))
    assert problem.value.code == code
    assert (await world.control("phases"))["phases"]["partner1.example"]["phase"] == "gateway"


async def test_a_phase_that_cannot_be_kept_does_not_change(migration: Migration, tmp_path: Path) -> None:
    (tmp_path / "phases.json").mkdir()
    answer = await migration.phase("partner1.example", "gateway")
    assert (answer["ok"], answer["code"]) == (False, "phases-unwritable")
    assert (await migration.world.control("phases"))["phases"]["partner1.example"]["phase"] == "legacy"
    assert [each.name for each in tmp_path.glob(".phases*")] == []
    (tmp_path / "phases.json").rmdir()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"partner": "stranger.example", "phase": "gateway"}, "phase-partner"),
        ({"partner": "partner1.example", "phase": "both"}, None),
        ({"partner": "not a domain", "phase": "gateway"}, None),
        ({"phase": "gateway"}, None),
    ],
)
async def test_a_phase_command_that_makes_no_sense_is_refused(
    migration: Migration, arguments: dict[str, Any], code: str | None
) -> None:
    answer = await migration.world.control("phase", **arguments)
    assert answer["ok"] is False
    assert answer.get("code") == code


async def test_federation_that_is_disabled_ends_what_is_joined_and_what_is_arriving(tmp_path: Path) -> None:
    async with raw_legacy(tmp_path) as (world, legacy):
        joined = await (await Raw.connect(world)).says(PARTNER1)
        peer = await legacy.peer()
        assert await peer.until(b"version='1.0'>") == PARTNER1
        arriving = await (await Raw.connect(world)).says(PARTNER1[:30])
        await eventually(lambda: world.edge.context.admission.waiting == 1, "one is arriving")
        world.edge.reload(decode_edge_settings(world.edge_settings(federation_enabled=False)))
        assert await joined.rest() == b""
        await arriving.says(PARTNER1[30:])
        assert b"<system-shutdown" in await arriving.until(b"</stream:stream>")
        assert world.edge.context.admission.waiting == 0


async def test_a_draining_edge_ends_joined_connections_when_nothing_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However slow the machine is, what it takes between two messages is no pause.
    for name in ("QUIET_SECONDS", "PATIENT_SECONDS"):
        monkeypatch.setattr(f"xmppgw.edge.daemon.{name}", 3600.0)
    async with raw_legacy(tmp_path) as (world, legacy):
        raw = await (await Raw.connect(world)).says(PARTNER1)
        peer = await legacy.peer()
        draining = asyncio.create_task(world.edge.drain())
        for number in range(20):
            await raw.says(b"<message>%d</message>" % number)
            await asyncio.sleep(0.02)
        assert not draining.done()
        monkeypatch.setattr("xmppgw.edge.daemon.QUIET_SECONDS", 0.1)
        assert await draining
        assert (await peer.rest()).count(b"<message>") == 20
        assert await raw.rest() == b""
        assert "shutting down" in world.edge_journal.lines("splice-closed")[0]["reason"]


async def test_a_draining_edge_makes_do_with_a_short_pause_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xmppgw.edge.daemon.PATIENT_SECONDS", 0.1)
    async with raw_legacy(tmp_path) as (world, legacy):
        raw = await (await Raw.connect(world)).says(PARTNER1)
        peer = await legacy.peer()
        sent = 0

        async def talk() -> None:
            nonlocal sent
            with contextlib.suppress(ConnectionError):
                while not raw.reader.at_eof():
                    await raw.says(b"<message/>")
                    sent += 1
                    await asyncio.sleep(0.2)

        talking = asyncio.create_task(talk())
        assert await world.edge.drain()
        assert await raw.reader.read() == b""
        assert not world.edge_journal.lines("splices-cut")
        received = (await peer.rest()).count(b"<message/>")
        await talking
        assert received >= sent - 1, "what was sent before the end has passed"


async def test_a_draining_edge_cuts_who_never_pauses_at_its_deadline_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("QUIET_SECONDS", "SHORT_QUIET_SECONDS"):
        monkeypatch.setattr(f"xmppgw.edge.daemon.{name}", 3600.0)
    async with raw_legacy(tmp_path, drain_seconds=1) as (world, legacy):
        raw = await (await Raw.connect(world)).says(PARTNER1)
        await legacy.peer()

        async def talk() -> None:
            with contextlib.suppress(ConnectionError):
                while True:
                    await raw.says(b"<message/>")
                    await asyncio.sleep(0.02)

        talking = asyncio.create_task(talk())
        assert not await world.edge.drain()
        assert world.edge_journal.lines("splices-cut")[0]["number"] == 1
        talking.cancel()


# Dialback keys of the legacy gateway.


async def test_a_partner_that_was_switched_can_still_check_the_keys_that_legacy_makes(migration: Migration) -> None:
    """Legacy sends to partner2 by dialback; partner2 asks whoever DNS names, and that is our edge."""
    world = migration.world
    await migration.phase("partner2.example", "gateway")
    migration.legacy.policy = PeerPolicy(False, True, False)
    leg = await migration.legacy.connect(remote="partner2.example", port=world.partner2.port)
    found = await leg.events.first(Authorised)
    assert found.method is Method.DIALBACK
    leg.send(message(f"alice@{OWN}", "juliet@partner2.example", "from legacy", identifier="1"))
    await world.partner2.stanzas.until(lambda _: world.partner2.bodies() == ["from legacy"])
    assert world.edge_journal.lines("dialback-relayed")[0]["outcome"] == "valid"


async def test_a_wrong_key_is_invalid_at_legacy_and_the_check_says_so(migration: Migration) -> None:
    answer = await migration.world.control("relay_check", partner="partner2.example")
    assert (answer["ok"], answer["answer"]) == (True, "invalid"), answer


async def test_the_check_names_a_legacy_gateway_that_does_not_answer(migration: Migration) -> None:
    migration.legacy.stop_listening()
    answer = await migration.world.control("relay_check", partner="partner2.example")
    assert (answer["ok"], answer["answer"], answer["condition"]) == (True, "error", "remote-connection-failed")
    assert answer["reason"]


@pytest.mark.parametrize(
    ("partner", "code"),
    [("partner1.example", "relay-pair"), ("stranger.example", "relay-pair")],
    ids=["authenticates by certificate", "not listed"],
)
async def test_nothing_is_relayed_for_who_does_not_use_dialback(migration: Migration, partner: str, code: str) -> None:
    answer = await migration.world.control("relay_check", partner=partner)
    assert (answer["ok"], answer["code"]) == (False, code)


async def test_questions_for_legacy_are_limited_per_partner_and_minute(migration: Migration) -> None:
    world = migration.world
    world.edge_limits["relays_per_minute"] = 2
    world.edge.reload(decode_edge_settings(world.edge_settings()))
    await migration.phase("partner2.example", "gateway")
    answers = []
    for number in range(4):
        request = DialbackRequest("partner2.example", OWN, f"stream{number}", "00" * 32)
        answers.append((await world.partner2.asks(request)).condition)
    assert answers == ["", "", "remote-server-not-found", "remote-server-not-found"]
    assert len(world.edge_journal.lines("dialback-relayed")) == 2
    assert len(world.edge_journal.lines("relay-refused")) == 2
