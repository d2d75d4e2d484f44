"""Every way in which the world can differ from document and journal is said, with what was found and expected."""

import pytest
from ansible_collections.xmppgw.migration.plugins.plugin_utils import (
    damaged_journal,
    drifting,
    verifying,
    wanted,
)

SRV_LEGACY = ["10 10 5269 legacy1.corp.example."]


def stand(world, step):
    """Let every gateway host be just as the document wants it after `step`, and the journal say so."""
    environment = world.environment()
    for host in [*environment.front_ends, *environment.edges]:
        plain = wanted.digests(environment.wanted_host(host))
        if step < plain["step"]:
            continue
        settled = {path: wanted.at_stage(stages, step) for path, stages in plain["files"].items()}
        world.gateways[host] = {
            "version": plain["version"],
            "wheels": plain["wheels"],
            "files": {path: digest for path, digest in settled.items() if digest},
            "units": {name: wanted.at_stage(stages, step) for name, stages in plain["units"].items()},
            "certificates": {name: None for name, item in plain["certificates"].items() if item["step"] <= step},
        }
    world.steps_done(*range(1, step + 1))


def differences(world, monkeypatch, *, problems=None, verdicts=()):
    picture = world.picture()
    monkeypatch.setattr(
        picture.gateways,
        "judged",
        lambda host: {
            name: {"problem": (problems or {}).get(f"{host}:{name}")}
            for name in world.environment().wanted_host(host)["certificates"]
        },
    )
    return drifting.differences(picture, verdicts)


def said(found):
    return [(item["kind"], item["subject"]) for item in found]


@pytest.mark.parametrize("step", [0, 1, 2])
def test_what_is_as_the_journal_says_does_not_differ(world, monkeypatch, step):
    stand(world, step)
    assert differences(world, monkeypatch) == []


def test_a_file_a_unit_a_release_and_a_certificate(world, monkeypatch):
    stand(world, 2)
    world.gateways["edge1"]["files"]["/etc/xmppgw/edge.json"] = "0" * 64
    world.gateways["fe1"]["units"]["xmppgw-frontend.service"] = "disabled"
    world.gateways["fe1"]["version"] = "0.0.9"
    found = differences(world, monkeypatch, problems={"edge1:link": "ends 2026-01-01"})
    assert said(found) == [
        ("certificate", "edge1:link"),
        ("file", "edge1:/etc/xmppgw/edge.json"),
        ("release", "fe1"),
        ("unit", "fe1:xmppgw-frontend.service"),
    ]
    by_kind = {item["kind"]: item for item in found}
    assert by_kind["release"]["found"] == "0.0.9"
    assert by_kind["release"]["expected"].startswith("0.1.0")
    assert by_kind["certificate"]["found"] == "ends 2026-01-01"


def test_what_runs_before_its_step_is_done(world, monkeypatch):
    stand(world, 1)
    environment = world.environment()
    plain = wanted.digests(environment.wanted_host("edge1"))
    world.gateways["edge1"] = {
        "version": "0.1.0",
        "wheels": plain["wheels"],
        "units": {"xmppgw-edge.service": "enabled"},
    }
    assert ("unit", "edge1:xmppgw-edge.service") in said(differences(world, monkeypatch))


def test_a_configuration_of_a_later_step(world, monkeypatch):
    stand(world, 4)
    for pool in world.homing.values():
        for user in pool:
            pool[user] = "pool-target"
    world.srv = {(server, "corp.example"): (3, SRV_LEGACY) for server in world.federation["dns"]["authoritative"]}
    assert differences(world, monkeypatch) == []
    plain = wanted.digests(world.environment().wanted_host("edge1"))
    world.gateways["edge1"]["files"]["/etc/xmppgw/edge.json"] = plain["files"]["/etc/xmppgw/edge.json"][5]
    (item,) = differences(world, monkeypatch)
    assert (item["found"], item["expected"]) == ("as of step 5", "as of step 4")


def test_users_that_moved_back_and_servers_that_do_not_agree(world, monkeypatch):
    stand(world, 3)
    for pool in world.homing.values():
        for user in pool:
            pool[user] = "pool-target"
    assert differences(world, monkeypatch) == []
    for pool in world.homing.values():
        pool["alice@corp.example"] = "pool-legacy"
    second = world.federation["dns"]["authoritative"][1]
    world.srv[second, "corp.example"] = (7, SRV_LEGACY)
    assert said(differences(world, monkeypatch)) == [
        ("dns", f"_xmpp-server._tcp.corp.example on {second}"),
        ("user", "batch-all"),
    ]


