"""One TCP connection on asyncio, with TLS from the start, later (STARTTLS), or never.

Called by both daemons for everything that they speak: S2S streams, the link, SIP. It moves bytes and nothing else: who
the peer is and what the bytes mean is its user's business. Reads go through one buffer shared by all connections
(asyncio's own TLS allocates 256 KiB for each); writes of one turn of the event loop leave as one TLS record.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Protocol

from OpenSSL import SSL

from xmppgw.tls.memory import MemoryTls, PeerCheck, TlsError

#: One read takes at most this much. Shared: a read is handed on before the next one begins.
READ_BYTES = 64 * 1024
#: After `close()`, the peer has this many seconds to take what was written.
CLOSE_SECONDS = 5.0
#: A dead peer is noticed by the kernel: first probe, interval, number of probes; and unacknowledged data.
KEEPALIVE_SECONDS = (30, 10, 3)
UNACKNOWLEDGED_MILLISECONDS = 30_000

_buffer = memoryview(bytearray(READ_BYTES))


class ConnectionUser(Protocol):
    """Who gets what happens on a connection."""

    def received(self, data: bytes) -> None:
        """Bytes arrived (after TLS: decrypted)."""

    def secured(self, tls: MemoryTls) -> None:
        """The TLS handshake is complete."""

    def drained(self) -> None:
        """Everything written so far has left this process."""

    def lost(self, reason: str) -> None:
        """The connection is over; said exactly once, also after `close()`."""


class HalfOpenUser(ConnectionUser, Protocol):
    """Who wants to go on writing after the peer has said its last."""

    def ended(self) -> None:
        """The peer will send no more; it may still read. Said once at most."""


class Connection(asyncio.BufferedProtocol):
    """One connection. Reading begins when a user is there (`use`)."""

    def __init__(self, made: Callable[[Connection], None] | None = None) -> None:
        """`made` is told as soon as the connection is there: a server's way to find its user."""
        self._user: ConnectionUser | None = None
        self._half_open_user: HalfOpenUser | None = None
        self._ended = False
        self._made = made
        self._transport: asyncio.Transport | None = None
        self._tls: MemoryTls | None = None
        self._secured = False
        self._pending: list[bytes] = []
        self._flush_scheduled = False
        self._drained = True
        self._reading = False
        self._closing = False
        self._told = False
        self._abort_timer: asyncio.TimerHandle | None = None
        self.peer_address = ""
        self.peer_port = 0
        self.made = asyncio.get_running_loop().time()

    def use(self, user: ConnectionUser) -> None:
        """Hand everything to `user` from now on."""
        self._user = user
        self.resume_reading()

    def use_half_open(self, user: HalfOpenUser) -> None:
        """Hand everything to `user`; the peer's end of file does not end the connection, `user.ended` is told."""
        self._half_open_user = user
        self.use(user)

    @property
    def tls(self) -> MemoryTls | None:
        """The TLS object, once TLS was started."""
        return self._tls

    @property
    def closing(self) -> bool:
        """Whether the connection is closed or being closed."""
        return self._closing or self._told

    @property
    def local_end(self) -> tuple[str, int]:
        """Our own address and port, as the peer sees them where nobody translates addresses."""
        name = self._transport.get_extra_info("sockname") if self._transport is not None else None
        return (str(name[0]), int(name[1])) if isinstance(name, tuple) else ("", 0)

    @property
    def unsent(self) -> int:
        """Octets that have been written by the user but not taken by the kernel."""
        held = sum(map(len, self._pending))
        return held + (self._transport.get_write_buffer_size() if self._transport is not None else 0)

    def write(self, data: bytes) -> None:
        """Send `data`, together with whatever else is written in this turn of the event loop."""
        if self._closing or self._transport is None:
            return
        self._pending.append(data)
        if not self._flush_scheduled:
            self._flush_scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def start_tls(
        self,
        context: SSL.Context,
        *,
        server_side: bool,
        server_name: str | None = None,
        check_peer: PeerCheck | None = None,
    ) -> None:
        """Begin a handshake after what was written so far.

        `server_name`: what a client asks for (an A-label). `check_peer`: judges the peer's certificate before any
        plaintext is handed over.
        """
        self._flush()
        if self._transport is None or self._closing:
            return
        self._tls = MemoryTls(context, server_side=server_side, server_name=server_name, check_peer=check_peer)
        self._pump(b"")

    def pause_reading(self) -> None:
        """Stop taking bytes from the peer; what was taken already is still handed over."""
        if self._reading:
            self._reading = False
            if self._transport is not None and not self._ended and not self._transport.is_closing():
                self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take bytes again."""
        if not self._reading:
            self._reading = True
            if self._transport is not None and not self._ended and not self._transport.is_closing():
                self._transport.resume_reading()

    def close(self) -> None:
        """Send what was written, then end TLS and TCP. The user hears `lost` later."""
        if self._closing or self._transport is None:
            return
        self._flush()
        self._closing = True
        if self._tls is not None:
            with contextlib.suppress(TlsError):
                self._tls.close()
            self._transport.write(self._tls.data_to_send())
        self._transport.close()
        self._abort_timer = asyncio.get_running_loop().call_later(CLOSE_SECONDS, self._transport.abort)

    def write_end(self) -> None:
        """Send what was written, then say that there will be no more; what the peer sends is still taken."""
        self._flush()
        if self._transport is not None and not self._closing and self._transport.can_write_eof():
            with contextlib.suppress(OSError):  # a peer that is gone already; `lost` follows
                self._transport.write_eof()

    def linger(self, data: bytes, seconds: float) -> None:
        """Send `data` in the clear and end our side; ignore what the peer still says, for `seconds` at most.

        Closing at once, with bytes of the peer unread, would make the kernel send a reset that takes `data` along.
        """
        if self._transport is None or self._closing:
            return
        self._closing = True
        self._transport.write(data)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self.resume_reading()
        self._abort_timer = asyncio.get_running_loop().call_later(seconds, self._transport.abort)

    def abort(self) -> None:
        """End the connection now."""
        self._closing = True
        if self._transport is not None:
            self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        # With a limit of zero asyncio tells us each time its own buffer has run empty.
        transport.set_write_buffer_limits(high=0)
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple):
            self.peer_address, self.peer_port = str(peer[0]), int(peer[1])
        _configure(transport.get_extra_info("socket"))
        if not self._reading:
            transport.pause_reading()
        if self._made is not None:
            self._made(self)
        if not self._reading:
            asyncio.get_running_loop().call_soon(self._pause_for_good)

    def _pause_for_good(self) -> None:
        # COMPAT: CPython 3.11.2 (Debian 12) begins to read after `connection_made` even where that has paused; 3.11.7
        # does not. What comes before there is a user would be thrown away. May go with Debian 12.
        if not self._reading and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
            self._transport.pause_reading()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Lend the shared buffer."""
        return _buffer

    def buffer_updated(self, number: int) -> None:
        """Hand over what was read."""
        if self._closing:
            return
        data = bytes(_buffer[:number])
        if self._tls is not None:
            self._pump(data)
        elif self._user is not None:
            self._user.received(data)

    def eof_received(self) -> bool:
        """Close our side as well, unless the user wants to go on writing."""
        self._ended = True
        if self._half_open_user is None or self._closing:
            return False
        self._half_open_user.ended()
        return True

    def pause_writing(self) -> None:
        """Note that the kernel has not taken everything."""
        self._drained = False

    def resume_writing(self) -> None:
        """Note that it has."""
        self._drained = True
        if self._user is not None and not self._told and not self._pending:
            self._user.drained()  # else the flush that is due says it

    def connection_lost(self, error: Exception | None) -> None:
        """Tell the user."""
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        self._tell(str(error) if error is not None else "the connection was closed")

    # Inside.

    def _pump(self, data: bytes) -> None:
        tls = self._tls
        assert tls is not None
        assert self._transport is not None
        try:
            plain = tls.receive(data)
        except TlsError as error:
            # Whatever alert there is tells the peer why.
            self._transport.write(tls.data_to_send())
            self._closing = True
            self._transport.close()
            self._abort_timer = asyncio.get_running_loop().call_later(CLOSE_SECONDS, self._transport.abort)
            self._tell(f"TLS: {error}")
            return
        answer = tls.data_to_send()
        if answer:
            self._transport.write(answer)
        user = self._user
        if tls.handshake_done and not self._secured:
            self._secured = True
            if user is not None:
                user.secured(tls)
            self._flush()
        if plain and user is not None and not self._closing:
            user.received(plain)
        if tls.closed_by_peer and not self._closing:
            self.close()
            self._tell("the peer ended TLS")

    def _flush(self) -> None:
        self._flush_scheduled = False
        if not self._pending or self._transport is None or self._closing:
            return
        if self._tls is not None and not self._secured:
            return  # kept until the handshake is complete: `secured` is followed by a write
        data = b"".join(self._pending)
        self._pending.clear()
        if self._tls is not None:
            self._tls.write(data)
            data = self._tls.data_to_send()
        self._transport.write(data)
        if self._drained and self._user is not None:
            self._user.drained()

    def _tell(self, reason: str) -> None:
        if self._told:
            return
        self._told = True
        self._closing = True
        if self._user is not None:
            self._user.lost(reason)


def _configure(endpoint: socket.socket | None) -> None:
    if endpoint is None or endpoint.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    first, interval, number = KEEPALIVE_SECONDS
    for level, option, value in (
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, first),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, number),
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MILLISECONDS),
    ):
        with contextlib.suppress(OSError):  # a peer that is gone already
            endpoint.setsockopt(level, option, value)
