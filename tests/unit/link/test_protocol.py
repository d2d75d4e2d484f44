"""The link's machine: what must hold on one connection, frame by frame."""

from __future__ import annotations

from xmppgw.link.frames import MAXIMUM_FRAME_BYTES, Acknowledge, Data, FrameReader, Goodbye, Hello, encode_frame
from xmppgw.link.protocol import (
    CloseConnection,
    LinkFull,
    LinkLimits,
    LinkMachine,
    Opened,
    Output,
    Received,
    SendData,
    Writable,
)


class Wire:
    """Two machines joined by perfect wires; `cut` drops the connection with whatever is on it."""

    def __init__(self, left: LinkMachine, right: LinkMachine) -> None:
        self.machines = [left, right]
        self.pending: list[bytearray] = [bytearray(), bytearray()]
        self.seen: list[list[Output]] = [[], []]

    def connect(self, now: float = 0.0) -> None:
        self.pending = [bytearray(), bytearray()]
        for side in (0, 1):
            self.obey(side, self.machines[side].connection_made(now))
        self.run(now)

    def obey(self, side: int, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, SendData):
                self.pending[1 - side] += output.data
            else:
                self.seen[side].append(output)

    def run(self, now: float = 0.0) -> None:
        while self.pending[0] or self.pending[1]:
            for side in (0, 1):
                data = bytes(self.pending[side])
                self.pending[side].clear()
                if data:
                    self.obey(side, self.machines[side].receive(data, now))

    def send(self, side: int, payload: bytes) -> None:
        self.obey(side, self.machines[side].send(payload, 0.0))
        self.run()

    def processed(self, side: int, sequence: int) -> None:
        self.obey(side, self.machines[side].processed(self.machines[side].peer_session, sequence))
        self.run()

    def cut(self) -> None:
        for machine in self.machines:
            machine.connection_lost()

    def received(self, side: int) -> list[bytes]:
        return [output.payload for output in self.seen[side] if isinstance(output, Received)]


def pair(limits: LinkLimits | None = None) -> Wire:
    limits = limits or LinkLimits()
    return Wire(LinkMachine("fe1", "F1", limits=limits), LinkMachine("edge1", "E1", limits=limits))


def test_both_sides_open_and_know_each_other() -> None:
    wire = pair()
    wire.connect()
    assert wire.seen == [[Opened("edge1", "E1", True)], [Opened("fe1", "F1", True)]]


def test_a_payload_is_handed_up_once_and_forgotten_when_it_is_processed() -> None:
    wire = pair()
    wire.connect()
    wire.send(1, b"one")
    assert wire.received(0) == [b"one"]
    assert wire.machines[1].held == 1
    wire.processed(0, 1)
    assert wire.machines[1].held == 0


def test_what_was_not_processed_is_sent_again_and_dropped_by_number() -> None:
    wire = pair()
    wire.connect()
    wire.send(1, b"one")
    wire.cut()
    wire.connect()
    assert wire.received(0) == [b"one"]
    wire.processed(0, 1)
    assert wire.machines[1].held == 0


def test_a_receiver_that_restarted_without_committing_gets_it_again() -> None:
    wire = pair()
    wire.connect()
    wire.send(1, b"one")
    wire.send(1, b"two")
    wire.processed(0, 1)
    wire.cut()
    wire.machines[0] = LinkMachine("fe1", "F2", resume=("E1", 1))
    wire.seen[0].clear()
    wire.connect()
    assert wire.received(0) == [b"two"]
    assert wire.seen[0][0] == Opened("edge1", "E1", False)


def test_a_receiver_that_lost_its_store_is_told_what_is_missing() -> None:
    wire = pair()
    wire.connect()
    for payload in (b"one", b"two", b"three"):
        wire.send(1, payload)
    wire.processed(0, 2)
    wire.cut()
    wire.machines[0] = LinkMachine("fe1", "F2")
    wire.seen[0].clear()
    wire.connect()
    assert wire.seen[0] == [Opened("edge1", "E1", True, missing=2), Received("E1", 3, b"three")]


def test_a_restarted_sender_starts_a_new_session() -> None:
    wire = pair()
    wire.connect()
    wire.send(1, b"one")
    wire.processed(0, 1)
    wire.cut()
    wire.machines[1] = LinkMachine("edge1", "E2")
    wire.connect()
    wire.send(1, b"again from one")
    assert wire.received(0) == [b"one", b"again from one"]


