"""Dialback keys and the table of what is outstanding."""

from __future__ import annotations

import pytest

from xmppgw.xmpp.dialback import OutstandingRequests, dialback_key, key_is_ours

VECTORS = [
    ("s3cr3tf0rd14lb4ck", "xmpp.example.com", "example.org", "D60000229F",
     "37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643"),
    ("s3cr3tf0rd14lb4ck", "montague.example", "capulet.example", "D60000229F",
     "b4835385f37fe2895af6c196b59097b16862406db80559900d96bf6fa7d23df3"),
    ("d14lb4ck43v3r", "capulet.example", "montague.example", "417GAF25",
     "225cc5aa6a071133249d25fef42ae516fc7a86c523aa1c6980a7f73e784c972d"),
]  # fmt: skip


@pytest.mark.parametrize(("secret", "receiving", "originating", "stream_id", "key"), VECTORS)
def test_keys_are_those_of_xep_0185(secret, receiving, originating, stream_id, key):
    assert dialback_key(secret, receiving, originating, stream_id) == key
    assert key_is_ours(secret, receiving, originating, stream_id, key)


def test_fields_do_not_run_into_each_other():
    """CVE-2016-0756: attacker `bber.example` with a stream id of its choice passes as `jabber.example`."""
    assert dialback_key("s", "to.example", "jabber.example", "x") != dialback_key(
        "s", "to.exampleja", "bber.example", "x"
    )
    assert dialback_key("s", "a", "b", "c d") != dialback_key("s", "a", "b c", "e")


@pytest.mark.parametrize("key", ["", "é", "\ud800", "0" * 64, "37c69b1c"])
def test_foreign_keys_are_not_ours(key):
    assert not key_is_ours("s3cr3tf0rd14lb4ck", "xmpp.example.com", "example.org", "D60000229F", key)


def test_an_answer_counts_once():
    table: OutstandingRequests[str] = OutstandingRequests(10)
    assert table.add("a", 5.0)
    assert not table.add("a", 9.0)
    assert table.take("a")
    assert not table.take("a")


def test_the_table_is_bounded():
    table: OutstandingRequests[int] = OutstandingRequests(3)
    assert [table.add(number, 1.0) for number in range(5)] == [True, True, True, False, False]
    assert len(table) == 3


def test_what_is_overdue_is_forgotten():
    table: OutstandingRequests[str] = OutstandingRequests(10)
    table.add("late", 10.0)
    table.add("early", 5.0)
    assert table.next_deadline() == 5.0
    assert table.take_overdue(4.9) == []
    assert table.take_overdue(5.0) == ["early"]
    assert "late" in table
    assert table.take_all() == ["late"]
    assert table.next_deadline() is None
