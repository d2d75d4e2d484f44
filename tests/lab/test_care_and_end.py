"""What is done to a gateway that carries traffic, and the end of the legacy one: one lab, in the order of this file.

Certificates (all three issuers, renewal, roll-over of the link's authority), verify, drift, upgrade and back, backup
and restore of hosts whose disks died, the normal TTL, decommission. Every test but the first and the last begins and
ends with a migrated gateway, so a walk that was stopped goes on where it was (tests/walked).
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from tests.lab.conftest import ROOT, Walk, a_walk
from tests.lab.ledger import Ledger
from tests.lab.servers_stand_ins.stand_ins import eventually

pytestmark = [pytest.mark.lab, pytest.mark.slow]

DOCUMENT = ROOT / "inventories" / "lab" / "group_vars" / "all" / "federation.yml"
JOURNAL = "/var/lib/xmppgw-migration/journal.jsonl"
SRV = "_xmpp-server._tcp.corp.example"
ACME = "https://acme.corp.example:14000/dir"
PARTNERS = ("partner1.example", "partner2.example", "dialback.example", "pinned.example", "backup.example")
"""Who has been switched after a migration; static.example has our old host in its configuration."""
DIFFERS, AWAITED = 3, 6

ASK = """
import json, socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.settimeout(10)
sock.connect(sys.argv[1])
sock.sendall(sys.argv[2].encode() + b"\\n")
text = b""
while not text.endswith(b"\\n"):
    text += sock.recv(65536)
print(text.decode())
"""


FETCH = """
import ssl, sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], context=ssl._create_unverified_context(), timeout=10).read().decode())
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """A lab with an ACME authority, nothing migrated."""
    before = os.environ.get("XMPPGW_LAB_WITH")
    os.environ["XMPPGW_LAB_WITH"] = "acme"
    try:
        with a_walk(tmp_path_factory, "carelab") as walk:
            yield walk
    finally:
        if before is None:
            os.environ.pop("XMPPGW_LAB_WITH")
        else:
            os.environ["XMPPGW_LAB_WITH"] = before


@pytest.fixture
def migrated(lab: Walk) -> Walk:
    """The same lab after the six steps; where they are done this changes nothing."""
    good(lab, "migrate.yml")
    return lab


@pytest.fixture
def once(request: pytest.FixtureRequest) -> Iterator[None]:
    """Skips what an earlier walk over the same sources has seen already."""
    ledger, name = Ledger("care-and-end"), request.node.name
    if name in ledger:
        pytest.skip("seen by an earlier walk over the same sources")
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed == failed:
        ledger.add(name)


def said(done: subprocess.CompletedProcess[str]) -> str:
    """Everything a person sees, without its line breaks."""
    return " ".join((done.stdout + done.stderr).split())


def good(walk: Walk, playbook: str, *variables: str) -> str:
    """Run a playbook that must succeed; what it said."""
    done = walk.playbook(playbook, *variables)
    assert done.returncode == 0, f"{playbook} {variables}: exit {done.returncode}\n{done.stdout[-6000:]}{done.stderr}"
    return said(done)


def nothing_lost(report: dict) -> None:
    """Nothing lost and nothing doubled; what a partner's own server dropped is in that server's own log.

    What was returned though it was delivered is an old gateway's impatience on a busy machine, not what is tested here.
    """
    probe = report["probe"]
    assert probe["sent"] > 0
    counted = (probe["lost"], probe["duplicated"], probe["unprotected"] - probe["dropped_by_partner"])
    assert counted == (0, 0, 0), f"lost, doubled, unprotected {counted} of {probe['sent']}; verdict {report['verdict']}"


def under_traffic(walk: Walk, *lines: str) -> dict:
    """Run shell lines while people chat; nothing may be lost or doubled. The report."""
    done, report = walk.probed("bash", "-euc", "\n".join(lines))
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    nothing_lost(report)
    return report


def typed(walk: Walk, playbook: str, *variables: str) -> str:
    """A playbook as a shell line."""
    return shlex.join(walk.command(playbook, *variables))


def lies(walk: Walk, name: str = "public") -> str:
    """Serial number and issuer of a certificate on the edge."""
    return walk.lab.run(
        "edge1", "openssl", "x509", "-in", f"/etc/xmppgw/tls/{name}.crt", "-noout", "-serial", "-issuer"
    )


