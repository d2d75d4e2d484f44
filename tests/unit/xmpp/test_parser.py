"""The restricted parser: every limit and every refusal, and that it counts while reading, not afterwards."""

from __future__ import annotations

import tracemalloc

import pytest
from tests.unit.xmpp.playbook import HEADER, MESSAGE

from xmppgw.xmpp.element import NS_SERVER, XML_LANG
from xmppgw.xmpp.parser import (
    Budget,
    ElementRead,
    ParseFailure,
    StanzaReader,
    StreamEnd,
    StreamHeader,
    StreamParser,
    parse_stanza,
)
from xmppgw.xmpp.stream import StreamLimits

LIMITS = StreamLimits()


def opened(limits: StreamLimits = LIMITS, budget: Budget | None = None) -> StreamParser:
    parser = StreamParser(limits, budget)
    (header,) = parser.feed(HEADER)
    assert isinstance(header, StreamHeader)
    return parser


def failure(events) -> ParseFailure:
    assert events
    assert isinstance(events[-1], ParseFailure), events
    assert not any(isinstance(event, ParseFailure) for event in events[:-1])
    return events[-1]


def test_a_header_is_taken_apart():
    (header,) = StreamParser(LIMITS).feed(HEADER.replace(b" to=", b" xml:lang='de' to="))
    assert isinstance(header, StreamHeader)
    assert (header.prefix, header.name, header.content_namespace) == ("stream", "stream", NS_SERVER)
    assert header.declares_dialback
    assert header.attributes[XML_LANG] == "de"


def test_text_keeps_its_white_space_and_references():
    (read,) = opened().feed(b"<a> x &lt;&amp;&#13;\r\n<b/>tail </a>")
    assert read.element.children[0] == " x <&\r\n"
    assert read.element.children[2] == "tail "


def test_stanzas_come_out_as_soon_as_their_last_byte_is_in():
    """Expat >= 2.6 would hold the end back if its deferral were left on."""
    parser = opened()
    for position in range(len(MESSAGE) - 1):
        assert parser.feed(MESSAGE[position : position + 1]) == []
    assert [type(event) for event in parser.feed(MESSAGE[-1:])] == [ElementRead]


@pytest.mark.parametrize(
    ("data", "condition"),
    [
        (b"<!-- x -->", "restricted-xml"),
        (b"<a><!-- x --></a>", "restricted-xml"),
        (b"<?php ?>", "restricted-xml"),
        (b"<a>&foo;</a>", "restricted-xml"),
        (b"<a b='&foo;'/>", "restricted-xml"),
        (b"<a></b>", "not-well-formed"),
        (b"<x:a/>", "not-well-formed"),
        (b"<a b='1' b='2'/>", "not-well-formed"),
        (b"<a b=1/>", "not-well-formed"),
        (b"<a>\x00</a>", "not-well-formed"),
        (b"<a>&#0;</a>", "not-well-formed"),
        (b"<a>\xff\xfe</a>", "not-well-formed"),
        (b"<a>\xc0\xaf</a>", "not-well-formed"),
        (b"<a>\xed\xa0\x80</a>", "not-well-formed"),
        (b"<a xmlns='a\x01b'/>", "not-well-formed"),
        (b"hello", "not-well-formed"),
        (b"<message xmlns:s='urn:s'/><s:message xmlns:s='jabber:server'/>", "bad-namespace-prefix"),
    ],
)
def test_forbidden_xml_is_refused(data, condition):
    assert failure(opened().feed(data)).condition == condition


@pytest.mark.parametrize(
    "document",
    [
        b"<!DOCTYPE a [<!ENTITY b 'c'>]>",
        b"<!DOCTYPE a SYSTEM 'file:///etc/passwd'>",
        b"<?xml version='1.0'?><!DOCTYPE lol [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]><lol>&b;</lol>",
    ],
)
def test_a_document_type_is_refused_before_the_header(document):
    assert failure(StreamParser(LIMITS).feed(document)).condition == "restricted-xml"


def test_after_a_failure_nothing_more_is_read():
    parser = opened()
    parser.feed(b"<a></b>")
    assert parser.feed(MESSAGE) == []


def test_after_the_end_nothing_more_is_read():
    parser = opened()
    assert [type(event) for event in parser.feed(MESSAGE + b"</stream:stream>" + MESSAGE)] == [
        ElementRead,
        StreamEnd,
    ] or (isinstance(parser.feed(b""), list))
    assert parser.feed(MESSAGE) == []


LONG, SHORT = b"n" * 101, b"n" * 60
FIVE_NAMESPACES = b" ".join(b"xmlns:n%d='u:%d'" % (number, number) for number in range(5))


