"""What must hold for any bytes, any cut of them, and any tree or address.

Invariants: a machine never raises for what a peer sends; the same bytes give the same outputs however they are cut;
what is serialised reads back the same; preparing an address twice changes nothing.
"""

from __future__ import annotations

from itertools import pairwise

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.unit.xmpp.playbook import (
    ANSWER,
    AUTH,
    EXTERNAL_OR_DIALBACK,
    HEADER,
    LOCAL,
    MESSAGE,
    PARTNER,
    PROCEED,
    SECRET,
    STARTTLS,
    SUCCESS,
    TLS,
    Verdict,
    Wire,
    authenticated_incoming,
    counter,
    encrypted_incoming,
    incoming,
    outgoing,
)

from xmppgw.xmpp.address import JID, AddressError, domain_to_ascii, prepare_domain
from xmppgw.xmpp.element import NS_SERVER, XML_LANG, Element
from xmppgw.xmpp.incoming import IncomingSettings, IncomingStream
from xmppgw.xmpp.parser import parse_stanza
from xmppgw.xmpp.stanza import message
from xmppgw.xmpp.stream import (
    Authorised,
    Closed,
    Output,
    PeerPolicy,
    Phase,
    SendData,
    StanzaReceived,
    StreamLimits,
)

# A busy machine is no property of the code.
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

FRAGMENTS = st.sampled_from(
    [
        HEADER,
        ANSWER,
        STARTTLS,
        PROCEED,
        AUTH,
        SUCCESS,
        MESSAGE,
        b"</stream:stream>",
        b" ",
        b"<",
        b">",
        b"<stream:features/>",
        b"<db:result from='partner.example' to='corp.example'>key</db:result>",
        b"<db:result from='partner.example' to='corp.example' type='valid'/>",
        b"<db:verify from='partner.example' to='corp.example' id='x'>key</db:verify>",
        b"<db:verify from='partner.example' to='corp.example' id='x' type='valid'/>",
        b"<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
        b"<iq from='a@partner.example' to='corp.example' type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>",
        b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>",
        b"<message from='a@evil.example' to='b@corp.example'/>",
        b"<?xml version='1.0'?>",
        b"<!DOCTYPE x>",
        b"&lt;",
        b"\xff",
    ]
)


def merged(outputs: list[Output]) -> list[Output]:
    """Adjacent writes joined: where they are cut is nobody's business."""
    result: list[Output] = []
    for output in outputs:
        if isinstance(output, SendData) and result and isinstance(result[-1], SendData):
            result[-1] = SendData(result[-1].data + output.data)
        else:
            result.append(output)
    return result


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(ends)]


@relaxed
@given(st.lists(FRAGMENTS, max_size=12).map(b"".join), st.lists(st.integers(0, 100_000), max_size=30))
def test_an_open_incoming_stream_does_not_care_how_its_bytes_are_cut(data, places):
    whole, pieces = authenticated_incoming(), authenticated_incoming()
    expected = merged(whole.receive(data, 1.0))
    found: list[Output] = []
    for piece in cut(data, places):
        found += pieces.receive(piece, 1.0)
    assert merged(found) == expected
    assert pieces.phase is whole.phase


@relaxed
@example(b"&lt;<?xml version='1.0'?>")
@example(b"x&foo;")
@given(st.lists(FRAGMENTS, max_size=6).map(b"".join))
def test_byte_by_byte_is_the_same_stream(data):
    whole, pieces = authenticated_incoming(), authenticated_incoming()
    expected = merged(whole.receive(data, 1.0))
    found: list[Output] = []
    for position in range(len(data)):
        found += pieces.receive(data[position : position + 1], 1.0)
    assert merged(found) == expected


@relaxed
@given(st.lists(FRAGMENTS | st.binary(max_size=40), max_size=15))
def test_an_incoming_stream_survives_anything(pieces):
    for stream in (
        incoming(EXTERNAL_OR_DIALBACK),
        encrypted_incoming(EXTERNAL_OR_DIALBACK, trusted=False),
        authenticated_incoming(EXTERNAL_OR_DIALBACK),
    ):
        authorised_before = bool(stream.authorised)
        outputs: list[Output] = []
        for piece in pieces:
            if stream.phase is Phase.TLS:
                outputs += stream.tls_done(TLS, 1.0)
            if stream.phase is Phase.CERTIFICATE:
                outputs += stream.certificate_verified(Verdict(False), 1.0)
            outputs += stream.receive(piece, 1.0)
        # Nothing the peer says can authorise it: the certificate is bad and nobody vouched for a key.
        assert not any(isinstance(output, Authorised) for output in outputs)
        for output in outputs:
            assert authorised_before or not isinstance(output, StanzaReceived)
            assert not isinstance(output, StanzaReceived) or output.stanza.sender.domain == PARTNER
        if stream.phase is not Phase.CLOSED:
            outputs += stream.connection_lost(2.0)
        assert isinstance(outputs[-1], Closed)
        assert sum(isinstance(output, Closed) for output in outputs) == 1