def variant(walk: Walk, name: str, change: Callable[[dict], None]) -> str:
    """The lab's document with a change, as a variable of a run."""
    document = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))
    change(document["federation"])
    path = walk.output / f"{name}.yml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return f"migration_document={path}"


# A certificate that people fetch


def signed_by_people(walk: Walk, request: Path, chain: Path) -> None:
    """What an authority does that takes requests by mail: sign, and send the chain."""
    folder = walk.lab.directory / "ca" / "public"
    text = openssl("req", "-in", request, "-noout", "-text")
    names = next(line.replace(" ", "") for line in text.splitlines() if "DNS:" in line)
    extensions = walk.output / "extensions"
    extensions.write_text(f"subjectAltName={names}\nextendedKeyUsage=serverAuth\n", encoding="ascii")
    leaf = openssl(
        "x509", "-req", "-in", request, "-CA", folder / "ca.pem", "-CAkey", folder / "key.pem",
        "-days", "90", "-extfile", extensions,
    )  # fmt: skip
    chain.write_text(leaf + (folder / "ca.pem").read_text(encoding="ascii"), encoding="ascii")


def openssl(*arguments: object) -> str:
    done = subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, text=True)
    return done.stdout


def test_step_4_waits_for_a_certificate_that_people_fetch(lab: Walk, once: None) -> None:
    """The request can be out before anything stands; without the chain the run stops in step 4; with it, it goes on."""
    document = variant(
        lab, "import", lambda it: it["certificates"].update(public={"issuer": "import", "authority": "public"})
    )
    request, chain = (lab.output / "certificates" / name for name in ("edge1.csr", "edge1.pem"))
    out = good(lab, "certificates.yml", document, "prepare=true")
    assert str(chain) in out, out
    before = request.read_bytes()

    good(lab, "migrate.yml", document, "last_step=3")
    stopped, report = lab.probed(*lab.command("migrate.yml", document))
    assert stopped.returncode == AWAITED, said(stopped)[-3000:]
    nothing_lost(report)
    assert "migration-certificate-awaited" in said(stopped)
    assert str(chain) in said(stopped)
    assert request.read_bytes() == before, "the key was made anew: what people were asked to sign is void"

    signed_by_people(lab, request, chain)
    under_traffic(lab, typed(lab, "migrate.yml", document))
    assert "edge1" in lab.lab.run("dns2", "kdig", "@203.0.113.53", SRV, "SRV", "+short")
    assert openssl("x509", "-in", chain, "-noout", "-serial").strip() in lies(lab)
    good(lab, "verify.yml", document)


# What works, and what differs


def test_verify_says_what_works_and_what_does_not(migrated: Walk, once: None) -> None:
    out = good(migrated, "verify.yml")
    assert "all well" in out
    report = json.loads((migrated.output / "verify.json").read_text(encoding="utf-8"))
    pinged = {item["subject"] for item in report["checks"] if "ping" in item["what"]}
    assert pinged == set(PARTNERS), report["checks"]
    migrated.lab.run("fe1", "systemctl", "stop", "xmppgw-frontend.service", "xmppgw-frontend.socket")
    try:
        done = migrated.playbook("verify.yml")
    finally:
        migrated.lab.run("fe1", "systemctl", "start", "xmppgw-frontend.socket", "xmppgw-frontend.service")
    assert done.returncode == 2, said(done)
    assert "fe1: xmppgw-frontend.service is enabled and runs" in said(done)
    eventually("verify is well again", lambda: migrated.playbook("verify.yml").returncode == 0, 60)


def drift(walk: Walk, *variables: str) -> list[tuple[str, str]]:
    """What drift.yml says: (kind, subject) of every difference. Its exit status must fit."""
    done = walk.playbook("drift.yml", *variables)
    assert done.returncode in (0, DIFFERS), f"exit {done.returncode}\n{done.stdout[-6000:]}{done.stderr}"
    report = json.loads((walk.output / "drift.json").read_text(encoding="utf-8"))
    assert report["differs"] == bool(report["differences"]) == (done.returncode == DIFFERS)
    return [(item["kind"], item["subject"]) for item in report["differences"]]


def another_srv(walk: Walk, weight: int) -> None:
    """Somebody writes the SRV record of our domain on the primary by hand."""
    new = f"set _xmpp-server._tcp 3 SRV 10 {weight} 5269 edge1.corp.example."
    walk.lab.edit_zone("corp.example", "unset _xmpp-server._tcp SRV", new)


