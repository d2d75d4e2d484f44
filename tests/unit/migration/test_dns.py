"""DNS: foreign records are kept, a wait covers what was really served, an update is a compare and swap."""

import base64

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import dns.tsigkeyring
import dns.update
import pytest
from ansible_collections.xmppgw.migration.plugins.filter import records as filters
from ansible_collections.xmppgw.migration.plugins.plugin_utils import caches, dns_messages, rrsets
from hypothesis import given
from hypothesis import strategies as st

NAME = "_xmpp-server._tcp.corp.example"
LEGACY = ["10 10 5269 legacy1.corp.example."]
OURS = ["10 10 5269 edge1.corp.example."]


def test_lowering_changes_nothing_but_the_ttl():
    seen = {"ttl": 15, "records": LEGACY}
    assert rrsets.lowered(seen, LEGACY, 3) == {"ttl": 3, "records": LEGACY}


def test_a_domain_without_srv_first_gets_one_that_points_at_legacy():
    assert rrsets.lowered(None, LEGACY, 3) == {"ttl": 3, "records": LEGACY}


def test_switching_keeps_records_that_are_neither_legacy_nor_ours():
    foreign = "50 10 5269 backup.elsewhere.example."
    seen = {"ttl": 3, "records": [*LEGACY, foreign]}
    assert rrsets.switched(seen, LEGACY, OURS, 3) == {"ttl": 3, "records": [*OURS, foreign]}


def test_switching_twice_is_switching_once():
    once = rrsets.switched({"ttl": 3, "records": LEGACY}, LEGACY, OURS, 3)
    assert rrsets.switched(once, LEGACY, OURS, 3) == once


def test_servers_that_disagree_are_named_with_what_they_say():
    rrset = {"ttl": 15, "records": LEGACY}
    assert rrsets.disagreements(NAME, {"a": rrset, "b": rrset}) == []
    (sentence,) = rrsets.disagreements(NAME, {"a": rrset, "b": None})
    assert sentence == f"{NAME}: b says nothing, a says TTL 15 {LEGACY[0]}"


# Waits


def test_the_wait_is_the_old_ttl_and_ten_per_cent():
    assert caches.remembered_until([(NAME, 15, 100.0)], 3, NAME) == pytest.approx(116.5)


def test_an_rrset_that_was_not_there_is_remembered_for_the_negative_ttl():
    assert caches.remembered_until([(NAME, None, 100.0)], 300, NAME) == pytest.approx(430.0)


def test_the_latest_end_counts_not_the_latest_change():
    served = [(NAME, 3600, 100.0), (NAME, 3, 200.0), ("other", 9999, 300.0)]
    assert caches.remembered_until(served, 3, NAME) == pytest.approx(100 + 3960)


@given(
    st.lists(st.tuples(st.just(NAME), st.integers(0, 86400), st.floats(0, 1e9))),
    st.floats(0, 2e9),
    st.integers(0, 3600),
)
def test_no_wait_ends_before_anything_served_is_forgotten(served, now, negative):
    left = caches.seconds_left(served, negative, [NAME], now)
    assert left >= 0
    assert all(now + left >= until + ttl for _name, ttl, until in served)


def result(*, changed, before_ttl=15, name=NAME):
    before = {"ttl": before_ttl, "records": LEGACY}
    return {"name": name, "changed": changed, "before": before, "after": {}, "served_until": 100.0, "negative_ttl": 3}


def test_only_what_changed_is_noted_and_waited_for():
    assert filters.served_last([result(changed=False)], {}) == []
    assert filters.forgotten_at([result(changed=False)], {}) == 0.0
    (record,) = filters.served_last([result(changed=True)], {})
    assert (record["domain"], record["ttl_before"], record["served_until"]) == ("corp.example", 15, 100.0)
    assert filters.forgotten_at([result(changed=True)], {}) == pytest.approx(116.5)


def test_a_change_that_a_killed_run_made_is_waited_for_from_now():
    unfinished = {NAME: 15}
    (record,) = filters.served_last([result(changed=False, before_ttl=3)], unfinished)
    assert record["ttl_before"] == 15
    assert filters.forgotten_at([result(changed=False, before_ttl=3)], unfinished) == pytest.approx(116.5)


