"""One connection, both roles: which requests reach the daemon, what the others are answered, what ends what."""

from __future__ import annotations

import pytest
from tests.unit.sip.wire import connection, header_of, request, statuses, with_method

from xmppgw.sip.connection import (
    SIMPLE,
    KeepAlive,
    Malformed,
    MustClose,
    OngoingRequests,
    OutgoingRequest,
    RequestAnswered,
    RequestReceived,
    ResponseReceived,
    SipConnection,
    StrayResponse,
    TooManyTransactionsError,
    TransactionAbandoned,
    TransactionAborted,
    TransactionTimeout,
)
from xmppgw.sip.message import TEXT_PLAIN, Limits, NameAddr, UnsafeValueError
from xmppgw.sip.uri import SipUri

OUTGOING = OutgoingRequest(
    method="MESSAGE",
    uri=SipUri("sip", "alice", "corp.example"),
    from_=NameAddr(SipUri("sip", "juliet", "partner1.example"), None, (("tag", "f1"),)),
    to=NameAddr(SipUri("sip", "alice", "corp.example")),
    call_id="c1@fe1.corp.example",
    content_type=TEXT_PLAIN,
    body=b"hello",
)


def send(sip: SipConnection, now: float = 1.0) -> tuple[str, bytes]:
    transaction = sip.send_request(OUTGOING, now)
    return transaction, sip.data_to_send()


def response_to(data: bytes, status: int, *, via: str | None = None, cseq: str = "1 MESSAGE") -> bytes:
    top = header_of(data, "Via") if via is None else via
    return (
        f"SIP/2.0 {status} Whatever\r\nVia: {top}\r\nFrom: <sip:juliet@partner1.example>;tag=f1\r\n"
        f"To: <sip:alice@corp.example>;tag=t\r\nCall-ID: c1@fe1.corp.example\r\nCSeq: {cseq}\r\nl: 0\r\n\r\n"
    ).encode()


# -------------------------------------------------------------------------------------------- requests to us


def test_a_sound_message_reaches_the_daemon_and_its_answer_goes_back() -> None:
    sip = connection()
    (event,) = sip.receive(request(), 1.0)
    assert isinstance(event, RequestReceived)
    assert sip.data_to_send() == b"", "nothing is acknowledged before the daemon says so"
    assert sip.respond(event.transaction, 202, 1.5)
    sent = sip.data_to_send()
    assert statuses(sent) == [202]
    assert header_of(sent, "Via") == "SIP/2.0/TLS pool.corp.example:5061;branch=z9hG4bK776asdhds"
    assert (header_of(sent, "To") or "").startswith("<sip:juliet@partner1.example>;tag=")
    assert header_of(sent, "Content-Length") == "0"
    assert sip.respond(event.transaction, 202, 1.6) is False, "one request has one final answer"
    assert sip.data_to_send() == b""


@pytest.mark.parametrize(
    ("status", "header", "data"),
    [
        (200, ("Allow", "MESSAGE, OPTIONS"), with_method("OPTIONS")),
        (200, ("Accept", "text/plain"), with_method("OPTIONS", extra=("Accept: application/sdp",))),
        (405, ("Allow", "MESSAGE, OPTIONS"), with_method("INVITE", body=b"v=0")),
        (405, ("Allow", "MESSAGE, OPTIONS"), with_method("SUBSCRIBE")),
        (405, ("Allow", "MESSAGE, OPTIONS"), with_method("REGISTER")),
        (481, None, with_method("BYE")),
        (481, None, with_method("CANCEL")),
        (481, None, with_method("NOTIFY")),
        (501, ("Allow", "MESSAGE, OPTIONS"), with_method("message")),
        (501, None, with_method("NEWMETHOD")),
        (416, None, request(line="MESSAGE tel:+491234 SIP/2.0")),
        (481, None, request(instead={"To": "<sip:juliet@partner1.example>;tag=dialog"})),
        (420, ("Unsupported", "x, y"), request(extra=("Require: x", "Proxy-Require: y"))),
        (483, None, request(instead={"Max-Forwards": "0"})),
        (482, None, request(extra=("Via: SIP/2.0/TLS FE-POOL.corp.example;branch=z9hG4bKmine",))),
        (415, ("Accept", "text/plain"), request(instead={"Content-Type": "text/html"})),
        (415, ("Accept", "text/plain"), request(instead={"Content-Type": "application/im-iscomposing+xml"})),
        (415, ("Accept", "text/plain"), request(without=("Content-Type",))),
        (415, ("Accept-Encoding", "identity"), request(extra=("Content-Encoding: gzip",))),
    ],
)
def test_what_the_daemon_never_sees(status: int, header: tuple[str, str] | None, data: bytes) -> None:
    sip = connection()
    (event,) = sip.receive(data, 1.0)
    assert isinstance(event, RequestAnswered)
    assert event.status == status
    sent = sip.data_to_send()
    assert statuses(sent) == [status]
    if header is not None:
        assert header_of(sent, header[0]) == header[1]
    assert sip.open_server_transactions == 0