def another_certificate(walk: Walk) -> None:
    """The public certificate is replaced by that of the link."""
    walk.lab.run(
        "edge1", "sh", "-euc", "cd /etc/xmppgw/tls; cp -a public.crt /root/public.crt; cat link.crt >public.crt"
    )


BY_HAND: dict[str, tuple[Callable[[Walk], object], Callable[[Walk], object], tuple[str, str]]] = {
    "a file": (
        lambda walk: walk.lab.run(
            "edge1", "sh", "-euc", "cp -a /etc/xmppgw/edge.json /root/; echo >>/etc/xmppgw/edge.json"
        ),
        lambda walk: walk.lab.run("edge1", "cp", "-a", "/root/edge.json", "/etc/xmppgw/edge.json"),
        ("file", "edge1:/etc/xmppgw/edge.json"),
    ),
    "a record": (
        lambda walk: another_srv(walk, 77),
        lambda walk: another_srv(walk, 10),
        ("dns", "corp.example"),
    ),
    "a certificate": (
        another_certificate,
        lambda walk: walk.lab.run("edge1", "cp", "-a", "/root/public.crt", "/etc/xmppgw/tls/public.crt"),
        ("certificate", "edge1:public"),
    ),
    "the journal": (
        lambda walk: walk.lab.run("fe1", "sh", "-euc", f"cp -a {JOURNAL} /root/journal; sed -i 2d {JOURNAL}"),
        lambda walk: walk.lab.run("fe1", "cp", "-a", "/root/journal", JOURNAL),
        ("journal", "fe1"),
    ),
    "a user's home": (
        lambda walk: walk.lab.rpc("pool-target", "htable.sets", "homing", "bob", "pool-legacy"),
        lambda walk: walk.lab.rpc("pool-target", "htable.sets", "homing", "bob", "pool-target"),
        ("user", "batch-all"),
    ),
}
"""What somebody does by hand, how it is put right, and (kind, part of the subject) by which drift must name it."""


def test_drift_names_what_was_changed_by_hand(migrated: Walk, once: None) -> None:
    assert drift(migrated) == []
    try:
        for change, _put_right, _named in BY_HAND.values():
            change(migrated)
        found = drift(migrated)
    finally:
        for _change, put_right, _named in BY_HAND.values():
            put_right(migrated)
    for what, (_change, _put_right, (kind, subject)) in BY_HAND.items():
        assert [one for one in found if one[0] == kind and subject in one[1]], f"{what}: {found}"
    strange = [one for one in found if not any(one[0] == kind for _do, _undo, (kind, _subject) in BY_HAND.values())]
    assert strange == []
    document = variant(migrated, "changed", lambda it: it["partners"][0].update(sasl="optional", dialback=True))
    found = drift(migrated, document)
    assert ("document", "federation document") in found, found
    assert ("file", "edge1:/etc/xmppgw/edge.json") in found, found
    eventually("no difference is left", lambda: not drift(migrated), 60)


# Certificates


def entered(walk: Walk, host: str, *command: str) -> str:
    """A command on a host as a shell line."""
    python, program = ROOT / ".venv/bin/python", ROOT / "pulumi"
    return f"(cd {program} && {shlex.join([str(python), '-m', 'lab_provider.enter', host, *command])})"


def streams_into(walk: Walk, path: Path) -> str:
    """A shell line that keeps the edge's streams in a file."""
    question = json.dumps({"command": "streams"})
    return f"{entered(walk, 'edge1', 'python3', '-c', ASK, '/run/xmppgw-edge/control.sock', question)} >{path}"


def since(path: Path) -> dict[tuple[str, str, str], float]:
    """Every stream of a kept answer, and when it was opened."""
    found = json.loads(path.read_text(encoding="utf-8"))["streams"]
    return {(item["local"], item["remote"], item["direction"]): item["since"] for item in found}


def authorities_of_the_link(walk: Walk, host: str) -> int:
    return walk.lab.run(host, "cat", "/etc/xmppgw/ca/link.pem").count("BEGIN CERTIFICATE")


