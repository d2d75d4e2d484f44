"""A backup is whole or refused; what it puts back is what was kept; a store from the past does nothing twice."""

import grp
import json
import os
import pwd
import sqlite3

import pytest
from ansible_collections.xmppgw.migration.plugins.module_utils import backing_up
from ansible_collections.xmppgw.migration.plugins.plugin_utils import authority_keeping, backup_folder

ME, MINE = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name


def a_store(path, waiting=2):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT)")
        connection.execute("CREATE TABLE outbox (id INTEGER PRIMARY KEY, partner TEXT, payload BLOB)")
        connection.execute("CREATE TABLE links (peer TEXT, session TEXT, sequence INTEGER)")
        connection.execute("CREATE TABLE seen (key BLOB)")
        connection.executemany("INSERT INTO meta VALUES (?, ?)", [("identity", "old"), ("last_id", "7")])
        connection.executemany(
            "INSERT INTO outbox VALUES (?, ?, ?)",
            [(n, "partner1.example", b"<message/>") for n in range(1, waiting + 1)],
        )
        connection.execute("INSERT INTO links VALUES ('edge1', 's', 9)")
        connection.execute("INSERT INTO seen VALUES (x'00')")
    connection.close()


def rows(path, query):
    connection = sqlite3.connect(path)
    found = connection.execute(query).fetchall()
    connection.close()
    return found


@pytest.fixture
def host(tmp_path):
    """A host with a secret, a journal and a store, and its archive."""
    root = tmp_path / "host"
    files = {"etc/secret": b"s3cret", "var/lib/state/journal.jsonl": b"{}\n"}
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
        (root / name).chmod(0o640)
    store = root / "var/lib/daemon/store.sqlite"
    store.parent.mkdir(parents=True)
    a_store(store)
    archive = tmp_path / "host.tar"
    entries = backing_up.pack(archive, [str(path) for path in root.rglob("*") if path.is_file()], {})
    return tmp_path, root, archive, entries, str(store)


def wipe(root):
    for path in sorted(root.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def test_what_was_wiped_comes_back_as_it_was(host):
    _folder, root, archive, entries, store = host
    before = {path: (path.read_bytes(), path.stat().st_mode) for path in root.rglob("*") if path.is_file()}
    assert archive.stat().st_mode & 0o777 == 0o600
    wipe(root)
    did, _aside = backing_up.unpack(archive, entries, store=store)
    assert len(did) == 3
    for path, (data, mode) in before.items():
        assert path.stat().st_mode == mode
        assert str(path) == store or path.read_bytes() == data


def test_nothing_that_stands_is_overwritten(host):
    _folder, root, archive, entries, store = host
    (root / "etc/secret").write_bytes(b"newer")
    assert backing_up.unpack(archive, entries, store=store) == ([], 0)
    assert (root / "etc/secret").read_bytes() == b"newer"


def test_a_store_from_the_past_delivers_nothing_by_itself_and_gives_no_number_twice(host):
    _folder, root, archive, entries, store = host
    wipe(root)
    _did, set_aside = backing_up.unpack(archive, entries, store=store)
    assert set_aside == 2
    assert rows(store, "SELECT * FROM outbox") == []
    aside = [json.loads(line) for line in open(f"{store}.set-aside.jsonl", encoding="utf-8")]  # noqa: PTH123, SIM115
    assert [item["payload"] for item in aside] == ["<message/>"] * 2
    assert os.stat(f"{store}.set-aside.jsonl").st_mode & 0o777 == 0o600  # noqa: PTH116
    (identity,) = rows(store, "SELECT value FROM meta WHERE name = 'identity'")[0]
    assert identity != "old", "numbers given out since the backup would be given again under the same identity"
    assert rows(store, "SELECT * FROM links") == []
    assert rows(store, "SELECT count(*) FROM seen") == [(1,)], "what was seen keeps repetitions out"


def test_told_to_it_delivers_what_waited(host):
    _folder, root, archive, entries, store = host
    wipe(root)
    assert backing_up.unpack(archive, entries, store=store, deliver_waiting=True)[1] == 0
    assert rows(store, "SELECT id FROM outbox") == [(1,), (2,)]
    assert rows(store, "SELECT * FROM links") == []


def test_a_damaged_archive_or_store_puts_nothing_in_place(host):
    folder, root, archive, entries, store = host
    wipe(root)
    wrong = [{**entry, "sha256": "0" * 64} for entry in entries]
    with pytest.raises(backing_up.BackupError, match="not what the manifest says"):
        backing_up.unpack(archive, wrong, store=store)
    assert not [path for path in root.rglob("*") if path.is_file() and not path.name.startswith(".")]
    broken = folder / "broken"
    broken.write_bytes(b"not a database at all" * 100)
    with pytest.raises(backing_up.BackupError, match="cannot be read"):
        backing_up.guard_store(broken, root / "store.sqlite", deliver_waiting=False)


def test_a_stopped_front_end_s_store_is_copied_without_it(tmp_path):
    a_store(tmp_path / "store.sqlite", waiting=3)
    copy, waiting = backing_up.store_copy(str(tmp_path / "store.sqlite"), str(tmp_path / "no.sock"))
    assert waiting == 3
    assert rows(copy, "SELECT count(*) FROM outbox") == [(3,)]
    assert backing_up.store_copy(str(tmp_path / "none.sqlite"), "") == (None, 0)


# On the controller


def kept(folder, phrase=None):
    part = backup_folder.keep(folder, "fe1", b"archive", phrase)
    backup_folder.write_manifest(folder, {"made_epoch": 0, "hosts": {"fe1": {**part, "entries": []}}})
    return part


def test_a_backup_is_read_back_whole(tmp_path):
    part = kept(tmp_path)
    assert backup_folder.read_manifest(tmp_path)["hosts"]["fe1"]["sha256"] == part["sha256"]
    for path in tmp_path.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path


def test_an_encrypted_one_needs_its_passphrase(tmp_path):
    kept(tmp_path, "correct horse battery")
    data = (tmp_path / "fe1.tar.enc").read_bytes()
    assert b"archive" not in data
    assert backup_folder.decrypt(data, "correct horse battery") == b"archive"
    with pytest.raises(backup_folder.BackupFolderError, match="another passphrase"):
        backup_folder.decrypt(data, "wrong horse battery")
    with pytest.raises(backup_folder.BackupFolderError, match="there is no backup/passphrase"):
        backup_folder.decrypt(data, None)
    with pytest.raises(backup_folder.BackupFolderError, match="changed"):
        backup_folder.decrypt(data[:-1] + bytes([data[-1] ^ 1]), "correct horse battery")


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "fe1.tar").write_bytes(b"other"),
        lambda folder: (folder / "fe1.tar").unlink(),
        lambda folder: (folder / "manifest.json").unlink(),
        lambda folder: (folder / "manifest.json").write_text("{"),
        lambda folder: (folder / "manifest.json").write_text('{"schema": 1, "hosts": []}'),
        lambda folder: (folder / "manifest.json").write_text('{"schema": 9, "hosts": {}}'),
        lambda folder: (folder / "manifest.json").write_text(
            '{"schema": 1, "hosts": {"fe1": {"archive": "../fe1.tar", "sha256": "", "entries": []}}}'
        ),
    ],
)
def test_what_is_not_whole_is_refused(tmp_path, damage):
    kept(tmp_path)
    damage(tmp_path)
    with pytest.raises(backup_folder.BackupFolderError):
        backup_folder.read_manifest(tmp_path)