# Messages


KEY = {"name": "lab-update", "algorithm": "hmac-sha256", "secret": base64.b64encode(b"k" * 32).decode()}
SOA = "dns1.corp.example. hostmaster.corp.example. 7 3600 600 86400 3"


def answer_to(packet, sections, rcode=dns.rcode.NOERROR, flags=dns.flags.AA):
    query = dns.message.from_wire(base64.b64decode(packet["message"]))
    reply = dns.message.make_response(query)
    reply.flags |= flags
    reply.set_rcode(rcode)
    for section, rrset in sections:
        getattr(reply, section).append(dns.rrset.from_text(*rrset))
    return {"answer": base64.b64encode(reply.to_wire()).decode()}


def test_an_answer_gives_the_rrset_in_one_form():
    packet = dns_messages.question("203.0.113.53", NAME, "SRV")
    answer = answer_to(
        packet, [("answer", (f"{NAME}.", 15, "IN", "SRV", "20 1 5269 B.example.", "10 10 5269 a.example."))]
    )
    assert dns_messages.read_rrset(answer, NAME, "SRV")["rrset"] == {
        "ttl": 15,
        "records": ["10 10 5269 a.example.", "20 1 5269 b.example."],
    }


def test_no_rrset_comes_with_its_negative_ttl():
    packet = dns_messages.question("203.0.113.53", NAME, "SRV")
    answer = answer_to(packet, [("authority", ("corp.example.", 60, "IN", "SOA", SOA))], dns.rcode.NXDOMAIN)
    seen = dns_messages.read_rrset(answer, NAME, "SRV")
    assert (seen["rrset"], seen["negative_ttl"], seen["serial"]) == (None, 3, 7)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"error": "203.0.113.53: timed out"}, "timed out"),
        ({"answer": base64.b64encode(b"not dns").decode()}, "unreadable"),
        (answer_to(dns_messages.question("s", NAME, "SRV"), [], dns.rcode.REFUSED), "REFUSED"),
        (answer_to(dns_messages.question("s", NAME, "SRV"), [], flags=0), "not authoritative"),
    ],
)
def test_an_answer_that_cannot_be_used_says_why(answer, words):
    with pytest.raises(dns_messages.DnsError, match=words):
        dns_messages.read_rrset(answer, NAME, "SRV")


def test_an_update_requires_the_whole_rrset_and_the_whole_soa():
    before, after = {"ttl": 15, "records": LEGACY}, {"ttl": 3, "records": OURS}
    packet, _read = dns_messages.swap("corp.example", NAME, before, after, soa=SOA, key=KEY)
    keyring = dns.tsigkeyring.from_text({"lab-update": ("hmac-sha256", KEY["secret"])})
    update = dns.message.from_wire(base64.b64decode(packet["message"]), keyring=keyring)
    assert sorted(rrset.to_text() for rrset in update.sections[1]) == [
        f"{NAME}. 0 IN SRV {LEGACY[0]}",
        f"corp.example. 0 IN SOA {SOA}",
    ]
    assert [rrset.to_text() for rrset in update.sections[2]] == [f"{NAME}. ANY SRV", f"{NAME}. 3 IN SRV {OURS[0]}"]
    assert update.had_tsig


def test_an_update_of_nothing_requires_that_there_is_nothing():
    packet, _read = dns_messages.swap("corp.example", NAME, None, {"ttl": 3, "records": LEGACY}, soa=SOA, key=KEY)
    keyring = dns.tsigkeyring.from_text({"lab-update": ("hmac-sha256", KEY["secret"])})
    update = dns.message.from_wire(base64.b64decode(packet["message"]), keyring=keyring)
    assert f"{NAME}. NONE SRV" in [rrset.to_text() for rrset in update.sections[1]]


def test_the_longest_zone_holds_a_name():
    assert dns_messages.zone_of(NAME, ["example", "corp.example"]) == "corp.example"
    with pytest.raises(dns_messages.DnsError, match=r"in none of the zones corp\.example"):
        dns_messages.zone_of("other.test", ["corp.example"])