def test_a_cut_over_that_no_step_made(world, monkeypatch):
    for server in world.federation["dns"]["authoritative"]:
        world.srv[server, "corp.example"] = (3, ["10 10 5269 edge1.corp.example."])
    (item,) = differences(world, monkeypatch)
    assert item["kind"] == "dns"
    assert item["expected"] == "points at the legacy gateway"


def test_a_copy_of_the_journal_that_lags_and_a_certificate_that_is_not_served(world, monkeypatch):
    stand(world, 1)
    world.copy_records = world.records[:0]
    verdict = {"name": "edge1:link", "from": "fe1", "findings": [{"code": "certificate-not-loaded", "text": "old"}]}
    found = differences(world, monkeypatch, verdicts=[verdict])
    assert said(found) == [("certificate", "edge1:link seen from fe1"), ("journal", "edge1")]
    assert any("[certificate-not-loaded] old" in line for line in drifting.lines(found))


def done_all(world, monkeypatch):
    """Let DNS and users be as after step 6, and only what concerns neither be compared."""
    stand(world, 6)
    for pool in world.homing.values():
        for user in pool:
            pool[user] = "pool-target"
    for server in world.federation["dns"]["authoritative"]:
        world.srv[server, "corp.example"] = (3, ["10 10 5269 edge1.corp.example."])
    monkeypatch.setattr(drifting, "_undone", lambda picture: ())


def test_an_address_of_an_edge_that_is_not_the_document_s(world, monkeypatch):
    done_all(world, monkeypatch)
    assert differences(world, monkeypatch) == []
    world.unaddressed = {"edge1.corp.example"}
    found = differences(world, monkeypatch)
    servers = world.federation["dns"]["authoritative"]
    assert said(found) == sorted(
        ("dns", f"edge1.corp.example {kind} on {server}") for kind in ("A", "AAAA") for server in servers
    )
    assert {item["found"] for item in found} == {"nothing"}
    assert {item["expected"] for item in found} == {"198.51.100.10", "2001:db8:2::10"}


def test_a_legacy_gateway_that_runs_again_after_its_end(world, monkeypatch):
    done_all(world, monkeypatch)
    monkeypatch.setattr(drifting, "_ahead", lambda picture: ())
    world.steps_done(7)
    world.legacy_off = True
    assert differences(world, monkeypatch) == []
    world.legacy_off = False
    (item,) = differences(world, monkeypatch)
    assert (item["kind"], item["subject"], item["found"]) == ("legacy gateway", "legacy1", "runs")


def test_an_inventory_without_a_legacy_gateway_is_compared_all_the_same(world):
    """Where the gateway is a Microsoft platform's own, the group may not even be there."""
    world.federation["drain"] = {"provider": "wait"}
    world.steps_done(1, 2, 3, 4, 5, 6, 7)
    picture = world.picture()
    del picture.environment.groups["legacy_gateway"]
    assert "legacy gateway" not in {item["kind"] for item in drifting.differences(picture)}


def test_a_document_that_nobody_applied(world, monkeypatch):
    digest = world.environment().document_digest
    run = {"event": "run_started", "time": "2026-11-21T10:00:00Z", "who": "ann@controller"}
    world.journal({**run, "verb": "migrate", "document": digest}, {**run, "verb": "restore", "document": ""})
    assert differences(world, monkeypatch) == []
    # Its wording is nobody's business: the same things said in another order.
    world.federation["partners"] = list(world.federation["partners"])
    world.document = {"federation": dict(reversed(world.federation.items()))}
    assert differences(world, monkeypatch) == []
    world.federation["access_policies"]["global"]["enable_xmpp_access"] = False
    world.document["federation"] = world.federation
    (item,) = differences(world, monkeypatch)
    assert (item["kind"], item["subject"]) == ("document", "federation document")
    assert "applied by ann@controller on 2026-11-21T10:00:00Z" in item["expected"]


def states(world, authority, copy):
    around = world.environment()
    blank = {"present": True, "lock": None, "problem": None}
    return around, {around.authority: {"state": {**blank, **authority}}, around.copy: {"state": {**blank, **copy}}}


