"""What was read is written so that it can be read again, and no tree becomes more than it may."""

from __future__ import annotations

import tracemalloc

import pytest
from tests.unit.xmpp.playbook import HEADER

from xmppgw.xmpp.element import Element, SerialisationError
from xmppgw.xmpp.parser import ElementRead, StreamParser, parse_stanza
from xmppgw.xmpp.stream import HANDED_OVER, StreamLimits


def read(data: bytes) -> Element:
    parser = StreamParser(StreamLimits())
    parser.feed(HEADER)
    (event,) = parser.feed(data)
    assert isinstance(event, ElementRead), event
    return event.element


@pytest.mark.parametrize(
    "data",
    [
        b"<message><x xmlns='urn:x' xmlns:p='urn:{y}' p:q='1'/></message>",
        b"<message><x xmlns='urn:x' xmlns:p='}{' xmlns:r='}' p:q='1' r:q='2'/></message>",
        b"<message><x xmlns='{}'/><y xmlns=''><z/></y></message>",
        b"<message><xml:foo/></message>",
        b"<message><xml:foo xml:lang='de'><body>inside</body><xml:foo/></xml:foo></message>",
        b"<xml:message><message/></xml:message>",
        b"<message xml:lang='de'><p:x xmlns:p='urn:&apos;&lt;&quot;' p:a='&#9;&#10;&#13;'>&#13;]]&gt;</p:x></message>",
        b"<message><stream:x/><db:y/><x xmlns='jabber:server:dialback' xmlns:s='urn:s' s:z=''/></message>",
    ],
)
def test_what_was_read_is_written_so_that_it_is_read_the_same(data: bytes) -> None:
    element = read(data)
    assert parse_stanza(element.to_bytes(), HANDED_OVER) == element


def test_what_the_namespace_xml_is_for_is_written_with_its_own_prefix() -> None:
    assert read(b"<message><xml:foo/></message>").to_bytes() == b"<message><xml:foo/></message>"


@pytest.mark.parametrize(
    "element",
    [
        Element("message", children=["x" * 79]),
        Element("message", children=["&" * 16]),
        Element("message", children=["\u00e4" * 40]),
        Element("message", attributes={"a": "'" * 14}),
        Element("message", children=[Element("a", "urn:a"), Element("b", "urn:b"), Element("c", "urn:c")]),
    ],
)
def test_more_than_the_maximum_is_not_written(element: Element) -> None:
    size = len(element.to_bytes())
    assert element.to_bytes(maximum=size) == element.to_bytes()
    with pytest.raises(SerialisationError):
        element.to_bytes(maximum=size - 1)


def test_a_stanza_that_would_become_a_hundred_times_as_large_costs_no_memory() -> None:
    """One declaration of the sender's serves thousands of attributes; in what we write each needs its own."""
    attributes = " ".join(f"p:{chr(97 + number // 26)}{chr(97 + number % 26)}=''" for number in range(64))
    declared = "&apos;" * 400
    # The parser's limit counts the namespace name as it is meant: 400 characters.
    data = f"<message xmlns:p='{declared}'>" + f"<x {attributes}/>" * 400 + "</message>"
    assert len(data) < 262_144
    element = read(data.encode())
    tracemalloc.start()
    try:
        with pytest.raises(SerialisationError):
            element.to_bytes(maximum=HANDED_OVER.stanza_bytes)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000, f"{peak} bytes to find out that it is too much"
