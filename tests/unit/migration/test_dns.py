"""DNS: foreign records are kept, a wait covers what was really served, an update is a compare and swap."""

import base64
import time
from datetime import UTC, datetime
from types import SimpleNamespace

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import dns.tsigkeyring
import dns.update
import pytest
from ansible_collections.xmppgw.migration.plugins.filter import records as filters
from ansible_collections.xmppgw.migration.plugins.plugin_utils import (
    caches,
    dns_messages,
    dns_providers,
    dns_sight,
    rrsets,
    run_facts,
    whole_plan,
)
from ansible_collections.xmppgw.migration.plugins.plugin_utils.dns_changes import Change, ChangeError
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
    left = max(0.0, caches.remembered_until(served, negative, NAME) - now)
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


def test_what_this_run_announced_and_somebody_else_then_set_is_waited_for_as_well():
    after = {"ttl": 3, "records": LEGACY}
    announced = filters.to_announce(
        [
            run_facts.rrset_back(6, "corp.example", {"ttl": 15, "records": LEGACY}, after),
            run_facts.rrset_back(6, "stands.example", after, after),
            {"name": "_xmpp-server._tcp.settled.example", "rrset": after, "expect": None},
        ]
    )
    assert [action["id"] for action in announced] == ["6/srv/corp.example"]
    (record,) = filters.served_last([result(changed=False, before_ttl=3)], {}, announced)
    assert record["ttl_before"] == 15
    assert filters.forgotten_at([result(changed=False)], {}, announced) == pytest.approx(116.5)


def test_a_run_after_one_that_was_killed_in_its_wait_waits_as_long(world, sealed):
    record = {"event": "rrset_changed", "name": NAME, "domain": "corp.example", "ttl_before": 3600, "before": None}
    world.records = sealed([{**record, "after": None, "served_until": world.now - 10.0}])
    picture = world.picture()
    forgotten = run_facts.facts(picture, whole_plan.plan_of(picture))["forgotten"]
    assert forgotten == pytest.approx(world.now - 10 + 3960)
    assert picture.seconds_until_forgotten(world.now) == pytest.approx(3950)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
def test_an_epoch_is_the_same_wherever_the_controller_stands(monkeypatch, zone):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        moment = datetime.now(UTC)
        assert filters.epoch_seconds(moment.replace(tzinfo=None)) == moment.timestamp()
    finally:
        monkeypatch.undo()
        time.tzset()


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


# Somebody else at work


def test_a_changed_ttl_is_a_change_and_named():
    planned = {"ttl": 3, "records": LEGACY}
    assert rrsets.differences(planned, planned) == []
    assert rrsets.differences(planned, {"ttl": 60, "records": LEGACY}) == ["TTL 3 became 60"]


def test_records_that_came_and_went_are_named():
    found = rrsets.differences({"ttl": 3, "records": LEGACY}, {"ttl": 3, "records": OURS})
    assert found == [f"added {OURS[0]}", f"removed {LEGACY[0]}"]
    (gone,) = rrsets.differences({"ttl": 3, "records": LEGACY}, None)
    assert gone == f"expected TTL 3 {LEGACY[0]}, found nothing"


# Providers


class World:
    """A primary that answers updates from a list, and what was asked of it."""

    def __init__(self, rcodes=(), standing=None):
        self.rcodes, self.standing = list(rcodes), standing
        self.sent, self.said = [], []

    def exchange(self, packets):
        (packet,) = packets
        self.sent.append(packet)
        keyring = dns.tsigkeyring.from_text({"lab-update": ("hmac-sha256", KEY["secret"])})
        update = dns.message.from_wire(base64.b64decode(packet["message"]), keyring=keyring)
        reply = dns.message.make_response(update)
        reply.set_rcode(self.rcodes.pop(0))
        return [{"answer": base64.b64encode(reply.to_wire()).decode()}]

    def look(self, server, zone, name):
        return {"rrset": self.standing, "soa": SOA.replace(" 7 ", " 8 "), "negative_ttl": 3}

    def secret(self, name):
        assert name == "tsig/lab-update"
        return KEY["secret"]

    def say(self, line):
        self.said.append(line)


TSIG = SimpleNamespace(name="lab-update", algorithm="hmac-sha256", secret="lab-update")
ZONE = SimpleNamespace(provider="rfc2136", primary="203.0.113.53", tsig=TSIG)
BEFORE, AFTER = {"ttl": 3, "records": LEGACY}, {"ttl": 3, "records": OURS}
CHANGE = Change("corp.example", NAME, BEFORE, AFTER, SOA)