def test_the_checks_come_in_the_order_of_rfc_3261() -> None:
    """A request with every fault at once is answered for the first one; each repair shows the next."""
    faults: dict[str, object] = {"line": "INVITE tel:+1 SIP/2.0"}
    instead = {
        "CSeq": "1 INVITE",
        "To": "<sip:juliet@partner1.example>;tag=dialog",
        "Max-Forwards": "0",
        "Content-Type": "text/html",
    }
    seen: list[int] = []
    for repair in ("", "method", "scheme", "dialog", "require", "hops", "content"):
        if repair == "method":
            faults["line"] = "MESSAGE tel:+1 SIP/2.0"
            instead["CSeq"] = "1 MESSAGE"
        elif repair == "scheme":
            faults["line"] = "MESSAGE sip:juliet@partner1.example SIP/2.0"
        elif repair == "dialog":
            del instead["To"]
        elif repair == "hops":
            del instead["Max-Forwards"]
        elif repair == "content":
            del instead["Content-Type"]
        extra = ("Require: x",) if repair in ("", "method", "scheme", "dialog") else ()
        sip = connection()
        (event,) = sip.receive(request(instead=instead, extra=extra, **faults), 1.0)  # type: ignore[arg-type]
        seen.append(event.status if isinstance(event, RequestAnswered) else 0)
    assert seen == [405, 416, 481, 420, 483, 415, 0]


def test_an_ack_is_never_answered() -> None:
    sip = connection()
    assert sip.receive(with_method("ACK"), 1.0) == []
    (event,) = sip.receive(with_method("ACK", without=("Call-ID",)), 1.0)
    assert isinstance(event, Malformed)
    assert event.status is None
    assert sip.data_to_send() == b""


def test_a_retransmission_is_absorbed_and_a_merged_request_refused() -> None:
    ongoing = OngoingRequests()
    one, two = connection(ongoing=ongoing), connection(ongoing=ongoing)
    (event,) = one.receive(request(), 1.0)
    assert isinstance(event, RequestReceived)
    assert one.receive(request(), 1.1) == []
    assert one.data_to_send() == b""
    joined = request(instead={"Via": "SIP/2.0/TLS other.example;branch=z9hG4bKfork"})
    (merged,) = two.receive(joined, 1.2)
    assert isinstance(merged, RequestAnswered)
    assert merged.status == 482
    assert one.respond(event.transaction, 202, 1.3)
    assert isinstance(two.receive(joined, 1.4)[0], RequestReceived), "what the first one ended may be asked again"


def test_a_request_that_the_daemon_forgets_is_abandoned_in_silence() -> None:
    """RFC 4320 section 4.2: no late 408."""
    sip = connection()
    (event,) = sip.receive(request(), 1.0)
    assert isinstance(event, RequestReceived)
    assert sip.next_deadline() == pytest.approx(33.0)
    assert sip.handle_time(32.9) == []
    assert sip.handle_time(33.0) == [TransactionAbandoned(event.transaction)]
    assert sip.data_to_send() == b""
    assert sip.respond(event.transaction, 202, 33.1) is False


def test_too_many_open_requests_are_told_to_come_again_and_never_503() -> None:
    sip = connection(maximum_server_transactions=2)
    for number in range(3):
        via = f"SIP/2.0/TLS pool.corp.example;branch=z9hG4bK{number}x"
        events = sip.receive(request(instead={"Via": via, "CSeq": f"{number} MESSAGE"}), 1.0)
    assert isinstance(events[0], RequestAnswered)
    sent = sip.data_to_send()
    assert statuses(sent) == [500]
    assert header_of(sent, "Retry-After") == "5"


def test_an_answer_that_may_not_leave_keeps_the_request_open() -> None:
    sip = connection()
    (event,) = sip.receive(request(), 1.0)
    assert isinstance(event, RequestReceived)
    with pytest.raises(UnsafeValueError):
        sip.respond(event.transaction, 415, 1.0, headers=(("Accept", "text/plain\r\nX: y"),))
    assert sip.respond(event.transaction, 403, 1.0, reason="No\r\nX: y")
    assert b"\r\nX: y" not in sip.data_to_send()


# -------------------------------------------------------------------------------------------- requests of ours


def test_our_request_has_what_a_request_needs() -> None:
    _, sent = send(connection())
    assert sent.startswith(b"MESSAGE sip:alice@corp.example SIP/2.0\r\n")
    assert header_of(sent, "Via") == "SIP/2.0/TLS fe1.corp.example;branch=z9hG4bKtoken1"
    assert header_of(sent, "Max-Forwards") == "70"
    assert header_of(sent, "CSeq") == "1 MESSAGE"
    assert header_of(sent, "Content-Length") == "5"
    assert header_of(sent, "Contact") is None, "RFC 3428 section 4: no Contact in MESSAGE"
    assert sent.endswith(b"\r\n\r\nhello")


