"""Our SIP connection on a real socket: `SipConnection` and `MemoryTls` joined, as the front end joins them.

For interop tests and benchmarks. Time is the event loop's clock; a test may also say what time it is.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from xmppgw.sip.connection import KEEPALIVE_SECONDS, Event, Identity, OngoingRequests, SipConnection
from xmppgw.tls.context import mutual_context
from xmppgw.tls.identity import Identity as Certificate
from xmppgw.tls.memory import MemoryTls
from xmppgw.tls.verify import sip_peer

EVENT_SECONDS = 60.0
"""How long a test waits for something that must happen."""


class SipPeer(asyncio.Protocol):
    """One TLS connection that speaks SIP. Events arrive in `events`; `wait_for` picks the next of a type."""

    def __init__(self, tls: MemoryTls, sip: SipConnection, now: Callable[[], float]) -> None:
        self.tls = tls
        self.sip = sip
        self.now = now
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self.lost = asyncio.Event()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.flush()

    def data_received(self, data: bytes) -> None:
        plain = self.tls.receive(data)
        if self.tls.handshake_done and not self.ready.done():
            self.ready.set_result(None)
        if plain:
            self.dispatch(self.sip.receive(plain, self.now()))
        self.flush()

    def dispatch(self, events: Sequence[Event]) -> None:
        """Where events go; a benchmark overrides it."""
        for event in events:
            self.events.put_nowait(event)

    def connection_lost(self, exc: Exception | None) -> None:
        self.dispatch(self.sip.connection_lost(self.now()))
        self.lost.set()
        if not self.ready.done():
            self.ready.set_exception(exc or ConnectionResetError("closed during the handshake"))

    def flush(self) -> None:
        """Write what the SIP connection and TLS have for the peer."""
        assert self._transport is not None
        if self.tls.handshake_done:
            plain = self.sip.data_to_send()
            if plain:
                self.tls.write(plain)
        data = self.tls.data_to_send()
        if data:
            self._transport.write(data)

    def close(self) -> None:
        """End the connection politely."""
        assert self._transport is not None
        self.tls.close()
        self.flush()
        self._transport.close()

    async def next_event(self) -> Event:
        """The next event, or a failed test."""
        return await asyncio.wait_for(self.events.get(), EVENT_SECONDS)


_tokens = itertools.count()


def new_token() -> str:
    """A token that is unique within the test run."""
    return f"interop{next(_tokens)}"


async def connect(directory: Path, port: int, gateway: str, platform: str) -> SipPeer:
    """Connect to the platform as the gateway, by mutual TLS with the platform's name checked."""
    loop = asyncio.get_running_loop()
    certificate = Certificate.from_files(directory / "gateway.crt", directory / "gateway.key", datetime.now(UTC))
    context = mutual_context(certificate, (directory / "ca.pem").read_bytes())

    def make() -> SipPeer:
        tls = MemoryTls(context, server_side=False, server_name=platform, check_peer=sip_peer([platform]))
        sip = SipConnection(
            Identity(gateway), new_token=new_token, now=loop.time(), keepalive_seconds=KEEPALIVE_SECONDS
        )
        return SipPeer(tls, sip, loop.time)

    _, peer = await loop.create_connection(make, "127.0.0.1", port)
    await asyncio.wait_for(peer.ready, EVENT_SECONDS)
    return peer


@asynccontextmanager
async def listening(directory: Path, port: int, gateway: str, platform: str) -> AsyncIterator[asyncio.Queue[SipPeer]]:
    """Accept connections of the platform; each is put into the queue when it arrives, and closed in the end."""
    loop = asyncio.get_running_loop()
    certificate = Certificate.from_files(directory / "gateway.crt", directory / "gateway.key", datetime.now(UTC))
    context = mutual_context(certificate, (directory / "ca.pem").read_bytes())
    ongoing = OngoingRequests()
    arrived: asyncio.Queue[SipPeer] = asyncio.Queue()
    peers: list[SipPeer] = []

    def make() -> SipPeer:
        tls = MemoryTls(context, server_side=True, check_peer=sip_peer([platform]))
        sip = SipConnection(Identity(gateway), new_token=new_token, now=loop.time(), ongoing=ongoing)
        peers.append(SipPeer(tls, sip, loop.time))
        arrived.put_nowait(peers[-1])
        return peers[-1]

    server = await loop.create_server(make, "127.0.0.1", port)
    try:
        yield arrived
    finally:
        server.close()
        for peer in peers:
            peer.close()
            await asyncio.wait_for(peer.lost.wait(), EVENT_SECONDS)
