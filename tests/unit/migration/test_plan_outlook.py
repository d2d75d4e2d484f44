"""The plan says what a reviewer needs: first lines, holds, waits, what is noticed by whom, DNS writes, the end."""

import json
import uuid

import pytest
from ansible_collections.xmppgw.migration.plugins.plugin_utils import plan_outlook, plan_text, whole_plan
from ansible_collections.xmppgw.migration.plugins.plugin_utils.guards import Refusal, acceptance

TEXT_ONLY = Refusal("text-only", "Towards a Microsoft platform", "pool", "hint")


def plan_of(world, *, accepted=(), refusals=(), hold=None, until=6):
    picture = world.picture()
    return plan_outlook.with_outlook(whole_plan.plan_of(picture, until), picture, accepted, refusals, hold)


def accepted_text_only():
    accepted, _remaining = acceptance.sort([TEXT_ONLY], ["text-only"], "announced", "ann@desk", {})
    return accepted


def test_what_was_accepted_is_the_first_line_of_every_form(world):
    plan = plan_of(world, accepted=accepted_text_only())
    for text in (plan_text.to_text(plan), plan_text.to_markdown(plan)):
        first = text.splitlines()[0]
        assert "ACCEPTED [text-only] by ann@desk (announced)" in first
        assert "presence and contacts stop working" in first


def test_what_is_refused_is_said_before_all_else(world):
    assert "REFUSED [text-only]" in plan_text.to_text(plan_of(world, refusals=[TEXT_ONLY])).splitlines()[0]


def test_every_write_of_dns_names_its_prerequisite(world):
    writes = plan_of(world)["dns_writes"]
    assert [(item["step"], item["name"]) for item in writes] == [
        (4, "_xmpp-server._tcp.corp.example"),
        (6, "_xmpp-server._tcp.corp.example"),
    ]
    assert "RRset is TTL 15: 10 10 5269 legacy1.corp.example." in writes[0]["prerequisite"]


@pytest.mark.parametrize("form", [plan_text.to_text, plan_text.to_markdown])
@pytest.mark.parametrize(
    ("provider", "how", "never"),
    [
        ("rfc2136", "one RFC 2136 update to 203.0.113.53, signed by lab-update, if RRset and SOA are as read", "hand"),
        ("azure", "one write to Azure DNS (resource group xmpp-dns), if the record set's ETag", "SOA"),
        ("manual", "by hand: the run prints the records and waits", "SOA"),
    ],
)
def test_every_write_of_dns_says_how_its_provider_makes_it(world, form, provider, how, never):
    dns = world.federation["dns"]
    dns["provider"] = provider
    if provider == "azure":
        del dns["primary"], dns["tsig"]
        dns["azure"] = {"subscription": str(uuid.UUID(int=1)), "resource_group": "xmpp-dns"}
        world.federation["azure"] = {"credential": "environment"}
    plan = plan_of(world)
    assert [item["step"] for item in plan["dns_writes"]] == [4, 6]
    for item in plan["dns_writes"]:
        assert how in item["how"]
        assert never not in item["how"] + item["prerequisite"]
        assert item["how"] in form(plan)


def test_waits_are_what_the_served_ttls_let_expect(world):
    for server in ("203.0.113.53", "203.0.113.54"):
        world.srv[server, "corp.example"] = (3600, ["10 10 5269 legacy1.corp.example."])
    waits = {item["step"]: item["seconds"] for item in plan_of(world)["expected_waits"]}
    assert waits[5] == 3960
    assert waits[6] == 3


def test_a_pause_between_waves_is_a_wait(world):
    world.federation["users"] = {"waves": {"size": 2, "pause_seconds": 600}}
    first = plan_of(world)["expected_waits"][0]
    assert (first["step"], first["seconds"]) == (3, 600)


def test_somebody_is_told_what_they_will_notice(world):
    noticed = {(item["step"], item["who"]) for item in plan_of(world)["noticed"]}
    contacts = "users of corp.example with XMPP contacts"
    assert {(3, "users who move"), (5, "partners"), (6, "partners"), (6, contacts)} <= noticed
    assert not [who for _, who in noticed if who == "nobody"]


