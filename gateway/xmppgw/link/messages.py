"""What edge and front end say to each other over the link: stanzas in, deliveries out, and their outcome.

Called by both daemons. The front end trusts no field of `StanzaArrived` beyond "these bytes, from that domain,
authenticated so", and checks even that against its own list of partners.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec


class StanzaArrived(msgspec.Struct, frozen=True, array_like=True, tag="stanza"):
    """Edge to front end: a stanza that a partner sent on an authenticated stream."""

    correlation: str
    #: The authorised pair: the partner's domain and ours, normalised.
    remote: str
    local: str
    #: How the stream was authenticated: `external` or `dialback`.
    method: str
    #: Canonical serialisation of the stanza.
    data: bytes
    #: Seconds since the epoch at the edge.
    at: float


class Deliver(msgspec.Struct, frozen=True, array_like=True, tag="deliver"):
    """Front end to edge: write this stanza to the partner, once. `delivery` never names anything else."""

    delivery: str
    correlation: str
    local: str
    remote: str
    data: bytes
    #: Seconds since the epoch after which it must not be written any more.
    expires: float


class Outcome(msgspec.Struct, frozen=True, array_like=True, tag="outcome"):
    """Edge to front end: what became of a delivery.

    `delivered`: written to an authenticated stream. `failed`: will never be written; `condition` is an RFC 6120 8.3.3
    stanza error. `deferred`: not written, may be tried again after `retry_after` seconds. `unknown`: written, but the
    stream broke before the bytes had left this host for certain.
    """

    delivery: str
    correlation: str
    state: Literal["delivered", "failed", "deferred", "unknown"]
    condition: str = ""
    text: str = ""
    retry_after: float = 0.0


ToFrontEnd: TypeAlias = StanzaArrived | Outcome
ToEdge: TypeAlias = Deliver

_encoder = msgspec.msgpack.Encoder()
_to_front_end: msgspec.msgpack.Decoder[ToFrontEnd] = msgspec.msgpack.Decoder(ToFrontEnd)
_to_edge: msgspec.msgpack.Decoder[ToEdge] = msgspec.msgpack.Decoder(ToEdge)


class MessageError(ValueError):
    """A payload that is none of the messages above."""


def encode_message(message: ToFrontEnd | ToEdge) -> bytes:
    """Return `message` as the payload of a Data frame."""
    return _encoder.encode(message)


def decode_for_front_end(payload: bytes) -> ToFrontEnd:
    """Return the message that an edge sent. Raises MessageError."""
    try:
        return _to_front_end.decode(payload)
    except (msgspec.DecodeError, RecursionError) as error:
        raise MessageError(str(error)) from None


def decode_for_edge(payload: bytes) -> ToEdge:
    """Return the message that a front end sent. Raises MessageError."""
    try:
        return _to_edge.decode(payload)
    except (msgspec.DecodeError, RecursionError) as error:
        raise MessageError(str(error)) from None