def test_certificates_are_renewed_and_the_link_s_authority_is_replaced_while_people_chat(
    migrated: Walk, once: None
) -> None:
    before, after = migrated.output / "streams-before.json", migrated.output / "streams-after.json"
    old = {name: lies(migrated, name) for name in ("public", "link")}
    under_traffic(
        migrated,
        streams_into(migrated, before),
        typed(migrated, "certificates.yml", "renew=public"),
        typed(migrated, "certificates.yml", "renew=sip"),
        typed(migrated, "certificates.yml", "rollover=true"),
        streams_into(migrated, after),
    )
    assert len(since(before)) >= 2 * len(PARTNERS)
    assert {key: since(after).get(key) for key in since(before)} == since(before), "a stream was closed"
    assert lies(migrated) != old["public"]
    assert "#2" in lies(migrated, "link"), lies(migrated, "link")
    assert [authorities_of_the_link(migrated, host) for host in ("fe1", "edge1")] == [1, 1]
    # A connection made after it meets the successor on both sides.
    migrated.lab.run("edge1", "systemctl", "restart", "xmppgw-edge.service")
    eventually("the link is up again", lambda: migrated.playbook("verify.yml").returncode == 0, 60)
    assert drift(migrated) == []
    # The stack made the authority; it must not take it back.
    assert migrated.up().returncode == 0
    assert drift(migrated) == []


def test_an_acme_authority_issues_through_dns(migrated: Walk, once: None) -> None:
    """Pebble asks the lab's resolver for what our DNS provider wrote; nothing of it stays, and no stream is closed."""
    root = migrated.output / "pebble" / "ca.pem"
    root.parent.mkdir(exist_ok=True)
    root.write_text(
        migrated.lab.run("acme", "python3", "-c", FETCH, "https://127.0.0.1:15000/roots/0"), encoding="ascii"
    )
    folders = {name: str(migrated.lab.directory / "ca" / name) for name in ("public", "private", "link", "pinned")}
    trusted = json.dumps({"migration_authorities": {**folders, "pebble": str(root.parent)}})
    public = {"issuer": "acme", "authority": "pebble", "directory": ACME, "directory_authority": "public"}
    document = variant(migrated, "acme", lambda it: it["certificates"].update(public=public))
    before, after = migrated.output / "acme-before.json", migrated.output / "acme-after.json"
    under_traffic(
        migrated,
        streams_into(migrated, before),
        typed(migrated, "certificates.yml", document, trusted, "renew=public"),
        streams_into(migrated, after),
    )
    assert "Pebble" in lies(migrated), lies(migrated)
    assert {key: since(after).get(key) for key in since(before)} == since(before), "a stream was closed"
    for name in ("corp.example", "branch.example", "edge1.corp.example"):
        for server in ("203.0.113.53", "203.0.113.54"):
            left = migrated.lab.run("dns1", "kdig", f"@{server}", f"_acme-challenge.{name}", "TXT", "+short")
            assert left.strip() == "", left
    # Back to the authority of the lab's document: it is due, as another one signed it.
    good(migrated, "certificates.yml", "renew=due")
    assert "Pebble" not in lies(migrated)
    assert drift(migrated) == []


# Another version


