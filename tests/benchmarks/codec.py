"""Parsing, writing and translating one message, on one core, without any input or output."""

from __future__ import annotations

import itertools

from tests.benchmarks.measure import Measurement, per_second

from xmppgw.sip.connection import Identity, RequestReceived, SipConnection
from xmppgw.sip.message import Frame, Framer, Limits, Request, encode, parse_request
from xmppgw.translate.messages import Deliver, StanzaPolicy, from_request, from_stanza, to_request, to_stanza
from xmppgw.translate.neutral import Message
from xmppgw.xmpp.parser import parse_stanza
from xmppgw.xmpp.stanza import read_stanza
from xmppgw.xmpp.stream import StreamLimits

STANZA = (
    b"<message from='juliet@partner1.example/balcony' to='alice@corp.example' id='3f1c9a70' type='chat' xml:lang='en'>"
    b"<body>Wherefore art thou, Romeo? Deny thy father and refuse thy name; or, if thou wilt not, be but sworn my love."
    b"</body><thread>e0ffe42b28561960c6b12b944a092794</thread><active xmlns='http://jabber.org/protocol/chatstates'/>"
    b"<request xmlns='urn:xmpp:receipts'/></message>"
)
GATEWAY = Identity("fe1.corp.example")
PLATFORM = Identity("pool-target.corp.example")
GROUP = "One message, one core, no I/O"


def run() -> list[Measurement]:
    """All measurements of this file."""
    limits, policy, sip_limits = StreamLimits(), StanzaPolicy(), Limits()
    counter = itertools.count()
    stanza = read_stanza(parse_stanza(STANZA, limits))
    message = _delivered(from_stanza(stanza, policy))

    def token() -> str:
        return f"token{next(counter)}"

    def outgoing() -> SipConnection:
        return SipConnection(GATEWAY, new_token=token, now=0.0, maximum_open_requests=1_000_000)

    sender = outgoing()
    sender.send_request(to_request(message, call_id="c@d", from_tag="f"), 0.0)
    data = sender.data_to_send()
    (frame,) = Framer().feed(data)
    assert isinstance(frame, Frame)
    request = parse_request(frame, sip_limits)
    element = to_stanza(message, stanza_id="s1")

    def parse_sip() -> Request:
        (one,) = Framer().feed(data)
        assert isinstance(one, Frame)
        return parse_request(one, sip_limits)

    sending = outgoing()

    def send_sip() -> None:
        sending.send_request(to_request(message, call_id="c@d", from_tag="f"), 0.0)
        if sending.open_requests > 4096:
            sending.data_to_send()
            sending.handle_time(1e9)

    receiving = SipConnection(PLATFORM, new_token=token, now=0.0)

    def serve_sip() -> None:
        (event,) = receiving.receive(data, 0.0)
        assert isinstance(event, RequestReceived)
        receiving.respond(event.transaction, 202, 0.0)
        receiving.data_to_send()

    def xmpp_to_sip() -> bytes:
        one = read_stanza(parse_stanza(STANZA, limits))
        sending.send_request(
            to_request(_delivered(from_stanza(one, policy)), call_id=f"{token()}@fe1", from_tag=token()), 0.0
        )
        if sending.open_requests > 4096:
            sending.handle_time(1e9)
        return sending.data_to_send()

    def sip_to_xmpp() -> bytes:
        (event,) = receiving.receive(data, 0.0)
        assert isinstance(event, RequestReceived)
        written = to_stanza(_delivered(from_request(event.request)), stanza_id=token()).to_bytes()
        receiving.respond(event.transaction, 202, 0.0)
        receiving.data_to_send()
        return written

    size = f"{len(data)} bytes"
    return [
        per_second(GROUP, "XMPP: parse a stanza", lambda: parse_stanza(STANZA, limits), note=f"{len(STANZA)} bytes"),
        per_second(GROUP, "XMPP: write a stanza", element.to_bytes),
        per_second(GROUP, "SIP: parse a MESSAGE", parse_sip, note=size),
        per_second(GROUP, "SIP: write a MESSAGE", lambda: encode(_without_length(request)), note=size),
        per_second(GROUP, "SIP: send a MESSAGE (client transaction)", send_sip),
        per_second(GROUP, "SIP: take and answer a MESSAGE (server transaction)", serve_sip),
        per_second(GROUP, "translate a stanza", lambda: to_request(_delivered(from_stanza(stanza, policy)), call_id="c@d", from_tag="f")),  # noqa: E501
        per_second(GROUP, "translate a MESSAGE", lambda: to_stanza(_delivered(from_request(request)), stanza_id="s")),
        per_second(GROUP, "XMPP bytes to SIP bytes, all of it", xmpp_to_sip),
        per_second(GROUP, "SIP bytes to XMPP bytes and the 202, all of it", sip_to_xmpp),
    ]  # fmt: skip


def _delivered(decision: object) -> Message:
    assert isinstance(decision, Deliver), decision
    return decision.message


def _without_length(request: Request) -> Request:
    headers = tuple(field for field in request.headers if field[0] != "Content-Length")
    return Request(headers, request.body, request.method, request.target)
