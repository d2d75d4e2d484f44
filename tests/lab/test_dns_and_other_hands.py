"""DNS that is not ours alone: a secondary that lags, a resolver with a view of its own, somebody else who writes, and
people who set records and routes by hand because nobody else may (providers `manual`).

In the order of this file, on one lab: the first three tests lead to a migration, the others back and there again.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.lab.conftest import LONGEST, ROOT, Chat, Walk, a_walk, assert_nothing_lost

pytestmark = [pytest.mark.lab, pytest.mark.slow]

DOCUMENT = ROOT / "inventories" / "lab" / "group_vars" / "all" / "federation.yml"
ZONE, OWNER = "corp.example", "_xmpp-server._tcp.corp.example"
POOLS = ("pool-target", "pool-legacy")
INSIDE = "203.0.113.56"
"""A second resolver, which tells the organisation's own people something else."""
INSIDE_CONFIGURATION = f"""
server:
    interface: {INSIDE}
    ip-freebind: yes
    username: ""
    chroot: ""
    pidfile: ""
    directory: "/etc/unbound"
    access-control: 0.0.0.0/0 allow
    local-zone: "." static
    local-zone: "{OWNER}." static
    local-data: "{OWNER}. 60 IN SRV 0 0 5269 inside.corp.example."
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("document") / "federation.yml"
    content = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))
    content["federation"]["dns"]["resolvers"].append(INSIDE)
    found.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return found


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, path: Path) -> Iterator[Walk]:
    with a_walk(tmp_path_factory, "handslab", XMPPGW_LAB_DOCUMENT=str(path)) as walk:
        walk.lab.run("dns1", "ip", "address", "add", f"{INSIDE}/32", "dev", "lo")
        walk.lab.put("dns1", "/root/inside.conf", INSIDE_CONFIGURATION)
        walk.lab.run("dns1", "systemd-run", "-q", "--unit=inside", "unbound", "-d", "-c", "/root/inside.conf")
        yield walk


def good(walk: Walk, playbook: str, *variables: str) -> str:
    done = walk.playbook(playbook, *variables)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    return done.stdout


def served(walk: Walk) -> set[str]:
    """`TTL record` of what each of the two servers serves for our domain."""
    found = set()
    for server in ("203.0.113.53", "203.0.113.54"):
        answer = walk.lab.run("dns1", "kdig", f"@{server}", OWNER, "SRV", "+noall", "+answer")
        found |= {" ".join(line.split()[1:2] + line.split()[4:]) for line in answer.splitlines()}
    return found


def write(walk: Walk, *records: str) -> None:
    """Somebody makes these the SRV records of our domain, on the primary; each is `TTL priority weight port target`."""
    new = [f"set {OWNER}. {' SRV '.join(record.split(' ', 1))}" for record in records]
    walk.lab.edit_zone(ZONE, f"unset {OWNER}. SRV", *new)


def test_a_secondary_that_lags_holds_the_run_up_and_is_named(lab: Walk) -> None:
    """The TTL is lowered on the primary, and one server goes on with the old one: the clock must not begin to run."""
    assert served(lab) == {"15 10 10 5269 legacy1.corp.example."}, "up ends when every server serves what it wrote"
    lab.lab.run("dns2", "knotc", "zone-freeze", ZONE)
    try:
        done = lab.playbook("migrate.yml", "until=4")
    finally:
        lab.lab.run("dns2", "knotc", "zone-thaw", ZONE)
    said = " ".join(done.stdout.split())
    assert done.returncode == 2, said[-3000:]
    assert "[migration-read-back]" in said
    assert "203.0.113.54 still serves" in said
    assert "203.0.113.53, 203.0.113.54" not in said
    good(lab, "migrate.yml", "until=4")
    assert served(lab) == {"3 10 10 5269 legacy1.corp.example."}


def interrupted(walk: Walk, steps: Path, task: str, *records: str) -> tuple[int, str]:
    """Migrate, and change the records while the run has begun `task` and not gone on; its exit status and words."""
    process = walk.start("migrate.yml", steps=steps)
    deadline = time.monotonic() + LONGEST
    while not (steps.exists() and f'{task}"' in steps.read_text(encoding="utf-8")):
        assert process.poll() is None, process.stdout and process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGSTOP)
    try:
        write(walk, *records)
    finally:
        process.send_signal(signal.SIGCONT)
    said, _ = process.communicate(timeout=LONGEST)
    return process.returncode, " ".join(said.split())


@pytest.mark.parametrize(
    ("theirs", "named"),
    [(("3 10 77 5269 legacy1.corp.example.",), "77"), (("300 10 10 5269 legacy1.corp.example.",), "300")],
    ids=["records", "ttl-only"],
)
def test_who_else_writes_is_not_overwritten(lab: Walk, tmp_path: Path, theirs: tuple[str, ...], named: str) -> None:
    """Between the plan and the write somebody changed the records, or their TTL alone: refused, nothing written."""
    good(lab, "migrate.yml", "until=5")
    status, said = interrupted(lab, tmp_path / "steps.jsonl", "See what the resolvers say", *theirs)
    assert status == 2, said[-3000:]
    assert "[migration-foreign-srv]" in said, said[-3000:]
    assert named in said.partition("[migration-foreign-srv]")[2]
    assert "Nothing was written" in said
    assert served(lab) == set(theirs)
    write(lab, "3 10 10 5269 legacy1.corp.example.")


def test_resolvers_that_see_different_zones_are_named_and_stop_nobody(lab: Walk) -> None:
    said = " ".join(good(lab, "migrate.yml").split())
    assert f"resolver {INSIDE} says" in said
    assert "a view of its own" in said
    assert "resolvers see different zones" in said
    assert served(lab) == {"3 10 10 5269 edge1.corp.example."}


class Person:
    """Reads what a run prints and does what it asks for, through the name server's and the platforms' own tools."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        self.records: list[str] | None = None
        self.done: list[str] = []

    def read(self, line: str) -> None:
        words = line.split()
        if line.lstrip().startswith("Set this in the zone"):
            self.records = []
            self.zone = words[5].rstrip(";")
        elif self.records is not None and words[:1] in (["remove"], ["add"]):
            if words[0] == "add":
                self.owner, ttl, _in, _srv, *record = words[1:]
                self.records.append(" ".join([ttl, *record]))
        elif self.records is not None:
            self.set_records()
        elif words[:1] == ["Route"] and "over TLS" in line:
            self.route(words[1], "target")
        elif line.lstrip().startswith("Take the route of"):
            self.route(words[4], "legacy")

    def set_records(self) -> None:
        records, self.records = self.records or [], None
        new = [f"set {self.owner} {' SRV '.join(each.split(' ', 1))}" for each in records]
        self.walk.lab.edit_zone(self.zone, f"unset {self.owner} SRV", *new)
        self.done.append(f"srv {self.owner}")

    def route(self, partner: str, hop: str) -> None:
        for pool in POOLS:
            self.walk.lab.rpc(pool, "htable.sets", "route", partner, hop)
        self.done.append(f"route {partner} {hop}")


