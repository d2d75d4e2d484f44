"""Stanzas and requests for the translation tests."""

from __future__ import annotations

from tests.unit.sip.wire import request as request_bytes

from xmppgw.sip.message import Frame, Framer, Limits, Request, parse_request
from xmppgw.xmpp.element import NS_SERVER, XML_LANG, Element
from xmppgw.xmpp.stanza import Stanza, read_stanza


def body(text: str, language: str | None = None) -> Element:
    """A body, perhaps with a language."""
    return Element("body", NS_SERVER, {} if language is None else {XML_LANG: language}, [text])


def stanza(name: str = "message", *children: Element, **attributes: str) -> Stanza:
    """A stanza from juliet to alice; keyword arguments replace or add attributes, `lang` is xml:lang."""
    given = {"from": "juliet@partner1.example/balcony", "to": "alice@corp.example", "id": "m1"}
    for key, value in attributes.items():
        given[XML_LANG if key == "lang" else key.rstrip("_")] = value
    return read_stanza(Element(name, NS_SERVER, {k: v for k, v in given.items() if v}, list(children)))


def parsed_request(**spoiled: object) -> Request:
    """The sound MESSAGE of the SIP tests, spoiled as asked, parsed."""
    (frame,) = Framer().feed(request_bytes(**spoiled))  # type: ignore[arg-type]
    assert isinstance(frame, Frame), frame
    return parse_request(frame, Limits())
