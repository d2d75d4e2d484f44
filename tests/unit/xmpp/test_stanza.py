"""Stanzas and elements: classification, checks, replies, serialisation; and the tables of conditions."""

from __future__ import annotations

import pytest

from xmppgw.xmpp import errors
from xmppgw.xmpp.element import NS_CLIENT, NS_SERVER, XML_LANG, Element, SerialisationError
from xmppgw.xmpp.parser import parse_stanza
from xmppgw.xmpp.stanza import (
    MAX_ID_LENGTH,
    FatalStanzaError,
    StanzaError,
    error_reply,
    iq_result,
    is_ping,
    message,
    read_stanza,
)
from xmppgw.xmpp.stream import StreamLimits

FROM_TO = {"from": "juliet@partner.example/b", "to": "alice@corp.example"}


def stanza(name: str, *children: Element | str, **attributes: str) -> Element:
    return Element(name, NS_SERVER, FROM_TO | attributes, list(children))


QUERY = Element("query", "urn:q")


@pytest.mark.parametrize(
    ("given", "read"),
    [("chat", "chat"), ("groupchat", "groupchat"), ("", "normal"), ("x", "normal"), ("error", "error")],
)
def test_unknown_message_types_are_normal(given, read):
    assert read_stanza(stanza("message", type=given)).type == read


def test_presence_without_type_is_availability():
    assert read_stanza(stanza("presence")).type == ""


def test_unknown_presence_types_are_refused():
    with pytest.raises(StanzaError) as refused:
        read_stanza(stanza("presence", type="invisible"))
    assert refused.value.condition == "bad-request"


@pytest.mark.parametrize(
    "wrong",
    [
        stanza("iq", QUERY, type="get"),
        stanza("iq", QUERY, id="1"),
        stanza("iq", QUERY, id="1", type="put"),
        stanza("iq", id="1", type="get"),
        stanza("iq", QUERY, QUERY, id="1", type="set"),
        stanza("iq", QUERY, QUERY, id="1", type="result"),
        stanza("iq", QUERY, id="", type="get"),
    ],
)
def test_a_malformed_iq_is_a_bad_request(wrong):
    with pytest.raises(StanzaError) as refused:
        read_stanza(wrong)
    assert refused.value.condition == "bad-request"
    assert (refused.value.reply is None) == (wrong.get("type") == "result")


@pytest.mark.parametrize(
    "good",
    [
        stanza("iq", QUERY, id="1", type="get"),
        stanza("iq", QUERY, " ", id="1", type="set"),
        stanza("iq", id="1", type="result"),
        stanza("iq", QUERY, id="1", type="result"),
        stanza("iq", QUERY, QUERY, id="1", type="error"),
    ],
)
def test_a_proper_iq_is_read(good):
    assert read_stanza(good).kind == "iq"


@pytest.mark.parametrize(
    ("element", "condition"),
    [
        (Element("query", NS_SERVER, dict(FROM_TO)), "unsupported-stanza-type"),
        (Element("message", NS_CLIENT, dict(FROM_TO)), "unsupported-stanza-type"),
        (Element("message", NS_SERVER, {"to": "a@b.example"}), "improper-addressing"),
        (Element("message", NS_SERVER, {"from": "a@b.example"}), "improper-addressing"),
        (Element("message", NS_SERVER, {"from": "", "to": "a@b.example"}), "improper-addressing"),
        (Element("message", NS_SERVER, {"from": "@", "to": "a@b.example"}), "improper-addressing"),
        (stanza("message", id="x" * (MAX_ID_LENGTH + 1)), "policy-violation"),
    ],
)
def test_some_faults_are_the_streams(element, condition):
    with pytest.raises(FatalStanzaError) as fault:
        read_stanza(element)
    assert fault.value.condition == condition


def test_a_malformed_recipient_is_not_echoed():
    with pytest.raises(StanzaError) as refused:
        read_stanza(stanza("message", to="a\r\nb@corp.example"))
    assert refused.value.condition == "jid-malformed"
    assert refused.value.reply is not None
    assert "from" not in refused.value.reply.attributes


def test_an_error_reply_swaps_addresses_keeps_the_id_and_echoes_nothing():
    reply = error_reply(stanza("message", Element("body", children=["secret"]), id="7"), "service-unavailable", "gone")
    assert reply is not None
    assert reply.to_bytes() == (
        b"<message type='error' from='alice@corp.example' to='juliet@partner.example/b' id='7'><error type='cancel'>"
        b"<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
        b"<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>gone</text></error></message>"
    )
    assert errors.read_stanza_error(reply) == ("service-unavailable", "gone")


@pytest.mark.parametrize("silent", [stanza("message", type="error"), stanza("iq", id="1", type="result")])
def test_errors_and_results_are_never_answered(silent):
    assert error_reply(silent, "bad-request") is None
    assert not read_stanza(silent).wants_reply