def test_a_whole_journal_is_left_as_it_is(world, sealed):
    records = sealed([{"event": "step_done", "step": 1}])
    assert damaged_journal.readable(*states(world, {"records": records}, {"records": records[:0]})) == ({}, [])


@pytest.mark.parametrize(
    ("authority", "copy", "host", "words"),
    [
        ({"records": [], "problem": "line 2 was changed"}, {}, "fe1", "line 2 was changed"),
        ({}, {"records": [], "problem": "line 1 is not a journal record"}, "edge1", "line 1 is not"),
        ({"records": []}, {}, "fe1", "no journal"),
        ({"problem": "lock.json is not JSON", "records": []}, {}, "fe1", "lock.json is not JSON"),
    ],
)
def test_a_damaged_journal_is_a_difference_and_the_rest_is_judged_by_the_other_one(
    world, sealed, authority, copy, host, words
):
    records = sealed([{"event": "step_done", "step": 1}])
    over, found = damaged_journal.readable(
        *states(world, {"records": records, **authority}, {"records": records, **copy})
    )
    assert [(item["kind"], item["subject"]) for item in found] == [("journal", host)]
    assert words in found[0]["found"]
    assert [over[other]["state"]["records"] for other in ("fe1", "edge1")] == [records, records]
    assert all(over[other]["state"]["problem"] is None for other in over)


def test_a_copy_that_tells_another_story(world, sealed):
    mine, other = (sealed([{"event": "step_done", "step": step}]) for step in (1, 2))
    over, found = damaged_journal.readable(*states(world, {"records": mine}, {"records": other}))
    assert "record 1 differs" in found[0]["found"]
    assert over["fe1"]["state"]["records"] == mine


def test_where_neither_can_be_read_nothing_else_is_judged(world):
    bad = {"records": [], "problem": "line 1 is not a journal record"}
    over, found = damaged_journal.readable(*states(world, bad, bad))
    assert over is None
    assert [item["subject"] for item in found] == ["fe1", "edge1"]


def test_no_difference_is_said_too():
    assert "No difference" in drifting.lines([])[0]


# verify


def failed(world, **more):
    picture = world.picture()
    arguments = {"verdicts": (), "pings": (), **more}
    return [(item["subject"], item["what"]) for item in verifying.checks(picture, **arguments) if not item["ok"]]


def well(world):
    stand(world, 2)
    world.gateways["fe1"] |= {
        "listening": [5061],
        "control": {"status": {"ok": True, "sip": {"state": "up"}, "links": [{"edge": "edge1", "state": "up"}]}},
    }
    world.gateways["edge1"] |= {
        "listening": [23456],
        "control": {"status": {"ok": True, "links": [{"peer": "fe1", "state": "up"}], "streams": {"in": 0, "out": 0}}},
    }


def test_all_is_well_before_anything_stands_and_after_step_2(world):
    assert failed(world) == []
    well(world)
    assert failed(world) == []


@pytest.mark.parametrize(
    ("host", "change", "what"),
    [
        (
            "fe1",
            {"units": {"xmppgw-frontend.service": "enabled, failed"}},
            "xmppgw-frontend.service is enabled and runs",
        ),
        ("fe1", {"listening": []}, "listens on 5061"),
        ("edge1", {"listening": []}, "listens on 23456"),
        ("edge1", {"listening": [23456, 5269]}, "does not listen on 5269 yet"),
        ("fe1", {"control": {"status": {"ok": True, "sip": {"state": "up"}, "links": []}}}, "every link is up"),
    ],
)
def test_what_does_not_work_is_named(world, host, change, what):
    well(world)
    world.gateways[host] |= change
    assert (host, what) in failed(world)


def test_a_partner_that_does_not_answer_and_a_certificate_that_is_bad(world):
    well(world)
    pings = [{"edge": "edge1", "partner": "partner1.example", "answer": {"ok": False, "reason": "no answer"}}]
    verdict = {"name": "edge1:link", "from": "fe1", "findings": [{"code": "certificate-dates", "text": "ended"}]}
    assert [subject for subject, _what in failed(world, verdicts=[verdict], pings=pings)] == [
        "edge1:link",
        "partner1.example",
    ]
