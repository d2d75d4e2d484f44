"""Each guard is broken by the one thing that it is for: a document, a table, an answer, a moment. All else is well.

The cases are by code; a guard without one fails the last test here.
"""

import dns.rrset
import pytest
from ansible_collections.xmppgw.migration.plugins.plugin_utils import guards, whole_plan
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError
from tests.unit.migration.world import a_wheel

ALL_STEPS = range(1, 7)


def found(world, step=None, **more):
    """The codes that preflight, or one step, refuses with."""
    picture = world.picture(**more)
    if step is None:
        refusals = guards.judge_all(guards.situation_of(picture, 0, preflight=True), ALL_STEPS)
    else:
        refusals = guards.judge(guards.situation_of(picture, step))
    for refusal in refusals:
        assert refusal.reason
        assert refusal.found
        assert refusal.hint
    return sorted({refusal.code for refusal in refusals})


def configured_partners(world):
    world.gateways["fe1"] = {"version": "0.1.0", "settings": {"partners": [{"domain": "partner1.example"}]}}


def legacy_product(world):
    world.federation["legacy"]["product"] = "sfb2015"
    world.federation["target"]["product"] = "sfb2019"


def legacy_pool_only(world):
    world.federation["legacy"]["gateway"]["serves"] = "legacy_pool"


def stray(world):
    world.homing["pool-legacy"]["dave@corp.example"] = "branch-office"


def open_edge(world):
    world.gateways["edge1"] = {"version": "0.1.0", "listening": [5269]}


def federating_edge(world):
    world.gateways["edge1"] = {"version": "0.1.0", "settings": {"partners": [], "federation_enabled": True}}


def one_name_for_all(world):
    one = "edge.corp.example"
    world.federation["legacy"]["edge"] = dict.fromkeys(("access_fqdn", "web_conferencing_fqdn", "av_fqdn"), one)


def flat_flag(world):
    world.federation["legacy"]["single_edge_fqdn"] = True


def nobody_has_looked_at_the_edge(world):
    del world.federation["legacy"]["single_edge_fqdn"]


def branch_user_in_export(world):
    world.users({"user": "alice@corp.example"}, {"user": "sam@corp.example", "survivable_branch": True})


def branch_pool(world):
    world.federation["legacy"]["survivable_branch_pools"] = ["sba1.corp.example"]
    for table in world.homing.values():
        table["sam@corp.example"] = "sba1"


def branch_pool_in_an_export(world):
    """An export gives the pool's whole name."""
    world.federation["legacy"]["survivable_branch_pools"] = ["sba1.corp.example"]
    for table in world.homing.values():
        table["sam@corp.example"] = "sba1.corp.example"


def blank_in_export(world):
    world.users({"user": "alice@corp.example", "blank_name": True})


def blank_in_table(world):
    for table in world.homing.values():
        table["zoe @corp.example "] = "pool-legacy"


def blank_who_moved(world):
    blank_in_export(world)
    for table in world.homing.values():
        table["alice@corp.example"] = "pool-target"


def blank_of_a_branch(world):
    world.users({"user": "alice@corp.example", "blank_name": True, "survivable_branch": True})
    world.federation["access_policies"]["survivable_branch"] = True


def blank_where_nobody_moves(world):
    """The target platform is the one in use."""
    blank_in_export(world)
    world.federation["legacy"]["pool"] = world.federation["target"]["pool"]
    for table in world.homing.values():
        table.update(dict.fromkeys([*table, "zoe @corp.example "], "pool-target"))


def blank_of_nobody_here(world):
    """The export names somebody whom no platform homes."""
    world.users({"user": "alice@corp.example"}, {"user": "zoe@corp.example", "blank_name": True})


@pytest.mark.parametrize(
    "arrange", [blank_who_moved, blank_of_a_branch, blank_where_nobody_moves, blank_of_nobody_here]
)
def test_a_blank_name_stops_nothing_where_its_user_does_not_move(world, arrange):
    arrange(world)
    assert "migration-blank-name" not in found(world)
    assert guards.situation_of(world.picture(), 3).users.blank_names == []


def test_a_blank_name_stops_the_run_that_would_move_its_user(world):
    blank_in_export(world)
    world.federation["users"]["waves"] = {"pilot": ["bob@corp.example"], "size": 2}
    read = {pilot: guards.situation_of(world.picture(pilot_only=pilot), 3).users.blank_names for pilot in (False, True)}
    assert read == {False: ["alice@corp.example"], True: []}