def another_version(folder: Path, version: str) -> Path:
    """A wheelhouse with the present tree as another version."""
    house, source = folder / "wheels", folder / "source"
    shutil.copytree(ROOT / "build" / "wheelhouse", house, ignore=shutil.ignore_patterns("xmppgw-*", ".*"))
    shutil.copytree(
        ROOT / "gateway" / "xmppgw", source / "gateway" / "xmppgw", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    changed = settings.replace('version = "0.1.0"', f'version = "{version}"', 1)
    assert changed != settings
    (source / "pyproject.toml").write_text(changed, encoding="utf-8")
    build = ["pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(house), str(source)]
    subprocess.run([str(ROOT / ".venv/bin/python"), "-m", *build], check=True, capture_output=True, timeout=120)
    return house


def test_another_version_and_back_under_traffic(migrated: Walk, once: None, tmp_path: Path) -> None:
    house = another_version(tmp_path, "0.1.1")
    there = [tmp_path / host for host in ("fe1", "edge1")]
    wrong = migrated.playbook("upgrade.yml", "to_version=0.9.9", f"wheelhouse={house}")
    assert wrong.returncode == 2, said(wrong)
    assert "migration-upgrade" in said(wrong)
    under_traffic(
        migrated,
        typed(migrated, "upgrade.yml", "to_version=0.1.1", f"wheelhouse={house}"),
        *(f"{entered(migrated, path.name, 'readlink', '/opt/xmppgw/current')} >{path}" for path in there),
        typed(migrated, "upgrade.yml", "back=true"),
    )
    assert all("0.1.1+" in path.read_text(encoding="ascii") for path in there)
    for host in ("fe1", "edge1"):
        assert "0.1.0+" in migrated.lab.run(host, "readlink", "/opt/xmppgw/current")
    # Its `previous` now names the release that was left: nobody goes there again.
    assert "Nothing to take back" in good(migrated, "upgrade.yml", "back=true")
    for host in ("fe1", "edge1"):
        assert "0.1.0+" in migrated.lab.run(host, "readlink", "/opt/xmppgw/current")
    assert drift(migrated) == []


# Disks that die


def dies(walk: Walk, host: str) -> None:
    """The host's disk dies; it is made anew, empty."""
    down = walk.lab.program("lab_provider.down", "--host", host)
    assert down.returncode == 0, down.stdout + down.stderr
    up = walk.up()
    assert up.returncode == 0, up.stdout + up.stderr


def events(walk: Walk, host: str) -> list[dict]:
    """The journal on a host."""
    return [json.loads(line) for line in walk.lab.run(host, "cat", JOURNAL).splitlines()]


def test_a_journal_that_is_gone_comes_back_from_its_copy(migrated: Walk, once: None) -> None:
    before = events(migrated, "fe1")
    migrated.lab.run("fe1", "rm", "-r", "/var/lib/xmppgw-migration")
    refused = migrated.playbook("migrate.yml")
    assert refused.returncode == 2, said(refused)
    assert "take_over=edge1" in said(refused)
    assert drift(migrated) == [("journal", "fe1")]
    good(migrated, "migrate.yml", "take_over=edge1")
    after = events(migrated, "fe1")
    assert after[: len(before)] == before
    assert any(item.get("journal_restored_from") == "edge1" for item in after[len(before) :])
    assert events(migrated, "edge1") == after


def test_hosts_whose_disks_died_come_back_from_a_backup(migrated: Walk, once: None) -> None:
    """First the front end with store and journal, then the edge with secret and phases; then people chat as before."""
    secrets = migrated.output / "secrets.json"
    secrets.write_text(json.dumps({**migrated.lab.secrets, "backup/passphrase": "of this test only"}), encoding="utf-8")
    keyed = f"migration_secrets={secrets}"
    kept = {
        host: migrated.lab.run(host, "sh", "-c", f"cd / && sha256sum {' '.join(paths)}")
        for host, paths in {
            "fe1": ["/etc/xmppgw/tls/*.key", "/etc/xmppgw/tls/*.crt", "/etc/xmppgw/ca/*.pem", "/etc/xmppgw/*.json"],
            "edge1": ["/etc/xmppgw/dialback.secret", "/etc/xmppgw/tls/*.key", "/etc/xmppgw/ca/*.pem"],
        }.items()
    }
    ca = migrated.lab.directory / "ca"
    copies = {path.name: shutil.copytree(path, migrated.output / "authorities" / path.name) for path in ca.iterdir()}
    authorities = json.dumps({"migration_authorities": {name: str(path) for name, path in copies.items()}})
    good(migrated, "backup.yml", keyed, authorities)
    backup = max((migrated.output / "backup").iterdir())
    journal = events(migrated, "fe1")

    # The controller's disk died, too: it has no authority any more that could sign for the link.
    shutil.rmtree(copies["link"])
    dies(migrated, "fe1")
    refused = migrated.playbook("restore.yml", f"backup={backup}", keyed)
    assert refused.returncode == 2, said(refused)
    assert "take_over=edge1" in said(refused)
    out = good(migrated, "restore.yml", f"backup={backup}", keyed, authorities, "take_over=edge1")
    assert f"put back {copies['link'] / 'key.pem'}" in out
    assert (copies["link"] / "key.pem").read_bytes() == (ca / "link" / "key.pem").read_bytes()
    assert migrated.lab.run("fe1", "test", "-s", "/var/lib/xmppgw-frontend/store.sqlite") == ""
    good(migrated, "migrate.yml")
    good(migrated, "verify.yml")

    dies(migrated, "edge1")
    good(migrated, "restore.yml", f"backup={backup}", keyed)
    good(migrated, "migrate.yml")
    good(migrated, "verify.yml")

    for host, digests in kept.items():
        again = migrated.lab.run(host, "sha256sum", *(line.split()[1] for line in digests.splitlines()))
        assert again == digests, host
    assert events(migrated, "fe1")[: len(journal)] == journal
    assert events(migrated, "edge1") == events(migrated, "fe1")
    assert drift(migrated) == []
    report = under_traffic(migrated, "sleep 5")
    assert report["probe"]["through"]["target"] > 0


# The end


def ttls(walk: Walk) -> set[str]:
    return {
        walk.lab.run("dns1", "kdig", f"@{server}", SRV, "SRV", "+noall", "+answer").split()[1]
        for server in ("203.0.113.53", "203.0.113.54")
    }


def test_the_normal_ttl_comes_back(migrated: Walk, once: None) -> None:
    assert ttls(migrated) == {"3"}
    good(migrated, "settle_dns.yml")
    assert ttls(migrated) == {"15"}
    good(migrated, "settle_dns.yml")
    assert drift(migrated) == []
    good(migrated, "migrate.yml")
    assert ttls(migrated) == {"15"}


def follows_dns(walk: Walk) -> None:
    """static.example takes our old host out of its configuration."""
    walk.lab.run(
        "partner3", "sh", "-euc",
        "sed -i '/_xmpp-server._tcp/d' /etc/unbound/unbound.conf; systemctl restart unbound prosody-static",
    )  # fmt: skip


def rules(walk: Walk) -> str:
    """What the firewall lets pass, with the purpose of each rule."""
    return walk.lab.run("fw1", "cat", "/etc/nftables.d/lab.nft")


def test_the_legacy_gateway_s_end(migrated: Walk, once: None) -> None:
    """Refused while a partner is left on it; then there is nothing left, and no way back."""
    left = migrated.playbook("decommission.yml", "point_of_no_return=accepted")
    assert left.returncode == 2, said(left)
    assert "static.example" in said(left)
    assert "away.example" in said(left), "not listed, and the platforms still route it through the old gateway"
    assert "partner1.example" not in said(left)

    for pool in ("pool-legacy", "pool-target"):
        migrated.lab.rpc(pool, "htable.delete", "route", "away.example")
    follows_dns(migrated)
    under_traffic(migrated, typed(migrated, "partner.yml", "partner=static.example", "do=switch"))
    silent = migrated.playbook("decommission.yml")
    assert silent.returncode == 2, said(silent)
    assert "point_of_no_return=accepted" in said(silent)
    out = good(migrated, "decommission.yml", "point_of_no_return=accepted")
    archive = migrated.output / "decommission"
    ports = (archive / "ports-to-close.txt").read_text(encoding="utf-8").splitlines()
    assert ports
    assert all(port in out for port in ports)
    assert [
        json.loads(line) for line in (archive / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    ] == events(migrated, "fe1")
    for unit in ("prosody", "kamailio"):
        assert migrated.lab.run("legacy1", "sh", "-c", f"systemctl is-active {unit} || true").strip() == "inactive"
    settings = json.loads(migrated.lab.run("edge1", "cat", "/etc/xmppgw/edge.json"))
    assert settings.get("legacy") is None, settings["legacy"]
    assert set(migrated.lab.tables("pool-target")["route"].values()) <= {"target"}

    refused = migrated.playbook("rollback.yml", "to=5")
    assert refused.returncode == 2, said(refused)
    assert "migration-decommissioned" in said(refused)
    assert "point of no return" in said(refused)
    good(migrated, "decommission.yml", "point_of_no_return=accepted")
    good(migrated, "verify.yml")
    assert drift(migrated) == []

    # The document says so too: its ports are closed, and what stands is as the document wants it.
    assert "legacy-" in rules(migrated)
    document = variant(migrated, "gone", lambda it: it["legacy"].update(decommissioned=True))
    up = subprocess.run(
        [ROOT / ".ci" / "stack", "up", "lab"],
        cwd=ROOT, env={**migrated.environment, "XMPPGW_LAB_DOCUMENT": document.partition("=")[2]},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert up.returncode == 0, up.stdout + up.stderr
    assert "legacy-" not in rules(migrated)
    good(migrated, "migrate.yml", document)
    assert drift(migrated, document) == []
    under_traffic(migrated, "sleep 5")
