"""A host outside our firewall tries what partners will: every edge, as DNS names it, before DNS names it."""

import errno
import socket

import pytest
from ansible_collections.xmppgw.migration.plugins.action.reachability import wanted_from
from ansible_collections.xmppgw.migration.plugins.module_utils import attempts
from ansible_collections.xmppgw.migration.plugins.plugin_utils import guards, plan_outlook, whole_plan
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError
from tests.unit.migration.certificate_world import Authority, key, pem

REACHED = {"name": "edge1", "chain": "", "protocol": "TLSv1.3"}
CLOSED = {"name": "edge1", "error": "198.51.100.10:5269: timed out"}
NO_IPV6 = {"name": "edge1", "error": "2001:db8:2::10:5269: [Errno 101] Network is unreachable"}


def refused(world, step=6, **more):
    situation = guards.situation_of(world.picture(), step, **more)
    return [item for item in guards.judge(situation) if item.code == "migration-vantage"]


def notices(world):
    picture = world.picture()
    return plan_outlook.with_outlook(whole_plan.plan_of(picture), picture, [], [], None)["notices"]


def test_an_edge_that_nobody_outside_reaches_is_named_in_no_record(world):
    world.vantage = {"partner1": [REACHED, NO_IPV6]}
    assert refused(world) == []
    world.vantage = {"partner1": [CLOSED, NO_IPV6]}
    (refusal,) = refused(world)
    assert "partner1: edge1 is not reached: 198.51.100.10:5269: timed out" in refusal.found
    assert refusal.accepted_as
    assert refused(world, step=5) == refused(world, preflight=True) == []


def test_without_anybody_outside_the_plan_says_so(world):
    assert [notice for notice in notices(world) if "[migration-vantage]" in notice]
    world.vantage = {"partner1": []}
    assert notices(world) == []


def test_a_partner_that_is_ours_must_be_shown_our_certificate(world):
    root = Authority("Root")
    ours, theirs = (pem(root.sign(key().public_key())) for _ in range(2))
    partner = world.federation["partners"][0]["domain"]
    phases = {"ok": True, "default": "legacy", "phases": {partner: {"phase": "gateway", "since": 1.0}}}
    world.gateways["edge1"] = {"certificates": {"public": {"pem": ours}}, "control": {"phases": phases}}
    world.vantage = {"partner1": [{**REACHED, "chain": ours}]}
    assert refused(world) == []
    world.vantage = {"partner1": [{**REACHED, "chain": theirs}]}
    assert "another certificate" in refused(world)[0].found
    phases["phases"][partner]["phase"] = "legacy"
    assert refused(world) == [], "it is joined to the legacy gateway, whose certificate this is"


def test_edges_are_tried_at_the_addresses_that_dns_gives(world):
    world.vantage = {"partner1": []}
    world.federation["edges"][0]["public_addresses"] = ["203.0.113.99"]
    environment = world.environment()
    assert [(each.address, each.port, each.source) for each in wanted_from(environment, "partner1")] == [
        ("203.0.113.99", 5269, "")
    ]
    (look,) = environment.reading("partner1")[0]["outside"]
    assert (look["addresses"], look["to"], look["from"]) == (["203.0.113.99"], "corp.example", "partner1.example")


def test_a_host_of_ours_is_not_outside(world):
    world.vantage = {"edge1": []}
    with pytest.raises(PictureError, match="none of ours"):
        world.environment().check_inventory()


def test_without_an_address_of_a_family_nothing_is_tried(monkeypatch):
    def no_route(*_arguments, **_more):
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", no_route)
    wanted = {"source": "", "address": "2001:db8::1", "port": 5269, "transport": "tcp"}
    assert attempts.attempt(wanted) == ["untried", "Network is unreachable"]
    assert attempts.attempt({**wanted, "source": "2001:db8::2"})[0] == "silent"
