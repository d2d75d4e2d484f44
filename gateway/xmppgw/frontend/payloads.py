"""What is kept in the store for each kind of item, as msgpack: enough to send it and to answer its sender later.

Written by `frontend.intake`, read by the lanes, possibly by a later process. Fields may be added at the end only.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

Kept = TypeVar("Kept", bound=msgspec.Struct)


class StanzaKept(msgspec.Struct, frozen=True, array_like=True):
    """to_sip message: the stanza as it arrived, checked."""

    data: bytes


class NoticeKept(msgspec.Struct, frozen=True, array_like=True):
    """to_sip notice: tells a SIP user that a message to an XMPP address was not delivered."""

    sender: str
    recipient: str
    condition: str
    text: str
    error_type: str | None
    #: Id of the stanza that came back.
    reference: str
    #: Call-ID of the user's message; looked up by `reference` when it is not known yet.
    in_reply_to: str | None


class OutgoingKept(msgspec.Struct, frozen=True, array_like=True):
    """to_xmpp message or error: the stanza to write, and whom to tell if that fails (messages only)."""

    data: bytes
    local: str
    remote: str
    sender: str
    recipient: str
    stanza_id: str
    call_id: str


_encoder = msgspec.msgpack.Encoder()


def keep(payload: msgspec.Struct) -> bytes:
    """Return `payload` for the store."""
    return _encoder.encode(payload)


def kept(data: bytes, kind: type[Kept]) -> Kept:
    """Read what `keep` wrote. Raises msgspec.ValidationError for a payload of another kind or version."""
    return msgspec.msgpack.decode(data, type=kind)
