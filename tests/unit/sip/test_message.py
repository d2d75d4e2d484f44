"""Framing, headers and the encoder: what is cut, read, refused and never written."""

from __future__ import annotations

import pytest
from tests.unit.sip.wire import request

from xmppgw.sip.message import (
    EMITTED_HEADERS,
    CSeq,
    Frame,
    Framer,
    FramingLost,
    Limits,
    LineEnd,
    MediaType,
    NameAddr,
    Request,
    Response,
    SipSyntaxError,
    UnsafeValueError,
    Via,
    answer,
    encode,
    parse_parameters,
    parse_request,
    parse_response,
    split_list,
)
from xmppgw.sip.uri import SipUri

LIMITS = Limits()


def frames(data: bytes, limits: Limits = LIMITS) -> list[LineEnd | Frame | FramingLost]:
    return Framer(limits).feed(data)


def only_frame(data: bytes) -> Frame:
    (item,) = frames(data)
    assert isinstance(item, Frame), item
    return item


# ---------------------------------------------------------------------------------------------------- framing


def test_two_messages_in_one_read_are_two_messages() -> None:
    first, second = frames(request(body=b"one") + request(body=b"second"))
    assert isinstance(first, Frame) and isinstance(second, Frame)
    assert (first.body, second.body) == (b"one", b"second")


def test_line_ends_between_messages_are_counted_and_skipped() -> None:
    items = frames(b"\r\n\r\n" + request() + b"\r\n" + request())
    assert [type(item).__name__ for item in items] == ["LineEnd", "LineEnd", "Frame", "LineEnd", "Frame"]


def test_a_body_may_hold_anything_and_is_cut_by_its_length() -> None:
    body = b"\x00\r\n\r\nMESSAGE sip:x SIP/2.0\r\n\xff"
    assert only_frame(request(body=body)).body == body


@pytest.mark.parametrize("length", ["", "-999", "1e3", "5 5", "0x5", "5\r\nContent-Length: 6", "5\r\nl: 5", "9999999"])
def test_a_length_that_cannot_be_trusted_ends_the_stream(length: str) -> None:
    framer = Framer()
    (item,) = framer.feed(request(length=length))
    assert isinstance(item, FramingLost)
    assert item.frame is not None, "the request can still be answered"
    assert framer.feed(request()) == [], "nothing is read after the framing is lost"


@pytest.mark.parametrize(
    "data", [b"<" * 1_000_000, b"\x16\x03\x01\x02\x00", b"GET\x00", b"A" * 1_000_000, b"\n", b"\rX"]
)
def test_what_is_no_sip_is_refused_at_its_first_bytes(data: bytes) -> None:
    framer = Framer()
    for number, position in enumerate(range(0, len(data), 16)):
        items = framer.feed(data[position : position + 16])
        if items:
            assert isinstance(items[0], FramingLost)
            assert items[0].problem.code == "not-sip"
            assert number <= 4
            return
    pytest.fail("nothing was refused")


def test_headers_that_never_end_are_refused_at_the_limit() -> None:
    framer = Framer(Limits(header_block_bytes=1000))
    assert framer.feed(b"MESSAGE sip:a@b SIP/2.0\r\nSubject: " + b"x" * 900) == []
    (item,) = framer.feed(b"x" * 200)
    assert isinstance(item, FramingLost)
    assert item.problem.code == "header-size"


def test_a_large_body_is_skipped_and_the_stream_goes_on() -> None:
    limits = Limits(body_bytes=100)
    large, sound = frames(request(body=b"x" * 101) + request(), limits)
    assert isinstance(large, Frame) and large.problem is not None
    assert (large.problem.status, large.body) == (413, b"")
    assert isinstance(sound, Frame) and sound.body == b"hello"


def test_a_spoiled_message_does_not_disturb_the_next() -> None:
    spoiled, sound = frames(request(extra=("bad header name: x",)) + request())
    assert isinstance(spoiled, Frame) and spoiled.problem is not None
    assert isinstance(sound, Frame) and sound.problem is None


