"""The users' table: what is written is read, in any layout, and everything else is refused by its code."""

from __future__ import annotations

import contextlib
import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmppgw.policy import users as users_module
from xmppgw.policy.index import IndexProblem, UserIndex, build_index
from xmppgw.policy.users import User, UsersProblem, key_of, read_users, sip_address, write_users

ALICE = User("alice@corp.example", "pool.corp.example", "Redmond", "FedPic")
BOB = User("bob@corp.example", enabled=False, survivable_branch=True, hosting="cloud", blank_name=True)


def table(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "users.table"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = table(tmp_path, b"".join(write_users([ALICE, BOB])))
    assert list(read_users(path)) == [ALICE, BOB]
    assert json.loads(path.read_bytes())["users"][0]["policy"] == "FedPic"


@pytest.mark.parametrize("indent", [None, 0, 4])
def test_the_layout_does_not_matter(tmp_path: Path, indent: int | None) -> None:
    value = json.loads(b"".join(write_users([ALICE, BOB])))
    assert list(read_users(table(tmp_path, json.dumps(value, indent=indent)))) == [ALICE, BOB]


def test_an_empty_table_is_one(tmp_path: Path) -> None:
    assert list(read_users(table(tmp_path, b"".join(write_users([]))))) == []


def test_many_users_cross_the_bounds_of_what_is_in_memory(tmp_path: Path) -> None:
    users = [User(f"user{number:06}@corp.example", pool="p" * 200 + ".example") for number in range(12_000)]
    path = table(tmp_path, b"".join(write_users(users)))
    assert path.stat().st_size > 2 * 1_048_576
    assert list(read_users(path)) == users


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("", "users-cut-off", 1),
        ("[]", "users-json", 1),
        ('{"users": []}', "users-schema", 1),
        ('{"schema": 2, "users": []}', "users-schema", 1),
        ('{"schema": true, "users": []}', "users-schema", 1),
        ('{"schema": 1, "user": []}', "users-schema", 1),
        ('{"schema": 1, "users": {}}', "users-json", 1),
        ('{"schema": 1, "users": [\n{"user": "alice@corp.example"}', "users-cut-off", 2),
        ('{"schema": 1, "users": [\n{"user": "alice@corp.exam', "users-cut-off", 2),
        ('{"schema": 1, "users": [\n{"user": "alice@corp.example"}]', "users-cut-off", 2),
        ('{"schema": 1, "users": []} {}', "users-json", 1),
        ('{"schema": 1, "users": [{"user": "a@corp.example", "user": "b@corp.example"}]}', "users-json", 1),
        ('{"schema": 1, "users": [{"user": "alice@corp.example", "colour": "red"}]}', "users-value", 1),
        ('{"schema": 1, "users": [{"user": "alice@corp.example", "enabled": 1}]}', "users-value", 1),
        ('{"schema": 1, "users": [{"user": "alice@corp.example", "hosting": "moon"}]}', "users-value", 1),
        ('{"schema": 1, "users": [{"user": "alice"}]}', "users-value", 1),
        ('{"schema": 1, "users": [{"user": "Alice@corp.example"}]}', "users-value", 1),
        ('{"schema": 1, "users": [{"user": "sip:alice@corp.example"}]}', "users-value", 1),
        ('{"schema": 1, "users": [7]}', "users-value", 1),
        ('{"schema": 1, "users": [\n{"user": "b@corp.example"},\n{"user": "a@corp.example"}]}', "users-order", 3),
        ('{"schema": 1, "users": [\n{"user": "b@corp.example"},\n{"user": "b@corp.example"}]}', "users-order", 3),
        ('{"schema": 1, "users": [' + "[" * 100_000, "users-json", 1),
        ('{"schema": 1, "users": [' + '"' + "a" * 2_000_000, "users-json", 1),
        ('{"schema": 1, "users": [' + "9" * 10_000 + "]}", "users-json", 1),
        ('{"schema": 1, "users": [NaN]}', "users-json", 1),
        (b"\xff\xfe{\0", "users-json", 0),
    ],
    ids=itertools.count(),
)
def test_what_is_wrong_is_refused_by_its_code(tmp_path: Path, text: str | bytes, code: str, line: int) -> None:
    with pytest.raises(UsersProblem) as problem:
        list(read_users(table(tmp_path, text)))
    assert (problem.value.code, problem.value.line) == (code, line), str(problem.value)


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsersProblem) as problem:
        list(read_users(tmp_path / "none.json"))
    assert problem.value.code == "users-unreadable"


