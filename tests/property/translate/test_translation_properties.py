"""The address map is injective, and no text of one protocol becomes structure of the other."""

from __future__ import annotations

from collections.abc import Callable
from unicodedata import normalize

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.sip.wire import connection
from tests.unit.translate.stanzas import body, parsed_request, stanza

from xmppgw.sip.connection import Identity, RequestReceived, SipConnection
from xmppgw.sip.message import UnsafeValueError
from xmppgw.sip.uri import SipUri, escape_user
from xmppgw.translate.addresses import (
    UnmappableAddressError,
    escape_local,
    jid_from_sip,
    sip_from_jid,
    unescape_local,
)
from xmppgw.translate.messages import (
    Deliver,
    StanzaPolicy,
    from_request,
    from_stanza,
    notice_request,
    notice_text,
    to_request,
    to_stanza,
)
from xmppgw.translate.neutral import Failure, Notice
from xmppgw.xmpp.address import JID, AddressError
from xmppgw.xmpp.element import Element
from xmppgw.xmpp.parser import parse_stanza
from xmppgw.xmpp.stream import StreamLimits

# Everything an address can trip over is more likely here than in free text.
TRICKY = st.sampled_from(
    [*"\\\\\\20234567acef@/:;<>&'\" %=?+.-_~!", "\\5c", "\\20", "\\40", "\\2f", "%40", "ß", "Ä", "ü", "İ", "ﬁ"]
)
tricky_text = st.lists(TRICKY | st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12).map("".join)
text = st.text(st.characters(exclude_categories=("Cs",)), max_size=80)
domains = st.sampled_from(["corp.example", "partner1.example", "bücher.example", "a.b.c.example"])


def mapped(user: str, domain: str) -> JID | None:
    try:
        return jid_from_sip(SipUri("sip", escape_user(user), domain))
    except UnmappableAddressError:
        return None


@settings(deadline=None)
@given(tricky_text)
def test_escaping_a_localpart_loses_nothing(user: str) -> None:
    assert unescape_local(escape_local(user)) == user
    assert not set(escape_local(user)) & set(" \"&'/:<>@")


@settings(max_examples=300, deadline=None)
@given(tricky_text)
def test_a_sip_user_comes_back_but_for_its_case(user: str) -> None:
    jid = mapped(user, "corp.example")
    if jid is None:
        return
    assert JID.parse(str(jid)) == jid, "the result is an XMPP address"
    back = sip_from_jid(jid)
    assert back.user_text == back.user_text.lower()
    assert jid_from_sip(back) == jid
    assert mapped(back.user_text, "corp.example") == jid


NEIGHBOURS: tuple[Callable[[str], str], ...] = (
    escape_local,
    unescape_local,
    str.upper,
    str.casefold,
    lambda user: normalize("NFKC", user),
    lambda user: normalize("NFD", user),
    lambda user: user.replace("\\", "\\5c"),
    lambda user: user.replace("\\5c", "\\"),
    lambda user: user.replace("ß", "ss"),
    str.strip,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(TRICKY, min_size=1, max_size=5).map("".join), st.sampled_from(NEIGHBOURS))
def test_a_sip_user_is_never_taken_for_its_neighbour(user: str, changed: Callable[[str], str]) -> None:
    """What folding, escaping and normalising make of a user is another user, unless only case or composition differ."""
    other = changed(user)
    if not other or normalize("NFC", user).lower() == normalize("NFC", other).lower():
        return
    first, second = mapped(user, "corp.example"), mapped(other, "corp.example")
    assert first is None or second is None or first != second


@settings(max_examples=300, deadline=None)
@given(tricky_text, domains, st.none() | tricky_text)
def test_an_xmpp_user_comes_back_exactly(local: str, domain: str, resource: str | None) -> None:
    try:
        jid = JID.parse(f"{local}@{domain}" + (f"/{resource}" if resource else ""))
        uri = sip_from_jid(jid, with_resource=True)
    except (AddressError, UnmappableAddressError):
        return
    assert SipUri.parse(str(uri)) == uri
    assert jid_from_sip(uri) == jid


def carried(element_bytes: bytes) -> Element:
    return parse_stanza(element_bytes, StreamLimits())


@settings(max_examples=100, deadline=None)
@given(text, text, text, text)
def test_no_stanza_text_becomes_sip_structure(words: str, subject: str, thread: str, language: str) -> None:
    elements = [body(words), Element("subject", children=[subject]), Element("thread", children=[thread])]
    decision = from_stanza(stanza("message", *elements, lang=language), StanzaPolicy())
    if not isinstance(decision, Deliver):
        assert not words.strip() or len(words.encode()) > 1000
        return
    receiver = connection()
    sender = SipConnection(Identity("other.example"), new_token=lambda: "token", now=0.0)
    sender.send_request(to_request(decision.message, call_id="c@d", from_tag="f"), 1.0)
    (event,) = receiver.receive(sender.data_to_send(), 1.0)
    assert isinstance(event, RequestReceived)
    names = {name for name, _ in event.request.headers}
    assert names <= {
        "Via", "Max-Forwards", "From", "To", "Call-ID", "CSeq", "User-Agent", "Subject", "Content-Language",
        "Content-Type", "Content-Length",
    }  # fmt: skip
    assert event.request.body.decode() == decision.message.text.replace("\n", "\r\n")


@settings(max_examples=100, deadline=None)
@given(st.binary(min_size=1, max_size=80) | text.map(str.encode), text)
def test_no_sip_text_becomes_xmpp_structure(data: bytes, subject: str) -> None:
    header = "".join(character for character in subject if character.isprintable())
    decision = from_request(parsed_request(body=data, extra=(f"Subject: {header}",)))
    if not isinstance(decision, Deliver):
        return
    element = to_stanza(decision.message, stanza_id="s1")
    again = carried(element.to_bytes())
    assert again == element
    assert [child.name for child in again.elements()] in (["body", "thread"], ["subject", "body", "thread"])


@settings(deadline=None)
@given(text, text, st.none() | text)
def test_a_notice_always_begins_and_ends_as_promised(said: str, reference: str, known: str | None) -> None:
    notice = Notice(JID("a", "partner1.example"), JID("b", "corp.example"), Failure("gone", said), reference, known)
    assert notice_text(notice).startswith("Message not delivered")
    assert notice_text(notice).endswith(")")
    assert "\n" not in notice_text(notice)
    sip = connection()
    try:
        sip.send_request(notice_request(notice, call_id="c@d", from_tag="f"), 1.0)
    except UnsafeValueError:  # pragma: no cover
        raise AssertionError("a notice must always be sendable") from None
    assert sip.open_requests == 1
