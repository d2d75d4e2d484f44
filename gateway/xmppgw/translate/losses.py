"""What the translation is known to lose or change, as data.

Read by `xmppgw explain`, the documentation and the tests. A loss that is not in this list is a fault.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Direction(StrEnum):
    """Which way a loss happens."""

    XMPP_TO_SIP = "xmpp_to_sip"
    SIP_TO_XMPP = "sip_to_xmpp"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Loss:
    """One thing that does not survive.

    Attributes:
        code: stable name.
        direction: which way.
        what: what is lost or changed.
        instead: what happens.
        because: the reason, with its source.
    """

    code: str
    direction: Direction
    what: str
    instead: str
    because: str


_TO_SIP = Direction.XMPP_TO_SIP
_TO_XMPP = Direction.SIP_TO_XMPP

LOSSES: tuple[Loss, ...] = (
    Loss(
        "case-of-sip-user",
        _TO_XMPP,
        "the case of a SIP user part",
        "it is folded: sip:Alice@ and sip:alice@ are one XMPP user",
        "XMPP folds localparts (RFC 6122 appendix A); SIP compares them by case (RFC 3261 section 19.1.4)",
    ),
    Loss(
        "character-not-xml",
        _TO_XMPP,
        "control characters in a text",
        "each becomes U+FFFD",
        "XML 1.0 cannot carry them, not even as references",
    ),
    Loss(
        "chat-state",
        _TO_SIP,
        "typing notifications and chat states",
        "counted, nothing is sent",
        "not part of page mode (RFC 7572)",
    ),
    Loss(
        "correction",
        _TO_SIP,
        "message correction, reactions, retraction, replies (XEP-0308, 0444, 0424, 0461)",
        "the body, if there is one, is sent as a message of its own",
        "SIP has no form for them",
    ),
    Loss(
        "delay-stamp",
        _TO_SIP,
        "when a delayed message was written (XEP-0203)",
        "the time of delivery is what the recipient sees",
        "RFC 7572 maps no timestamp",
    ),
    Loss(
        "device",
        _TO_SIP,
        "the resource of the XMPP sender",
        "From carries the bare address; `gr` can be asked for",
        "platforms compare the whole URI with their contacts; RFC 7247 section 6.5 leaves it open",
    ),
    Loss(
        "encrypted",
        _TO_SIP,
        "end-to-end encryption (OMEMO, OpenPGP)",
        "without a readable body: not-acceptable to the sender; with one, the body is sent",
        "the key is on the recipient's XMPP device, and there is none",
    ),
    Loss(
        "existence",
        _TO_SIP,
        "whether a SIP user exists (404, 410, 484, 485, 604)",
        "service-unavailable",
        "RFC 6120 section 13.11: users must not be found by trying",
    ),
    Loss(
        "kind",
        Direction.BOTH,
        "the type of a message",
        "chat, normal and headline become one MESSAGE; what comes from SIP has no type, which means normal",
        "RFC 7572 section 4 maps no type, section 5 demands none or normal",
    ),
    Loss(
        "other-media",
        _TO_XMPP,
        "bodies that are not text/plain, is-composing among them",
        "415 with Accept to the SIP sender",
        "RFC 7572 section 7; foreign MIME is never passed through",
    ),
    Loss(
        "port-and-parameters",
        _TO_XMPP,
        "port, password, headers and parameters of a SIP URI other than gr",
        "left out",
        "RFC 7247 section 6.4",
    ),
    Loss(
        "rich-text",
        _TO_SIP,
        "XHTML-IM and other formatted alternatives",
        "the plain body is sent",
        "XHTML-IM is deprecated; foreign markup is never passed through",
    ),
    Loss(
        "second-body",
        _TO_SIP,
        "bodies in other languages",
        "the one in the preferred language is sent, else the sender's default",
        "a MESSAGE carries one body; RFC 6121 section 5.2.3",
    ),
    Loss(
        "size",
        _TO_SIP,
        "texts above the limit",
        "policy-violation to the sender",
        "RFC 3428 section 8 allows 1300 bytes unless the path is safe for more, which TLS is; the limit is a setting",
    ),
    Loss(
        "subject-lines",
        Direction.BOTH,
        "line ends and control characters in a subject",
        "spaces",
        "a header of SIP is one line",
    ),
    Loss(
        "thread",
        _TO_SIP,
        "the thread of an XMPP message",
        "each MESSAGE has a Call-ID of its own",
        "RFC 7572 maps it to Call-ID, but a thread used twice would use a Call-ID twice (RFC 3261 section 8.1.1.4)",
    ),
    Loss(
        "thread-digest",
        _TO_XMPP,
        "the Call-ID of a SIP message",
        "the thread is a digest of it",
        "a Call-ID names hosts inside the organisation",
    ),
)
"""Sorted by code."""
