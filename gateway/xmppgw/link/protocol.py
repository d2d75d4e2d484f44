"""The link's machine, the same at both ends: sans-I/O, one per peer, alive across connections.

Theory of operation. Each process draws a *session* at its start and numbers the payloads it sends in it 1, 2, 3 and so
on. The receiver hands a payload up once, in order, and says `processed` when everything up to a number is committed;
only then does the sender forget it. When a connection opens, each side says Hello (who am I, my session), answers the
other's Hello with Resume (what of *your* session I have processed, how much more you may send), and that with Start
(my next number) and whatever is not acknowledged. What arrives twice is dropped by number; a receiver that restarts
remembers (session, processed) in its store, so nothing is lost or doubled when either side or the connection goes away.
A sender whose *process* dies takes its unacknowledged payloads with it: those must live in a store of its own.

Credit: a sender has at most `credit` unacknowledged payloads on the wire. `writable` turns false when that many wait,
so that whoever produces them stops reading; above the hard bounds `send` refuses.

Called by the adapters of both daemons: call a method, obey the returned outputs in order. Time is an argument, seconds
on any monotonic clock. Never reads a clock, never draws a random value.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TypeAlias

from xmppgw.link.frames import (
    VERSION_MAXIMUM,
    VERSION_MINIMUM,
    Acknowledge,
    Data,
    Frame,
    FrameError,
    FrameReader,
    Goodbye,
    Hello,
    Ping,
    Pong,
    Resume,
    Start,
    encode_frame,
)


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """Named bounds of one peer's link. Times in seconds."""

    #: Payloads that we allow the other side to have unprocessed.
    window: int = 512
    #: Payloads and octets held for the other side before `writable` turns false.
    held_payloads: int = 512
    held_bytes: int = 8 * 1024 * 1024
    #: Where `send` refuses. One read of one stream may still produce this many after `writable` turned false.
    refused_payloads: int = 16_384
    refused_bytes: int = 64 * 1024 * 1024
    #: A Ping goes out when nothing has arrived for this long; without a sign of life the connection is given up.
    ping_after: float = 5.0
    dead_after: float = 15.0
    #: Hello and Resume must have arrived by then.
    opening: float = 10.0


@dataclass(frozen=True, slots=True)
class SendData:
    """Write these bytes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Opened:
    """Both sides know where they stand; payloads flow. `new_session`: the peer's process is not the one we knew."""

    node: str
    session: str
    new_session: bool
    #: Payloads of the peer's session that nobody has any more (our store was replaced by an older one). Log it.
    missing: int = 0


@dataclass(frozen=True, slots=True)
class Received:
    """A payload, for the first and only time. Say `processed(session, sequence)` once it is committed."""

    session: str
    sequence: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Writable:
    """`writable` is true again."""


@dataclass(frozen=True, slots=True)
class CloseConnection:
    """Close the connection after everything before this is written. `ours`: the fault, or the wish, was ours."""

    code: str
    text: str
    by_peer: bool


Output: TypeAlias = SendData | Opened | Received | Writable | CloseConnection


class LinkFull(Exception):  # noqa: N818 - a state, not a fault
    """The peer has been away too long: nothing more is held for it."""