# ---------------------------------------------------------------------------------------------------- headers


def test_folding_compact_forms_and_white_space_before_the_colon() -> None:
    data = request(
        without=("From", "To", "Via", "Call-ID"),
        extra=(
            "f : \r\n <sip:alice@corp.example>\r\n\t ;tag=1",
            "t:<sip:juliet@partner1.example>",
            "v:SIP / 2.0\r\n / TLS\r\n pool.corp.example : 5061\r\n ;\r\n branch = z9hG4bKx",
            "i: x@y",
            "s: hi",
        ),
    )
    parsed = parse_request(only_frame(data), LIMITS)
    assert (parsed.from_.tag, str(parsed.to.uri)) == ("1", "sip:juliet@partner1.example")
    assert parsed.vias[0].sent_by == "pool.corp.example:5061"
    assert parsed.vias[0].branch == "z9hG4bKx"
    assert parsed.header("subject") == "hi"
    assert parsed.key == "1|x@y|1 MESSAGE"


def test_white_space_before_the_colon_hides_no_header() -> None:
    """CVE-2020-28361: `P-Asserted-Identity : x` passed a filter that looked for the name and a colon."""
    parsed = parse_request(only_frame(request(extra=("P-Asserted-Identity \t: <sip:boss@corp.example>",))), LIMITS)
    assert parsed.header("P-Asserted-Identity") == "<sip:boss@corp.example>"


def test_a_list_is_split_outside_quotes_and_brackets() -> None:
    assert split_list('<sip:a,b@c>;x=",", "d, \\" e" <sip:f>,, g') == ['<sip:a,b@c>;x=","', '"d, \\" e" <sip:f>', "g"]
    assert split_list("") == []


def test_name_addr_forms() -> None:
    quoted = NameAddr.parse('"J. \\"Rosenberg\\" \\\\" <sip:jdrosen@example.com> ; tag = 98asjd8')
    assert (quoted.display_name, quoted.tag) == ('J. "Rosenberg" \\', "98asjd8")
    assert NameAddr.parse(str(quoted)) == quoted
    bare = NameAddr.parse("sip:alice@corp.example;tag=1")
    assert bare.uri == SipUri("sip", "alice", "corp.example")
    assert bare.parameters == (("tag", "1"),), "parameters of an address without brackets belong to the header"
    assert NameAddr.parse("The Caller <sip:a@b>").display_name == "The Caller"
    assert NameAddr.parse("<tel:+1>;tag=x").tag == "x"


@pytest.mark.parametrize(
    "text",
    [
        '"Mr. J. User <sip:j.user@example.com>',  # RFC 4475 3.1.2.6: quote never closed
        "Bell, Alexander <sip:a.g.bell@example.com>",  # 3.1.2.15
        "<sip:user@example.com> x",
        "<<sip:user@example.com>>",
        "<sip:user@example.com",
        "sip:user@example.com?Route=x",
        '"sip:user@example.com"',
        "< sip:user@example.com>",
        "<sip:user@example.com>;tag=1;tag=2",
        "<sip:user@example.com>;tag=;x",
        "",
    ],
)
def test_name_addr_that_is_none(text: str) -> None:
    with pytest.raises(SipSyntaxError):
        NameAddr.parse(text)


def test_typed_headers_are_written_as_they_are_read() -> None:
    via = Via.parse("SIP/2.0/tls [2001:db8::9]:5061;received=2001:db8::9;branch=z9hG4bK1")
    assert via.sent_by == "[2001:db8::9]:5061"
    assert str(via) == 'SIP/2.0/TLS [2001:db8::9]:5061;received="2001:db8::9";branch=z9hG4bK1'
    assert str(CSeq.parse("0009 INVITE")) == "9 INVITE"
    media = MediaType.parse('text/PLAIN ; charset="UTF-8"')
    assert (media.essence, media.charset, str(media)) == ("text/plain", "utf-8", "text/plain;charset=UTF-8")
    assert parse_parameters("") == ()


