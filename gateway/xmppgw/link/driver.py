"""Joins a link machine to whatever connection its peer has at the moment: bytes and time in, outputs obeyed.

Called by `edge.links` (which accepts) and `frontend.links` (which dials). Knows nothing of the payloads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from xmppgw.link.connection import Connection
from xmppgw.link.protocol import CloseConnection, LinkMachine, Opened, Output, Received, SendData, Writable
from xmppgw.tls.memory import MemoryTls


class LinkUser(Protocol):
    """Who gets what happens on a link."""

    def link_opened(self, link: LinkDriver, opened: Opened) -> None:
        """Payloads flow."""

    def link_received(self, link: LinkDriver, received: Received) -> None:
        """A payload arrived; say `processed` when it is committed."""

    def link_writable(self, link: LinkDriver) -> None:
        """The peer takes payloads again."""

    def link_closed(self, link: LinkDriver, code: str, reason: str, *, by_peer: bool) -> None:
        """The connection is gone; what is not acknowledged waits for the next one. `by_peer`: it said goodbye."""


class LinkDriver:
    """One peer's link."""

    def __init__(self, name: str, machine: LinkMachine, user: LinkUser) -> None:
        self.name = name
        self.machine = machine
        self._user = user
        self._loop = asyncio.get_running_loop()
        self._connection: Connection | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.address = ""

    @property
    def open(self) -> bool:
        """Whether payloads flow."""
        return self.machine.open

    def attach(self, connection: Connection) -> None:
        """Use `connection` (TLS is up) from now on; an earlier one is dropped."""
        if self._connection is not None:
            self._drop("replaced", "the peer opened a new connection")
        self._connection = connection
        self.address = connection.peer_address
        connection.use(self)
        self._obey(self.machine.connection_made(self._loop.time()))

    def send(self, payload: bytes) -> None:
        """Send, now or later. Raises LinkFull or FrameError."""
        self._obey(self.machine.send(payload, self._loop.time()))

    def processed(self, session: str, sequence: int) -> None:
        """Say that everything up to `sequence` is committed."""
        self._obey(self.machine.processed(session, sequence))

    def close(self, code: str, text: str) -> None:
        """Say goodbye and close the connection."""
        self._obey(self.machine.close(code, text))

    # What the connection says.

    def received(self, data: bytes) -> None:
        """Feed the machine."""
        self._obey(self.machine.receive(data, self._loop.time()))

    def secured(self, tls: MemoryTls) -> None:
        """Nothing: TLS was up when the connection came here."""

    def drained(self) -> None:
        """Nothing: credit bounds what is on the wire."""

    def lost(self, reason: str) -> None:
        """The connection is gone."""
        if self._connection is not None:
            self._drop("lost", reason)

    # Inside.

    def _obey(self, outputs: Sequence[Output]) -> None:
        for output in outputs:
            match output:
                case SendData(data=data):
                    if self._connection is not None:
                        self._connection.write(data)
                case Received():
                    self._user.link_received(self, output)
                case Opened():
                    self._user.link_opened(self, output)
                case Writable():
                    self._user.link_writable(self)
                case CloseConnection(code=code, text=text, by_peer=by_peer):
                    self._drop(code, f"the peer said: {text}" if by_peer else text, by_peer=by_peer)
        self._schedule()

    def _drop(self, code: str, reason: str, *, by_peer: bool = False) -> None:
        connection, self._connection = self._connection, None
        self.machine.connection_lost()
        if connection is None:
            return
        connection.close()
        self._user.link_closed(self, code, reason, by_peer=by_peer)

    def _schedule(self) -> None:
        deadline = self.machine.next_deadline()
        if deadline is None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            return
        if self._timer is None:
            self._timer = self._loop.call_at(deadline, self._time)
        elif self._timer.when() > deadline:
            self._timer.cancel()
            self._timer = self._loop.call_at(deadline, self._time)

    def _time(self) -> None:
        self._timer = None
        self._obey(self.machine.handle_time(self._loop.time()))
