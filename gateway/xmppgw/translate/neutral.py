"""What passes between the two protocols: messages, failures and notices that belong to neither.

Made and read by `translate.messages` and the front end. An address is always a prepared JID: of the two address spaces
it is the stricter one, and `translate.addresses` maps it to SIP and back without loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from xmppgw.xmpp.address import JID


class MessageKind(StrEnum):
    """What an XMPP sender asked for. SIP's page mode knows only NORMAL (RFC 7572 section 4)."""

    NORMAL = "normal"
    CHAT = "chat"
    HEADLINE = "headline"


@dataclass(frozen=True, slots=True)
class Message:
    """One text from one person to another.

    Attributes:
        sender: with a resource where the other side named a device.
        recipient: likewise.
        text: the body; line ends are LF.
        identifier: the stanza id or the Call-ID; "" where the stanza has none.
        language: of the text (BCP 47), or None.
        subject: one line, or None.
        thread: what groups a conversation, or None.
        kind: NORMAL for everything that comes from SIP.
        receipt_wanted: whether the sender asked for a delivery receipt (XEP-0184).
    """

    sender: JID
    recipient: JID
    text: str
    identifier: str
    language: str | None = None
    subject: str | None = None
    thread: str | None = None
    kind: MessageKind = MessageKind.NORMAL
    receipt_wanted: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something could not be done, in the vocabulary of XMPP (RFC 6120 section 8.3.3), which is the finer one.

    Attributes:
        condition: a stanza error condition.
        text: for a person; may come from a foreign server. Line ends and control characters are gone.
        error_type: auth, cancel, continue, modify or wait, where it differs from the condition's usual one.
        new_address: where the recipient has gone (`gone`, `redirect`), or None.
        status: the SIP status it comes from, or None.
    """

    condition: str
    text: str = ""
    error_type: str | None = None
    new_address: JID | None = None
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """Tells a SIP user that an accepted message came back.

    Attributes:
        sender: the XMPP address that could not be reached.
        recipient: the SIP user who had written to it.
        failure: why.
        reference: id of the stanza that came back; the user's administrator can look it up.
        in_reply_to: Call-ID of the user's message, or None where another gateway had sent it.
    """

    sender: JID
    recipient: JID
    failure: Failure
    reference: str
    in_reply_to: str | None = None