@relaxed
@given(st.lists(FRAGMENTS | st.binary(max_size=40), max_size=15))
def test_an_outgoing_stream_survives_anything(pieces):
    stream = outgoing(EXTERNAL_OR_DIALBACK)
    outputs = stream.start(0.0)
    for piece in pieces:
        if stream.phase is Phase.TLS:
            outputs += stream.tls_done(TLS, 1.0)
        if stream.phase is Phase.CERTIFICATE:
            outputs += stream.certificate_verified(Verdict(True), 1.0)
        outputs += stream.receive(piece, 1.0)
    if stream.phase is not Phase.CLOSED:
        outputs += stream.connection_lost(2.0)
    assert isinstance(outputs[-1], Closed)
    assert sum(isinstance(output, Closed) for output in outputs) == 1


@relaxed
@given(st.sampled_from(["S", "T", "C"]), st.integers(1, 200), st.text(max_size=60))
def test_two_machines_agree_whatever_the_chunks(letter, chunk, body):
    policy = PeerPolicy.from_letters(frozenset(letter))
    server = IncomingStream(IncomingSettings(frozenset({PARTNER}), lambda _own, _remote: policy, SECRET), counter())
    server.start(0.0)
    wire = Wire(outgoing(policy), server, chunk=chunk)
    wire.run()
    assert wire.client.can_send
    stanza = message(f"a@{LOCAL}", f"b@{PARTNER}", "".join(filter(allowed, body)))
    wire.do("client", wire.client.send(stanza, 1.0))
    (received,) = wire.outputs("server", StanzaReceived)
    assert received.stanza.element.child("body").text == stanza.child("body").text


def allowed(character: str) -> bool:
    """XML 1.0 production [2]."""
    point = ord(character)
    return point in (9, 10, 13) or 0x20 <= point <= 0xD7FF or 0xE000 <= point <= 0xFFFD or point >= 0x10000


TEXTS = st.text(st.characters(codec="utf-8").filter(allowed), min_size=1, max_size=20)
NAMES = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_.\-]{0,8}", fullmatch=True)
NAMESPACES = st.sampled_from([NS_SERVER, "urn:x", "urn:y&'<\">", "", "jabber:server:dialback", "jabber:client"])
KEYS = NAMES.filter(lambda name: not name.lower().startswith("xml")) | st.sampled_from(
    [XML_LANG, "{urn:n}a", "{urn:m'&}b"]
)


def tree(children):
    def mixed(elements: list[Element | str]) -> list[Element | str]:
        result: list[Element | str] = []
        for child in elements:  # two texts in a row are one text
            if isinstance(child, str) and result and isinstance(result[-1], str):
                result[-1] += child
            else:
                result.append(child)
        return result

    attributes = st.dictionaries(KEYS, TEXTS | st.just(""), max_size=4)
    return st.builds(Element, NAMES, NAMESPACES, attributes, st.lists(children | TEXTS, max_size=4).map(mixed))


TREES = st.recursive(tree(st.nothing()), tree, max_leaves=12)


@relaxed
@given(TREES)
def test_what_is_serialised_reads_back_the_same(element):
    assert parse_stanza(element.to_bytes(), StreamLimits()) == element


@relaxed
@given(st.text(max_size=40))
def test_preparing_a_domain_twice_changes_nothing(text):
    try:
        domain = prepare_domain(text)
    except AddressError:
        return
    assert prepare_domain(domain) == domain
    assert prepare_domain(domain_to_ascii(domain)) == domain
    assert prepare_domain(domain + ".") == domain


@relaxed
@given(st.text(max_size=20), st.sampled_from(["corp.example", "bücher.example"]), st.text(max_size=20))
def test_preparing_an_address_twice_changes_nothing(local, domain, resource):
    text = (f"{local}@" if local else "") + domain + (f"/{resource}" if resource else "")
    try:
        address = JID.parse(text)
    except AddressError:
        return
    assert JID.parse(str(address)) == address
