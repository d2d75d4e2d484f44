"""The situations of RFC 4475, rebuilt as small messages of our own: what a stream UA in page mode does with each.

Section numbers name the situation; the messages are not those of the RFC's archive.
"""

from __future__ import annotations

import pytest
from tests.unit.sip.wire import connection, request, statuses, with_method

from xmppgw.sip.connection import Malformed, MustClose, RequestAnswered, RequestReceived

TAKEN = "taken"

ONE_HUNDRED_HOPS = ("Via: SIP/2.0/TLS " + ".".join(["longhop"] * 30) + ";branch=z9hG4bK" + "0" * 200,) * 60


@pytest.mark.parametrize(
    ("section", "data", "expected"),
    [
        pytest.param(
            "3.1.1.1 a short tortuous request",
            request(
                without=("Via", "From", "To", "Max-Forwards", "CSeq"),
                extra=(
                    'TO :\r\n sip:juliet@partner1.example ;   x   =  "a;\\"b"',
                    'from   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8',
                    "MaX-fOrWaRdS: 0068",
                    "cseq: 0009\r\n  MESSAGE",
                    "Via  : SIP  /   2.0\r\n /TLS\r\n    192.0.2.2;branch=z9hG4bK390skdjuw",
                    "s :",
                    "NewFangledHeader:   newfangled value\r\n continued newfangled value",
                    "UnknownHeaderWithUnusualValue: ;;,,;;,;",
                    "v:  SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8  ,\r\n"
                    " SIP  /    2.0   / UDP  192.168.255.111   ; branch=\r\n z9hG4bK30239",
                ),
            ),
            TAKEN,
        ),
        pytest.param(
            "3.1.1.2 wide range of valid characters",
            request(
                line="!interesting-Message0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"
                ":&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0",
                instead={
                    "From": '"\\\x07\\\x00\\\x7f" <sip:alice@corp.example>;tag=1',
                    "CSeq": "139122385 !interesting-Message0123456789_*+`.%indeed'~",
                },
            ),
            501,
        ),
        pytest.param(
            "3.1.1.3 escapes", request(line="MESSAGE sip:sips%3Auser%40example.com@partner1.example SIP/2.0"), TAKEN
        ),
        pytest.param(
            "3.1.1.4 escaped nulls", request(line="MESSAGE sip:null-%00-null@partner1.example SIP/2.0"), TAKEN
        ),
        pytest.param("3.1.1.5 percent in a method", with_method("RE%47IST%45R"), 501),
        pytest.param("3.1.1.6 no white space", request(instead={"To": "A<sip:juliet@partner1.example>"}), TAKEN),
        pytest.param("3.1.1.7 long values", request(extra=ONE_HUNDRED_HOPS[:30]), TAKEN),
        pytest.param(
            "3.1.1.9 semicolons in the user", request(line="MESSAGE sip:user;par=u%40x@partner1.example SIP/2.0"), TAKEN
        ),
        pytest.param(
            "3.1.1.10 varied transports", request(extra=("v: SIP/2.0/UNKNOWN t5.example;branch=z9hG4bKasd",)), TAKEN
        ),
        pytest.param("3.1.1.11 binary body", request(body=b"\x30\x82\x00\xff\r\n\r\n"), TAKEN),
        pytest.param("3.1.2.1 junk separators", request(instead={"Via": "SIP/2.0/TLS 192.0.2.15;;,;,,"}), 400),
        pytest.param("3.1.2.3 negative length", request(length="-999"), (400, MustClose)),
        pytest.param("3.1.2.4 scalar too large", request(instead={"CSeq": "36893488147419103232 MESSAGE"}), 400),
        pytest.param("3.1.2.6 quote not closed", request(instead={"To": '"Mr. J. User <sip:j.user@example.com>'}), 400),
        pytest.param(
            "3.1.2.7 brackets round the request-URI", request(line="MESSAGE <sip:user@example.com> SIP/2.0"), 400
        ),
        pytest.param(
            "3.1.2.8 white space in the request-URI", request(line="MESSAGE sip:u@example.com; lr SIP/2.0"), 400
        ),
        pytest.param("3.1.2.9 spaces in the request line", request(line="MESSAGE  sip:u@example.com  SIP/2.0"), 400),
        pytest.param(
            "3.1.2.10 space behind the request line", request(line="MESSAGE sip:u@example.com SIP/2.0  "), 400
        ),
        pytest.param(
            "3.1.2.11 headers in the request-URI", request(line="MESSAGE sip:u@example.com?Route= SIP/2.0"), 400
        ),
        pytest.param(
            "3.1.2.15 display name with a comma", request(instead={"From": "Bell, A <sip:a@x.example>;tag=4"}), 400
        ),
        pytest.param("3.1.2.16 unknown version", request(line="MESSAGE sip:u@example.com SIP/7.0"), 505),
        pytest.param("3.1.2.17 methods that disagree", request(instead={"CSeq": "8 INVITE"}), 400),
        pytest.param(
            "3.1.2.18 unknown methods that disagree",
            request(line="NEWMETHOD sip:u@example.com SIP/2.0", instead={"CSeq": "8 INVITE"}),
            400,
        ),
        pytest.param(
            "3.2.1 branch without an identifier",
            request(instead={"Via": "SIP/2.0/TLS a.example;branch=z9hG4bK"}),
            TAKEN,
        ),
        pytest.param("3.3.1 required headers missing", request(without=("Call-ID", "From", "To")), 400),
        pytest.param("3.3.2 unknown scheme", request(line="MESSAGE nobodyKnowsThisScheme:opaque SIP/2.0"), 416),
        pytest.param("3.3.3 known other scheme", request(line="MESSAGE soap.beep://192.0.2.103:3002 SIP/2.0"), 416),
        pytest.param("3.3.4 unknown scheme in To and From", request(instead={"To": "<isbn:2983792873>"}), TAKEN),
        pytest.param("3.3.5 extensions required", request(extra=("Require: nothingSupportsThis", "k: x")), 420),
        pytest.param("3.3.6 unknown body type", request(instead={"Content-Type": "application/unknownformat"}), 415),
        pytest.param(
            "3.3.7 unknown authorization scheme", with_method("REGISTER", extra=("Authorization: X y=z",)), 405
        ),
        pytest.param("3.3.8 single headers repeated", request(extra=("Max-Forwards: 5",)), 400),
        pytest.param("3.3.9 lengths that disagree", request(length="5\r\nContent-Length: 299"), (400, MustClose)),
        pytest.param("3.3.11 hops used up", request(instead={"Max-Forwards": "0"}), 483),
        pytest.param("3.3.11 hops used up, asked of us", with_method("OPTIONS", without=("Max-Forwards",)), 200),
        pytest.param("3.3.12 registration", with_method("REGISTER", extra=("Contact: *",)), 405),
        pytest.param(
            "3.4.1 no branch, no tag, no hops",
            request(without=("Max-Forwards",), instead={"Via": "SIP/2.0/TLS a.example"}),
            TAKEN,
        ),
    ],
)
def test_torture(section: str, data: bytes, expected: object) -> None:
    sip = connection()
    events = sip.receive(data, 1.0)
    sent = statuses(sip.data_to_send())
    if expected == TAKEN:
        assert [type(event) for event in events] == [RequestReceived], f"{section}: {events}"
        assert sip.respond(events[0].transaction, 202, 1.0)  # type: ignore[union-attr]
        assert statuses(sip.data_to_send()) == [202]
    elif isinstance(expected, tuple):
        assert sent == [expected[0]], f"{section}: {events}"
        assert isinstance(events[-1], expected[1])
    else:
        assert sent == [expected], f"{section}: {events}"
        assert isinstance(events[0], RequestAnswered | Malformed)
        assert len(events) == 1, "the connection lives"


