"""What every engine behind the store interface must do. Subclass with a `reopen` fixture and run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from xmppgw.store.interface import Accept, Defer, Finish, Forget, Hold, Item, Position, Sent, Store

#: Closes the store if it is open, and opens it again on the same data.
Reopen = Callable[[], Awaitable[Store]]


def item(number: int, **fields: object) -> Item:
    made = Item(
        id=number,
        direction="to_sip",
        kind="message",
        lane="alice@corp.example",
        partner="partner1.example",
        correlation=f"c-{number}",
        payload=b"<message/>",
        created=100.0,
        expires=3700.0,
    )
    return replace(made, **fields)  # type: ignore[arg-type]


class StoreConformance:
    async def test_a_new_store_is_empty(self, reopen: Reopen) -> None:
        store = await reopen()
        assert await store.unfinished() == []
        assert await store.last_id() == 0
        assert await store.positions() == {}
        assert await store.find_sent("x") is None

    async def test_what_is_accepted_survives_in_order_with_every_field(self, reopen: Reopen) -> None:
        store = await reopen()
        items = [item(2, payload=b"\x00\xff", holder="e1", attempts=3, not_before=5.5), item(1, direction="to_xmpp")]
        assert await store.submit([Accept(tuple(items), 1.0)]) == (True,)
        store = await reopen()
        assert await store.unfinished() == [items[1], items[0]]

    async def test_what_is_not_finished_comes_in_pages_of_which_each_is_bounded(self, reopen: Reopen) -> None:
        store = await reopen()
        large = [item(number, payload=bytes(512 * 1024)) for number in range(1, 41)]
        await store.submit([Accept((*large, *(item(number) for number in range(41, 3_041))), 1.0)])
        found: list[int] = []
        while page := await store.unfinished(found[-1] if found else 0):
            assert sum(len(each.payload) for each in page) < 8 * 1024 * 1024
            found += [each.id for each in page]
        assert found == list(range(1, 3_041))

    async def test_a_key_seen_before_adds_nothing(self, reopen: Reopen) -> None:
        store = await reopen()
        assert await store.submit([Accept((item(1),), 1.0, key=b"k")]) == (True,)
        assert await store.submit([Accept((item(2),), 2.0, key=b"k"), Accept((item(3),), 2.0, key=b"other")]) == (
            False,
            True,
        )
        store = await reopen()
        assert await store.submit([Accept((item(4),), 3.0, key=b"k")]) == (False,)
        assert [each.id for each in await store.unfinished()] == [1, 3]

    async def test_repetitions_in_one_group_are_recognised(self, reopen: Reopen) -> None:
        store = await reopen()
        results = await asyncio.gather(*(store.submit([Accept((item(n),), 1.0, key=b"k")]) for n in range(1, 20)))
        assert sum(result[0] for result in results) == 1
        assert [each.id for each in await store.unfinished()] == [1], "the first one submitted"

    async def test_a_held_item_is_held_after_a_restart_and_a_deferred_one_is_not(self, reopen: Reopen) -> None:
        store = await reopen()
        await store.submit([Accept((item(1), item(2)), 1.0)])
        await store.submit([Hold(1, "edge:E1"), Hold(2, "edge:E1")])
        await store.submit([Defer(2, 50.0, 1)])
        store = await reopen()
        assert await store.unfinished() == [item(1, holder="edge:E1"), item(2, not_before=50.0, attempts=1)]

    async def test_a_finished_item_is_gone_and_what_follows_is_there(self, reopen: Reopen) -> None:
        store = await reopen()
        await store.submit([Accept((item(1),), 1.0)])
        assert await store.submit([Finish(1, (item(2, kind="error", direction="to_xmpp"),))]) == (True,)
        assert await store.submit([Finish(1, (item(3),))]) == (False,), "twice finished follows once"
        assert await store.unfinished() == [item(2, kind="error", direction="to_xmpp")]

    async def test_ids_are_never_used_again(self, reopen: Reopen) -> None:
        store = await reopen()
        await store.submit([Accept((item(41),), 1.0)])
        await store.submit([Finish(41)])
        store = await reopen()
        assert await store.last_id() == 41

    async def test_the_identity_stays(self, reopen: Reopen) -> None:
        first = (await reopen()).identity
        assert first
        assert (await reopen()).identity == first

    async def test_the_link_position_moves_with_what_it_covers(self, reopen: Reopen) -> None:
        store = await reopen()
        await store.submit([Accept((item(1),), 1.0), Position("edge1", "E1", 7)])
        await store.submit([Position("edge1", "E2", 1), Position("edge2", "X", 3)])
        store = await reopen()
        assert await store.positions() == {"edge1": ("E2", 1), "edge2": ("X", 3)}

    async def test_what_was_sent_is_found_by_its_stanza_id_until_forgotten(self, reopen: Reopen) -> None:
        store = await reopen()
        sent = Sent("s1", "call-1", "alice@corp.example", "juliet@partner1.example", 100.0)
        await store.submit([Accept((item(1),), 100.0, key=b"k", sent=sent)])
        store = await reopen()
        assert await store.find_sent("s1") == sent
        await store.submit([Forget(keys_before=0.0, sent_before=100.5)])
        assert await store.find_sent("s1") is None
        assert await store.submit([Accept((item(2),), 100.0, key=b"k")]) == (False,), "the key is still known"
        await store.submit([Forget(keys_before=100.5, sent_before=0.0)])
        assert await store.submit([Accept((item(2),), 101.0, key=b"k")]) == (True,)

    async def test_transactions_take_effect_in_the_order_of_submission(self, reopen: Reopen) -> None:
        store = await reopen()
        futures = [store.submit([Accept((item(n),), 1.0)]) for n in range(1, 1001)]
        futures += [store.submit([Finish(n)]) for n in range(1, 1001, 2)]
        await asyncio.gather(*futures)
        assert [each.id for each in await store.unfinished()] == list(range(2, 1001, 2))