def with_hands(walk: Walk, chat: Chat, path: Path, playbook: str, *variables: str) -> list[str]:
    """Run a playbook whose DNS and routes are a person's work, with that person beside it; what the person did."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content["federation"]["dns"]["provider"] = "manual"
    content["federation"]["dns"].pop("tsig")
    content["federation"]["routes"] = {"provider": "manual"}
    document = walk.output / "by-hand.yml"
    document.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    person = Person(walk)
    process = walk.start(playbook, f"migration_document={document}", *variables, steps=chat.steps)
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        person.read(line)
    assert process.wait() == 0, "".join(said)[-8000:]
    return person.done


def test_records_and_routes_are_set_by_hand_there_and_back(lab: Walk, path: Path) -> None:
    """The run says what is to be set, watches for it and goes on; people who chat notice nothing of it."""
    with lab.chatting() as chat:
        back = with_hands(lab, chat, path, "rollback.yml", "to=3")
        assert served(lab) == {"15 10 10 5269 legacy1.corp.example."}
        assert set(lab.lab.tables("pool-target")["route"].values()) == {"legacy"}
        there = with_hands(lab, chat, path, "migrate.yml")
    assert served(lab) == {"3 10 10 5269 edge1.corp.example."}
    assert_nothing_lost(chat.report)
    switched = {word.split()[1] for word in there if word.endswith(" target")}
    assert {"partner1.example", "partner2.example", "dialback.example"} <= switched, there
    assert {f"route {partner} legacy" for partner in switched} <= set(back)
    zones = [word for word in there if word.startswith("srv ")]
    assert zones[:2] == zones[2:], "one after another: the TTL of each, then the records of each"
    assert len(set(zones)) == 2
