"""What must hold for any bytes and any text: no surprise on reading, no line end on writing, round trips."""

from __future__ import annotations

import itertools
import string

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.sip.wire import SOUND, connection, request, with_method

from xmppgw.sip.connection import Event, MustClose, OutgoingRequest
from xmppgw.sip.message import (
    EMITTED_HEADERS,
    Limits,
    MediaType,
    NameAddr,
    Request,
    Response,
    SipSyntaxError,
    UnsafeValueError,
    Via,
    encode,
    parse_parameters,
    split_list,
)
from xmppgw.sip.uri import SipUri, UriError, escape_parameter, escape_user, parse_any, unescape

SMALL = Limits(header_block_bytes=600, header_fields=12, value_characters=200, body_bytes=60, skipped_body_bytes=200)
SEEDS = (
    request(),
    request(body=b"\r\n\r\n\x00"),
    request(instead={"Max-Forwards": "0"}),
    request(length="-1"),
    request(length="100", body=b"x" * 100),
    request(extra=("Subject: \r\n folded",)),
    with_method("OPTIONS"),
    with_method("INVITE"),
    b"SIP/2.0 200 OK\r\nVia: SIP/2.0/TLS fe1.corp.example;branch=z9hG4bKx\r\nl: 0\r\n\r\n",
    b"\r\n\r\n",
    b"\r\n",
    b"<" * 40,
)
PIECES = (b"\r\n", b"\x00", b"\r", b"\n", b" ", b'"', b"\xff", b":", b",", b";", b"<", b">", b"\\", b"\r\n ", b"%")
TOKEN_CHARACTERS = string.ascii_letters + string.digits + "-.!%*_+`'~"
tokens = st.text(TOKEN_CHARACTERS, min_size=1, max_size=20)
anything = st.text(max_size=80)
hosts = st.sampled_from(["corp.example", "a-b.example", "[2001:db8::1]", "198.51.100.7", "x"])
users = st.text(min_size=1, max_size=30).filter(lambda text: not any(0xD800 <= ord(c) < 0xE000 for c in text))


@st.composite
def byte_streams(draw: st.DrawFn) -> bytes:
    """Sound and spoiled messages one behind the other, some bytes of which are changed, dropped or doubled."""
    parts = draw(st.lists(st.sampled_from(SEEDS) | st.binary(max_size=20), max_size=5))
    data = bytearray(b"".join(parts))
    for _ in range(draw(st.integers(0, 4))):
        if not data:
            break
        position = draw(st.integers(0, len(data) - 1))
        action = draw(st.sampled_from(["change", "drop", "insert", "cut"]))
        if action == "change":
            data[position] = draw(st.integers(0, 255))
        elif action == "drop":
            del data[position]
        elif action == "insert":
            data[position:position] = draw(st.sampled_from(PIECES))
        else:
            del data[position : position + draw(st.integers(1, 60))]
    return bytes(data)


def run(chunks: list[bytes]) -> tuple[list[Event], bytes]:
    sip = connection(limits=SMALL)
    events: list[Event] = []
    for chunk in chunks:
        events += sip.receive(chunk, 1.0)
    return events, sip.data_to_send()


@settings(max_examples=120, deadline=None)
@given(byte_streams(), st.lists(st.integers(0, 2000), max_size=12))
def test_any_chunking_gives_the_same_events_and_the_same_answers(data: bytes, cuts: list[int]) -> None:
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    chunks = [data[start:end] for start, end in itertools.pairwise(edges)]
    whole = run([data])
    assert run(chunks) == whole
    assert run([data[n : n + 1] for n in range(len(data))]) == whole


NAMES = [field.partition(":")[0] for field in SOUND]
SPOILT = st.lists(
    st.sampled_from([*PIECES, b"sip:", b"a", b"1", b"SIP/2.0/TLS", b"=", b"@", b"tag", b"\t"]), max_size=8
)


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(NAMES), SPOILT.map(b"".join), st.booleans())
def test_no_header_value_makes_a_connection_raise(name: str, value: bytes, as_response: bool) -> None:
    """Every header in turn holds pieces of grammar in any order."""
    line = "SIP/2.0 200 OK" if as_response else "MESSAGE sip:juliet@partner1.example SIP/2.0"
    sip = connection()
    sip.receive(request(line=line, instead={name: value.decode("utf-8", "surrogateescape")}), 1.0)
    sip.receive(request(line=line, extra=(f"{name}: {value.decode('utf-8', 'surrogateescape')}",)), 1.0)


