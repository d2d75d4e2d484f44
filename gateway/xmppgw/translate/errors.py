"""Errors of one protocol in the words of the other: RFC 7247 tables 2 and 3 as data, with their corrections.

Called by the front end for everything that fails. The tables hold what the RFC says beside what is done, and why the
two differ; tests read the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from .neutral import Failure

NEVER_SENT = frozenset({401, 407, 408, 503})
"""Status codes that never go to the platform: 401 and 407 need a challenge (RFC 3261 20.44), 408 must not answer a
non-INVITE (RFC 4320 section 4.2), 503 makes the platform give up on the whole gateway."""


@dataclass(frozen=True, slots=True)
class StatusRow:
    """One row of RFC 7247 table 2.

    Attributes:
        condition: XMPP stanza error condition.
        full: what the RFC says for a full JID.
        bare: what it says for a bare JID.
        status: what is sent.
        correction: why that is neither; "" where it is.
    """

    condition: str
    full: int
    bare: int
    status: int
    correction: str = ""


_CHALLENGE = "401 and 407 without a challenge are not legal (RFC 3261 section 20.44)"
_EVERYWHERE = "6xx would stop the search at every other device and platform"
_NON_INVITE = "408 must not answer a non-INVITE request (RFC 4320 section 4.2)"

STATUS_ROWS: tuple[StatusRow, ...] = (
    StatusRow("bad-request", 400, 400, 400),
    StatusRow("conflict", 400, 400, 400),
    StatusRow("feature-not-implemented", 405, 501, 501, "405 needs an Allow header that leaves MESSAGE out"),
    StatusRow("forbidden", 403, 603, 403, _EVERYWHERE),
    StatusRow("gone", 410, 410, 410),
    StatusRow("internal-server-error", 500, 500, 500),
    StatusRow("item-not-found", 404, 604, 404, _EVERYWHERE),
    StatusRow("jid-malformed", 400, 400, 400),
    StatusRow("not-acceptable", 406, 606, 406, _EVERYWHERE),
    StatusRow("not-allowed", 403, 403, 403),
    StatusRow("not-authorized", 401, 401, 403, _CHALLENGE),
    StatusRow("policy-violation", 403, 403, 403),
    StatusRow("recipient-unavailable", 480, 600, 480, _EVERYWHERE),
    StatusRow("redirect", 302, 302, 480, "302 without an address of ours to go to says nothing"),
    StatusRow("registration-required", 407, 407, 403, _CHALLENGE),
    StatusRow("remote-server-not-found", 404, 404, 404),
    StatusRow("remote-server-timeout", 408, 408, 504, _NON_INVITE),
    StatusRow("resource-constraint", 500, 500, 500),
    StatusRow("service-unavailable", 403, 403, 403),
    StatusRow("subscription-required", 400, 400, 400),
    StatusRow("undefined-condition", 400, 400, 400),
    StatusRow("unexpected-request", 400, 400, 400),
)
"""Table 2, all 22 conditions. `gone` and `redirect` with a new address are 301 and 302 with a Contact: `status_for`."""

_STATUS: Mapping[str, int] = MappingProxyType({row.condition: row.status for row in STATUS_ROWS})

CONDITIONS: Mapping[int, str] = MappingProxyType(
    {
        300: "redirect",
        301: "gone",
        302: "redirect",
        305: "redirect",
        380: "not-acceptable",
        400: "bad-request",
        401: "not-authorized",
        402: "bad-request",
        403: "forbidden",
        404: "item-not-found",
        405: "feature-not-implemented",
        406: "not-acceptable",
        407: "registration-required",
        408: "remote-server-timeout",
        410: "gone",
        413: "policy-violation",
        414: "policy-violation",
        415: "not-acceptable",
        416: "not-acceptable",
        420: "feature-not-implemented",
        421: "not-acceptable",
        423: "resource-constraint",
        430: "recipient-unavailable",
        439: "feature-not-implemented",
        440: "policy-violation",
        480: "recipient-unavailable",
        481: "item-not-found",
        482: "not-acceptable",
        483: "not-acceptable",
        484: "item-not-found",
        485: "item-not-found",
        486: "recipient-unavailable",
        487: "recipient-unavailable",
        488: "not-acceptable",
        489: "policy-violation",
        491: "unexpected-request",
        493: "bad-request",
        500: "internal-server-error",
        501: "feature-not-implemented",
        502: "remote-server-not-found",
        503: "internal-server-error",
        504: "remote-server-timeout",
        505: "not-acceptable",
        513: "policy-violation",
        600: "recipient-unavailable",
        603: "recipient-unavailable",
        604: "item-not-found",
        606: "not-acceptable",
    }
)
"""RFC 7247 table 3, every status it lists."""

OTHER_CONDITIONS: Mapping[int, str] = MappingProxyType(
    {3: "redirect", 4: "bad-request", 5: "internal-server-error", 6: "recipient-unavailable"}
)
"""Table 3, "other" of each class, by first digit."""

UNKNOWN_USER = frozenset({404, 410, 484, 485, 604})
"""Status codes that say "there is no such user". A partner's user gets `service-unavailable` instead, the same answer
as for everything else that is not there, so that nobody can list the organisation's users (RFC 6120 section 13.11)."""