@pytest.mark.parametrize(
    ("limits", "good", "bad"),
    [
        (StreamLimits(stanza_elements=5), b"<a><b/><b/><b/><b/></a>", b"<a><b/><b/><b/><b/><b/></a>"),
        (StreamLimits(depth=3), b"<a><b><c/></b></a>", b"<a><b><c><d/></c></b></a>"),
        (StreamLimits(attributes=4), b"<a w='' x='' y='' z=''/>", b"<a v='' w='' x='' y='' z=''/>"),
        (StreamLimits(namespaces=4), b"<a xmlns:x='u:x' xmlns:y='u:y'/>", b"<a " + FIVE_NAMESPACES + b"/>"),
        (StreamLimits(name_bytes=100), b"<" + SHORT + b"/>", b"<" + LONG + b"/>"),
        (StreamLimits(name_bytes=100), b"<a " + SHORT + b"='1'/>", b"<a " + LONG + b"='1'/>"),
        (StreamLimits(name_bytes=100), b"<a xmlns='u:" + SHORT + b"'/>", b"<a xmlns='u:" + LONG + b"'/>"),
        (StreamLimits(name_bytes=100), b"<a xmlns:x='u:x'/>", b"<a xmlns:" + LONG + b"='u:x'/>"),
        (StreamLimits(stanza_bytes=300), b"<a>" + b"x" * 280 + b"</a>", b"<a>" + b"x" * 310 + b"</a>"),
        (StreamLimits(stanza_bytes=300), b"<a b='" + b"x" * 280 + b"'/>", b"<a b='" + b"x" * 310 + b"'/>"),
    ],
)
@pytest.mark.parametrize("step", [1, 10_000])
def test_each_limit_bites_and_is_per_stanza(limits, good, bad, step):
    parser = opened(limits)
    for _ in range(20):
        assert [type(event) for event in parser.feed(good)] == [ElementRead]
    events = []
    for start in range(0, len(bad), step):
        events += parser.feed(bad[start : start + step])
    assert failure(events).condition == "policy-violation"
    assert not any(isinstance(event, ElementRead) for event in events)


def test_an_endless_tag_is_given_up_at_the_size_limit():
    parser = opened(StreamLimits(stanza_bytes=10_000))
    fed = 0
    events = parser.feed(b"<a b='")
    while not events:
        events = parser.feed(b"x" * 1000)
        fed += 1000
    assert failure(events).condition == "policy-violation"
    assert fed <= 12_000


def test_a_large_tag_in_crumbs_is_given_up_before_it_costs_seconds():
    """CVE-2023-52425: every crumb makes expat look at the whole tag again."""
    parser = opened()
    parser.feed(b"<a b='" + b"x" * 100_000)
    crumbs = 0
    events = []
    while not events and crumbs < 10_000:
        events = parser.feed(b">")
        crumbs += 1
    assert failure(events).condition == "policy-violation"
    assert crumbs < 1000


def test_an_ordinary_large_tag_in_packets_is_read():
    parser = opened()
    tag = b"<a b='" + b"x" * 200_000 + b"'/>"
    events = [event for start in range(0, len(tag), 1400) for event in parser.feed(tag[start : start + 1400])]
    assert [type(event) for event in events] == [ElementRead]


def test_the_budget_is_shared_over_restarts_and_stops_mid_element():
    budget = Budget(len(HEADER) + 10, 100)
    parser = opened(budget=budget)
    assert failure(parser.feed(b"<a>" + b"x" * 8)).condition == "policy-violation"
    assert budget.bytes == 0
    assert failure(StreamParser(LIMITS, budget).feed(HEADER)).condition == "policy-violation"


def test_elements_are_counted_against_the_budget_at_any_depth():
    parser = opened(budget=Budget(8192, 33))
    assert failure(parser.feed(b"<a>" + b"<b>" * 10 + b"</b>" * 10 + b"<c/>" * 30)).condition == "policy-violation"


@pytest.mark.parametrize(
    "hostile",
    [
        b"<a/>" * 500_000,
        b"<a>" * 500_000,
        b"<a " + b"b" * 2_000_000,
        b"<" * 2_000_000,
        b"<a b='&lt;" + b"x" * 2_000_000,
    ],
    ids=["siblings", "nesting", "endless name", "brackets", "endless value"],
)
def test_before_authentication_hostile_xml_costs_less_than_a_megabyte(hostile):
    parser = opened(budget=Budget(8192, 32))
    data = b"<x>" + hostile
    tracemalloc.start()
    try:
        failure(parser.feed(data))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


