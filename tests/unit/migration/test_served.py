"""What is served already is looked at and judged from the start; what is not there yet is no failure."""

import json

import pytest
import yaml
from ansible_collections.xmppgw.migration.plugins.action.served_report import ActionModule
from ansible_collections.xmppgw.migration.plugins.plugin_utils import served_looks, verifying
from cryptography.x509.oid import ExtendedKeyUsageOID
from tests.unit.migration.certificate_world import DAY, NOW, Authority, key, pem
from tests.unit.migration.world import ROOT

LEGACY = ("corp.example",)
GATEWAY = "partner1.example"


@pytest.fixture(scope="module")
def root():
    return Authority("Root")


def looks(world, host, stage, phases=()):
    return list(served_looks.looks(world.environment(), host, stage, dict(phases)))


def served(*chain, protocol="TLSv1.2", **more):
    text = "".join(pem(item) for item in chain)
    return {"chain": text, "protocol": protocol, "cipher": "c", "ocsp": {"how": "none", "status": "nothing"}, **more}


def judged(world, found):
    """The verdict on the legacy gateway's listener, and the codes of its findings and of its remarks."""
    (look,) = looks(world, "edge1", 0)
    verdict = served_looks.verdict(look, found, world.environment(), {}, NOW)
    return verdict, *([item["code"] for item in verdict[kind]] for kind in ("findings", "remarks"))


def test_before_the_first_step_the_legacy_gateways_listener_is_looked_at_from_every_edge(world):
    (look,) = looks(world, "edge1", 0)
    assert (look["kind"], look["port"], look["addresses"][0]) == ("xmpp", 5269, "198.51.100.5")
    assert looks(world, "fe1", 0) == []


def test_a_good_legacy_certificate_needs_no_word(world, root):
    middle = Authority("Middle", root)
    leaf = middle.sign(key().public_key(), names=LEGACY)
    verdict, findings, remarks = judged(world, served(leaf, middle.certificate))
    assert (verdict["ours"], verdict["protocol"], findings, remarks) == (False, "TLSv1.2", [], [])


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"names": ("other.example",)}, "certificate-names"),
        ({"usage": ExtendedKeyUsageOID.CLIENT_AUTH}, "certificate-usage"),
        ({"ca": True}, "certificate-authority"),
    ],
)
def test_what_is_odd_about_the_legacy_certificate_is_remarked(world, root, how, code):
    _verdict, findings, remarks = judged(world, served(root.sign(key().public_key(), **{"names": LEGACY, **how})))
    assert (findings, remarks) == ([], [code])


def test_its_chain_is_looked_at_though_nobody_knows_its_root(world, root):
    middle, stranger = Authority("Middle", root), Authority("Stranger")
    leaf = middle.sign(key().public_key(), names=LEGACY)
    _verdict, _findings, remarks = judged(world, served(leaf, middle.certificate, stranger.certificate))
    assert remarks == ["certificate-foreign"]
    alone = Authority("corp.example")
    _verdict, _findings, remarks = judged(world, served(alone.certificate))
    assert "certificate-untrusted" in remarks


def test_dates_tls_version_and_revocation_are_findings(world, root):
    leaf = root.sign(key().public_key(), names=LEGACY, start=-90 * DAY, end=-DAY)
    revoked = {"how": "fetched", "status": "revoked"}
    _verdict, findings, _remarks = judged(world, served(leaf, protocol="TLSv1", ocsp=revoked))
    assert findings == ["certificate-dates", "certificate-protocol", "certificate-revoked"]


def awaited(world, host, stage, phases=()):
    names = {look["name"] for look in looks(world, host, stage, phases)}
    return served_looks.awaited(world.environment(), host, stage, names)


def test_what_no_step_has_put_there_is_not_there_yet(world):
    assert sorted(awaited(world, "edge1", 0)) == ["edge1:link", "edge1:public"]
    assert sorted(awaited(world, "fe1", 0)) == ["fe1:sip"]
    assert awaited(world, "fe1", 1) == {}
    assert sorted(awaited(world, "edge1", 2)) == ["edge1:public"]
    assert "step 6" in awaited(world, "edge1", 5, {GATEWAY: "legacy"})["edge1:public"]
    assert awaited(world, "edge1", 6, {GATEWAY: "gateway"}) == {}


@pytest.fixture
def reported(world, tmp_path, capsys):
    """Run the report over these verdicts; give its result and what it printed."""

    def run(verdicts, awaited):
        action = ActionModule.__new__(ActionModule)
        action.environment = lambda task_vars: world.environment()
        action.setting = lambda task_vars, name: str(tmp_path / "out")
        looked = {"migration_served": {"verdicts": verdicts, "awaited": awaited}}
        hostvars = {host: {} for host in [*world.environment().front_ends, *world.environment().edges]}
        result = action.act({}, {"hostvars": {**hostvars, "edge1": looked}})
        assert json.loads((tmp_path / "out" / "served.json").read_text())["awaited"] == awaited
        return result, capsys.readouterr().out

    return run


def test_preflight_tells_what_it_saw_and_only_what_is_ours_can_fail_it(reported):
    bad = {"findings": [{"code": "certificate-dates", "text": "ended"}], "remarks": []}
    result, said = reported([{"name": "legacy1:s2s", "ours": False, **bad}], {"edge1:public": "step 5 opens 5269"})
    assert result["exit_status"] == 0
    assert "[certificate-dates] ended" in said
    assert "not there yet: step 5 opens 5269" in said
    assert reported([{"name": "edge1:public", "ours": True, **bad}], {})[0]["exit_status"] == 3


def test_preflight_looks_at_what_is_served_before_it_tries_the_port_table():
    plays = yaml.safe_load((ROOT / "playbooks" / "preflight.yml").read_text(encoding="utf-8"))
    order = [play.get("ansible.builtin.import_playbook") or play["tasks"][0]["name"] for play in plays]
    assert order.index("steps/look_at_certificates.yml") < order.index("reachability.yml")
    assert "Say what is served already, and what is not there yet" in order


def test_a_remark_on_what_is_not_ours_fails_no_verification(world):
    remark = {"name": "legacy1:s2s", "from": "edge1", "findings": [], "remarks": [{"code": "x", "text": "y"}]}
    facts = {"protocol": "TLSv1.2", "certificate": {"not_after": "2027-01-01"}, "ocsp": {"status": "good"}}
    assert [item["ok"] for item in verifying.checks(world.picture(), [{**remark, **facts}], [])] == [True]
