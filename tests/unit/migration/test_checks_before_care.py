"""An upgrade or a restore that cannot be meant is refused before anything is touched."""

import hashlib
import json
import time
from pathlib import Path

import pytest
from ansible_collections.xmppgw.migration.plugins.action.restore_check import JOURNAL
from ansible_collections.xmppgw.migration.plugins.action.restore_check import ActionModule as RestoreCheck
from ansible_collections.xmppgw.migration.plugins.action.upgrade_check import ActionModule as UpgradeCheck
from ansible_collections.xmppgw.migration.plugins.plugin_utils import backup_folder
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError
from ansible_collections.xmppgw.migration.plugins.plugin_utils.wanted import WantedError
from tests.unit.migration.world import a_wheel


def an_action(kind, world):
    """The action as Ansible would make it, with the world's variables."""
    action = kind.__new__(kind)
    action.environment = lambda task_vars: world.environment()
    settings = {
        "migration_document": str(world.folder / "federation.yml"),
        "migration_wheelhouse": str(world.folder / "wheels"),
    }
    action.setting = lambda task_vars, name: settings[name]
    action.picture = lambda task_vars: world.picture()
    return action


# upgrade


OLD, NEW = "0.0.9+0123456789ab", "0.1.0+ba9876543210"


def runs(world, host, release, **more):
    """Let a host run a release, and have both."""
    version, wheels = release.split("+")
    world.gateways[host] = {"version": version, "wheels": wheels + "0" * 52, "releases": [OLD, NEW], **more}


def upgrade(world, standing=("edge1", "fe1"), **args):
    for host in standing:
        if host not in world.gateways:
            runs(world, host, OLD)
    facts = {"standing": list(standing)}
    return an_action(UpgradeCheck, world).act(args, {"hostvars": {"localhost": {"migration": facts}}})


def test_an_upgrade_to_what_does_not_run_on_a_host_is_refused(world):
    a_wheel(world.folder / "wheels", "msgspec-0.22.0-cp312-cp312-manylinux_2_17_x86_64.whl")
    with pytest.raises(
        PictureError, match=r"edge1 \(Python 3\.11, x86_64, glibc 2\.36\): msgspec.*Debian 12.*Nothing was changed"
    ):
        upgrade(world, to_version="0.1.0")


def test_an_upgrade_says_from_where_to_where(world):
    result = upgrade(world, to_version="0.1.0")
    assert result["say"] == "edge1, fe1: from 0.0.9 to 0.1.0, one after another"
    assert result["wheelhouse"] == str(world.folder / "wheels")
    assert result["changed"] is False
    release = result["moves"]["fe1"]["to"]
    assert release.startswith("0.1.0+")
    assert result["moves"]["fe1"] == {
        "event": "upgrade_begun",
        "host": "fe1",
        "from": OLD,
        "to": release,
        "back": False,
    }
    assert sorted(result["moves"]) == ["edge1", "fe1"]


def test_the_way_back_is_said_host_by_host_and_leaves_alone_whom_the_upgrade_did_not_reach(world):
    world.journal({"event": "upgrade_begun", "host": "fe1", "from": OLD, "to": NEW, "back": False})
    runs(world, "fe1", NEW, previous=OLD)
    runs(world, "edge1", OLD, previous="0.0.8+000000000000")
    result = upgrade(world, back="true")
    assert result["moves"] == {"fe1": {"event": "upgrade_begun", "host": "fe1", "from": NEW, "to": OLD, "back": True}}
    assert result["notes"] == []
    assert result["say"].splitlines() == [
        "One host after another:",
        f"  edge1: stays with {OLD}, which the newest upgrade did not touch",
        f"  fe1: from {NEW} to {OLD}",
    ]


def test_a_way_back_that_the_journal_does_not_know_is_journalled_before_the_first_host(world):
    for host in ("fe1", "edge1"):
        runs(world, host, NEW, previous=OLD)
    result = upgrade(world, back=True)
    assert result["notes"] == [
        {"event": "upgrade_found", "hosts": {host: {"from": OLD, "to": NEW} for host in ("edge1", "fe1")}}
    ]
    assert "the journal knows of no upgrade" in result["say"]


@pytest.mark.parametrize("word", ["false", "no", False])
def test_back_can_be_denied(world, word):
    assert "0.1.0" in upgrade(world, to_version="0.1.0", back=word)["say"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({}, "Give either"),
        ({"to_version": "0.1.0", "back": True}, "Give either"),
        ({"to_version": "0.1.0", "standing": ()}, "No gateway host stands yet"),
        ({"back": True, "standing": ()}, "No gateway host stands yet"),
        ({"to_version": "0.2.0"}, "holds version 0.1.0, not 0.2.0"),
    ],
)
def test_an_upgrade_that_cannot_be_meant(world, args, words):
    with pytest.raises(PictureError, match=words) as refusal:
        upgrade(world, **args)
    assert refusal.value.code == "migration-upgrade"