class LinkMachine:
    """One peer's link. `session` must never have been used before by this node."""

    def __init__(
        self,
        node: str,
        session: str,
        *,
        limits: LinkLimits = LinkLimits(),
        resume: tuple[str, int] | None = None,
        one_life: bool = False,
    ) -> None:
        """`resume`: the peer's session and the last number processed, as the store remembers them.

        `one_life`: what was sent to one process of the peer is not sent to its successor (it may have acted on it);
        the layer above, which keeps it in its store, decides.
        """
        self._one_life = one_life
        self._node = node
        self._session = session
        self._limits = limits
        # Receiving half: the peer's session, what came up to us, what we have committed.
        self._peer_session, self._processed = resume if resume is not None else ("", 0)
        self._received = self._processed
        self._resumed_at = self._processed
        # Sending half: frames not yet acknowledged, oldest first.
        self._unacknowledged: deque[tuple[int, bytes]] = deque()
        self._held_bytes = 0
        self._last_sequence = 0
        self._acknowledged = 0
        self._was_writable = True
        # Connection.
        self._reader = FrameReader()
        self._connected = False
        self._peer_node = ""
        self._hello_seen = False
        self._resumed = False
        self._started = False
        self._announced = False
        self._new_session = False
        self._sent = 0
        self._credit_until = 0
        self._deadline = 0.0
        self._heard_at = 0.0
        self._pinged = False

    @property
    def connected(self) -> bool:
        """Whether a connection is there, open or opening."""
        return self._connected

    @property
    def open(self) -> bool:
        """Whether payloads flow."""
        return self._connected and self._announced

    @property
    def peer_session(self) -> str:
        """The peer's session as last seen; empty before the first."""
        return self._peer_session

    @property
    def writable(self) -> bool:
        """Whether a producer should go on producing."""
        return len(self._unacknowledged) < self._limits.held_payloads and self._held_bytes < self._limits.held_bytes

    @property
    def held(self) -> int:
        """Payloads that the peer has not acknowledged."""
        return len(self._unacknowledged)

    @property
    def unprocessed(self) -> int:
        """Payloads handed up and not yet processed here."""
        return self._received - self._processed

    def connection_made(self, now: float) -> list[Output]:
        """Begin on a new connection; an earlier one is forgotten."""
        self._reader = FrameReader()
        self._connected = True
        self._hello_seen = self._resumed = self._started = self._announced = self._pinged = False
        self._new_session = False
        self._deadline = now + self._limits.opening
        self._heard_at = now
        # What came up and is not committed yet stays with the layer above; what comes again is dropped by number.
        return [SendData(encode_frame(Hello(VERSION_MINIMUM, VERSION_MAXIMUM, self._node, self._session)))]

    def connection_lost(self) -> None:
        """Forget the connection; everything unacknowledged is kept for the next one."""
        self._connected = False
        self._announced = False

    def receive(self, data: bytes, now: float) -> list[Output]:
        """Take bytes from the wire."""
        if not self._connected:
            return []
        self._heard_at = now
        self._pinged = False
        outputs: list[Output] = []
        self._reader.feed(data)
        try:
            while self._connected and (frame := self._reader.next_frame()) is not None:
                self._frame(frame, outputs)
        except FrameError as error:
            self._refuse("frame", str(error), outputs)
        return outputs

    def send(self, payload: bytes, now: float) -> list[Output]:
        """Send `payload`, now or when the connection is back. Raises LinkFull, or FrameError if it is too large."""
        if (
            len(self._unacknowledged) >= self._limits.refused_payloads
            or self._held_bytes + len(payload) > self._limits.refused_bytes
        ):
            raise LinkFull(f"{len(self._unacknowledged)} payloads of {self._held_bytes} octets wait for the peer")
        encoded = encode_frame(Data(self._last_sequence + 1, payload))
        self._last_sequence += 1
        self._unacknowledged.append((self._last_sequence, encoded))
        self._held_bytes += len(encoded)
        self._was_writable = self._was_writable and self.writable
        outputs: list[Output] = []
        self._flush(outputs)
        return outputs

    def forget(self) -> int:
        """Forget everything that is not acknowledged; how much it was. Their numbers are not used again."""
        number = len(self._unacknowledged)
        self._unacknowledged.clear()
        self._held_bytes = 0
        self._acknowledged = self._sent = self._last_sequence
        self._was_writable = True
        return number

    def processed(self, session: str, sequence: int) -> list[Output]:
        """Say that every payload of the peer's `session` up to `sequence` is committed."""
        if session != self._peer_session or not self._processed < sequence <= self._received:
            return []  # the peer's process has ended meanwhile: there is nobody to tell
        self._processed = sequence
        if not self.open:
            return []  # the next Resume says it
        return [SendData(encode_frame(Acknowledge(self._processed, self._limits.window)))]

    def next_deadline(self) -> float | None:
        """When `handle_time` wants to be called; None without a connection."""
        if not self._connected:
            return None
        if not self._announced:
            return self._deadline
        return self._heard_at + (self._limits.dead_after if self._pinged else self._limits.ping_after)

    def handle_time(self, now: float) -> list[Output]:
        """Act on the time."""
        outputs: list[Output] = []
        deadline = self.next_deadline()
        if deadline is None or now < deadline:
            return outputs
        if not self._announced:
            self._refuse("timeout", f"the link was not open after {self._limits.opening:g} s", outputs)
        elif self._pinged:
            self._refuse("timeout", f"nothing was heard for {self._limits.dead_after:g} s", outputs)
        else:
            self._pinged = True
            outputs.append(SendData(encode_frame(Ping(0))))
        return outputs

    def close(self, code: str, text: str) -> list[Output]:
        """Say Goodbye and close the connection."""
        outputs: list[Output] = []
        if self._connected:
            outputs.append(SendData(encode_frame(Goodbye(code, text))))
            outputs.append(CloseConnection(code, text, by_peer=False))
            self.connection_lost()
        return outputs

    # One method per frame.

    def _frame(self, frame: Frame, outputs: list[Output]) -> None:
        match frame:
            case Hello() if not self._hello_seen:
                self._hello(frame, outputs)
            case Goodbye():
                outputs.append(CloseConnection(frame.code, frame.text, by_peer=True))
                self.connection_lost()
            case _ if not self._hello_seen:
                self._refuse("order", "the first frame must be hello", outputs)
            case Resume() if not self._resumed:
                self._resume(frame, outputs)
            case Start() if not self._started and self._resumed:
                self._start(frame, outputs)
            case Data() if self._started:
                self._data(frame, outputs)
            case Acknowledge() if self._announced:
                self._acknowledge(frame.processed, frame.credit, outputs)
            case Ping():
                outputs.append(SendData(encode_frame(Pong(frame.number))))
            case Pong():
                pass
            case _:
                self._refuse("order", f"{type(frame).__name__.lower()} is out of place", outputs)

    def _hello(self, frame: Hello, outputs: list[Output]) -> None:
        if frame.minimum_version > VERSION_MAXIMUM or frame.maximum_version < VERSION_MINIMUM:
            self._refuse(
                "version",
                f"the peer speaks versions {frame.minimum_version} to {frame.maximum_version}, "
                f"we speak {VERSION_MINIMUM} to {VERSION_MAXIMUM}",
                outputs,
            )
            return
        self._hello_seen = True
        self._peer_node = frame.node
        if frame.session != self._peer_session:
            self._new_session = True
            if self._one_life and self._peer_session:
                self.forget()
            self._peer_session = frame.session
            self._processed = self._received = 0
        self._resumed_at = self._processed
        outputs.append(SendData(encode_frame(Resume(self._peer_session, self._processed, self._limits.window))))

    def _resume(self, frame: Resume, outputs: list[Output]) -> None:
        if frame.session != self._session or not 0 <= frame.processed <= self._last_sequence:
            self._refuse("resume", "the peer resumes what we never sent", outputs)
            return
        self._resumed = True
        self._sent = max(frame.processed, self._acknowledged)
        outputs.append(SendData(encode_frame(Start(self._sent + 1))))
        # Data may flow from here on: the peer reads our Start first.
        self._acknowledge(self._sent, frame.credit, outputs)

    def _start(self, frame: Start, outputs: list[Output]) -> None:
        missing = frame.sequence - 1 - self._received
        # Against what our Resume said: more may have been committed since, and comes once more to be dropped by number.
        if frame.sequence <= self._resumed_at:
            self._refuse("start", "the peer starts before what we have processed", outputs)
            return
        self._started = True
        if missing > 0:
            self._received = self._processed = frame.sequence - 1
        self._announced = True
        outputs.append(Opened(self._peer_node, self._peer_session, self._new_session, max(missing, 0)))
        # Something may have been committed between our Resume and now.
        outputs.append(SendData(encode_frame(Acknowledge(self._processed, self._limits.window))))

    def _data(self, frame: Data, outputs: list[Output]) -> None:
        if frame.sequence <= self._received:
            return  # a repetition after a reconnect; its acknowledgement follows when it is processed
        if frame.sequence != self._received + 1:
            self._refuse("sequence", f"number {frame.sequence} follows {self._received}", outputs)
            return
        if frame.sequence > self._processed + self._limits.window:
            self._refuse("credit", f"more than {self._limits.window} payloads without credit", outputs)
            return
        self._received = frame.sequence
        outputs.append(Received(self._peer_session, frame.sequence, frame.payload))

    def _acknowledge(self, processed: int, credit: int, outputs: list[Output]) -> None:
        if processed > self._sent or credit < 0:
            self._refuse("acknowledge", "the peer acknowledges what it never got", outputs)
            return
        while self._unacknowledged and self._unacknowledged[0][0] <= processed:
            self._held_bytes -= len(self._unacknowledged.popleft()[1])
        self._acknowledged = max(self._acknowledged, processed)
        self._credit_until = max(self._acknowledged + credit, self._sent)
        self._flush(outputs)
        if not self._was_writable and self.writable:
            self._was_writable = True
            outputs.append(Writable())

    def _flush(self, outputs: list[Output]) -> None:
        if not (self._connected and self._resumed) or self._sent >= min(self._last_sequence, self._credit_until):
            return
        first = self._unacknowledged[0][0]
        chunk: list[bytes] = []
        while self._sent < min(self._last_sequence, self._credit_until):
            chunk.append(self._unacknowledged[self._sent + 1 - first][1])
            self._sent += 1
        outputs.append(SendData(b"".join(chunk)))

    def _refuse(self, code: str, text: str, outputs: list[Output]) -> None:
        outputs.append(SendData(encode_frame(Goodbye(code, text))))
        outputs.append(CloseConnection(code, text, by_peer=False))
        self.connection_lost()