def test_presence_wants_no_reply():
    assert not read_stanza(stanza("presence")).wants_reply
    assert read_stanza(stanza("message")).wants_reply


def test_a_ping_is_recognised_only_when_meant_for_the_server():
    ping = Element("ping", "urn:xmpp:ping")
    assert is_ping(read_stanza(stanza("iq", ping, id="1", type="get", to="corp.example")))
    assert not is_ping(read_stanza(stanza("iq", ping, id="1", type="get")))
    assert not is_ping(read_stanza(stanza("iq", ping, id="1", type="result", to="corp.example")))
    assert not is_ping(read_stanza(stanza("iq", QUERY, id="1", type="get", to="corp.example")))
    result = iq_result(read_stanza(stanza("iq", ping, id="1", type="get", to="corp.example")))
    assert result.to_bytes() == b"<iq from='corp.example' to='juliet@partner.example/b' type='result' id='1'/>"


# --- elements --------------------------------------------------------------------------------------------------------


def test_every_namespace_is_declared_where_it_is_used():
    tree = Element(
        "message",
        NS_SERVER,
        {XML_LANG: "de", "{urn:n}a": "1", "{urn:m}b": "2"},
        [Element("x", "urn:x", None, [Element("y", "urn:x"), Element("z", NS_SERVER), Element("none", "")]), "tail"],
    )
    data = tree.to_bytes()
    assert b"xml:lang='de'" in data
    assert b"<x xmlns='urn:x'><y/><z xmlns='jabber:server'/><none xmlns=''/></x>tail" in data
    assert parse_stanza(data, StreamLimits()) == tree


@pytest.mark.parametrize(
    "bad",
    [
        Element("a b"),
        Element(""),
        Element("a>"),
        Element("a", "urn:x", {"b c": "1"}),
        Element("a", "urn:x", {"": "1"} if False else {"b=": "1"}),
        Element("a", "urn:x", {"{urn:y}": "1"}),
        Element("a", children=["\x00"]),
        Element("a", children=["\x1b[0m"]),
        Element("a", children=["\ufffe"]),
        Element("a", children=["\ud800"]),
        Element("a", "urn:x", {"b": "\x08"}),
        Element("a", "urn:\x0c"),
    ],
)
def test_what_xml_cannot_carry_is_never_written(bad):
    with pytest.raises(SerialisationError):
        bad.to_bytes()


def test_stanzas_change_namespace_with_all_their_children():
    original = message("a@corp.example", "b@partner.example", "hi")
    original.children.append(Element("x", "urn:x", None, [Element("deep", NS_SERVER)]))
    moved = original.renamespaced(NS_SERVER, NS_CLIENT)
    assert b"jabber:server" not in moved.to_bytes(NS_CLIENT)
    assert moved.renamespaced(NS_CLIENT, NS_SERVER) == original
    copied = original.copy()
    copied.children.clear()
    assert original.children


def test_children_are_found_by_name_and_namespace():
    parent = Element("a", children=["x", Element("b"), Element("b", "urn:b", {"n": "2"}), "y"])
    assert parent.child("b") is parent.children[1]
    assert parent.child("b", "urn:b") is parent.children[2]
    assert parent.child("c") is None
    assert parent.text == "xy"


# --- tables ----------------------------------------------------------------------------------------------------------


def test_the_tables_are_those_of_the_rfc():
    assert len(errors.STREAM_CONDITIONS) == 25
    assert len(errors.STANZA_ERROR_TYPES) == 22
    assert len(errors.SASL_FAILURES) == 11
    assert set(errors.STANZA_ERROR_TYPES.values()) == {"auth", "cancel", "modify", "wait"}


def test_every_stream_condition_survives_the_wire():
    for condition in errors.STREAM_CONDITIONS:
        element = parse_stanza(errors.stream_error(condition, "why").to_bytes(), StreamLimits())
        assert errors.read_stream_error(element) == (condition, "why")


def test_unknown_and_old_conditions_are_read():
    def error(name: str) -> Element:
        return Element("error", children=[Element(name, "urn:ietf:params:xml:ns:xmpp-streams")])

    assert errors.read_stream_error(error("made-up"))[0] == "undefined-condition"
    assert errors.read_stream_error(error("xml-not-well-formed"))[0] == "not-well-formed"


def test_a_peers_error_text_is_cut():
    element = errors.stream_error("reset", "x" * 10_000)
    assert len(errors.read_stream_error(element)[1]) == errors.MAX_ERROR_TEXT


@pytest.mark.parametrize(
    "make",
    [
        lambda: errors.stream_error("nonsense"),
        lambda: errors.stanza_error("nonsense"),
        lambda: errors.sasl_failure("nonsense"),
        lambda: errors.dialback_error("result", {}, "nonsense"),
    ],
)
def test_conditions_that_do_not_exist_cannot_be_sent(make):
    with pytest.raises(ValueError, match="nonsense"):
        make()
