"""`xmppgw user sync` and `xmppgw policy explain`: differences, thresholds, the audit log, and every gate by name."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.exports.powershell import DEPLOYMENT, clixml_of, csv_of, json_of

from xmppgw.cli.program import main
from xmppgw.policy.changes import compare
from xmppgw.policy.index import UserIndex, build_index
from xmppgw.policy.users import User, read_users

SMALL = Path(__file__).parents[1] / "federation/small.yml"


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    folder = tmp_path / "exports"
    folder.mkdir()
    for cmdlet in ("Get-CsUser", "Get-CsPool"):
        (folder / f"{cmdlet}.xml").write_text(clixml_of(cmdlet, DEPLOYMENT[cmdlet]), encoding="utf-8")
    return folder


def sync(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, Any]:
    status = main(["user", "sync", *map(str, arguments), "--format", "json"])
    return status, json.loads(capsys.readouterr().out)


def many(folder: Path, numbers: range, **changes: Any) -> Path:
    user = DEPLOYMENT["Get-CsUser"][0]
    objects = [{**user, "SipAddress": f"sip:user{number}@corp.example", **changes} for number in numbers]
    path = folder / "users.csv"
    path.write_text(csv_of("Get-CsUser", objects))
    return path


def test_a_first_sync_makes_the_table(exports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "users.table"
    status, result = sync(capsys, exports, "--users", table)
    assert (status, result["written"], table.exists()) == (0, False, False), "without --apply nothing is written"
    status, result = sync(capsys, exports, "--users", table, "--apply")
    assert (status, result["written"], result["after"]) == (0, True, 3)
    alice, bob, carol = read_users(table)
    assert alice == User("alice@corp.example", "pool.corp.example", "Redmond", "FedPic")
    assert bob == User("bob@branch.example", "sba1.corp.example", "Berlin", survivable_branch=True, blank_name=True)
    assert carol == User("carol@corp.example", enabled=False, hosting="cloud")


def test_the_table_is_as_old_as_its_export_however_late_it_is_brought_in(
    exports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A migration whose users move by hand believes only what was exported after it asked."""
    table = tmp_path / "users.table"
    for moment in (1_700_000_000, 1_750_000_000):
        os.utime(exports / "Get-CsUser.xml", (moment, moment))
        sync(capsys, exports, "--users", table, "--apply")
        assert table.stat().st_mtime == moment, "also where the export says nothing new"
    os.utime(exports / "Get-CsUser.xml", (1_760_000_000, 1_760_000_000))
    sync(capsys, exports, "--users", table)
    assert table.stat().st_mtime == 1_750_000_000, "without --apply nothing is brought in"


def test_a_second_sync_changes_nothing(exports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "users.table"
    sync(capsys, exports, "--users", table, "--apply")
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir() if each.is_file()}
    assert set(before) == {"users.table", "users.table.audit.jsonl"}
    status, result = sync(capsys, exports, "--users", table, "--apply")
    assert (status, result["written"]) == (0, False)
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir() if each.is_file()} == before


