"""Faults that were published in other SIP stacks, replayed against this one; each must cost its sender alone."""

from __future__ import annotations

import pytest
from tests.unit.sip.wire import connection, request, statuses, with_method

from xmppgw.sip.connection import MustClose, RequestReceived
from xmppgw.sip.message import Limits

TAKEN, DROPPED = 0, -1

# (published as, what arrives, what it is answered)
FAULTS = [
    (
        "CVE-2020-28361 Kamailio: white space before the colon hides a header from whoever removes it",
        request(extra=("P-Asserted-Identity : <sip:boss@corp.example>", "Remote-Party-ID\t: <sip:boss@corp.example>")),
        TAKEN,
    ),
    ("CVE-2018-14767 Kamailio: two To headers", request(extra=("To: <sip:x@corp.example>;tag",)), 400),
    ("CVE-2018-14767 Kamailio: an empty tag", request(instead={"To": "<sip:juliet@partner1.example>;tag"}), 400),
    ("CVE-2018-16657 Kamailio: a broken Via", request(instead={"Via": "SIP/2.0/TLS \t ;branch=z9hG4bKx"}), 400),
    ("CVE-2018-16657 Kamailio: nothing but a comma in Via", request(instead={"Via": ","}), 400),
    (
        "CVE-2018-8828 Kamailio: an over-long branch",
        request(instead={"Via": f"SIP/2.0/TLS pool.corp.example;branch=z9hG4bK{'x' * 9000}"}),
        DROPPED,
    ),
    ("CVE-2018-8828 Kamailio: an over-long tag", request(instead={"From": f"<sip:a@b>;tag={'x' * 9000}"}), 400),
    ("CVE-2016-2385 and Kamailio 4882: very many headers", request(extra=("A: b",) * 2000), 400),
    ("Kamailio 4930: a folded quote that never closes, with a NUL", request(extra=('X: "a\r\n \x00b',)), 400),
    ("OpenSIPS CVE-2023-28098: Authorization without sense", request(extra=('Authorization: Digest ,,=",',)), TAKEN),
    ("OpenSIPS audit 2023: a Content-Length that is no number", request(length="4294967301x"), 400),
    ("OpenSIPS audit 2023: a CSeq without a method", request(instead={"CSeq": "1"}), 400),
    ("OpenSIPS audit 2023: a URI that is nothing but a scheme", request(line="MESSAGE sip: SIP/2.0"), 400),
    ("request smuggling: two lengths", request(extra=("l: 0",)), 400),
    ("request smuggling: a bare LF ends a line for some", request(extra=("X: a\nContent-Length: 0",)), 400),
    ("request smuggling: a folded length", request(length="\r\n 5"), TAKEN),
    ("request smuggling: chunked, as HTTP has it", request(extra=("Transfer-Encoding: chunked",)), TAKEN),
    ("ejabberd 26.07: digest authentication", with_method("REGISTER", extra=("Authorization: Digest x=y",)), 405),
]


@pytest.mark.parametrize(("published", "data", "status"), FAULTS, ids=[fault[0] for fault in FAULTS])
def test_published_fault(published: str, data: bytes, status: int) -> None:
    sip = connection(limits=Limits())
    events = sip.receive(data, 1.0)
    sent = statuses(sip.data_to_send())
    if status == TAKEN:
        assert [type(event) for event in events] == [RequestReceived], f"{published}: {events}"
    else:
        assert sent == ([] if status == DROPPED else [status]), f"{published}: {events}"
    if not isinstance(events[-1], MustClose):
        other = request(instead={"Via": "SIP/2.0/TLS other.example;branch=z9hG4bKother", "Call-ID": "other"})
        assert isinstance(sip.receive(other, 2.0)[-1], RequestReceived), "the next message is read as if nothing was"