def closed_policy(world):
    world.federation["access_policies"] = {"global": {"enable_federation_access": True}}


def nobody_homed(world):
    world.homing = {pool: {} for pool in world.homing}


def second_front_end(world):
    second = {"host": "fe2", "fqdn": "fe2.corp.example", "addresses": ["198.51.100.81"]}
    world.federation["pools"][0]["front_ends"].append(second)


def forbidden(world):
    world.federation["legacy"]["allow_federated_users"] = False


def own_ca_outside_the_lab(world):
    world.federation.update(homing={"provider": "manual"}, routes={"provider": "manual"}, drain={"provider": "wait"})


def microsoft(world):
    del world.federation["sip"]["next_hop"]["platform"]
    world.first_act()


def window_is_over(world):
    world.federation["maintenance_window"] = {"start": "2026-12-05T22:00:00+01:00", "end": "2026-12-06T02:00:00+01:00"}


def called_decommissioned(world):
    world.federation["legacy"]["decommissioned"] = True


def silent_gateway(world):
    world.reach = {"198.51.100.5:5269": "Connection refused", "[2001:db8:2::5]:5269": "timed out"}


def stopped_gateway(world):
    world.legacy_problem = "prosodyctl: not running"


def edge_with_the_old_name(world):
    old = "access.corp.example"
    world.federation["legacy"]["edge"] = {"access_fqdn": old, "web_conferencing_fqdn": "w.corp.example", "av_fqdn": old}
    world.federation["edges"][0]["fqdn"] = old


def taken_port(world):
    world.gateways["edge1"] = {"listening": [23456]}


def taken_sip_port(world):
    world.gateways["fe1"] = {"listening": [5061]}


def newer_python(world):
    a_wheel(world.folder / "wheels", "msgspec-0.22.0-cp311-cp311-manylinux_2_17_x86_64.whl")
    world.gateways["fe1"] = {"runs_on": {"python": "3.13", "machine": "x86_64", "libc": "2.41"}}


def xmpp_user_moved(world):
    world.coexist()
    for table in world.homing.values():
        table["alice@corp.example"] = "pool-target"


def xmpp_user_named_to_move(world):
    world.coexist()
    world.federation["users"] = {"waves": {"pilot": ["alice@corp.example"]}}


def led_away(world):
    world.coexist()
    world.srv["203.0.113.54", "corp.example"] = (3, ["10 10 5269 edge1.corp.example."])


def servers_differ(world):
    world.srv["203.0.113.54", "corp.example"] = (15, ["10 10 5269 elsewhere.corp.example."])


def bogus_zone(world):
    world.bogus.add("corp.example")


def unsigned_records(world):
    def sign(reply, about):
        _server, _domain, name, kind = about
        if kind == "SOA":
            reply.answer.append(dns.rrset.from_text(f"{name}.", 15, "IN", "RRSIG", f"SOA 13 2 3 {SIGNATURE}"))

    world.tamper = sign


SIGNATURE = f"20300101000000 20200101000000 1 corp.example. {'A' * 86}=="


def no_addresses(world):
    world.unaddressed.add("edge1.corp.example")


def direct_tls(world):
    world.direct_tls.add("corp.example")


def deaf_edge(world):
    world.reach["203.0.113.55:53"] = "timed out"


def restarted_proxy(world):
    world.federation["drain"] = {"provider": "powershell", "quiet_minute": "02:00"}
    world.federation["legacy"]["product"] = "ocs2007r2"


CASES = [
    ("migration-drain-provider", restarted_proxy, None),
    ("migration-r1", configured_partners, None),
    ("migration-r1-pilot", legacy_product, None),
    ("migration-r1-pilot", legacy_pool_only, None),
    ("migration-r3", stray, None),
    ("migration-r5", open_edge, None),
    ("migration-r5", federating_edge, None),
    ("migration-r7", one_name_for_all, None),
    ("migration-r7", flat_flag, None),
    ("migration-r7-unknown", nobody_has_looked_at_the_edge, None),
    ("migration-r8", branch_user_in_export, None),
    ("migration-r8", branch_pool, None),
    ("migration-r8", branch_pool_in_an_export, None),
    ("migration-blank-name", blank_in_export, None),
    ("migration-blank-name", blank_in_table, None),
    ("migration-nobody", closed_policy, None),
    ("migration-nobody", nobody_homed, None),
    ("federation-forbidden", forbidden, None),
    ("not-in-this-version", second_front_end, None),
    ("public-private-ca", own_ca_outside_the_lab, None),
    ("text-only", microsoft, None),
    ("migration-window", window_is_over, None),
    ("migration-legacy-gone", called_decommissioned, None),
    ("migration-legacy-silent", silent_gateway, None),
    ("migration-legacy-silent", stopped_gateway, None),
    ("migration-legacy-edge", edge_with_the_old_name, None),
    ("migration-port-taken", taken_port, None),
    ("migration-port-taken", taken_sip_port, None),
    ("migration-wheels", newer_python, None),
    ("migration-coexist-user", xmpp_user_moved, None),
    ("migration-coexist-user", xmpp_user_named_to_move, None),
    ("migration-coexist-srv", led_away, None),
    ("migration-dns-disagree", servers_differ, None),
    ("migration-dnssec", bogus_zone, None),
    ("migration-dnssec", unsigned_records, None),
    ("migration-dns-address", no_addresses, None),
    ("migration-direct-tls", direct_tls, None),
    ("migration-resolver-silent", deaf_edge, None),
]