def test_more_change_than_the_threshold_is_refused_and_says_how_much(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "users.table"
    sync(capsys, many(tmp_path, range(100)), "--users", table, "--apply")
    before = table.read_bytes()
    half = many(tmp_path, range(50, 100))
    assert main(["user", "sync", str(half), "--users", str(table), "--apply"]) == 1
    text = capsys.readouterr().out
    assert "50.0 % of the users would change, the limit is 5 %" in text
    assert "--threshold 50" in text
    assert table.read_bytes() == before
    status, result = sync(capsys, half, "--users", table, "--apply", "--threshold", "50")
    assert (status, result["written"], len(result["removed"])) == (0, True, 50)


def test_the_audit_log_says_who_did_what(exports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "users.table"
    sync(capsys, exports, "--users", table, "--apply")
    moved = [{**each, "ExternalAccessPolicy": "Other"} for each in DEPLOYMENT["Get-CsUser"][:1]]
    (exports / "Get-CsUser.xml").write_text(clixml_of("Get-CsUser", moved + DEPLOYMENT["Get-CsUser"][1:]), "utf-8")
    _, result = sync(capsys, exports, "--users", table, "--apply", "--threshold", "100")
    assert [(each["was"]["policy"], each["is"]["policy"]) for each in result["changed"]] == [("FedPic", "Other")]
    first, second = map(json.loads, (tmp_path / "users.table.audit.jsonl").read_text().splitlines())
    assert first["counts"] == {"added": 3, "removed": 0, "changed": 0}
    assert (second["changed"], second["threshold"], second["percent"]) == (["alice@corp.example"], 100, 33.33)
    assert second["who"] and len(second["exports"]) == 2 and second["sha256"] != first["sha256"]


def test_an_export_that_is_cut_off_or_empty_removes_nobody(
    exports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "users.table"
    sync(capsys, exports, "--users", table, "--apply")
    before = table.read_bytes()
    export = exports / "Get-CsUser.xml"
    whole = export.read_text()
    for broken in (whole[: len(whole) // 2], clixml_of("Get-CsUser", [])):
        export.write_text(broken)
        status, problems = sync(capsys, exports, "--users", table, "--apply", "--threshold", "1000")
        assert status == 2, problems
        assert table.read_bytes() == before


def test_one_user_twice_in_an_export_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export = tmp_path / "u.json"
    export.write_text(json_of([DEPLOYMENT["Get-CsUser"][0]] * 2))
    status, problems = sync(capsys, export, "--users", tmp_path / "users.table", "--apply")
    assert (status, {each["code"] for each in problems}) == (2, {"export-duplicate"})


def test_a_damaged_table_is_not_replaced_silently(
    exports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "users.table"
    table.write_text('{"schema": 1, "users": [')
    status, problems = sync(capsys, exports, "--users", table, "--apply")
    assert (status, [each["code"] for each in problems]) == (2, ["users-cut-off"])


def test_a_branch_pool_can_be_named_where_no_export_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export, table = many(tmp_path, range(2)), tmp_path / "users.table"
    _, result = sync(capsys, export, "--users", table)
    assert [each["code"] for each in result["not_carried"]] == ["lost-topology"]
    sync(capsys, export, "--users", table, "--apply", "--branch-pool", "Pool.corp.example")
    assert all(each.survivable_branch for each in read_users(table))


def test_the_index_is_built_once(exports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, index = tmp_path / "users.table", tmp_path / "users.sqlite"
    sync(capsys, exports, "--users", table, "--apply")
    arguments = ["user", "index", "--users", str(table), "--output", str(index)]
    assert main(arguments) == 0
    assert "3 users" in capsys.readouterr().out
    assert main(arguments) == 0
    assert "up to date" in capsys.readouterr().out
    index.write_bytes(b"")
    assert main(arguments) == 0
    assert "3 users" in capsys.readouterr().out
    assert main(["user", "index", "--users", str(tmp_path / "none"), "--output", str(index)]) == 2


def test_the_index_follows_a_table_that_an_older_export_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An export of this morning is brought in after the index was built at noon: the table is of this morning then."""
    table, index = tmp_path / "users.table", tmp_path / "users.sqlite"
    arguments = ["user", "index", "--users", str(table), "--output", str(index)]
    for count in (40, 41):
        export = many(tmp_path, range(count))
        os.utime(export, (1_700_000_000 + count, 1_700_000_000 + count))
        assert sync(capsys, export, "--users", table, "--apply")[0] == 0
        assert table.stat().st_mtime < 1_700_000_100
        assert main(arguments) == 0
        assert f"{count} users" in capsys.readouterr().out
    os.utime(table)
    assert main(arguments) == 0
    assert "up to date" in capsys.readouterr().out, "the same table at another time is the same table"


def test_an_index_that_does_not_say_of_what_is_built_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, index = tmp_path / "users.table", tmp_path / "users.sqlite"
    sync(capsys, many(tmp_path, range(2)), "--users", table, "--apply")
    build_index(read_users(table), index)
    arguments = ["user", "index", "--users", str(table), "--output", str(index)]
    assert main(arguments) == 0
    assert "2 users" in capsys.readouterr().out
    with contextlib.closing(sqlite3.connect(index)) as older:
        older.execute("DROP TABLE meta")
        older.commit()
    with contextlib.closing(UserIndex(index)) as opened:
        assert (opened.find("user1@corp.example") is not None, opened.table()) == (True, "")
    assert main(arguments) == 0
    assert "2 users" in capsys.readouterr().out


PEOPLE = st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(("", "one", "two")))


@given(PEOPLE, PEOPLE)
def test_the_changes_are_those_between_the_tables(old: dict[str, str], new: dict[str, str]) -> None:
    def table(users: dict[str, str]) -> list[User]:
        return [User(f"{name}@corp.example", policy=users[name]) for name in sorted(users)]

    found = compare(table(old), table(new))
    assert (found.before, found.after) == (len(old), len(new))
    assert {each[0] for each in found.added} == set(new) - set(old)
    assert {each[0] for each in found.removed} == set(old) - set(new)
    assert {was.user[0] for was, _ in found.changed} == {name for name in set(old) & set(new) if old[name] != new[name]}


def explain(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, Any]:
    status = main(["policy", "explain", *map(str, arguments), "--format", "json"])
    return status, json.loads(capsys.readouterr().out)


def gates(result: Any) -> dict[str, str]:
    return {each["name"]: each["state"] for each in result["gates"]}


@pytest.fixture
def governed(exports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A document with policies of all scopes, and its users' table."""
    sync(capsys, exports, "--users", tmp_path / "users.table", "--apply")
    text = SMALL.read_text().rstrip() + "\n  users: {export: users.table}\n"
    sites = (
        "  access_policies:\n"
        "    sites: [{name: Redmond, enable_federation_access: true}]\n"
        "    users: [{name: FedPic, enable_federation_access: true, enable_xmpp_access: true}]"
    )
    path = tmp_path / "federation.yml"
    path.write_text(text.replace("  access_policies:", sites))
    return path


def test_the_policy_of_the_user_beats_the_others(governed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, result = explain(capsys, "sip:Alice@corp.example", "--document", governed, "--partner", "partner1.example")
    assert (status, result["policy"], result["scope"]) == (0, "tag:FedPic", "user")
    assert gates(result)["access policy tag:FedPic"] == "open"
    assert gates(result)["allowed partner"] == "open"


def test_every_closed_gate_is_named_with_what_to_change(governed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("bob@branch.example", "--document", governed, "--partner", "chat.partner1.example")
    status, result = explain(capsys, *arguments)
    closed = {each["name"] for each in result["gates"] if each["state"] == "closed"}
    assert status == 1
    assert closed == {"XMPP route", "user (user-survivable-branch)", "allowed partner"}
    assert all(each["change"] for each in result["gates"] if each["state"] == "closed")
    status, result = explain(capsys, "nobody@corp.example", "--document", governed)
    assert (status, gates(result)["user (user-unknown)"]) == (1, "closed")


def test_without_a_table_the_user_is_unknown_not_open(capsys: pytest.CaptureFixture[str]) -> None:
    status, result = explain(capsys, "alice@corp.example", "--document", SMALL)
    assert (status, gates(result)["user"], result["policy"]) == (0, "unknown", "Global")


def test_the_text_says_who_decided(governed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "explain", "alice@corp.example", "--document", str(governed)]) == 0
    assert "Decided by tag:FedPic (scope user)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["alice", "--document", str(SMALL)], "wrong-user"),
        (["alice@corp.example", "--document", "none.yml"], "file-missing"),
        (["alice@corp.example", "--document", str(SMALL), "--partner", "a b"], "wrong-name"),
        (["alice@corp.example", "--document", str(SMALL), "--users", "none.json"], "users-unreadable"),
    ],
)
def test_bad_input_is_refused_by_its_code(arguments: list[str], code: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, problems = explain(capsys, *arguments)
    assert (status, [each["code"] for each in problems]) == (2, [code])