def test_what_this_plan_does_not_do_is_not_noticed(world):
    assert {item["step"] for item in plan_of(world, until=4)["noticed"]} == {3}


def test_who_loses_xmpp_by_moving_is_told(world):
    world.federation["legacy"]["gateway"]["serves"] = "legacy_pool"
    (said,) = [item["what"] for item in plan_of(world)["noticed"] if item["step"] == 3]
    assert "no XMPP from the move until their partner is switched" in said


def test_there_is_a_point_of_no_return_and_it_is_not_in_the_steps(world):
    text = plan_text.to_text(plan_of(world))
    assert "Point of no return" in text
    assert "decommission.yml" in text


def test_neither_clock_nor_holder_changes_the_digest(world):
    plan = plan_of(world)
    world.now += 5000
    assert plan_of(world, hold=(5, "held before step 5"))["digest"] == plan["digest"]


def test_what_was_accepted_does(world):
    accepted = accepted_text_only()
    digest = plan_of(world, accepted=accepted)["digest"]
    assert digest != plan_of(world)["digest"]
    other, _remaining = acceptance.sort([TEXT_ONLY], ["text-only"], "another reason", "bob@desk", {})
    assert plan_of(world, accepted=other)["digest"] == digest


def test_coexistence_says_what_stays(world):
    world.coexist()
    assert "corp.example stays with the legacy gateway" in plan_of(world)["notices"][0]


@pytest.mark.parametrize("form", [plan_text.to_text, plan_text.to_markdown])
def test_every_action_and_every_partner_is_in_every_form(world, form):
    plan = plan_of(world)
    text = form(plan)
    for step in plan["steps"]:
        for action in step["actions"]:
            assert action["what"] in text
    for partner in plan["partners"]:
        assert partner["domain"] in text
        assert partner["why"] in text


@pytest.mark.parametrize("form", [plan_text.to_text, plan_text.to_markdown])
def test_every_form_says_whose_word_stands_for_a_partners_software(world, form):
    tested, another, unnamed = world.federation["partners"][:3]
    tested.update(software="Prosody", version="0.12")
    another.update(software="Openfire", version="4.8")
    del unnamed["software"], unnamed["version"]
    plan = plan_of(world)
    said = {partner["domain"]: partner["support"] for partner in plan["partners"]}
    assert said[tested["domain"]] == "Prosody 0.12: tested by us"
    assert said[another["domain"]] == "Openfire 4.8: not tested by us; ask the vendor"
    assert "ask the partner what it runs" in said[unnamed["domain"]]
    text = form(plan)
    assert [line for line in said.values() if line not in text] == []


def test_who_uses_the_legacy_gateway_without_being_listed_is_told_what_becomes_of_it(world):
    digest = plan_of(world)["digest"]
    world.legacy_streams = [["out", "corp.example", "stranger.example"]]
    plan = plan_of(world)
    (said,) = [notice for notice in plan["notices"] if notice.startswith("UNLISTED")]
    assert "stranger.example" in said
    assert "stay with the legacy gateway" in said
    assert plan["digest"] == digest, "who comes and goes voids no plan"


def test_who_is_routed_before_dns_is_told_what_arrives_elsewhere(world):
    early, late = world.federation["partners"][0], world.federation["partners"][1]
    early["switch"] = "before_dns"
    plan = plan_of(world)
    said = {partner["domain"]: partner["arrives_elsewhere"] for partner in plan["partners"]}
    assert "arrive at the legacy gateway" in said[early["domain"]]
    assert said[late["domain"]] == ""
    assert said[early["domain"]] in plan_text.to_text(plan)


def test_the_plan_is_plain_data(world):
    plan = plan_of(world, accepted=accepted_text_only(), refusals=[TEXT_ONLY], hold=(5, "held"))
    assert json.loads(json.dumps(plan)) == plan