@pytest.mark.parametrize(("code", "breaks", "step"), CASES, ids=lambda value: getattr(value, "__name__", value))
def test_a_guard_bites_on_what_it_is_for(world, code, breaks, step):
    breaks(world)
    assert found(world, step) == [code]


def test_where_nothing_is_broken_nothing_is_refused(world):
    assert found(world) == []


def test_a_zone_that_became_bogus_stops_every_step_that_touches_dns(world):
    bogus_zone(world)
    assert [step for step in ALL_STEPS if "migration-dnssec" in found(world, step)] == [4, 5, 6]


def test_a_resolver_that_fails_for_its_own_reasons_proves_nothing(world):
    world.silent_servers.add(world.federation["dns"]["resolvers"][0])
    assert found(world) == []
    assert "does not answer" in world.picture().resolvers.notices[0]


def test_and_neither_in_coexistence(world):
    world.coexist()
    assert found(world) == []


STANDING = [("migration-coexist-user", xmpp_user_moved), ("migration-coexist-srv", led_away)]


@pytest.mark.parametrize(("code", "breaks"), STANDING)
def test_what_must_stay_with_the_legacy_gateway_is_watched_when_all_steps_are_done_too(world, code, breaks):
    breaks(world)
    situation = guards.situation_of(world.picture(), 0, preflight=True)
    assert [refusal.code for refusal in guards.judge_all(situation, [])] == [code]


# What is refused only once the step is reached


def test_r3_counts_those_who_are_left_when_step_4_begins(world):
    world.steps_done(1, 2, 3)
    assert found(world, 4) == ["migration-r3"]


def test_the_order_is_kept(world):
    world.homing = {pool: dict.fromkeys(table, "pool-target") for pool, table in world.homing.items()}
    world.steps_done(1, 2)
    assert found(world, 4) == ["migration-order"]


def test_step_5_wants_a_certificate_and_the_lower_ttl(world):
    world.homing = {pool: dict.fromkeys(table, "pool-target") for pool, table in world.homing.items()}
    world.steps_done(1, 2, 3, 4)
    assert found(world, 5) == ["migration-certificate-public", "migration-ttl"]


def test_a_window_that_has_not_begun_holds_a_run_and_refuses_the_step(world):
    window_is_over(world)
    world.now -= 60 * 86400
    assert found(world) == []
    world.steps_done(1, 2, 3, 4)
    assert "migration-window" in found(world, 5)


# Ways out that the refusals name


def test_users_who_are_named_may_stay(world):
    world.federation["users"] = {
        "exceptions": [
            {"user": "dave@corp.example", "reason": "cloud"},
            {"user": "sam@corp.example", "reason": "survivable_branch"},
        ]
    }
    stray(world)
    branch_user_in_export(world)
    assert found(world) == []
    assert "dave@corp.example" not in guards.situation_of(world.picture(), 4).users.legacy


def test_somebody_may_decide_for_the_branch_users(world):
    branch_user_in_export(world)
    world.federation["access_policies"]["survivable_branch"] = True
    assert found(world) == []


def test_an_interruption_is_accepted_by_name(world):
    legacy_product(world)
    everyone = [
        {"user": user, "reason": "interruption", "by": "ann", "minutes": 90} for user in world.homing["pool-legacy"]
    ]
    world.federation["users"] = {"exceptions": everyone[:-1]}
    assert found(world) == ["migration-r1-pilot"]
    world.federation["users"] = {"exceptions": everyone}
    assert found(world) == []


