"""What waits in the front end is bounded by octets too, and what is read back at start stays within the same bounds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.frontend.parts import (
    ALICE,
    BEGIN,
    JULIET,
    OTHER,
    PARTNER,
    Parts,
    incoming,
    outgoing,
    parts,
)

from xmppgw.frontend.load import Load
from xmppgw.frontend.payloads import OutgoingKept, kept
from xmppgw.frontend.recovery import recover
from xmppgw.store.interface import Accept, Item
from xmppgw.store.sqlite import SqliteStore

KIB = 1024


def returned(found: Parts) -> list[tuple[str, str]]:
    """Who was told that a message did not arrive, and why."""
    lines = [json.loads(line) for line in found.log.read_text().splitlines()]
    return [(line["correlation"], line["condition"]) for line in lines if line["event"] == "message-returned"]


def refused(found: Parts) -> list[tuple[str, str]]:
    lines = [json.loads(line) for line in found.log.read_text().splitlines()]
    return [(line["correlation"], line["code"]) for line in lines if line["event"] == "stanza-refused"]


def test_a_load_counts_each_partner_and_all_and_forgets_who_has_nothing() -> None:
    load = Load()
    assert not load
    for partner, octets in (("b", 10), ("a", 5), ("b", 1)):
        load.add(partner, octets)
    assert (load.messages, load.octets, load.of("b"), load.of("c")) == (3, 16, (2, 11), (0, 0))
    assert list(load.partners().items()) == [("a", 1), ("b", 2)]
    load.remove("a", 5)
    assert load.partners() == {"b": 2}
    load.remove("b", 1)
    load.remove("b", 10)
    assert (load.messages, load.octets, load._of) == (0, 0, {})


async def test_a_partners_queue_is_full_by_octets_and_the_others_are_not(tmp_path: Path) -> None:
    async with parts(tmp_path, queue_per_partner_bytes=100 * KIB) as found:
        for number in range(1, 6):
            found.arrives(number, size=40 * KIB)
        assert refused(found) == [("c4", "queue-full"), ("c5", "queue-full")]
        await found.durable()
        assert found.context.full(PARTNER)
        assert not found.context.full(OTHER)
        assert found.context.queued.octets <= 100 * KIB + 64 * KIB
        errors = [item for item in await found.store.unfinished() if item.kind == "error"]
        assert len(errors) == 2
        assert all(b"resource-constraint" in item.payload for item in errors)


async def test_all_queues_together_are_full_by_octets(tmp_path: Path) -> None:
    async with parts(tmp_path, queue_total_bytes=100 * KIB) as found:
        for number in range(1, 4):
            found.arrives(number, size=40 * KIB)
        found.arrives(4, sender=f"romeo@{OTHER}")
        assert refused(found) == [("c4", "queue-full")]
        await found.durable()
        found.clock.now += 3601
        found.context.sip_lanes.expire(found.clock.now)
        await found.durable()
        assert not found.context.full(OTHER), "what left makes room again"


async def test_a_repetition_takes_no_room(tmp_path: Path) -> None:
    async with parts(tmp_path) as found:
        found.arrives(1, size=10 * KIB)
        await found.durable()
        before = found.context.queued.octets
        for _ in range(3):
            found.arrives(1, size=10 * KIB)
            assert found.context.queued.octets > before, "while nobody knows yet"
            await found.durable()
        assert (found.context.queued.messages, found.context.queued.octets) == (1, before)


async def test_a_message_with_a_large_extension_is_refused_and_not_kept(tmp_path: Path) -> None:
    async with parts(tmp_path) as found:
        found.arrives(1, size=64 * KIB)
        found.arrives(2, size=63 * KIB)
        assert refused(found) == [("c1", "policy-violation")]
        await found.durable()
        error, message = sorted(await found.store.unfinished(), key=lambda item: item.kind)
        assert (error.kind, message.correlation) == ("error", "c2")
        assert b"policy-violation" in kept(error.payload, OutgoingKept).data


async def filled(folder: Path, *items: Item) -> None:
    """A store that an earlier process left."""
    store = await SqliteStore.open(str(folder / "store.sqlite"))
    await store.submit([Accept(items, BEGIN)])
    await store.close()


async def test_recovery_loads_what_was_accepted_under_the_same_limits(tmp_path: Path) -> None:
    limits = {"queue_per_partner_bytes": 100 * KIB}
    async with parts(tmp_path, **limits) as found:
        for number in range(1, 6):
            found.arrives(number, size=40 * KIB)
        await found.durable()
        before = found.context.queued.messages, found.context.queued.octets
    async with parts(tmp_path, **limits) as found:
        assert await recover(found.context) == before[0] == 5
        assert (found.context.queued.messages, found.context.queued.octets) == before
        assert returned(found) == []
        assert (found.context.sip_lanes.depth, found.context.xmpp_lanes.depth) == (3, 2)


async def test_recovery_returns_what_exceeds_the_limits_and_never_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that a release without these limits has filled."""
    await filled(tmp_path, *(incoming(number, BEGIN, size=40 * KIB) for number in range(1, 101)))
    monkeypatch.setattr("xmppgw.store.sqlite.PAGE_BYTES", 200 * KIB)
    async with parts(tmp_path, queue_per_partner_bytes=100 * KIB) as found:
        pages: list[int] = []
        read = found.store.unfinished

        async def measured(after: int = 0) -> list[Item]:
            page = await read(after)
            pages.append(sum(len(item.payload) for item in page))
            assert found.context.queued.octets <= 100 * KIB + 64 * KIB
            return page

        monkeypatch.setattr(found.store, "unfinished", measured)
        assert await recover(found.context) == 100, "three messages, and an error for each of the others"
        assert max(pages) <= 200 * KIB + 41 * KIB
        assert returned(found) == [(f"c{number}", "resource-constraint") for number in range(4, 101)]
        assert (found.context.sip_lanes.depth, found.context.xmpp_lanes.depth) == (3, 97)


async def test_recovery_returns_what_is_too_old_before_it_takes_any_room(tmp_path: Path) -> None:
    old, held = BEGIN - 7200, BEGIN - 3620
    await filled(
        tmp_path,
        *(incoming(number, old, size=40 * KIB) for number in range(1, 11)),
        outgoing(11, old),
        outgoing(12, held, holder="edge1|E1"),
        outgoing(13, held - 100, holder="edge1|E1"),
        replace(incoming(14, BEGIN), holder="sip"),
        incoming(15, BEGIN, size=40 * KIB),
    )
    async with parts(tmp_path, queue_per_partner_bytes=60 * KIB) as found:
        await recover(found.context)
        assert returned(found) == [(f"c{number}", "remote-server-timeout") for number in (*range(1, 12), 13, 14)], (
            "12 is late as well, and the edge that has it will say so"
        )
        lane = found.context.sip_lanes._lanes[ALICE]
        assert [item.correlation for item in lane.items] == ["c15", "c11", "c13"], "the message, then notices"
        assert [item.kind for item in lane.items] == ["message", "notice", "notice"]
        assert found.context.xmpp_lanes.held == 1
        assert {kept(item.payload, OutgoingKept).recipient for item in found.context.xmpp_lanes._lanes[
            f"corp.example>{PARTNER}"
        ].queued} == {JULIET}  # fmt: skip
    async with parts(tmp_path) as found:
        assert await recover(found.context) == 3 + 1 + 11, "none was returned twice"