@settings(max_examples=120, deadline=None)
@given(st.binary(max_size=400) | byte_streams())
def test_no_bytes_make_a_connection_raise_or_answer_with_something_broken(data: bytes) -> None:
    sip = connection(limits=SMALL)
    events = sip.receive(data, 1.0)
    assert all(not isinstance(event, MustClose) for event in events[:-1]), "nothing follows the end"
    sent = sip.data_to_send()
    head = sent.replace(b"\r\n", b"")
    assert b"\r" not in head and b"\n" not in head and b"\x00" not in head
    reader = connection()
    for event in reader.receive(sent, 1.0):
        assert type(event).__name__ in ("StrayResponse", "KeepAlive", "Malformed"), "only responses were sent"
    sip.handle_time(1e9)


@settings(deadline=None)
@given(st.sampled_from(sorted(EMITTED_HEADERS)) | anything, anything, anything, st.binary(max_size=50))
def test_what_is_encoded_has_just_the_headers_that_were_given(name: str, value: str, target: str, body: bytes) -> None:
    for message in (
        Request(((name, value),), body, "MESSAGE", target),
        Request(((name, value),), body, target, "sip:a@b"),
        Response(((name, value),), body, 200, target),
    ):
        try:
            data = encode(message)
        except UnsafeValueError:
            continue
        head, _, rest = data.partition(b"\r\n\r\n")
        assert rest == body
        lines = head.split(b"\r\n")
        assert len(lines) == 3
        assert b"\r" not in b"".join(lines) and b"\n" not in b"".join(lines) and b"\x00" not in head


@settings(deadline=None)
@given(anything, anything, anything, anything)
def test_no_text_reaches_the_wire_as_a_header_of_its_own(call_id: str, display: str, tag: str, subject: str) -> None:
    address = SipUri("sip", "juliet", "partner1.example")
    out = OutgoingRequest(
        "MESSAGE",
        address,
        NameAddr(address, display, (("tag", tag),)),
        NameAddr(address),
        call_id,
        headers=(("Subject", subject), ("In-Reply-To", call_id)),
    )
    sip = connection()
    try:
        sip.send_request(out, 1.0)
    except UnsafeValueError:
        assert sip.data_to_send() == b""
        assert sip.open_requests == 0
        return
    head = sip.data_to_send().split(b"\r\n\r\n")[0]
    names = [line.partition(b":")[0] for line in head.split(b"\r\n")[1:]]
    assert names == [
        b"Via", b"Max-Forwards", b"From", b"To", b"Call-ID", b"CSeq", b"User-Agent", b"Subject", b"In-Reply-To",
        b"Content-Length",
    ]  # fmt: skip


@settings(deadline=None)
@given(users, hosts, st.none() | st.integers(1, 65535), st.none() | users)
def test_a_uri_comes_back_as_it_was(user: str, host: str, port: int | None, device: str | None) -> None:
    parameters = () if device is None else (("gr", escape_parameter(device)),)
    uri = SipUri("sip", escape_user(user), host, port, parameters)
    again = SipUri.parse(str(uri))
    assert again == uri
    assert again.user_text == user
    assert again.equivalent(uri)
    if device is not None:
        assert unescape(again.parameter("gr") or "").decode() == device


@settings(deadline=None)
@given(st.none() | anything, st.lists(st.tuples(tokens.map(str.lower), st.none() | anything), max_size=3))
def test_a_name_addr_comes_back_as_it_was(display: str | None, parameters: list[tuple[str, str | None]]) -> None:
    unique = tuple({name: (name, value) for name, value in parameters}.values())
    address = NameAddr(SipUri("sip", "alice", "corp.example"), display or None, unique)
    assert NameAddr.parse(str(address)) == address


@settings(deadline=None)
@given(anything)
def test_readers_of_text_raise_nothing_but_their_own_errors(text: str) -> None:
    for read in (NameAddr.parse, Via.parse, MediaType.parse, parse_parameters, split_list):
        try:
            read(text)
        except SipSyntaxError:
            continue
    for read_uri in (SipUri.parse, parse_any):
        try:
            uri = read_uri(text)
        except UriError:
            continue
        assert str(uri).lower() == text.lower()