def test_the_pilot_moves_first(world):
    legacy_product(world)
    world.federation["pilot"] = {"users": ["alice@corp.example"]}
    assert found(world) == ["migration-r1-pilot"]
    assert found(world, pilot_only=True) == []


def test_r1_holds_from_the_old_products_on(world):
    world.federation["legacy"]["product"] = "ocs2007r2"
    assert found(world) == []


def switched(world):
    """All six steps are done, and not by the journal's word alone."""
    world.steps_done(*ALL_STEPS)
    world.routes = {pool: dict.fromkeys(table, "target") for pool, table in world.routes.items()}
    for server in world.federation["dns"]["authoritative"]:
        world.srv[server, "corp.example"] = (3, ["10 10 5269 edge1.corp.example."])


def test_after_the_switch_late_users_may_move(world):
    legacy_product(world)
    microsoft(world)
    silent_gateway(world)
    switched(world)
    assert found(world) == []


def test_but_not_away_from_partners_who_still_come_through_a_gateway_that_would_not_serve_them(world):
    switched(world)
    world.routes["pool-target"]["unlisted.example"] = "legacy"
    assert found(world) == []
    legacy_product(world)
    assert found(world) == ["migration-r1-left"]


def test_in_coexistence_only_our_own_domains_take_part(world):
    world.coexist()
    plan = whole_plan.plan_of(world.picture())
    records = [item["subject"] for step in plan["steps"] for item in step["actions"] if item["kind"] == "srv"]
    assert set(records) == {"branch.example"}


# What is wrong in any way is refused before anything else


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "users-cut-off"),
        ("", "users-"),
        ('{"schema": 2, "users": []}', "users-schema"),
        ('{"schema": 1, "users": [{"user": "no address"}]}', "users-value"),
    ],
)
def test_a_users_table_that_is_no_table_is_refused(world, text, reason):
    world.users()
    (world.folder / "users.table").write_text(text)
    with pytest.raises(PictureError, match=reason) as caught:
        found(world)
    assert caught.value.code == "migration-users"


@pytest.mark.parametrize(
    "record",
    [
        {"event": "step_done"},
        {"event": "plan_adopted", "digest": "d", "actions": None},
        {"event": "step_opened", "digest": "d", "actions": [{"kind": "srv"}]},
        {"event": "rrset_changed", "name": "x"},
    ],
)
def test_a_journal_whose_records_lack_something_is_refused(world, record):
    world.journal(record)
    with pytest.raises(PictureError, match="lacks or garbles") as caught:
        world.picture()
    assert caught.value.code == "migration-journal"


def test_pools_of_one_host_name_in_two_domains_are_two_pools(world):
    """Their homes have the whole names then: with the first labels nobody would ever be left behind (R3)."""
    old, new = "pool01.emea.corp.example", "pool01.corp.example"
    world.federation["legacy"]["pool"], world.federation["target"]["pool"] = old, new
    world.homing = {pool: dict.fromkeys(table, old) for pool, table in world.homing.items()}
    assert world.environment().homes == {"legacy": old, "target": new}
    picture = world.picture()
    assert len(guards.situation_of(picture, 4).users.legacy) == len(world.homing["pool-legacy"])
    assert "migration-r3" in {refusal.code for refusal in guards.judge(guards.situation_of(picture, 4))}


def test_a_rehearsal_needs_a_domain_of_its_own(world):
    world.rehearsal = True
    with pytest.raises(PictureError, match="walks the pilot"):
        world.picture()


def test_a_rehearsal_leaves_every_other_domain_where_it_is(world):
    world.coexist()
    world.federation["scenario"] = "replace"
    for domain in world.federation["sip_domains"]:
        domain["owner"] = "gateway"
    world.federation["pilot"] = {"sip_domain": "branch.example"}
    assert set(world.environment().federation.own_domains) == {"corp.example", "branch.example"}
    world.rehearsal = True
    environment = world.environment()
    assert environment.federation.own_domains == ("branch.example",)
    assert environment.stays("alice@corp.example")
    assert environment.route_platforms == ["pool-target"]
    assert found(world) == []


def test_every_code_of_a_guard_has_a_case_here():
    only_at_their_step = {"migration-order", "migration-ttl", "migration-certificate-public", "migration-r1-left"}
    elsewhere = set(ELSEWHERE)
    assert set(guards.all_codes()) - elsewhere == {code for code, _breaks, _step in CASES} | only_at_their_step


ELSEWHERE = ("migration-next-hop", "migration-route-evidence", "migration-vantage")
"""Codes whose guards are broken in a test module of their own."""