def test_a_folder_without_our_wheel(world, tmp_path):
    with pytest.raises(WantedError, match="holds 0 xmppgw wheels"):
        upgrade(world, to_version="0.1.0", wheelhouse=str(tmp_path / "nothing"))


# restore


@pytest.fixture
def backup(world, tmp_path):
    """A backup of fe1 and edge1, an hour old, of the document as it is."""
    around = world.environment()
    folder = tmp_path / "backup" / "20261121T100000Z"
    hosts = {}
    for host in (*around.front_ends, *around.edges):
        kept = backup_folder.keep(folder, host, f"archive of {host}".encode(), None)
        hosts[host] = {**kept, "entries": [{"path": JOURNAL}, {"path": "/etc/xmppgw/x"}]}
    document = Path(world.folder / "federation.yml").read_bytes()
    backup_folder.write(folder / "world.json", json.dumps({"srv": world.picture().dns.rrsets}).encode())
    backup_folder.write_manifest(
        folder,
        {
            "made": "2026-11-21T10:00:00Z",
            "made_epoch": int(time.time()) - 3600,
            "step": 6,
            "document": hashlib.sha256(document).hexdigest(),
            "hosts": hosts,
        },
    )
    return folder


def restore(world, records=(), problem=None, **args):
    state = {"records": list(records), "problem": problem}
    hostvars = {
        "fe1": {"migration_seen": {"seen": {"state": state}}},
        "edge1": {"migration_seen": {"seen": {"state": {"records": [], "problem": None}}}},
    }
    return an_action(RestoreCheck, world).act(args, {"hostvars": hostvars})


def paths(result):
    return {host: [entry["path"] for entry in entries] for host, entries in result["hosts"].items()}


def test_where_no_journal_is_left_the_backup_s_comes_back(world, backup):
    result = restore(world, backup=str(backup))
    assert paths(result) == {host: [JOURNAL, "/etc/xmppgw/x"] for host in ("edge1", "fe1")}
    assert result["journal_stands"] is False
    assert result["say"] == "Backup of 2026-11-21T10:00:00Z (1.0 h old), made after step 6"


def test_records_that_are_not_those_of_the_backup_are_said(world, backup):
    kept = json.loads((backup / "world.json").read_text())
    domain, servers = next(iter(kept["srv"].items()))
    server = next(iter(servers))
    servers[server] = {"ttl": 77, "records": ["10 10 5269 elsewhere.example."]}
    (backup / "world.json").write_text(json.dumps(kept))
    said = restore(world, backup=str(backup))["say"].splitlines()
    assert f"  {domain}: since the backup removed 10 10 5269 elsewhere.example. ({server})" in said
    (backup / "world.json").unlink()
    assert "cannot be compared" in restore(world, backup=str(backup))["say"]


@pytest.mark.parametrize("what", [{"records": [{"n": 1}]}, {"problem": "line 2 was changed"}])
def test_a_journal_that_stands_is_never_replaced_by_an_older_one(world, backup, what):
    result = restore(world, backup=str(backup), **what)
    assert paths(result) == {host: ["/etc/xmppgw/x"] for host in ("edge1", "fe1")}
    assert result["journal_stands"] is True


def test_only_the_hosts_that_are_named(world, backup):
    assert list(restore(world, backup=str(backup), hosts=["edge1"])["hosts"]) == ["edge1"]


def test_another_document_is_said(world, backup):
    world.federation["access_policies"]["global"]["enable_xmpp_access"] = False
    assert "the federation document has changed since" in restore(world, backup=str(backup))["say"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({}, "-e backup=<folder>"),
        ({"backup": "/nowhere"}, "is not the manifest of a backup"),
        ({"hosts": ["fe9"]}, "fe9 is not both in this backup and in the document"),
    ],
)
def test_a_restore_that_cannot_be_meant(world, backup, args, words):
    if "hosts" in args:
        args = {**args, "backup": str(backup)}
    with pytest.raises(PictureError, match=words) as refusal:
        restore(world, **args)
    assert refusal.value.code == "migration-backup"


def test_an_archive_that_was_changed(world, backup):
    manifest = json.loads((backup / "manifest.json").read_text(encoding="utf-8"))
    (backup / manifest["hosts"]["fe1"]["archive"]).write_bytes(b"another")
    with pytest.raises(PictureError, match=r"fe1\.tar in .* is absent or not what the manifest says"):
        restore(world, backup=str(backup))
