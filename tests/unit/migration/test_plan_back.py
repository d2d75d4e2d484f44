"""What check mode says of the way back: every step's changes, each on top of what the later step leaves."""

from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.xmppgw.migration.plugins.plugin_utils import plan_back, run_facts, wanted, whole_plan

ROOT = Path(__file__).resolve().parents[3]
EVERY_STEP = {str(number): True for number in range(1, 7)}


def back(world, undo=EVERY_STEP):
    picture = world.picture()
    facts = run_facts.facts(picture, whole_plan.plan_of(picture))
    return plan_back.planned(picture, undo, facts, run_facts.undo_facts(picture))


def kinds(actions):
    return sorted({item["kind"] for item in actions})


def migrated(world):
    """Every gateway host as step 6 leaves it."""
    environment = world.picture().environment
    for host in [*environment.front_ends, *environment.edges]:
        standard = wanted.digests(environment.wanted_host(host))
        world.gateways[host] = {
            "files": {path: wanted.at_stage(stages, 6) for path, stages in standard["files"].items()},
            "units": {name: wanted.at_stage(stages, 6) for name, stages in standard["units"].items()},
        }


def test_an_untouched_environment_has_nothing_to_give_back(world):
    steps = back(world, dict.fromkeys(EVERY_STEP, False))
    assert list(steps) == [6, 5, 4, 3, 2, 1]
    assert not any(steps.values())


def test_each_step_starts_from_what_the_later_one_leaves(world):
    migrated(world)
    steps = back(world)
    assert kinds(steps[5]) == ["file", "unit"]
    assert kinds(steps[2]) == kinds(steps[1]) == ["unit"], "the configuration of step 5 is gone already"
    settings = [item for step in (5, 4) for item in steps[step] if item["subject"].endswith("frontend.json")]
    assert [item["step"] for item in settings] == [5, 4]
    assert settings[0]["after"] == settings[1]["before"]
    stopped = {item["subject"] for step in (2, 1) for item in steps[step]}
    assert {subject.partition(":")[0] for subject in stopped} == {"edge1", "fe1"}


def test_only_what_is_taken_back_is_planned(world):
    migrated(world)
    steps = back(world, {**dict.fromkeys(EVERY_STEP, False), "5": True})
    assert [number for number, actions in steps.items() if actions] == [5]


@pytest.mark.parametrize(("issuer", "stays"), [("private_ca", False), ("import", True)])
def test_a_key_for_which_people_had_a_chain_signed_outlives_the_certificate(world, issuer, stays):
    migrated(world)
    world.federation["certificates"]["public"] = {"issuer": issuer, "authority": "public"}
    world.gateways["edge1"]["certificates"] = {"public": {"pem": "x", "public_key": "y"}}
    picture = world.picture()
    assert run_facts.undo_facts(picture)["public_key_stays"] is stays
    [certificate] = [item for item in back(world)[4] if item["kind"] == "certificate"]
    assert ("and its key from edge1" in certificate["what"]) is not stays
    assert ("its key, for which the chain was signed, stays" in certificate["what"]) is stays
    [task] = yaml.safe_load((ROOT / "roles" / "certificates" / "tasks" / "remove.yml").read_text(encoding="utf-8"))
    files = Templar(DataLoader(), variables={"certificates_key_stays": stays}).template(trust_as_template(task["loop"]))
    assert files == (["public.crt"] if stays else ["public.crt", "public.csr", "public.key"])


def test_a_route_and_the_users_go_back_to_where_the_journal_says(world):
    migrated(world)
    picture = world.picture()
    partner = picture.environment.federation.partners[0].domain
    facts = run_facts.facts(picture, whole_plan.plan_of(picture))
    host = next(iter(picture.platforms.tables("route")))
    picture.platforms.tables("route")[host][partner] = "target"
    facts["to_return"] = [{"domain": partner, "route_before": "legacy"}]
    undoing = run_facts.undo_facts(picture)
    key = next(iter(picture.platforms.tables("homing")[host]))
    undoing["waves_back"] = [{"wave": "0-pilot", "entries": [{"key": key, "value": "elsewhere"}], "left": ["zoe"]}]
    steps = plan_back.planned(picture, EVERY_STEP, facts, undoing)
    [route] = [item for item in steps[6] if item["kind"] == "route"]
    assert (route["subject"], route["before"], route["after"]) == (partner, "target", "legacy")
    assert steps[3][0]["after"] == {"back": [key]}
    assert steps[3][0]["what"].endswith("where they were; not on the platform any more: zoe")


def test_a_route_that_went_before_dns_goes_back_once(world):
    migrated(world)
    partner = world.federation["partners"][0]["domain"]
    for table in world.routes.values():
        table[partner] = "target"
    picture = world.picture()
    picture.history.before[f"5/route/{partner}"] = "legacy"
    facts = run_facts.facts(picture, whole_plan.plan_of(picture))
    for undo, step in ((EVERY_STEP, 6), ({**EVERY_STEP, "6": False}, 5)):
        steps = plan_back.planned(picture, undo, facts, run_facts.undo_facts(picture))
        routes = [item for actions in steps.values() for item in actions if item["kind"] == "route"]
        assert [(item["step"], item["subject"]) for item in routes] == [(step, partner)]


@pytest.mark.parametrize(
    ("before", "state", "left"),
    [
        ({"6/route/gone.example": "legacy"}, "gateway", ["the SIP route of gone.example"]),
        ({"6/route/gone.example": "legacy"}, "legacy", []),
        ({"5/route/gone.example": "legacy"}, "gateway", []),
        ({"6/srv/sold.example": None}, None, ["the SRV records of sold.example"]),
        ({"6/srv/corp.example": None, "6/unit/fe1:/etc/x": None}, None, []),
    ],
)
def test_what_the_document_does_not_name_any_more_is_not_forgotten(world, before, state, left):
    picture = world.picture()
    picture.history.before.update(before)
    picture.history.partners["gone.example"] = state
    undo = {**dict.fromkeys(EVERY_STEP, False), "6": True}
    assert plan_back.left_out(picture, undo) == left


def test_a_route_that_leads_to_us_counts_whatever_the_journal_says(world):
    for table in world.routes.values():
        table["gone.example"] = "target"
    picture = world.picture()
    picture.history.before["6/route/gone.example"] = "legacy"
    assert plan_back.left_out(picture, EVERY_STEP) == ["the SIP route of gone.example"]
