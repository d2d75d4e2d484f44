"""SIP addresses as XMPP addresses and back (RFC 7247 section 6, with the whole of XEP-0106).

Called by `translate.messages` for every sender and recipient. The map is injective: an address that does not come back
as itself is refused, so that nobody can be mistaken for somebody else. Two things are given up, and declared in
`losses`: the case of a SIP user part (XMPP folds it), and a SIP URI's port and parameters other than `gr`.

RFC 7247 escapes only `&`, `'` and `/`; XEP-0106 covers ten characters, and a gateway that knows three of them maps
`o'hara` and `o\\27hara` to two users in one direction and one in the other.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from xmppgw.sip.uri import OtherUri, SipUri, UriError, escape_parameter, escape_user, unescape
from xmppgw.xmpp.address import CACHED_ADDRESSES, JID, AddressError, domain_to_ascii, prepare_domain, prepare_local

ESCAPES: dict[str, str] = {
    " ": "\\20",
    '"': "\\22",
    "&": "\\26",
    "'": "\\27",
    "/": "\\2f",
    ":": "\\3a",
    "<": "\\3c",
    ">": "\\3e",
    "@": "\\40",
    "\\": "\\5c",
}
"""XEP-0106 table 1. The backslash itself is escaped only where it would otherwise begin an escape."""

_HEX = "20|22|26|27|2f|3a|3c|3e|40|5c"
_TO_ESCAPE = re.compile(rf"[ \"&'/:<>@]|\\(?={_HEX})", re.IGNORECASE)
_TO_UNESCAPE = re.compile(rf"\\({_HEX})", re.IGNORECASE)


class UnmappableAddressError(ValueError):
    """The address has no counterpart in the other protocol. The message says why."""


def escape_local(text: str) -> str:
    """Escape text so that it may stand in a localpart (XEP-0106 section 4.2)."""
    return _TO_ESCAPE.sub(lambda found: ESCAPES[found[0]], text)


def unescape_local(local: str) -> str:
    """Undo `escape_local` (XEP-0106 section 4.3), once."""
    return _TO_UNESCAPE.sub(lambda found: chr(int(found[1], 16)), local)


@lru_cache(maxsize=CACHED_ADDRESSES)
def jid_from_sip(uri: SipUri | OtherUri) -> JID:
    """The XMPP address of a SIP URI (RFC 7247 section 6.4); `gr` becomes the resource.

    Raises:
        UnmappableAddressError: no user part, not UTF-8, not an XMPP address, or one that would not come back.
    """
    if not isinstance(uri, SipUri):
        raise UnmappableAddressError(f"a {uri.scheme[:32]} URI has no XMPP address")
    if uri.user is None:
        raise UnmappableAddressError("the SIP URI names no user")
    try:
        text = unicodedata.normalize("NFC", uri.user_text)
        if text.startswith(" ") or text.endswith(" "):
            raise UnmappableAddressError("a user that begins or ends with a space has no XMPP address")
        local = prepare_local(escape_local(text))
        device = uri.parameter("gr")
        jid = JID(local, prepare_domain(uri.host))
        if device:
            jid = jid.with_resource(unescape(device).decode("utf-8"))
    except (UriError, AddressError, UnicodeDecodeError) as problem:
        raise UnmappableAddressError(f"the SIP address has no XMPP address: {problem}") from None
    if unescape_local(jid.local) != text.lower():
        raise UnmappableAddressError("the SIP user would come back as another one")
    return jid


@lru_cache(maxsize=CACHED_ADDRESSES)
def sip_from_jid(jid: JID, *, with_resource: bool = False) -> SipUri:
    """The SIP URI of an XMPP address (RFC 7247 section 6.5).

    Args:
        jid: a prepared address with a localpart.
        with_resource: write the resource as `gr`. Off by default: a reply would be tied to one device of the partner,
            and platforms compare the whole URI with their contact lists.

    Raises:
        UnmappableAddressError: no localpart, or an escape that would not come back (`\\5c` before no escape).
    """
    if not jid.local:
        raise UnmappableAddressError("an address without a localpart has no SIP user")
    text = unescape_local(jid.local)
    if escape_local(text) != jid.local or text.startswith(" ") or text.endswith(" "):
        raise UnmappableAddressError("the localpart holds an escape that XEP-0106 does not allow there")
    try:
        user = escape_user(text)
        parameters = (("gr", escape_parameter(jid.resource)),) if with_resource and jid.resource else ()
        return SipUri("sip", user, domain_to_ascii(jid.domain), None, parameters)
    except UriError as problem:
        raise UnmappableAddressError(str(problem)) from None
