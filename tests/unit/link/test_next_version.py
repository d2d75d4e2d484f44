"""What a later version may do and this one must bear: longer arrays, more versions, longer kept payloads."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from xmppgw.frontend.payloads import NoticeKept, OutgoingKept, StanzaKept, keep, kept
from xmppgw.link.frames import (
    Acknowledge,
    Data,
    Frame,
    FrameReader,
    Goodbye,
    Hello,
    Ping,
    Pong,
    Resume,
    Start,
    encode_frame,
)
from xmppgw.link.messages import (
    Deliver,
    Outcome,
    StanzaArrived,
    decode_for_edge,
    decode_for_front_end,
    encode_message,
)
from xmppgw.link.protocol import CloseConnection, LinkMachine, SendData

FRAMES: list[Frame] = [
    Hello(1, 2, "fe1", "F1"),
    Resume("E1", 3, 4),
    Start(5),
    Data(6, b"x"),
    Acknowledge(7, 8),
    Ping(9),
    Pong(10),
    Goodbye("shutdown", "later"),
]
ARRIVED = StanzaArrived("c", "partner1.example", "corp.example", "external", b"<message/>", 1.0)
OUTCOME = Outcome("d", "c", "deferred", "remote-server-timeout", "later", 2.0)
DELIVER = Deliver("d", "c", "corp.example", "partner1.example", b"<message/>", 3.0)


def longer(data: bytes) -> bytes:
    """The same array with two fields more, as a later version would write it."""
    fields: list[Any] = msgspec.msgpack.decode(data)
    return msgspec.msgpack.encode([*fields, "new", {"of": "version 2"}])


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: type(frame).__name__)
def test_a_frame_that_has_grown_is_read(frame: Frame) -> None:
    body = longer(encode_frame(frame)[4:])
    reader = FrameReader()
    reader.feed(len(body).to_bytes(4, "big") + body)
    assert reader.next_frame() == frame


def test_messages_that_have_grown_are_read_on_both_sides() -> None:
    assert decode_for_front_end(longer(encode_message(ARRIVED))) == ARRIVED
    assert decode_for_front_end(longer(encode_message(OUTCOME))) == OUTCOME
    assert decode_for_edge(longer(encode_message(DELIVER))) == DELIVER


@pytest.mark.parametrize(
    "payload",
    [
        StanzaKept(b"<message/>"),
        NoticeKept("a@b.example", "c@d.example", "gone", "text", None, "1", None),
        OutgoingKept(b"<message/>", "corp.example", "partner1.example", "a", "b", "1", "2"),
    ],
    ids=lambda payload: type(payload).__name__,
)
def test_what_a_later_version_kept_is_read_by_the_one_it_is_taken_back_to(payload: msgspec.Struct) -> None:
    assert kept(longer(keep(payload)), type(payload)) == payload


@pytest.mark.parametrize(("lowest", "highest"), [(1, 1), (1, 2), (0, 1), (0, 9)])
def test_ranges_that_meet_are_enough(lowest: int, highest: int) -> None:
    machine = LinkMachine("edge1", "E1")
    machine.connection_made(0.0)
    outputs = machine.receive(encode_frame(Hello(lowest, highest, "fe1", "F1")), 0.0)
    assert not [each for each in outputs if isinstance(each, CloseConnection)]
    reader = FrameReader()
    for each in outputs:
        assert isinstance(each, SendData)
        reader.feed(each.data)
    assert isinstance(reader.next_frame(), Resume)