def test_when_only_the_serial_moved_the_update_is_made_again_on_what_was_read_anew():
    world = World([dns.rcode.NXRRSET, dns.rcode.NOERROR], standing=BEFORE)
    dns_providers.provider_of(ZONE, world).change(CHANGE)
    assert len(world.sent) == 2
    assert world.sent[0]["message"] != world.sent[1]["message"]


def test_when_the_rrset_moved_nothing_is_written_and_the_difference_is_named():
    world = World([dns.rcode.NXRRSET], standing={"ttl": 60, "records": LEGACY})
    with pytest.raises(ChangeError, match="TTL 3 became 60") as refused:
        dns_providers.provider_of(ZONE, world).change(CHANGE)
    assert refused.value.code == "migration-write-conflict"
    assert len(world.sent) == 1


def test_a_primary_that_refuses_is_not_asked_again():
    world = World([dns.rcode.REFUSED])
    with pytest.raises(ChangeError, match="REFUSED"):
        dns_providers.provider_of(ZONE, world).change(CHANGE)


def test_by_hand_every_record_is_printed_and_nothing_is_sent():
    world = World()
    dns_providers.provider_of(SimpleNamespace(provider="manual"), world).change(CHANGE)
    assert world.said[1:] == [
        f"  remove  {NAME}. 3 IN SRV {LEGACY[0]}",
        f"  add     {NAME}. 3 IN SRV {OURS[0]}",
    ]
    assert world.sent == []


def test_a_provider_that_is_not_there_is_refused_by_name():
    with pytest.raises(dns_providers.ProviderError, match="'carrier-pigeon'"):
        dns_providers.provider_of(SimpleNamespace(provider="carrier-pigeon"), World())


# What the world sees


def test_serials_are_compared_as_serials():
    assert dns_sight.lag({"a": 8, "b": 7}) == ["b is 1 behind: serial 7, a has 8"]
    assert dns_sight.lag({"a": 2**32 - 1, "b": 3}) == [f"a is 4 behind: serial {2**32 - 1}, b has 3"]
    assert dns_sight.lag({"a": 5, "b": 5}) == []


def says(records=OURS, rcode="NOERROR", validated=True, **more):
    rrset = {"ttl": 2, "records": records} if records else None
    return {"rcode": rcode, "rrset": rrset, "validated": validated, **more}


def test_resolvers_that_agree_and_validate_need_no_word():
    assert dns_sight.resolvers_say(NAME, {"r1": says(), "r2": says()}, AFTER, signed=True) == ([], [])


def test_a_signature_that_does_not_hold_is_a_problem():
    bogus = says(None, "SERVFAIL", validated=False, unchecked=says())
    (problem,), notices = dns_sight.resolvers_say(NAME, {"r1": bogus}, AFTER, signed=True)
    assert "bogus" in problem
    assert notices == []


def test_views_that_differ_are_named():
    problems, notices = dns_sight.resolvers_say(NAME, {"inside": says(LEGACY), "outside": says()}, AFTER, signed=False)
    assert problems == []
    assert any("inside says TTL 2" in notice for notice in notices)
    assert any("different zones" in notice and "inside" in notice and "outside" in notice for notice in notices)


def test_a_signed_zone_that_nobody_validates_is_said():
    _problems, (notice,) = dns_sight.resolvers_say(NAME, {"r": says(validated=False)}, AFTER, signed=True)
    assert "no configured resolver" in notice
    assert dns_sight.resolvers_say(NAME, {"r": says(validated=False)}, AFTER, signed=False) == ([], [])


def test_an_answer_shows_signature_validation_and_rcode():
    packet = dns_messages.question_to_resolver("r", NAME, "SRV")
    query = dns.message.from_wire(base64.b64decode(packet["message"]))
    assert query.flags & dns.flags.AD
    assert query.flags & dns.flags.RD
    signature = f"SRV 13 4 3 20300101000000 20200101000000 1 corp.example. {'A' * 86}=="
    answer = answer_to(
        packet,
        [("answer", (f"{NAME}.", 3, "IN", "SRV", OURS[0])), ("answer", (f"{NAME}.", 3, "IN", "RRSIG", signature))],
        flags=dns.flags.AD,
    )
    read = dns_messages.read_answer(answer, NAME, "SRV")
    assert read == {"rcode": "NOERROR", "rrset": AFTER, "validated": True, "signed": True}
    assert dns_sight.unsigned(NAME, {"s1": read, "s2": {**read, "signed": False}}) == [
        f"{NAME}: s2 serves the zone signed, but this RRset without a signature"
    ]