@given(st.binary(max_size=400))
def test_no_bytes_end_in_anything_but_a_refusal(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("users") / "users.table"
    for text in (data, b'{"schema": 1, "users": [' + data):
        path.write_bytes(text)
        # Raises nothing else: a draw may happen to be a table.
        with contextlib.suppress(UsersProblem):
            list(read_users(path))


@pytest.mark.parametrize(
    ("written", "address", "key"),
    [
        ("sip:Alice@Corp.Example", "alice@corp.example", "alice@corp.example"),
        ("SIP:o'hara@corp.example", "o'hara@corp.example", "o\\27hara@corp.example"),
        ("o%27hara@corp.example", "o'hara@corp.example", "o\\27hara@corp.example"),
        ("jürgen@corp.example", "j%C3%BCrgen@corp.example", "jürgen@corp.example"),
        ("+49301234@corp.example", "+49301234@corp.example", "+49301234@corp.example"),
    ],
)
def test_one_address_has_one_form(written: str, address: str, key: str) -> None:
    assert sip_address(written) == address
    assert sip_address(address) == address
    assert key_of(address) == key


@pytest.mark.parametrize(
    "written",
    ["", "alice", "@corp.example", "alice@", " alice@corp.example", "alice@corp.example:5061", "a@b;c=d", "\ud800@b.c"],
)
def test_what_is_no_address_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        sip_address(written)


def test_the_index_finds_every_user_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "users.sqlite"
    ohara = User("o'hara@corp.example", policy="None")
    assert build_index([ALICE, BOB, ohara], path) == 3
    index = UserIndex(path)
    assert index.find("alice@corp.example") == ALICE
    assert index.find("bob@corp.example") == BOB
    assert index.find("o\\27hara@corp.example") == ohara
    assert index.find("eve@corp.example") is None
    index.close()


def test_who_has_the_old_index_open_keeps_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "users.sqlite"
    build_index([ALICE], path)
    old = UserIndex(path)
    build_index([BOB], path)
    new = UserIndex(path)
    assert (old.find(ALICE.user), new.find(ALICE.user)) == (ALICE, None)
    old.close()
    new.close()
    assert [each.name for each in tmp_path.iterdir()] == ["users.sqlite"]


def test_a_table_that_breaks_off_leaves_the_index_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "users.sqlite"
    build_index([ALICE], path)
    before = path.read_bytes()
    broken = table(tmp_path, b"".join(write_users([ALICE, BOB]))[:-30])
    with pytest.raises(UsersProblem):
        build_index(read_users(broken), path)
    assert path.read_bytes() == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["users.sqlite", "users.table"]


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + b"\0" * 200])
def test_what_is_no_index_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "users.sqlite"
    path.write_bytes(content)
    with pytest.raises(IndexProblem):
        UserIndex(path)
    with pytest.raises(IndexProblem):
        UserIndex(tmp_path / "none.sqlite")


GOOD = '{"user":"b@corp.example","pool":"p.corp.example","policy":"Fed"}'


@pytest.mark.parametrize(
    "middle",
    [
        GOOD,
        '{"user": "b@corp.example"}',
        '{"user":"b@corp.example","policy":":colon"}',
        '{"user":"b@corp.example","policy":"with \\"quotes\\": inside"}',
        '{"user":"b@corp.example","policy":"{braces}"}',
        '{"user":"b@corp.example","policy":"Z\u00fcrich"}',
        '{"user":"b@corp.example","user":"b@corp.example"}',
        '{"user":"b@corp.example","policy" :"x","policy":"y"}',
        '{"user":"b@corp.example","nobody":"knows"}',
        '{"user":"b@corp.example","enabled":"yes"}',
        '{"user":"b@corp.example","hosting":"moon"}',
        '{"user":"B@corp.example"}',
        '{"user":"b@xn--x.example"}',
        '{"user":"sip:b@corp.example"}',
        '{"user":"a@corp.example"}',
        '{"user":"z@corp.example"}',
        '{"user":"b@corp.example"',
        '{"user":"b@corp.example"},',
        "[]",
        "null",
        '{"user":"b@corp.example"},{"user":"bb@corp.example"}',
        '{"user":"b@corp.example",\n"pool":"p"}',
        '{"user":\t"b@corp.example"}',
        "",
    ],
)
@pytest.mark.parametrize("end", ["\n]}\n", "\n]", "", "\n]} x"])
def test_many_lines_at_once_are_read_as_each_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, middle: str, end: str
) -> None:
    path = tmp_path / "users.json"
    lines = ['{"user":"a@corp.example"}', middle, '{"user":"c@corp.example"}', '{"user":"d@corp.example"}']
    path.write_text('{"schema": 1, "users": [\n' + ",\n".join(lines) + end, encoding="utf-8")

    def outcome() -> object:
        found: list[User] = []
        try:
            for user in read_users(path):
                found.append(user)
        except UsersProblem as problem:
            return found, problem.code, problem.line, problem.message
        return found

    together = outcome()
    monkeypatch.setattr("xmppgw.policy.users._users", lambda lines: None)
    assert together == outcome()


def test_a_table_as_we_write_it_is_not_read_line_by_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "users.json"
    users = [User(f"user-{number:05}@corp.example", policy="Fed") for number in range(20_000)]
    path.write_bytes(b"".join(write_users(users)))
    alone: list[object] = []
    one_by_one = users_module._user
    monkeypatch.setattr(users_module, "_user", lambda *given: alone.append(given) or one_by_one(*given))
    assert list(read_users(path)) == users
    assert len(alone) == 1, "only the last line has no comma"