def status_for(failure: Failure) -> int:
    """The SIP status that answers a request which failed like this.

    `gone` and `redirect` give 301 and 302 where the failure names a new address; the caller adds it as Contact
    (RFC 7247 section 7.2 makes that a MUST for 301).
    """
    if failure.new_address is not None and failure.condition in ("gone", "redirect"):
        return 301 if failure.condition == "gone" else 302
    return _STATUS.get(failure.condition, 400)


def failure_from_status(status: int, reason: str = "", *, disclose_users: bool = False) -> Failure:
    """What a final response other than 2xx means to the XMPP sender.

    Args:
        status: 300..699.
        reason: the reason phrase; shown to the sender only where it cannot tell whether the user exists.
        disclose_users: say `item-not-found` and `gone` where the platform says that there is no such user.
    """
    if status in UNKNOWN_USER and not disclose_users:
        return Failure("service-unavailable", status=status)
    condition = CONDITIONS.get(status) or OTHER_CONDITIONS.get(status // 100, "undefined-condition")
    return Failure(condition, one_line(reason)[:256], status=status)


EXPLANATIONS: Mapping[str, str] = MappingProxyType(
    {
        "bad-request": "the partner's server did not understand it",
        "conflict": "the partner's server reports a conflict",
        "feature-not-implemented": "the recipient cannot take messages of this kind",
        "forbidden": "the recipient or their server does not accept messages from you",
        "gone": "the recipient is no longer at this address",
        "internal-server-error": "the partner's server has a fault",
        "item-not-found": "there is no such recipient",
        "jid-malformed": "the address is not an XMPP address",
        "not-acceptable": "the recipient's server does not accept it",
        "not-allowed": "the recipient or their server does not accept messages from you",
        "not-authorized": "the recipient's server does not accept messages from you",
        "policy-violation": "a policy of the recipient's server forbids it",
        "recipient-unavailable": "the recipient is not available",
        "redirect": "the recipient is at another address",
        "registration-required": "the recipient's server wants a registration",
        "remote-server-not-found": "the recipient's server cannot be found",
        "remote-server-timeout": "the recipient's server cannot be reached",
        "resource-constraint": "the recipient's server is overloaded",
        "service-unavailable": "the recipient cannot be reached",
        "subscription-required": "the recipient takes messages from contacts only",
        "undefined-condition": "the recipient's server refused it",
        "unexpected-request": "the recipient's server did not expect it",
    }
)
"""What a SIP user reads in a notice, for each condition."""


def one_line(text: str) -> str:
    """Foreign text as one line without control characters, direction overrides and surrogates."""
    cleaned = "".join(character if _printable(character) else " " for character in text)
    return " ".join(cleaned.split())


def _printable(character: str) -> bool:
    code = ord(character)
    return not (
        code < 0x20
        or 0x7F <= code < 0xA0
        or 0x2028 <= code <= 0x202E
        or 0x2066 <= code <= 0x2069
        or 0xD800 <= code < 0xE000
        or code in (0xFEFF, 0xFFFE, 0xFFFF)
    )
