"""Frames of the link: four octets of length (big endian), then one msgpack array whose first element names the kind.

Called by `link.protocol`. Arrays may grow at their end in later versions; readers ignore what they do not know.
Never trusts a length: a frame above the limit is refused before it is read.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

#: One stanza of the largest permitted size with its envelope fits many times over.
MAXIMUM_FRAME_BYTES = 1024 * 1024
LENGTH_OCTETS = 4
VERSION_MINIMUM = 1
VERSION_MAXIMUM = 1


class Hello(msgspec.Struct, frozen=True, array_like=True, tag="hello"):
    """First frame of each side. `session` names the sender's sequence space: it ends with the sender's process."""

    minimum_version: int
    maximum_version: int
    node: str
    session: str


class Resume(msgspec.Struct, frozen=True, array_like=True, tag="resume"):
    """Answer to the other side's Hello: what of its session is processed, and how many frames it may send beyond."""

    session: str
    processed: int
    credit: int


class Start(msgspec.Struct, frozen=True, array_like=True, tag="start"):
    """Answer to Resume: the sequence number of the first Data frame that follows."""

    sequence: int


class Data(msgspec.Struct, frozen=True, array_like=True, tag="data"):
    """One message of the layer above."""

    sequence: int
    payload: bytes


class Acknowledge(msgspec.Struct, frozen=True, array_like=True, tag="ack"):
    """All Data up to `processed` is committed by the receiver; `credit` more may be sent."""

    processed: int
    credit: int


class Ping(msgspec.Struct, frozen=True, array_like=True, tag="ping"):
    """Asks for a Pong with the same number."""

    number: int


class Pong(msgspec.Struct, frozen=True, array_like=True, tag="pong"):
    """Answers a Ping."""

    number: int


class Goodbye(msgspec.Struct, frozen=True, array_like=True, tag="goodbye"):
    """The sender closes the connection now. `code` is one of a few stable words, `text` is for people."""

    code: str
    text: str


Frame: TypeAlias = Hello | Resume | Start | Data | Acknowledge | Ping | Pong | Goodbye

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)


class FrameError(ValueError):
    """Bytes that are not a frame."""


def encode_frame(frame: Frame) -> bytes:
    """Return `frame` as it goes onto the wire. Raises FrameError if it is too large."""
    body = _encoder.encode(frame)
    if len(body) > MAXIMUM_FRAME_BYTES:
        raise FrameError(f"a frame of {len(body)} bytes; the limit is {MAXIMUM_FRAME_BYTES}")
    return len(body).to_bytes(LENGTH_OCTETS, "big") + body


class FrameReader:
    """Cuts a byte stream into frames. Holds at most one incomplete frame."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Take bytes from the wire."""
        self._buffer += data

    def next_frame(self) -> Frame | None:
        """Return the next whole frame, None if there is none yet. Raises FrameError."""
        buffer = self._buffer
        if len(buffer) < LENGTH_OCTETS:
            return None
        length = int.from_bytes(buffer[:LENGTH_OCTETS], "big")
        if length > MAXIMUM_FRAME_BYTES:
            raise FrameError(f"a frame of {length} bytes is announced; the limit is {MAXIMUM_FRAME_BYTES}")
        if len(buffer) < LENGTH_OCTETS + length:
            return None
        body = bytes(buffer[LENGTH_OCTETS : LENGTH_OCTETS + length])
        del buffer[: LENGTH_OCTETS + length]
        try:
            return _decoder.decode(body)
        except (msgspec.DecodeError, RecursionError) as error:
            raise FrameError(f"not a frame: {error}") from None
