"""Connections that were just accepted: admitted or refused, and given to whoever serves the partner.

Called by the daemon's listener. Without a legacy gateway a connection becomes an inbound stream at once. With one, the
first stream header is read first, within a few octets and seconds, and a partner that has not been switched is joined
to the legacy gateway. What was read is replayed to whoever gets the connection, so that neither notices.
"""

from __future__ import annotations

import asyncio

from xmppgw.edge.context import EdgeContext
from xmppgw.edge.inbound import InboundStream
from xmppgw.edge.splice import Opening
from xmppgw.edge.streams import network_of
from xmppgw.link.connection import Connection
from xmppgw.xmpp.first_header import FirstHeaderReader, NotAServer

#: How long one who was refused may take to read why.
REFUSED_SECONDS = 1.0


def accept(edge: EdgeContext) -> Connection:
    """Make the connection object for a socket that was just accepted."""
    return Connection(lambda connection: _admit(edge, connection))


def _admit(edge: EdgeContext, connection: Connection) -> None:
    """Take or refuse a connection as soon as it is known where it comes from."""
    if edge.tls is None or edge.draining or not edge.settings.federation_enabled:
        _refuse(edge, connection, "closed", "federation is not enabled here")
        return
    if len(edge.registry) >= edge.settings.limits.streams_total:
        _refuse(edge, connection, "streams-total", f"{edge.settings.limits.streams_total} streams are open already")
        return
    reason = edge.admission.admit(network_of(connection.peer_address))
    if reason:
        _refuse(edge, connection, "preauthentication", reason)
    elif edge.settings.legacy is None:
        _answer(edge, connection, b"")
    else:
        Arrival(edge, connection)


class Arrival:
    """One connection until its first header says who is to answer it. Counted as unauthenticated."""

    def __init__(self, edge: EdgeContext, connection: Connection) -> None:
        limits = edge.settings.limits
        self._edge = edge
        self._connection = connection
        self._reader = FirstHeaderReader(edge.stream_limits(), limits.first_header_bytes)
        self._over = False
        self._timer = asyncio.get_running_loop().call_later(limits.first_header_seconds, self._late)
        connection.use(self)

    def received(self, data: bytes) -> None:
        """Read on until the header is complete."""
        if self._over:
            return
        found = self._reader.feed(data)
        if found is None:
            return
        self._end()
        edge, connection = self._edge, self._connection
        if edge.draining or edge.tls is None:
            self._give_back()
            _refuse(
                edge, connection, "closed", "the edge is shutting down or federation was disabled", "system-shutdown"
            )
            return
        if isinstance(found, NotAServer):
            self._give_back()
            _refuse(edge, connection, "first-header", found.text, found.condition)
            return
        why = edge.phases.destination(found, edge.partners)
        if why is None:
            # It stays counted: the stream itself ends that.
            _answer(edge, connection, self._reader.held)
            return
        self._give_back()
        connection.pause_reading()
        if edge.splices.is_ourselves(connection):
            text = "legacy.addresses lead back to this edge"
            _refuse(edge, connection, "splice-loop", text, "remote-connection-failed")
            return
        edge.splices.join(
            connection,
            Opening(found, why, self._reader.held),
            lambda code, condition, text: _refuse(
                edge, connection, code, text, condition, local=found.local, remote=found.remote or ""
            ),
        )

    def secured(self, tls: object) -> None:
        """Never: TLS begins behind the first header."""
        raise AssertionError("TLS before the first header")

    def drained(self) -> None:
        """Nothing was written."""

    def lost(self, reason: str) -> None:
        """Gone before it had said anything."""
        if not self._over:
            self._end()
            self._give_back()

    def _late(self) -> None:
        self._end()
        self._give_back()
        seconds = self._edge.settings.limits.first_header_seconds
        text = f"no complete stream header within {seconds:g} s"
        _refuse(self._edge, self._connection, "first-header", text, "connection-timeout")

    def _end(self) -> None:
        self._over = True
        self._timer.cancel()

    def _give_back(self) -> None:
        self._edge.admission.release(network_of(self._connection.peer_address))


def _answer(edge: EdgeContext, connection: Connection, held: bytes) -> None:
    """The connection is ours: `held` is what it has said so far."""
    assert edge.tls is not None
    stream = InboundStream(edge, connection, edge.tls)
    edge.registry.add(stream)
    stream.start()
    if edge.hub.holding:
        connection.pause_reading()
    if held:
        stream.received(held)


def _refuse(
    edge: EdgeContext,
    connection: Connection,
    code: str,
    reason: str,
    condition: str = "resource-constraint",
    *,
    local: str = "",
    remote: str = "",
) -> None:
    edge.counters.refused.labels(code).inc()
    edge.log.warning(
        "connection-refused", code=code, reason=reason, address=connection.peer_address, local=local, remote=remote
    )
    connection.linger(_refusal(condition), REFUSED_SECONDS)


def _refusal(condition: str) -> bytes:
    """Who is refused is told so without a machine being made for it (RFC 6120 4.9.1.2: header, error, end)."""
    return (
        "<?xml version='1.0'?><stream:stream xmlns='jabber:server' "
        "xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
        f"<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
    ).encode()
