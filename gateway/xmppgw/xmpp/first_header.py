"""The first stream header of a connection, read before anyone decides who is to answer it.

Called by `edge.arrival` while partners are being moved one by one: a server-to-server peer says in the clear who it is
and whom it wants (RFC 6120 4.7), so a connection can be given to whoever serves that pair, with nothing answered yet.
Reads and judges nothing but the header. What it finds is a claim: whoever then gets the connection has to prove it.
"""

from __future__ import annotations

from dataclasses import dataclass

from .address import AddressError, prepare_domain
from .element import NS_SERVER, NS_STREAM
from .parser import Budget, ParseFailure, ParserLimits, StreamHeader, StreamParser


@dataclass(frozen=True, slots=True)
class FirstHeader:
    """What a server claims about itself.

    Attributes:
        local: the domain that it wants, normalised.
        remote: the domain that it says it is, normalised; None when it does not say.
    """

    local: str
    remote: str | None


@dataclass(frozen=True, slots=True)
class NotAServer:
    """These bytes do not begin a server-to-server stream that names a domain.

    Attributes:
        condition: the stream error of RFC 6120 4.9.3 that says so.
        text: for the log.
    """

    condition: str
    text: str


class FirstHeaderReader:
    """Collects bytes until the first header is complete.

    Args:
        limits: bounds on names, attributes and namespaces; see `stream.StreamLimits`.
        maximum_bytes: bytes in which the header has to be complete.
    """

    def __init__(self, limits: ParserLimits, maximum_bytes: int) -> None:
        self._parser = StreamParser(limits, Budget(maximum_bytes, limits.unauthenticated_elements))
        self._held = bytearray()

    @property
    def held(self) -> bytes:
        """Everything that was fed, to be replayed to whoever gets the connection."""
        return bytes(self._held)

    def feed(self, data: bytes) -> FirstHeader | NotAServer | None:
        """Read more bytes. None: the header is not complete yet. Not to be called again after an answer."""
        self._held += data
        for event in self._parser.feed(data):
            if isinstance(event, StreamHeader):
                return _judge(event)
            if isinstance(event, ParseFailure):
                return NotAServer(event.condition, event.text)
        return None


def _judge(header: StreamHeader) -> FirstHeader | NotAServer:
    if header.name != "stream" or header.namespace != NS_STREAM or header.content_namespace != NS_SERVER:
        return NotAServer("invalid-namespace", "not the header of a stream between servers")
    to, sender = header.attributes.get("to"), header.attributes.get("from")
    if not to:
        return NotAServer("improper-addressing", "the stream header names no 'to'")
    try:
        return FirstHeader(prepare_domain(to), prepare_domain(sender) if sender else None)
    except AddressError as error:
        return NotAServer("improper-addressing", f"a domain in the stream header {error}")
