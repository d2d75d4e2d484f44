"""The transaction tables: every cell that exists, and that no other does (RFC 3261 section 17, RFC 4320)."""

from __future__ import annotations

import pytest
from tests.unit.sip.wire import request

from xmppgw.sip.message import Frame, Framer, Limits, Request, parse_request
from xmppgw.sip.transaction import (
    CLIENT,
    SERVER,
    TIMER_F,
    ClientTransaction,
    ClientTransactions,
    Event,
    OngoingRequests,
    ServerTransactions,
    State,
    TooManyTransactionsError,
    server_identifier,
)


def parsed(**spoiled: object) -> Request:
    (frame,) = Framer().feed(request(**spoiled))  # type: ignore[arg-type]
    assert isinstance(frame, Frame)
    return parse_request(frame, Limits())


def test_nothing_happens_after_the_end() -> None:
    for table in (CLIENT, SERVER):
        assert not [cell for cell in table if cell[0] is State.TERMINATED]
        for state in {cell[0] for cell in table}:
            for event in (Event.FINAL, Event.TIMEOUT, Event.TRANSPORT_LOST):
                assert table[state, event] is State.TERMINATED


def test_what_the_table_does_not_hold_is_an_error_of_ours() -> None:
    with pytest.raises(KeyError):
        ClientTransaction("b", "MESSAGE", 1.0, State.TERMINATED).happens(Event.FINAL)


def test_timer_f_ends_the_oldest_first() -> None:
    open_requests = ClientTransactions(10)
    open_requests.open("a", "MESSAGE", 0.0)
    open_requests.open("b", "MESSAGE", 1.0)
    assert open_requests.next_deadline() == TIMER_F
    assert [ended.branch for ended in open_requests.expire(TIMER_F)] == ["a"]
    assert open_requests.next_deadline() == TIMER_F + 1
    assert [ended.branch for ended in open_requests.abort()] == ["b"]
    assert open_requests.next_deadline() is None


def test_the_table_of_open_requests_is_bounded() -> None:
    open_requests = ClientTransactions(2)
    open_requests.open("a", "MESSAGE", 0.0)
    open_requests.open("b", "MESSAGE", 0.0)
    with pytest.raises(TooManyTransactionsError):
        open_requests.open("c", "MESSAGE", 0.0)
    assert len(open_requests) == 2


@pytest.mark.parametrize(
    ("spoiled", "same"),
    [
        ({}, True),
        ({"extra": ("Subject: changed",)}, True),
        ({"instead": {"Via": "SIP/2.0/TLS POOL.corp.example:5061;branch=z9hG4bK776asdhds"}}, True),
        ({"instead": {"Via": "SIP/2.0/TLS other.example:5061;branch=z9hG4bK776asdhds"}}, False),
        ({"instead": {"Via": "SIP/2.0/TLS pool.corp.example:5061;branch=z9hG4bKother"}}, False),
        ({"instead": {"Via": "SIP/2.0/TLS pool.corp.example;branch=z9hG4bK776asdhds"}}, False),
    ],
)
def test_a_transaction_is_branch_sent_by_and_method(spoiled: dict[str, object], same: bool) -> None:
    assert (server_identifier(parsed()) == server_identifier(parsed(**spoiled))) is same


def test_without_the_magic_cookie_the_whole_request_counts() -> None:
    old = {"Via": "SIP/2.0/TLS pool.corp.example;branch=1"}
    same = server_identifier(parsed(instead=old))
    assert same == server_identifier(parsed(instead=old))
    assert same != server_identifier(parsed(instead=old | {"CSeq": "2 MESSAGE"}))
    assert same != server_identifier(parsed(instead=old | {"Call-ID": "other"}))


def test_merged_requests_are_found_across_connections_and_only_while_they_last() -> None:
    ongoing = OngoingRequests()
    one, two = ServerTransactions(10, ongoing), ServerTransactions(10, ongoing)
    first = parsed()
    again = parsed(instead={"Via": "SIP/2.0/TLS pool.corp.example:5061;branch=z9hG4bKother"})
    one.open(server_identifier(first), first, "tag", 0.0)
    assert two.merged(again, server_identifier(again))
    assert two.merged(first, server_identifier(first)), "the same branch on another connection is another arrival"
    assert not one.merged(first, server_identifier(first))
    assert one.answer(server_identifier(first)) is not None
    assert not two.merged(again, server_identifier(again))
    assert len(ongoing) == 0


def test_a_lost_connection_forgets_its_requests() -> None:
    ongoing = OngoingRequests()
    one = ServerTransactions(10, ongoing)
    one.open("x", parsed(), "tag", 0.0)
    one.abort()
    assert (len(one), len(ongoing)) == (0, 0)
