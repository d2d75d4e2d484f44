"""A wrong answer of a name server stops preflight with the server's name: nothing is concluded from it."""

import base64
import struct

import dns.flags
import dns.message
import dns.rcode
import pytest
from ansible_collections.xmppgw.migration.plugins.plugin_utils import dns_messages, picture, whole_plan
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError
from hypothesis import given
from hypothesis import strategies as st

NAME = "_xmpp-server._tcp.corp.example"


def refused(reply, about):
    reply.set_rcode(dns.rcode.SERVFAIL)


def hearsay(reply, about):
    reply.flags &= ~dns.flags.AA


def cut_off(reply, about):
    reply.flags |= dns.flags.TC


def of_another(reply, about):
    reply.question = dns.message.make_query("elsewhere.example", "SRV").question


def of_another_kind(reply, about):
    reply.question = dns.message.make_query(about[2], "TXT").question


def of_nothing(reply, about):
    reply.question = []


@pytest.mark.parametrize("wrong", [refused, hearsay, cut_off, of_another, of_another_kind, of_nothing])
def test_an_answer_that_is_wrong_is_refused_by_the_servers_name(world, wrong):
    def of_the_secondary(reply, about):
        if about[0] == "203.0.113.54" and about[3] == "SRV":
            wrong(reply, about)

    world.tamper = of_the_secondary
    with pytest.raises(PictureError, match=r"203\.0\.113\.54") as caught:
        world.picture()
    assert caught.value.code == "migration-unreachable"


@pytest.mark.parametrize("host", ["fe1", "edge1", "pool-legacy", "pool-target"])
def test_a_host_that_did_not_answer_is_refused_by_its_name(world, host):
    seen = dict(world.picture().seen)
    del seen[host]
    with pytest.raises(PictureError, match=host) as caught:
        whole_plan.plan_of(picture.Picture(world.environment(), seen, world.now), 6)
    assert caught.value.code == "migration-unreachable"


@given(st.binary(max_size=200))
def test_no_bytes_lead_to_anything_but_an_rrset_or_a_refusal(data):
    answer = {"answer": base64.b64encode(data).decode()}
    try:
        found = dns_messages.read_rrset(answer, NAME, "SRV")
    except dns_messages.DnsError:
        return
    assert found["rrset"] is None or found["rrset"]["records"]


@given(st.binary(max_size=60), st.integers(0, 0xFFFF))
def test_no_more_do_bytes_behind_a_good_question(data, counts):
    query = dns.message.make_query(NAME, "SRV").to_wire()
    header = struct.pack("!HHHHHH", 1, 0x8400, 1, counts & 0xFF, counts >> 8, 0)
    answer = {"answer": base64.b64encode(header + query[12:] + data).decode()}
    try:
        found = dns_messages.read_rrset(answer, NAME, "SRV")
    except dns_messages.DnsError:
        return
    assert found["rrset"] is None or found["rrset"]["records"]