def test_a_short_passphrase_is_refused(tmp_path):
    path = tmp_path / "secrets.json"
    path.write_text('{"backup/passphrase": "short"}')
    with pytest.raises(backup_folder.BackupFolderError, match="twelve"):
        backup_folder.passphrase(path)
    path.write_text('{"tsig/x": "y"}')
    assert backup_folder.passphrase(path) is None


# Authorities


PHRASE = "twelve characters and more"


@pytest.fixture
def authorities(tmp_path):
    folders = {name: tmp_path / "ca" / name for name in ("link", "public")}
    for name, folder in folders.items():
        folder.mkdir(parents=True)
        (folder / "ca.pem").write_text(f"certificate of {name}")
        (folder / "key.pem").write_text(f"key of {name}")
    (folders["link"] / ".lock").write_text("")
    return folders


def with_authorities(tmp_path, authorities, phrase=PHRASE):
    entry = authority_keeping.keep(tmp_path / "backup", authorities, phrase)
    manifest = {"hosts": {}, "made": "now", authority_keeping.NAME: entry}
    backup_folder.write_manifest(tmp_path / "backup", manifest)
    return backup_folder.read_manifest(tmp_path / "backup")


def test_authorities_are_kept_encrypted_or_not_at_all(tmp_path, authorities):
    assert with_authorities(tmp_path, authorities, phrase=None)[authority_keeping.NAME] is None
    manifest = with_authorities(tmp_path, authorities)
    archive = tmp_path / "backup" / manifest[authority_keeping.NAME]["archive"]
    assert b"key of link" not in archive.read_bytes()
    archive.write_bytes(archive.read_bytes() + b"x")
    backup_folder.write_manifest(tmp_path / "backup", manifest)
    with pytest.raises(backup_folder.BackupFolderError):
        backup_folder.read_manifest(tmp_path / "backup")


def test_a_controller_made_anew_gets_its_authorities_wherever_their_folders_are_now(tmp_path, authorities):
    manifest = with_authorities(tmp_path, authorities)
    elsewhere = {"link": tmp_path / "new" / "link", "public": authorities["public"]}
    absent = authority_keeping.missing(tmp_path / "backup", manifest, elsewhere, PHRASE)
    assert absent == {
        elsewhere["link"] / "ca.pem": b"certificate of link",
        elsewhere["link"] / "key.pem": b"key of link",
    }
    with pytest.raises(backup_folder.BackupFolderError):
        authority_keeping.missing(tmp_path / "backup", manifest, elsewhere, "another one, long enough")


def test_a_folder_in_which_anything_stands_is_left_alone(tmp_path, authorities):
    manifest = with_authorities(tmp_path, authorities)
    (authorities["link"] / "key.pem").unlink()
    assert authority_keeping.missing(tmp_path / "backup", manifest, authorities, PHRASE) == {}


def test_authorities_that_nobody_sealed_are_not_taken(tmp_path, authorities):
    manifest = with_authorities(tmp_path, authorities)
    archive = tmp_path / "backup" / manifest[authority_keeping.NAME]["archive"]
    archive.write_bytes(authority_keeping.collect(authorities))
    with pytest.raises(backup_folder.BackupFolderError, match="not encrypted"):
        authority_keeping.missing(tmp_path / "backup", manifest, {"link": tmp_path / "new"}, PHRASE)
