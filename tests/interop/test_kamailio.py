"""SIP with a real Kamailio over mutual TLS: page mode both ways, its errors in XMPP's words, keep-alive, silence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.interop.authorities import Authorities
from tests.interop.kamailio_process import GATEWAY, GATEWAY_PORT, PLATFORM, TLS_PORT, Kamailio, start_kamailio
from tests.interop.sip_peer import SipPeer, connect, listening
from tests.interop.stage import Stage
from tests.unit.translate.stanzas import body, stanza

from xmppgw.sip.connection import (
    KEEPALIVE_SECONDS,
    KeepAlive,
    OutgoingRequest,
    RequestReceived,
    ResponseReceived,
    TransactionTimeout,
)
from xmppgw.sip.message import NameAddr
from xmppgw.sip.transaction import TIMER_F
from xmppgw.sip.uri import SipUri
from xmppgw.translate.errors import failure_from_status
from xmppgw.translate.messages import (
    Deliver,
    StanzaPolicy,
    from_request,
    from_stanza,
    notice_request,
    to_request,
    to_stanza,
)
from xmppgw.translate.neutral import Failure, Notice
from xmppgw.xmpp.address import JID
from xmppgw.xmpp.element import Element

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def kamailio(stage: Stage, authorities: Authorities) -> Kamailio:
    return start_kamailio(stage, authorities)


@pytest.fixture
async def gateway(kamailio: Kamailio, on_stage: None) -> AsyncIterator[SipPeer]:
    peer = await connect(kamailio.directory, TLS_PORT, GATEWAY, PLATFORM)
    yield peer
    peer.close()


def message_to(user: str, text: str, number: int = 0, **attributes: str) -> OutgoingRequest:
    subject = Element("subject", children=["Greetings"])
    one = stanza("message", body(text), subject, to=f"{user}@corp.example", **attributes)
    decision = from_stanza(one, StanzaPolicy())
    assert isinstance(decision, Deliver)
    return to_request(decision.message, call_id=f"{user}{number}@{GATEWAY}", from_tag=f"tag{number}")


async def final_status(peer: SipPeer, request: OutgoingRequest) -> int:
    transaction = peer.sip.send_request(request, peer.now())
    peer.flush()
    event = await peer.next_event()
    assert isinstance(event, ResponseReceived), event
    assert event.transaction == transaction
    return event.response.status


async def test_kamailio_reads_our_message_as_we_meant_it(kamailio: Kamailio, gateway: SipPeer) -> None:
    text = 'Grüße: "quotes", <tags> & \U0001f600\nsecond line'
    assert await final_status(gateway, message_to("alice", text, lang="de")) == 200
    seen = [entry for entry in kamailio.received() if entry["call_id"] == f"alice0@{GATEWAY}"]
    assert seen == [
        {
            "method": "MESSAGE",
            "uri": "sip:alice@corp.example",
            "from": "sip:juliet@partner1.example",
            "to": "sip:alice@corp.example",
            "call_id": f"alice0@{GATEWAY}",
            "subject": "Greetings",
            "language": "de",
            "in_reply_to": "",
            "type": "text/plain;charset=utf-8",
            "body": text.replace("\n", "\r\n"),
        }
    ], kamailio.log


@pytest.mark.parametrize("user", ["o\\27malley", "m\\26m", "a\\2fb", "tschüss", "semi;colon", "at\\40evil.example"])
async def test_kamailio_takes_escaped_users(kamailio: Kamailio, gateway: SipPeer, user: str) -> None:
    decision = from_stanza(stanza("message", body("x"), from_=f"{user}@partner1.example"), StanzaPolicy())
    assert isinstance(decision, Deliver)
    request = to_request(decision.message, call_id=f"user-{len(kamailio.received())}@{GATEWAY}", from_tag="t")
    assert await final_status(gateway, request) == 200
    seen = SipUri.parse(kamailio.received()[-1]["from"])
    assert seen == request.from_.uri


@pytest.mark.parametrize(
    ("user", "status", "condition"),
    [
        ("missing", 404, "service-unavailable"),
        ("busy", 486, "recipient-unavailable"),
        ("blocked", 603, "recipient-unavailable"),
        ("full", 503, "internal-server-error"),
    ],
)
async def test_errors_of_the_platform_in_words_of_xmpp(
    gateway: SipPeer, user: str, status: int, condition: str
) -> None:
    got = await final_status(gateway, message_to(user, "x"))
    assert got == status
    assert failure_from_status(got).condition == condition


@pytest.mark.parametrize(("user", "status"), [("bob", 202), ("slow", 200)])
async def test_every_2xx_is_a_success(gateway: SipPeer, user: str, status: int) -> None:
    assert await final_status(gateway, message_to(user, "x")) == status


async def test_silence_ends_with_timer_f(gateway: SipPeer) -> None:
    transaction = gateway.sip.send_request(message_to("silent", "x"), gateway.now())
    gateway.flush()
    assert await final_status(gateway, message_to("alice", "behind it", 7)) == 200, "nobody waits for the silent one"
    deadline = gateway.sip.next_deadline()
    assert deadline is not None
    assert gateway.sip.handle_time(deadline) == [TransactionTimeout(transaction)]
    assert deadline - gateway.now() <= TIMER_F


async def test_many_requests_on_one_connection_are_all_answered(gateway: SipPeer) -> None:
    sent = {gateway.sip.send_request(message_to("alice", f"line {n}", n), gateway.now()) for n in range(200)}
    gateway.flush()
    answered: set[str] = set()
    while len(answered) < len(sent):
        event = await gateway.next_event()
        assert isinstance(event, ResponseReceived), event
        answered.add(event.transaction)
    assert answered == sent


async def test_options_and_keep_alive(gateway: SipPeer) -> None:
    address = SipUri("sip", None, "corp.example")
    sender = NameAddr(SipUri("sip", None, GATEWAY), None, (("tag", "o1"),))
    assert await final_status(gateway, OutgoingRequest("OPTIONS", address, sender, NameAddr(address), "o1@x")) == 200
    assert gateway.sip.handle_time(gateway.now() + KEEPALIVE_SECONDS) == []
    gateway.flush()
    assert await gateway.next_event() == KeepAlive("pong")


async def test_a_notice_names_the_message_it_answers(kamailio: Kamailio, gateway: SipPeer) -> None:
    juliet, alice = JID.parse("juliet@partner1.example"), JID.parse("alice@corp.example")
    notice = Notice(juliet, alice, Failure("service-unavailable"), "stanza-1", "call-1@pool.corp.example")
    assert await final_status(gateway, notice_request(notice, call_id="notice@x", from_tag="n")) == 200
    (seen,) = [entry for entry in kamailio.received() if entry["call_id"] == "notice@x"]
    assert seen["in_reply_to"] == "call-1@pool.corp.example"
    assert seen["body"].endswith("(reference stanza-1)")


async def test_a_message_of_kamailio_reaches_us_and_our_answer_reaches_it(kamailio: Kamailio, on_stage: None) -> None:
    async with listening(kamailio.directory, GATEWAY_PORT, GATEWAY, PLATFORM) as arrived:
        sending = asyncio.to_thread(
            kamailio.start_message,
            "sip:juliet@partner1.example",
            "sip:Alice@corp.example",
            "hello from Kamailio",
            "k1@pool.corp.example",
            headers="Subject: Hi\r\n",
        )
        task = asyncio.ensure_future(sending)
        peer = await asyncio.wait_for(arrived.get(), 10)
        event = await peer.next_event()
        assert isinstance(event, RequestReceived), event
        decision = from_request(event.request)
        assert isinstance(decision, Deliver)
        element = to_stanza(decision.message, stanza_id="s1")
        assert (element.get("from"), element.get("to")) == ("alice@corp.example", "juliet@partner1.example")
        read = {child.name: child.text for child in element.elements()}
        assert (read["body"], read["subject"]) == ("hello from Kamailio", "Hi")
        assert peer.sip.respond(event.transaction, 202, peer.now())
        peer.flush()
        assert await asyncio.wait_for(task, 10) == 202


async def test_a_message_through_kamailio_comes_back_with_our_error(kamailio: Kamailio, gateway: SipPeer) -> None:
    """Kamailio as a proxy: our request out, the other end's 404 back, Vias and tags in order."""
    async with listening(kamailio.directory, GATEWAY_PORT, "other.corp.example", PLATFORM) as arrived:
        uri = SipUri("sip", "romeo", "partner2.example")
        sender = NameAddr(SipUri("sip", "alice", "corp.example"), None, (("tag", "p1"),))
        request = message_to("alice", "x")
        relayed = OutgoingRequest(
            "MESSAGE", uri, sender, NameAddr(uri), "p1@x", content_type=request.content_type, body=b"x"
        )
        transaction = gateway.sip.send_request(relayed, gateway.now())
        gateway.flush()
        peer = await asyncio.wait_for(arrived.get(), 10)
        event = await peer.next_event()
        assert isinstance(event, RequestReceived), event
        assert [via.host for via in event.request.vias][-1] == GATEWAY
        assert event.request.max_forwards == 69
        peer.sip.respond(event.transaction, 404, peer.now())
        peer.flush()
        answer = await gateway.next_event()
        assert isinstance(answer, ResponseReceived)
        assert (answer.transaction, answer.response.status) == (transaction, 404)