def test_no_more_than_the_credit_is_on_the_wire_and_the_producer_is_told() -> None:
    limits = LinkLimits(window=2, held_payloads=3)
    wire = pair(limits)
    wire.connect()
    for number in range(4):
        wire.send(1, str(number).encode())
    assert wire.received(0) == [b"0", b"1"]
    assert not wire.machines[1].writable
    wire.processed(0, 2)
    assert wire.received(0) == [b"0", b"1", b"2", b"3"]
    assert wire.machines[1].writable
    assert Writable() in wire.seen[1]


def test_beyond_the_hard_bound_a_payload_is_refused() -> None:
    machine = LinkMachine("edge1", "E1", limits=LinkLimits(refused_payloads=2))
    machine.send(b"one", 0.0)
    machine.send(b"two", 0.0)
    try:
        machine.send(b"three", 0.0)
    except LinkFull as full:
        assert "2 payloads" in str(full)
    else:
        raise AssertionError("the third payload was taken")


def opening() -> tuple[LinkMachine, list[Output]]:
    machine = LinkMachine("edge1", "E1", limits=LinkLimits(window=2))
    machine.connection_made(0.0)
    return machine, []


def closing(outputs: list[Output]) -> CloseConnection:
    closed = outputs[-1]
    assert isinstance(closed, CloseConnection)
    goodbye = outputs[-2]
    assert isinstance(goodbye, SendData)
    reader = FrameReader()
    reader.feed(goodbye.data)
    frame = reader.next_frame()
    assert isinstance(frame, Goodbye)
    assert frame.code == closed.code
    return closed


def test_a_peer_of_another_version_is_refused_with_both_ranges() -> None:
    machine, _ = opening()
    closed = closing(machine.receive(encode_frame(Hello(7, 9, "fe1", "F1")), 0.0))
    assert closed.code == "version"
    assert "7 to 9" in closed.text


def test_anything_before_hello_is_refused() -> None:
    machine, _ = opening()
    assert closing(machine.receive(encode_frame(Data(1, b"x")), 0.0)).code == "order"


def test_an_announced_frame_above_the_limit_is_refused_before_it_is_read() -> None:
    machine, _ = opening()
    data = (MAXIMUM_FRAME_BYTES + 1).to_bytes(4, "big")
    assert closing(machine.receive(data, 0.0)).code == "frame"


def test_bytes_that_are_no_frame_are_refused() -> None:
    machine, _ = opening()
    assert closing(machine.receive(b"\0\0\0\x03abc", 0.0)).code == "frame"


def test_data_without_credit_or_out_of_order_is_refused() -> None:
    for frames, code in (
        ([Data(1, b""), Data(2, b""), Data(3, b"")], "credit"),
        ([Data(2, b"")], "sequence"),
        ([Acknowledge(5, 1)], "acknowledge"),
    ):
        machine, _ = opening()
        other = LinkMachine("fe1", "F1")
        wire = Wire(machine, other)
        wire.connect()
        outputs = machine.receive(b"".join(encode_frame(frame) for frame in frames), 0.0)
        assert closing(outputs).code == code


def test_a_silent_peer_is_pinged_and_then_given_up() -> None:
    wire = pair(LinkLimits(ping_after=5, dead_after=15))
    wire.connect(0.0)
    machine = wire.machines[0]
    assert machine.next_deadline() == 5.0
    (ping,) = machine.handle_time(5.0)
    assert isinstance(ping, SendData)
    assert machine.next_deadline() == 15.0
    assert closing(machine.handle_time(15.0)).code == "timeout"


def test_an_opening_that_does_not_finish_is_given_up() -> None:
    machine, _ = opening()
    assert machine.handle_time(9.9) == []
    assert closing(machine.handle_time(10.0)).code == "timeout"


def test_a_commit_between_our_resume_and_the_peers_start_is_no_fault_of_the_peer() -> None:
    sender, receiver = LinkMachine("sender", "s1"), LinkMachine("receiver", "r1")
    wire = Wire(sender, receiver)
    wire.connect()
    wire.send(0, b"one")
    wire.cut()
    wire.pending = [bytearray(), bytearray()]
    for side in (0, 1):
        wire.obey(side, wire.machines[side].connection_made(1.0))
    hello = bytes(wire.pending[1])
    wire.pending[1].clear()
    wire.obey(1, receiver.receive(hello, 1.0))
    wire.obey(1, receiver.processed("s1", 1))
    wire.run(1.0)
    assert receiver.open and sender.open, "the link is open, not refused"
    assert wire.received(1) == [b"one"], "handed up once"
    assert sender.held == 0, "and acknowledged"