@pytest.mark.parametrize(
    ("section", "data"),
    [
        ("3.1.2.5 a scalar too large in a response", request(line="SIP/2.0 503 x", extra=("Retry-After: 9" * 9,))),
        ("3.1.2.19 a status code too large", request(line="SIP/2.0 4294967301 better not break")),
        ("3.3.10 a response that is not ours", request(line="SIP/2.0 200 OK")),
        ("3.1.1.12 an unusual reason phrase", request(line="SIP/2.0 200 = 2**3 * 5**2 \u043d\u043e\u0441\u0442\u043e")),
        ("3.1.1.13 an empty reason phrase", request(line="SIP/2.0 100 ")),
    ],
)
def test_a_foreign_response_is_dropped_and_nothing_is_sent(section: str, data: bytes) -> None:
    sip = connection()
    events = sip.receive(data, 1.0)
    assert len(events) == 1, section
    assert sip.data_to_send() == b""
    assert isinstance(sip.receive(request(), 1.0)[0], RequestReceived), "the connection lives"


def test_a_message_that_promises_more_than_it_brings_is_waited_for_and_then_closed() -> None:
    """3.1.2.2: Content-Length larger than the message; on a stream the next bytes are its body."""
    sip = connection()
    assert sip.receive(request(length="9999"), 1.0) == []
    assert sip.next_deadline() == pytest.approx(33.0)
    (event,) = sip.handle_time(33.0)
    assert isinstance(event, MustClose)


def test_a_second_message_behind_the_first_is_a_message_of_its_own() -> None:
    """3.1.1.8: on a datagram the tail is ignored, on a stream it is the next request."""
    sip = connection()
    second = request(instead={"Via": "SIP/2.0/TLS pool.corp.example;branch=z9hG4bKother", "CSeq": "2 MESSAGE"})
    assert [type(event) for event in sip.receive(request() + second, 1.0)] == [RequestReceived, RequestReceived]