@pytest.mark.parametrize(
    "text", ["2147483648 MESSAGE", "36893488147419103232 REGISTER", "-1 MESSAGE", "1", "x MESSAGE", ""]
)
def test_cseq_beyond_its_range(text: str) -> None:
    with pytest.raises(SipSyntaxError):
        CSeq.parse(text)


# --------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("code", "data"),
    [
        ("start-line", request(line="MESSAGE  sip:juliet@partner1.example SIP/2.0")),
        ("start-line", request(line="MESSAGE sip:juliet@partner1.example SIP/2.0 ")),
        ("start-line", request(line="MESSAGE <sip:juliet@partner1.example SIP/2.0 x>")),
        ("start-line", request(line="MESSAGE sip:juliet@partner1.example; lr SIP/2.0")),
        ("start-line", request(line="MESSAGE")),
        ("request-uri", request(line="MESSAGE <sip:juliet@partner1.example> SIP/2.0")),
        ("request-uri", request(line="MESSAGE juliet SIP/2.0")),
        ("version", request(line="MESSAGE sip:juliet@partner1.example SIP/7.0")),
        ("header-missing", request(without=("From",))),
        ("header-missing", request(without=("To",))),
        ("header-missing", request(without=("Via",))),
        ("header-missing", request(without=("Call-ID",))),
        ("header-missing", request(without=("CSeq",))),
        ("header-missing", request(instead={"To": ""})),
        ("header-repeated", request(extra=("To: <sip:other@partner1.example>;tag=",))),  # CVE-2018-14767
        ("header-repeated", request(extra=("f: <sip:bob@corp.example>;tag=2",))),
        ("header-repeated", request(extra=("Call-ID: 2",))),
        ("header-repeated", request(extra=("c: text/html",))),
        ("tag", request(instead={"To": "<sip:juliet@partner1.example>;tag"})),
        ("parameter", request(instead={"To": "<sip:juliet@partner1.example>;tag="})),
        ("via", request(instead={"Via": "SIP/2.0/TLS"})),  # CVE-2018-16657
        ("via", request(instead={"Via": "SIP/2.0/TLS ;;,;,,"})),
        ("via", request(instead={"Via": "SIP/7.0/TLS pool.corp.example;branch=z9hG4bKx"})),
        ("cseq", request(instead={"CSeq": "1 INVITE"})),
        ("cseq", request(instead={"CSeq": "4294967296 MESSAGE"})),
        ("max-forwards", request(instead={"Max-Forwards": "300"})),
        ("max-forwards", request(instead={"Max-Forwards": "-1"})),
        ("call-id", request(instead={"Call-ID": "a b"})),
        ("call-id", request(instead={"Call-ID": "a@b@c"})),
        ("content-type", request(instead={"Content-Type": "plain"})),
        ("address", request(instead={"From": '"x <sip:alice@corp.example>;tag=1'})),
        ("header-name", request(extra=(": no name",))),
        ("header-name", request(extra=("no colon",))),
        ("header-name", request(extra=("Bad Name: x",))),
        ("control-character", request(extra=("Subject: a\nInjected: b",))),
        ("control-character", request(extra=("Subject: a\rInjected: b",))),
        ("control-character", request(extra=("Subject: a\x00b",))),
        ("control-character", request(instead={"From": '"a\x00b" <sip:alice@corp.example>;tag=1'})),
        ("control-character", request(extra=('Subject: "\r\n \x00 never closed',))),  # Kamailio 4930
        ("encoding", request(extra=("Subject: \udcff\udcfe",))),
        ("via-count", request(extra=tuple("v: SIP/2.0/TLS a.example;branch=z9hG4bKx" for _ in range(70)))),
        ("header-count", request(extra=tuple(f"X-{n}: x" for n in range(200)))),  # CVE-2016-2385
        ("header-size", request(instead={"From": f"<sip:alice@corp.example>;tag={'x' * 9000}"})),  # CVE-2018-8828
    ],
)
def test_a_spoiled_request_is_refused_by_name(code: str, data: bytes) -> None:
    with pytest.raises(SipSyntaxError) as caught:
        parse_request(only_frame(data), LIMITS)
    assert caught.value.code == code
    assert caught.value.status == (505 if code == "version" else 400)