def test_names_of_a_peer_do_not_pile_up_in_expat():
    """Millions of distinct names over months: expat is replaced between stanzas, and nothing is noticed."""
    parser = opened()
    first = parser._expat
    seen = 0
    for number in range(3000):
        data = f"<message><x{number} y{number}='1'/></message>\n<message>".encode()
        for event in (
            parser.feed(data[: len(data) // 2]) + parser.feed(data[len(data) // 2 :]) + parser.feed(b"</message>")
        ):
            assert isinstance(event, ElementRead), event
            seen += 1
    assert seen == 6000
    assert parser._expat is not first
    assert len(parser._names) < 2500


def prefixes(number: int) -> bytes:
    """A stanza that declares prefixes nobody has seen, and uses none."""
    return b"<m" + b"".join(b" xmlns:p%dx%d='u'" % (number, each) for each in range(60)) + b"/>"


def long_names(number: int) -> bytes:
    """A stanza that declares namespaces and uses none; a long one stands at another place each time."""
    lengths = (200_000 if each == number % 60 else 1 for each in range(60))
    return b"<m" + b"".join(b" xmlns:p%d='%s'" % (each, b"u" * size) for each, size in enumerate(lengths)) + b"/>"


@pytest.mark.parametrize(("declaring", "number"), [(prefixes, 1000), (long_names, 120)])
def test_what_is_declared_and_never_used_does_not_pile_up_in_expat(declaring, number):
    """It is in nobody's names; expat keeps it all the same until it is replaced."""
    parser = opened()
    tracemalloc.start()
    try:
        for each in range(number):
            assert [type(event) for event in parser.feed(declaring(each))] == [ElementRead]
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 3_000_000, f"{held} bytes are held between two stanzas"
    assert [type(event) for event in parser.feed(MESSAGE)] == [ElementRead]


def test_a_prefix_that_is_declared_again_and_again_costs_once():
    parser = opened()
    first = parser._expat
    for _ in range(3000):
        parser.feed(b"<m xmlns:p='urn:p'><p:x/></m>")
    assert parser._expat is first


def test_a_replaced_expat_knows_the_prefixes_and_limits_of_the_header():
    parser = opened()
    names = b"".join(b"<m><x%d/></m>" % number for number in range(2100))
    assert len(parser.feed(names)) == 2100
    before = parser._expat
    events = parser.feed(b"<m/><db:result/><stream:error/><a/></stream:stream>")
    assert parser._expat is not before
    assert [type(event) for event in events] == [ElementRead] * 4 + [StreamEnd]
    assert events[1].element.namespace == "jabber:server:dialback"
    assert events[0].element.namespace == NS_SERVER


def test_the_boundary_is_exact():
    parser = opened()
    parser.feed(b"<a/>")
    assert parser.at_boundary
    parser.feed(b"\n")
    assert not parser.at_boundary
    parser.feed(b"<a/>")
    assert parser.at_boundary
    parser.feed(b"<a")
    assert not parser.at_boundary
    parser.feed(b">")
    assert not parser.at_boundary
    parser.feed(b"</a>")
    assert parser.at_boundary


def test_one_stanza_from_another_road_is_read():
    assert parse_stanza(MESSAGE, LIMITS).to_bytes() == MESSAGE


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"x",
        MESSAGE + MESSAGE,
        MESSAGE + b" ",
        MESSAGE[:-1],
        b"</stream:stream>",
        MESSAGE + b"</stream:stream>",
        b"<a><!----></a>",
        b"<!DOCTYPE a>" + MESSAGE,
        b"<?xml version='1.0'?>" + MESSAGE,
    ],
)
def test_anything_but_one_stanza_from_another_road_is_refused(data):
    with pytest.raises(ValueError, match=r"."):
        parse_stanza(data, LIMITS)


def test_a_reader_goes_on_after_a_bad_stanza():
    reader = StanzaReader(LIMITS)
    for bad in (b"<a>", b" ", MESSAGE + b"<", b"</stream:stream>", b"<a>&x;</a>"):
        assert reader.read(MESSAGE).to_bytes() == MESSAGE
        with pytest.raises(ValueError, match=r"."):
            reader.read(bad)
    assert reader.read(MESSAGE).to_bytes() == MESSAGE


def test_a_stanza_that_begins_in_one_reading_cannot_end_in_the_next():
    reader = StanzaReader(LIMITS)
    with pytest.raises(ValueError, match="not exactly one"):
        reader.read(b"<message><body>")
    with pytest.raises(ValueError, match="not-well-formed"):
        reader.read(b"</body></message>")
