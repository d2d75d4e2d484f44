"""Whatever is cut or restarted, and wherever: nothing committed twice, nothing acknowledged is lost, order is kept."""

from __future__ import annotations

from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from xmppgw.link.protocol import LinkLimits, LinkMachine, Opened, Output, Received, SendData

LIMITS = LinkLimits(window=4, held_payloads=6)


class Node:
    """A process with a store: what it committed survives a restart, with the number it had."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lives = count(1)
        self.committed: list[bytes] = []
        self.stored: tuple[str, int] | None = None
        self.sent: dict[str, list[bytes]] = {}
        self.forgotten: set[bytes] = set()
        self.start()

    def start(self) -> None:
        self.session = f"{self.name}{next(self.lives)}"
        self.machine = LinkMachine(self.name, self.session, limits=LIMITS, resume=self.stored)
        self.waiting: list[Received] = []
        self.sent[self.session] = []


class Link(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.nodes = [Node("A"), Node("B")]
        self.wires = [bytearray(), bytearray()]
        self.connected = False
        self.numbers = count(1)

    def obey(self, side: int, outputs: list[Output]) -> None:
        for output in outputs:
            if isinstance(output, SendData):
                self.wires[1 - side] += output.data
            elif isinstance(output, Received):
                self.nodes[side].waiting.append(output)
            elif isinstance(output, Opened):
                assert output.missing == 0, output

    @precondition(lambda self: not self.connected)
    @rule()
    def connect(self) -> None:
        self.connected = True
        self.wires = [bytearray(), bytearray()]
        for side in (0, 1):
            self.obey(side, self.nodes[side].machine.connection_made(0.0))

    @precondition(lambda self: self.connected)
    @rule()
    def cut(self) -> None:
        self.connected = False
        for node in self.nodes:
            node.machine.connection_lost()

    @rule(side=st.integers(0, 1), number=st.integers(1, 200))
    def carry(self, side: int, number: int) -> None:
        if not self.connected:
            return
        data = bytes(self.wires[side][:number])
        del self.wires[side][:number]
        self.obey(side, self.nodes[side].machine.receive(data, 0.0))
        assert self.nodes[side].machine.connected, "neither side ever breaks the protocol"

    @rule(side=st.integers(0, 1))
    def send(self, side: int) -> None:
        node = self.nodes[side]
        payload = f"{node.session}:{next(self.numbers)}".encode()
        node.sent[node.session].append(payload)
        self.obey(side, node.machine.send(payload, 0.0))

    @rule(side=st.integers(0, 1), number=st.integers(1, 4))
    def commit(self, side: int, number: int) -> None:
        node = self.nodes[side]
        taken, node.waiting = node.waiting[:number], node.waiting[number:]
        if taken:
            node.committed += [each.payload for each in taken]
            node.stored = (taken[-1].session, taken[-1].sequence)
            self.obey(side, node.machine.processed(taken[-1].session, taken[-1].sequence))

    @rule(side=st.integers(0, 1))
    def kill(self, side: int) -> None:
        if self.connected:
            self.cut()
        # A later session of the peer may have replaced the one whose payloads still wait here; they die with us.
        self.nodes[side].start()

    @invariant()
    def nothing_is_doubled_and_order_holds(self) -> None:
        for side in (0, 1):
            committed = self.nodes[side].committed
            assert len(set(committed)) == len(committed)
            for session, sent in self.nodes[1 - side].sent.items():
                mine = [each for each in committed if each.startswith(session.encode() + b":")]
                assert mine == sent[: len(mine)], "a prefix, in order"

    def teardown(self) -> None:
        if not self.connected:
            self.connect()
        while True:
            before = [bytes(wire) for wire in self.wires], [len(node.committed) for node in self.nodes]
            for side in (0, 1):
                self.carry(side, 1 << 20)
                self.commit(side, 1 << 20)
            if before == ([bytes(wire) for wire in self.wires], [len(node.committed) for node in self.nodes]):
                break
        for side in (0, 1):
            sender, receiver = self.nodes[1 - side], self.nodes[side]
            for payload in sender.sent[sender.session]:
                assert payload in receiver.committed, "the living session lost nothing"
            assert sender.machine.held == 0


TestLink = Link.TestCase
TestLink.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
