"""A migration over two edges, under traffic, there and back; and while it stands, whom the access policies let through.

One lab of its own, in the order of this file. The edges share priority 10 and differ in weight, so partners use both.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.lab.conftest import ROOT, Walk, a_walk, assert_nothing_lost
from tests.lab.servers_stand_ins.conversation import bring, conversation

pytestmark = [pytest.mark.lab, pytest.mark.slow]

EDGES = ("edge1", "edge2")
DOMAINS = ("corp.example", "branch.example")
PARTNERS = ("partner1.example", "partner2.example", "dialback.example", "pinned.example", "backup.example")
"""Those that follow DNS; static.example does not."""
NEW = {"10 10 5269 edge1.corp.example.", "10 20 5269 edge2.corp.example."}
SECOND = {
    "host": "edge2",
    "fqdn": "edge2.corp.example",
    "external_addresses": ["198.51.100.12", "2001:db8:2::12"],
    "internal_fqdn": "edge2-int.corp.example",
    "internal_addresses": ["198.51.100.13", "2001:db8:2::13"],
    "priority": 10,
    "weight": 20,
}
CONTROL = "/opt/xmppgw/current/bin/xmppgw control streams --socket /run/xmppgw-edge/control.sock --format json"


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Path:
    content = yaml.safe_load((ROOT / "inventories/lab/group_vars/all/federation.yml").read_text(encoding="utf-8"))
    content["federation"]["edges"].append(SECOND)
    path = tmp_path_factory.mktemp("document") / "federation.yml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, document: Path) -> Iterator[Walk]:
    chosen = {"XMPPGW_LAB_WITH": "edge2", "XMPPGW_LAB_DOCUMENT": str(document)}
    with a_walk(tmp_path_factory, "twolab", **chosen) as walk:
        yield walk


def srv(two: Walk, domain: str) -> set[str]:
    said = two.lab.run("dns2", "kdig", "@203.0.113.53", f"_xmpp-server._tcp.{domain}", "SRV", "+short")
    return set(said.split("\n")) - {""}


def streams(two: Walk, edge: str) -> list[dict]:
    """The authenticated streams that partners opened to one edge."""
    found: list[dict] = json.loads(two.lab.run(edge, "sh", "-c", CONTROL))["streams"]
    return [each for each in found if each["direction"] == "in" and each["method"] not in ("none", "spliced")]


def phases(two: Walk, edge: str) -> dict[str, str]:
    found = json.loads(two.lab.run(edge, "cat", "/var/lib/xmppgw-edge/phases.json"))
    return {partner: each["phase"] for partner, each in found["phases"].items()}


def test_a_migration_over_two_edges_loses_nothing(two: Walk) -> None:
    done, report = two.probed(*two.command("migrate.yml"))
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert_nothing_lost(report)
    assert [(step["number"], step["state"]) for step in report["steps"]] == [(number, "done") for number in range(1, 7)]
    assert {domain: srv(two, domain) for domain in DOMAINS} == dict.fromkeys(DOMAINS, NEW)
    for partner in PARTNERS:
        through = report["probe"]["per_partner"][partner]["per_direction"]
        assert all(each["through"]["target"] for each in through.values()), f"{partner}: {through}"


def test_both_edges_answer_for_the_same_partners_with_the_same_secret(two: Walk) -> None:
    """A stream may come to one edge, and the question about its dialback key to the other."""
    secrets = {two.lab.run(edge, "sha256sum", "/etc/xmppgw/dialback.secret") for edge in EDGES}
    assert len(secrets) == 1
    assert phases(two, "edge1") == phases(two, "edge2")
    assert set(PARTNERS) <= {name for name, phase in phases(two, "edge1").items() if phase == "gateway"}
    said = two.playbook("status.yml")
    assert said.returncode == 0, said.stdout
    standing = json.loads((two.output / "status.json").read_text(encoding="utf-8"))
    switched = {each["domain"] for each in standing["partners"] if each["state"] == "gateway"}
    assert set(PARTNERS) <= switched, standing["partners"]


def test_partners_use_both_edges(two: Walk) -> None:
    taken = {edge: {(each["remote"], each["local"]) for each in streams(two, edge)} for edge in EDGES}
    assert all(taken.values()), taken


POLICIES = {
    "global": {"enable_federation_access": True, "enable_xmpp_access": True},
    "sites": [{"name": "Berlin", "enable_federation_access": True, "enable_xmpp_access": False}],
    "users": [
        {"name": "WithXmpp", "enable_federation_access": True, "enable_xmpp_access": True},
        {"name": "NoFederation", "enable_federation_access": False, "enable_xmpp_access": True},
    ],
}
TABLE = (
    {"user": "alice@corp.example", "pool": "pool-target.corp.example"},
    {"user": "bob@corp.example", "pool": "pool-target.corp.example", "policy": "NoFederation"},
    {"user": "carol@corp.example", "pool": "pool-target.corp.example", "site": "Berlin", "policy": "WithXmpp"},
    {"user": "grace@branch.example", "pool": "pool-target.corp.example", "site": "Berlin"},
)
PAIRS = {
    "alice@corp.example": "juliet@partner1.example",
    "bob@corp.example": "romeo@partner2.example",
    "carol@corp.example": "nurse@partner1.example",
    "grace@branch.example": "paris@partner1.example",
}
WHY = {
    "bob@corp.example": ("NoFederation", "EnableFederationAccess"),
    "grace@branch.example": ("Berlin", "EnableXmppAccess"),
}


@pytest.fixture
def scoped(two: Walk, document: Path) -> Iterator[None]:
    """The document has policies of all scopes and a table that says whose they are; afterwards it is as before."""
    before = document.read_text(encoding="utf-8")
    content = yaml.safe_load(before)
    content["federation"]["access_policies"] = POLICIES
    content["federation"]["users"] = {"export": "users.table"}
    document.write_text(yaml.safe_dump(content), encoding="utf-8")
    users = sorted(TABLE, key=lambda each: each["user"])
    document.with_name("users.table").write_text(json.dumps({"schema": 1, "users": users}), encoding="utf-8")
    done = two.playbook("migrate.yml")
    assert done.returncode == 0, done.stdout[-6000:]
    two.lab.run("users", "systemctl", "stop", "people.service")
    try:
        yield
    finally:
        two.lab.run("users", "systemctl", "start", "people.service")
        document.write_text(before, encoding="utf-8")
        done = two.playbook("migrate.yml")
        assert done.returncode == 0, done.stdout[-6000:]


def explained(two: Walk, document: Path, user: str) -> dict:
    """What `xmppgw policy explain` says of one user."""
    words = ["policy", "explain", user, "--document", str(document), "--format", "json"]
    said = two.run(str(ROOT / ".venv/bin/xmppgw"), *words)
    found: dict = json.loads(said.stdout)
    assert said.returncode == (not found["allowed"]), said.stderr
    return found


def test_policies_of_every_scope_bite_in_both_directions(two: Walk, scoped: None, document: Path) -> None:
    """Global open, a site's closed, one user's closed, and a user's open within the closed site; explained as done."""
    bring(two.lab)
    with conversation(two.lab, sorted(PAIRS.items()), count=1) as seen:
        pass
    assert seen.lost == []
    for user, partner in PAIRS.items():
        out, back = f"{user} to {partner} 0", f"{partner} to {user} 0"
        status = seen.answers[out][0]
        said = explained(two, document, user)
        assert said["allowed"] == (user not in WHY), said
        if user not in WHY:
            assert status < 300, f"{user}: {seen.answers[out]}"
            assert back not in seen.errors
            continue
        assert status == 403, f"{user}: {seen.answers[out]}"
        assert WHY[user][0] in said["decided_by"]
        told = " ".join(seen.reasons[out])
        assert all(word in told for word in WHY[user]), f"{user} is not told why: {told!r}"
        assert seen.errors[back] == "forbidden"
        assert seen.texts[back] == "federation with XMPP is not allowed by policy", "and nothing of one user"


def test_all_of_it_taken_back_over_two_edges_loses_nothing(two: Walk) -> None:
    done, report = two.probed(*two.command("rollback.yml", "to=0"))
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert_nothing_lost(report)
    legacy = {"10 10 5269 legacy1.corp.example."}
    assert {domain: srv(two, domain) for domain in DOMAINS} == dict.fromkeys(DOMAINS, legacy)
    assert set(two.lab.tables("pool-target")["route"].values()) == {"legacy"}
    for edge in EDGES:
        assert two.lab.run(edge, "sh", "-c", "systemctl is-active xmppgw-edge; true").strip() != "active"