@pytest.mark.parametrize(
    "line", ["SIP/2.0 99 x", "SIP/2.0 700 x", "SIP/2.0 4294967301 x", "SIP/2.0 200", "SIP/3.0 200 OK"]
)
def test_a_spoiled_response_is_refused(line: str) -> None:
    with pytest.raises(SipSyntaxError):
        parse_response(only_frame(request(line=line)), LIMITS)


# ---------------------------------------------------------------------------------------------------- encoder


def sendable(**changes: str) -> Request:
    headers = {"From": "<sip:a@b>;tag=1", "To": "<sip:c@d>", "Call-ID": "x@y", "CSeq": "1 MESSAGE", **changes}
    return Request(tuple(headers.items()), b"", "MESSAGE", "sip:c@d")


@pytest.mark.parametrize(
    "bad", ["\r", "\n", "\r\n", "\x00", "\x0b", "\x7f", "\x85", "\u2028", "\u2029", "\ud800", "\ufeff"]
)
@pytest.mark.parametrize("name", sorted(EMITTED_HEADERS))
def test_no_header_can_carry_a_line_end_or_control(name: str, bad: str) -> None:
    with pytest.raises(UnsafeValueError):
        encode(sendable(**{name: f"<sip:a@b>{bad}Injected: yes"}))
    with pytest.raises(UnsafeValueError):
        encode(sendable(**{name: bad}))


def test_headers_outside_of_the_list_do_not_leave() -> None:
    with pytest.raises(UnsafeValueError, match="P-Asserted-Identity"):
        encode(sendable(**{"P-Asserted-Identity": "<sip:boss@corp.example>"}))


@pytest.mark.parametrize("target", ["sip:a@b\r\nX: y", "sip:a b", "", "sip:\u00fc@b"])
def test_the_request_line_is_checked(target: str) -> None:
    with pytest.raises(UnsafeValueError):
        encode(Request(sendable().headers, b"", "MESSAGE", target))
    with pytest.raises(UnsafeValueError):
        encode(Request(sendable().headers, b"", "MESS AGE", "sip:a@b"))
    with pytest.raises(UnsafeValueError):
        encode(Response(sendable().headers, b"", 200, "OK\r\nX: y"))


def test_an_answer_copies_what_it_must_and_adds_the_tag() -> None:
    response = answer(only_frame(request(extra=("Via: SIP/2.0/TLS far.example;branch=z9hG4bK2",))), 404, "mine")
    assert response is not None
    assert [value for name, value in response.headers if name == "Via"] == [
        "SIP/2.0/TLS pool.corp.example:5061;branch=z9hG4bK776asdhds",
        "SIP/2.0/TLS far.example;branch=z9hG4bK2",
    ]
    assert response.header("To") == "<sip:juliet@partner1.example>;tag=mine"
    assert response.reason == "Not Found"


@pytest.mark.parametrize(
    ("to", "echoed"),
    [
        ("sip:juliet@partner1.example", "<sip:juliet@partner1.example>;tag=mine"),
        ("sip:juliet@partner1.example;x=1", "<sip:juliet@partner1.example>;x=1;tag=mine"),
        ("<sip:juliet@partner1.example>;tag=theirs", "<sip:juliet@partner1.example>;tag=theirs"),
        ("<sip:juliet@partner1.example>;tag", "<sip:juliet@partner1.example>;tag=mine"),
        ('"\\\x00" <sip:juliet@partner1.example>', "<sip:juliet@partner1.example>;tag=mine"),
        ("<broken", "<broken"),
    ],
)
def test_the_to_of_an_answer(to: str, echoed: str) -> None:
    response = answer(only_frame(request(instead={"To": to})), 400, "mine")
    assert response is not None
    assert response.header("To") == echoed
    encode(response)


def test_without_a_via_nothing_can_be_answered() -> None:
    assert answer(only_frame(request(without=("Via",))), 400, "mine") is None