@pytest.mark.parametrize("status", [200, 202, 302, 404, 486, 503, 603])
def test_a_final_response_ends_our_request(status: int) -> None:
    sip = connection()
    transaction, sent = send(sip)
    assert sip.receive(response_to(sent, 100), 1.1) == []
    (event,) = sip.receive(response_to(sent, status), 1.2)
    assert isinstance(event, ResponseReceived)
    assert (event.transaction, event.response.status) == (transaction, status)
    (again,) = sip.receive(response_to(sent, status), 1.3)
    assert isinstance(again, StrayResponse)
    assert sip.next_deadline() is None


@pytest.mark.parametrize(
    "spoiled",
    [
        {"via": "SIP/2.0/TLS fe2.corp.example;branch=z9hG4bKtoken1"},
        {"via": "SIP/2.0/TLS fe1.corp.example:5061;branch=z9hG4bKtoken1"},
        {"via": "SIP/2.0/TLS fe1.corp.example;branch=z9hG4bKtokenX"},
        {"via": "SIP/2.0/TLS fe1.corp.example;branch=z9hG4bKtoken1, SIP/2.0/TLS x.example;branch=z9hG4bK9"},
        {"cseq": "1 OPTIONS"},
    ],
)
def test_a_response_to_something_else_is_dropped(spoiled: dict[str, str]) -> None:
    sip = connection()
    _, sent = send(sip)
    (event,) = sip.receive(response_to(sent, 200, **spoiled), 1.1)
    assert isinstance(event, StrayResponse)
    assert sip.open_requests == 1
    assert sip.data_to_send() == b"", "a response is never answered"


def test_no_answer_for_timer_f_and_a_lost_connection() -> None:
    sip = connection()
    first, _ = send(sip, 1.0)
    second, _ = send(sip, 2.0)
    assert sip.handle_time(33.0) == [TransactionTimeout(first)]
    assert sip.connection_lost(33.5) == [TransactionAborted(second)]
    assert sip.next_deadline() is None
    with pytest.raises(TooManyTransactionsError):
        sip.send_request(OUTGOING, 34.0)
    assert sip.receive(request(), 34.0) == []


def test_what_may_not_leave_opens_no_transaction() -> None:
    sip = connection()
    bad = OutgoingRequest(
        "MESSAGE", OUTGOING.uri, OUTGOING.from_, OUTGOING.to, "c@d\r\nX: y", content_type=TEXT_PLAIN, body=b"x"
    )
    with pytest.raises(UnsafeValueError):
        sip.send_request(bad, 1.0)
    assert (sip.open_requests, sip.data_to_send()) == (0, b"")


def test_the_table_of_our_requests_is_bounded() -> None:
    sip = connection(maximum_open_requests=1)
    send(sip)
    with pytest.raises(TooManyTransactionsError):
        sip.send_request(OUTGOING, 1.0)
    assert sip.data_to_send() == b""


# ----------------------------------------------------------------------------------------- keep-alive and closing


def test_a_ping_is_answered_between_messages() -> None:
    sip = connection()
    assert sip.receive(b"\r\n\r\n", 1.0) == [KeepAlive("ping")]
    assert sip.data_to_send() == b"\r\n"
    assert sip.receive(b"\r\n", 1.0) == []
    assert isinstance(sip.receive(request(), 1.0)[0], RequestReceived)
    assert sip.receive(b"\r\n", 1.0) == [], "half a ping before a message and half behind it make none"


def test_a_peer_that_answered_pings_must_go_on_doing_so() -> None:
    sip = connection(keepalive_seconds=100.0)
    assert sip.next_deadline() == pytest.approx(100.0)
    assert sip.handle_time(100.0) == []
    assert sip.data_to_send() == b"\r\n\r\n"
    assert sip.receive(b"\r\n", 101.0) == [KeepAlive("pong")]
    sip.handle_time(200.0)
    assert sip.next_deadline() == pytest.approx(210.0)
    (event,) = sip.handle_time(210.0)
    assert isinstance(event, MustClose)


def test_a_peer_that_never_answered_a_ping_is_left_alone() -> None:
    sip = connection(keepalive_seconds=100.0)
    sip.handle_time(100.0)
    assert sip.handle_time(110.0) == []
    assert sip.next_deadline() == pytest.approx(200.0)


def test_nothing_is_read_after_the_framing_is_lost() -> None:
    sip = connection()
    malformed, close = sip.receive(request(length="x") + request(), 1.0)
    assert isinstance(malformed, Malformed) and isinstance(close, MustClose)
    assert (malformed.code, malformed.status) == ("content-length", 400)
    assert statuses(sip.data_to_send()) == [400]
    assert sip.receive(request(), 2.0) == []
    assert sip.next_deadline() is None


def test_a_large_body_costs_nobody_else_anything() -> None:
    sip = connection(limits=Limits(body_bytes=100))
    large, sound = sip.receive(request(body=b"x" * 101) + request(), 1.0)
    assert isinstance(large, Malformed) and isinstance(sound, RequestReceived)
    assert statuses(sip.data_to_send()) == [413]


def test_the_dialect_is_data() -> None:
    assert SIMPLE.allow == "MESSAGE, OPTIONS"
    assert all(status in (200, 405, 481) for status in SIMPLE.answered.values())
