"""The first header of a connection: read within its bounds, judged by nothing but its form."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmppgw.xmpp.first_header import FirstHeader, FirstHeaderReader, NotAServer
from xmppgw.xmpp.stream import StreamLimits

HEADER = (
    b"<?xml version='1.0'?>\n<stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' "
    b"xmlns:stream='http://etherx.jabber.org/streams' from='Partner1.EXAMPLE' to='corp.example' version='1.0'>"
)


def read(*pieces: bytes, maximum: int = 4096) -> FirstHeader | NotAServer | None:
    reader = FirstHeaderReader(StreamLimits(), maximum)
    found = None
    for piece in pieces:
        found = reader.feed(piece)
        if found is not None:
            break
    return found


def test_both_domains_are_normalised() -> None:
    assert read(HEADER) == FirstHeader("corp.example", "partner1.example")


def test_who_does_not_say_who_it_is_is_still_read() -> None:
    assert read(HEADER.replace(b"from='Partner1.EXAMPLE' ", b"")) == FirstHeader("corp.example", None)


@given(st.lists(st.integers(1, len(HEADER) - 1), max_size=8), st.binary(max_size=64))
def test_how_it_is_cut_and_what_follows_make_no_difference_and_all_is_held(cuts: list[int], behind: bytes) -> None:
    whole = HEADER + behind
    places = [0, *sorted(cuts), len(whole)]
    reader = FirstHeaderReader(StreamLimits(), 4096)
    fed = b""
    for start, end in itertools.pairwise(places):
        fed += whole[start:end]
        found = reader.feed(whole[start:end])
        if found is not None:
            assert found == FirstHeader("corp.example", "partner1.example")
            assert reader.held == fed
            return
    raise AssertionError("a whole header was not enough")


@given(st.binary(max_size=400))
def test_anything_at_all_ends_in_an_answer_or_in_waiting(data: bytes) -> None:
    assert isinstance(read(data), FirstHeader | NotAServer | None)


@pytest.mark.parametrize(
    ("data", "condition"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "not-well-formed"),
        (HEADER.replace(b"jabber:server'", b"jabber:client'", 1), "invalid-namespace"),
        (HEADER.replace(b"stream:stream", b"stream:features"), "invalid-namespace"),
        (HEADER.replace(b"to='corp.example' ", b""), "improper-addressing"),
        (HEADER.replace(b"corp.example", b"a b"), "improper-addressing"),
        (HEADER.replace(b"Partner1.EXAMPLE", b"-"), "improper-addressing"),
        (b"<!DOCTYPE a>" + HEADER, "restricted-xml"),
        (b"<!-- a -->" + HEADER, "restricted-xml"),
        (HEADER.replace(b"'1.0'?>", b"'1.0' encoding='utf-16'?>", 1), "unsupported-encoding"),
        (b" " * 5000, "policy-violation"),
        (HEADER[:-1] + b" a='" + b"b" * 5000, "policy-violation"),
        (HEADER[:-1] + b"".join(b" a%d='b'" % number for number in range(100)) + b">", "policy-violation"),
    ],
)
def test_what_is_no_header_of_a_server_is_named(data: bytes, condition: str) -> None:
    found = read(data)
    assert isinstance(found, NotAServer)
    assert found.condition == condition
    assert found.text


def test_the_limit_counts_bytes_over_all_reads() -> None:
    found = read(*[b" "] * 200, HEADER, maximum=len(HEADER) + 199)
    assert isinstance(found, NotAServer)
    assert read(*[b"\n"] * 0, HEADER, maximum=len(HEADER)) == FirstHeader("corp.example", "partner1.example")
