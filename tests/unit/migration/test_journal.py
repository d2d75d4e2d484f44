"""The journal: a chain that shows tampering, a lock that only the dead lose, what a killed run leaves behind."""

import errno
import json
import os
import time

import pytest
from ansible_collections.xmppgw.migration.plugins.module_utils import state_directory
from ansible_collections.xmppgw.migration.plugins.module_utils.chain import (
    ChainError,
    extend,
    missing_tail,
    read_history,
    read_lines,
)
from ansible_collections.xmppgw.migration.plugins.modules import host_state as host_state_module
from ansible_collections.xmppgw.migration.plugins.modules import journal as journal_module
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError
from ansible_collections.xmppgw.migration.plugins.plugin_utils.seen_state import SeenState
from tests.unit.migration.modules import run_module


def text_of(records):
    return "".join(json.dumps(record) + "\n" for record in records)


@pytest.fixture
def records():
    return extend(
        [],
        [
            {"event": "run_started", "n": 7, "time": "then", "who": "ann", "verb": "migrate"},
            {"event": "step_done", "step": 1},
            {"event": "run_finished"},
        ],
    )


def test_a_chain_is_read_back_as_it_was_sealed(records):
    assert read_lines(text_of(records)) == records
    assert [record["n"] for record in records] == [1, 2, 3]


@pytest.mark.parametrize("line", [0, 1, 2])
def test_a_changed_record_is_found_with_its_line(records, line):
    records[line]["event"] = "something else"
    with pytest.raises(ChainError) as caught:
        read_lines(text_of(records))
    assert (caught.value.code, caught.value.line) == ("migration-journal", line + 1)


def test_a_removed_record_is_found(records):
    with pytest.raises(ChainError, match="does not follow"):
        read_lines(text_of([records[0], records[2]]))


def test_a_line_that_a_power_cut_tore_announced_nothing(records):
    torn = text_of(records)[:-20]
    assert read_lines(torn) == records[:2]


def test_a_line_in_the_middle_that_is_not_json_is_refused(records):
    with pytest.raises(ChainError, match="line 2"):
        read_lines(text_of(records[:1]) + "garbage\n" + text_of(records[1:]))


def test_the_copy_gets_what_it_lacks(records):
    assert missing_tail(records, records[:1]) == records[1:]
    assert missing_tail(records, records) == []


def test_a_copy_that_knows_more_than_the_authority_stops_everything(records):
    with pytest.raises(ChainError, match="the authority lost some"):
        missing_tail(records[:2], records)


def test_a_copy_that_differs_stops_everything(records):
    other = extend([], [{"event": "another world"}])
    with pytest.raises(ChainError, match="record 1 differs"):
        missing_tail(records, other)


# What the journal says


def opened(step, actions, digest="d"):
    return {"event": "step_opened", "step": step, "digest": digest, "actions": actions}


def srv(step, before):
    return {"id": f"{step}/srv/corp.example", "kind": "srv", "subject": "corp.example", "before": before, "after": {}}


def test_a_step_counts_only_with_all_before_it():
    assert read_history([{"event": "step_done", "step": step} for step in (1, 3)]).step == 1
    assert read_history([{"event": "step_done", "step": step} for step in (2, 1, 3)]).step == 3


def test_what_stood_before_is_what_stood_before_the_first_time():
    first = {"id": "1/install/fe1", "before": None, "after": "0.1.0"}
    again = {**first, "before": "0.1.0"}
    assert read_history([opened(3, [first]), opened(3, [again])]).before["1/install/fe1"] is None


def test_an_undone_step_takes_its_memory_and_every_plan_with_it():
    history = read_history(
        [
            {"event": "plan_adopted", "digest": "d", "actions": [{"id": "3/homing/alice", "after": "pool-target"}]},
            opened(3, [{"id": "3/homing/alice", "before": "pool-legacy", "after": "pool-target"}]),
            {"event": "step_done", "step": 3},
            {"event": "step_undone", "step": 3},
        ]
    )
    assert (history.done, history.before, history.plans, history.announced) == (set(), {}, {}, {})


def test_proofs_end_when_step_5_is_taken_back():
    proved = {"event": "partner_proved", "partner": "p", "outcome": "S", "why": "", "fingerprint": "f"}
    assert read_history([proved]).proofs["p"]["outcome"] == "S"
    assert read_history([proved, {"event": "step_undone", "step": 5}]).proofs == {}


def test_a_change_of_dns_that_was_announced_but_not_noted_is_remembered_as_unfinished():
    history = read_history([opened(4, [srv(4, {"ttl": 15, "records": []})])])
    assert (history.changing, history.served) == ({"corp.example": 15}, [])


def test_a_change_of_dns_that_was_noted_is_served_history():
    noted = {"event": "rrset_changed", "name": "n", "domain": "corp.example", "ttl_before": 15, "served_until": 99.0}
    history = read_history([opened(4, [srv(4, {"ttl": 15, "records": []})]), noted])
    assert (history.changing, history.served) == ({}, [("n", 15, 99.0)])


# The lock


HELD = {"owner": "ann@here", "host": "here", "pid": 7, "run": "r1", "start_text": "then", "expiry": 1000.0}
WANTED = {"run": "r2"}


NAMELESS = {key: value for key, value in HELD.items() if key != "run"}
"""As an old release may have written it."""


@pytest.mark.parametrize(
    ("held", "now", "gone", "granted", "words"),
    [
        (None, 0.0, "", True, ""),
        ({**HELD, "run": "r2"}, 0.0, "", True, ""),
        (HELD, 900.0, "", False, "it expires in 100 s"),
        (HELD, 900.0, "r1", True, "that process is gone"),
        (HELD, 900.0, "r0", False, "held by ann@here"),
        (HELD, 1010.0, "", True, "it expired 10 s ago"),
        (NAMELESS, 900.0, "", False, "it expires in 100 s"),
        (NAMELESS, 1010.0, "", True, "it expired 10 s ago"),
    ],
)
def test_who_gets_the_lock(held, now, gone, granted, words):
    answer, sentence = state_directory.decide_lock(held, WANTED, now, gone=gone)
    assert answer is granted
    assert words in sentence


@pytest.mark.parametrize(
    ("held", "granted", "words"),
    [
        ({**HELD, "run": "r2"}, True, ""),
        (HELD, False, "was taken over by ann@here"),
        (None, False, "another run took it and gave it back"),
    ],
)
def test_a_run_that_lost_its_lock_does_not_get_it_back(held, granted, words):
    """Not by its expiry either, and not because the run that was gone when it began is named still."""
    answer, sentence = state_directory.decide_lock(held, WANTED, 5000.0, gone="r1", begins=False)
    assert answer is granted
    assert words in sentence


def test_a_lock_without_a_run_is_still_read(tmp_path):
    (tmp_path / "lock.json").write_text(json.dumps(NAMELESS))
    state = state_directory.read_state(tmp_path)
    assert (state["problem"], state["lock"]) == (None, NAMELESS)
    assert begin(tmp_path, "r1")["failed"] is False, "it has expired long ago"


def lock(run):
    return {"owner": "ann@here", "host": "here", "pid": 7, "run": run, "start_text": "then", "seconds": 60}


def begin(folder, run, tail="", **more):
    """Let a run take the lock as the first task of a run does."""
    body = {"event": "run_started", "time": "then", "who": "ann", "verb": "migrate"}
    found = run_module(journal_module, directory=str(folder), bodies=[body], lock=lock(run), expected_tail=tail, **more)
    return {"failed": False, **found}


def go_on(folder, run, **more):
    """Let a run announce something further."""
    found = run_module(journal_module, directory=str(folder), bodies=[{"event": "x"}], lock=lock(run), **more)
    return {"failed": False, **found}


def tail_of(folder):
    return state_directory.read_state(folder)["records"][-1]["hash"]


def expire(folder):
    held = json.loads((folder / "lock.json").read_text())
    (folder / "lock.json").write_text(json.dumps({**held, "expiry": 1.0}))


def test_a_run_that_resumed_a_killed_one_cannot_take_the_lock_from_who_took_it_over(tmp_path):
    """It still says that A's process is gone; A's lock is not what it would take."""
    begin(tmp_path, "a")
    assert begin(tmp_path, "c", tail_of(tmp_path), gone="a")["lock_note"].endswith("that process is gone")
    expire(tmp_path)
    assert "it expired" in begin(tmp_path, "b", tail_of(tmp_path))["lock_note"]
    refused = go_on(tmp_path, "c", gone="a")
    assert (refused["failed"], refused["code"]) == (True, "migration-lock")
    assert "taken over by ann@here" in refused["msg"]
    assert state_directory.read_state(tmp_path)["lock"]["run"] == "b"
    assert go_on(tmp_path, "b")["failed"] is False


def test_of_two_runs_that_found_the_same_process_gone_one_gets_the_lock(tmp_path):
    begin(tmp_path, "a")
    seen = tail_of(tmp_path)
    begin(tmp_path, "c", seen, gone="a")
    held = state_directory.read_state(tmp_path)["lock"]
    assert begin(tmp_path, "b", seen, gone="a")["code"] == "migration-lock"
    assert state_directory.read_state(tmp_path)["lock"] == held


def test_a_run_that_is_refused_leaves_the_lock_as_it_is(tmp_path):
    """The journal grew since it looked, though nobody holds the lock any more."""
    begin(tmp_path, "a")
    expire(tmp_path)
    before = (tmp_path / "lock.json").read_bytes()
    assert begin(tmp_path, "b", "")["code"] == "migration-lock"
    assert (tmp_path / "lock.json").read_bytes() == before


def test_a_run_whose_lock_was_taken_and_given_back_stops(tmp_path):
    begin(tmp_path, "a")
    expire(tmp_path)
    begin(tmp_path, "b", tail_of(tmp_path))
    go_on(tmp_path, "b", release="b")
    assert "gave it back" in go_on(tmp_path, "a")["msg"]


def test_a_lock_that_lapsed_and_that_nobody_took_is_renewed(tmp_path):
    begin(tmp_path, "a")
    expire(tmp_path)
    assert go_on(tmp_path, "a")["failed"] is False
    assert state_directory.read_state(tmp_path)["lock"]["expiry"] > time.time()


def test_the_module_appends_takes_the_lock_and_gives_it_back(tmp_path):
    folder = str(tmp_path / "state")
    first = run_module(
        journal_module, directory=folder, bodies=[{"event": "run_started"}], lock=lock("r1"), expected_tail=""
    )
    assert first["changed"] is False
    assert state_directory.read_state(folder)["lock"]["run"] == "r1"
    run_module(journal_module, directory=folder, bodies=[{"event": "run_finished"}], lock=lock("r1"), release="r1")
    state = state_directory.read_state(folder)
    assert state["lock"] is None
    assert [record["event"] for record in state["records"]] == ["run_started", "run_finished"]
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


def test_the_module_refuses_a_lock_that_somebody_holds(tmp_path):
    run_module(journal_module, directory=str(tmp_path), lock=lock("r1"), expected_tail="")
    refused = begin(tmp_path, "r2")
    assert refused["failed"]
    assert refused["code"] == "migration-lock"
    assert state_directory.read_state(tmp_path)["records"] == []


def test_the_module_refuses_to_write_behind_a_record_it_has_not_seen(tmp_path):
    run_module(journal_module, directory=str(tmp_path), bodies=[{"event": "another run"}])
    refused = run_module(
        journal_module, directory=str(tmp_path), bodies=[{"event": "x"}], lock=lock("r2"), expected_tail=""
    )
    assert refused["code"] == "migration-lock"
    assert "another run is at work" in refused["msg"]


def test_the_copy_takes_sealed_records_once(tmp_path):
    sealed = run_module(journal_module, directory=str(tmp_path / "a"), bodies=[{"event": "x"}, {"event": "y"}])[
        "records"
    ]
    for _ in range(2):
        run_module(journal_module, directory=str(tmp_path / "b"), records=sealed)
    assert (tmp_path / "a" / "journal.jsonl").read_bytes() == (tmp_path / "b" / "journal.jsonl").read_bytes()


def test_the_copy_refuses_a_gap(tmp_path):
    sealed = run_module(journal_module, directory=str(tmp_path / "a"), bodies=[{"event": "x"}, {"event": "y"}])[
        "records"
    ]
    refused = run_module(journal_module, directory=str(tmp_path / "b"), records=sealed[1:])
    assert refused["code"] == "migration-journal"


def test_an_append_after_a_power_cut_goes_on_where_the_last_whole_line_ends(tmp_path):
    run_module(journal_module, directory=str(tmp_path), bodies=[{"event": "x"}])
    with (tmp_path / "journal.jsonl").open("a") as file:
        file.write('{"event": "torn')
    run_module(journal_module, directory=str(tmp_path), bodies=[{"event": "y"}])
    assert [record["event"] for record in state_directory.read_state(tmp_path)["records"]] == ["x", "y"]


NAMED = {"event": "x", "who": "jörg"}


def half_a_character(tmp_path):
    """Leave what a power cut leaves in the middle of a name with an umlaut: octets that are no UTF-8."""
    whole = run_module(journal_module, directory=str(tmp_path), bodies=[NAMED])["records"]
    with (tmp_path / "journal.jsonl").open("ab") as file:
        file.write('{"event":"x","who":"jö'.encode()[:-1])
    return whole


def test_a_line_that_was_torn_inside_a_character_announced_nothing(tmp_path):
    whole = half_a_character(tmp_path)
    state = state_directory.read_state(tmp_path)
    assert (state["records"], state["problem"]) == (whole, None)
    assert run_module(host_state_module, state_directory=str(tmp_path))["seen"]["state"]["records"] == whole


def test_a_line_that_was_torn_inside_a_character_is_cut_with_the_next_append(tmp_path):
    whole = half_a_character(tmp_path)
    run_module(journal_module, directory=str(tmp_path), bodies=[NAMED])
    state = state_directory.read_state(tmp_path)
    assert (len(state["records"]), state["records"][0], state["problem"]) == (2, whole[0], None)


@pytest.mark.parametrize(
    "line",
    [b'{"event":"j\xc3"}', b'{"hash":"0","previous":"' + b"0" * 64 + b'","who":"\\ud800"}', b"[]", b'"hash"'],
)
def test_a_whole_line_that_no_journal_has_is_a_problem_and_no_traceback(tmp_path, line):
    run_module(journal_module, directory=str(tmp_path), bodies=[NAMED])
    with (tmp_path / "journal.jsonl").open("ab") as file:
        file.write(line + b"\n")
    seen = run_module(host_state_module, state_directory=str(tmp_path))["seen"]["state"]
    assert seen["code"] == "migration-journal"
    assert "line 2 is not" in seen["problem"]
    assert run_module(journal_module, directory=str(tmp_path), bodies=[NAMED])["code"] == "migration-journal"


@pytest.mark.parametrize("octets", [b'{"owner":"j\xc3', b"\xff\xfe{\x00}\x00", b"", b"[]", b'{"run": 7}'])
def test_a_lock_that_is_none_is_a_problem_and_no_traceback(tmp_path, octets):
    (tmp_path / "lock.json").write_bytes(octets)
    state = state_directory.read_state(tmp_path)
    assert (state["code"], state["lock"] in (None, [], {"run": 7})) == ("migration-lock", True)
    assert state["problem"]
    assert begin(tmp_path, "r1")["code"] == "migration-lock"


@pytest.mark.parametrize(("name", "code"), [("journal.jsonl", "migration-journal"), ("lock.json", "migration-lock")])
def test_what_cannot_be_read_is_a_problem_and_no_traceback(tmp_path, name, code):
    (tmp_path / name).mkdir()
    seen = run_module(host_state_module, state_directory=str(tmp_path))["seen"]["state"]
    assert seen["code"] == code
    assert "cannot be read (Is a directory)" in seen["problem"]


@pytest.fixture
def full_disk(monkeypatch):
    """A disk that has room for so many octets more, and takes a part of what does not fit, as Linux does."""
    write = os.write

    def fill(room):
        def short(handle, data):
            nonlocal room
            if not room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            written = write(handle, data[:room])
            room -= written
            return written

        monkeypatch.setattr(state_directory.os, "write", short)

    return fill


@pytest.mark.parametrize("room", [0, 1, 40, 250])
def test_on_a_full_disk_nothing_is_announced_and_the_journal_stays_whole(tmp_path, full_disk, monkeypatch, room):
    run_module(journal_module, directory=str(tmp_path), bodies=[NAMED])
    before = (tmp_path / "journal.jsonl").read_bytes()
    full_disk(room)
    refused = run_module(journal_module, directory=str(tmp_path), bodies=[NAMED, NAMED])
    assert (refused["failed"], refused["code"]) == (True, "migration-journal")
    assert "No space left on device" in refused["msg"]
    assert "records" not in refused, "the copy gets nothing that the authority has not"
    assert (tmp_path / "journal.jsonl").read_bytes() == before
    monkeypatch.undo()
    run_module(journal_module, directory=str(tmp_path), bodies=[NAMED])
    assert len(state_directory.read_state(tmp_path)["records"]) == 2


def test_a_write_that_comes_in_parts_is_written_whole(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(state_directory.os, "write", lambda handle, data: write(handle, data[:7]))
    sealed = run_module(journal_module, directory=str(tmp_path), bodies=[NAMED, NAMED])["records"]
    assert state_directory.read_state(tmp_path)["records"] == sealed


def test_what_did_not_reach_the_disk_is_not_announced(tmp_path, monkeypatch):
    run_module(journal_module, directory=str(tmp_path), bodies=[NAMED])
    before = (tmp_path / "journal.jsonl").read_bytes()

    def failing(_handle):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(state_directory.os, "fsync", failing)
    assert run_module(journal_module, directory=str(tmp_path), bodies=[NAMED])["code"] == "migration-journal"
    assert (tmp_path / "journal.jsonl").read_bytes() == before


def test_a_copy_on_a_full_disk_gets_with_the_next_run_what_it_lacks(tmp_path, full_disk, monkeypatch):
    authority, copy = tmp_path / "authority", tmp_path / "copy"
    first = run_module(journal_module, directory=str(authority), bodies=[NAMED, NAMED])["records"]
    full_disk(250)
    assert run_module(journal_module, directory=str(copy), records=first)["code"] == "migration-journal"
    monkeypatch.undo()
    here, there = (state_directory.read_state(folder)["records"] for folder in (authority, copy))
    run_module(journal_module, directory=str(copy), records=missing_tail(here, there))
    assert (copy / "journal.jsonl").read_bytes() == (authority / "journal.jsonl").read_bytes()


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_journal_that_may_not_be_written_is_a_refusal_with_a_code(tmp_path, monkeypatch, number):
    def refuse(*_args, **_more):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(state_directory.tempfile, "mkstemp", refuse)
    refused = begin(tmp_path, "r1")
    assert refused["code"] == "migration-journal"
    assert os.strerror(number) in refused["msg"]
    assert "run again" in refused["msg"]
    assert state_directory.read_state(tmp_path)["records"] == [], "without the lock nothing is announced"


def test_a_lock_that_cannot_be_written_leaves_the_old_one_and_nothing_beside_it(tmp_path, monkeypatch):
    begin(tmp_path, "r1")
    before = (tmp_path / "lock.json").read_bytes()

    def failing(_handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(state_directory.os, "fsync", failing)
    assert go_on(tmp_path, "r1")["code"] == "migration-journal"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["journal.jsonl", "lock.json"]
    assert (tmp_path / "lock.json").read_bytes() == before


def test_check_mode_creates_nothing(tmp_path):
    run_module(journal_module, directory=str(tmp_path / "state"), bodies=[{"event": "x"}], lock=lock("r1"), check=True)
    assert not (tmp_path / "state").exists()


# A front end that was rebuilt


class TwoHosts:
    """The environment of a journal: its authority, its copy, nothing else."""

    authority, copy = "fe1", "edge1"


def state_of(authority, copy, **more):
    rest = {"lock": None, "problem": None}
    seen = {
        "fe1": {"state": {**rest, "present": bool(authority), "records": authority}},
        "edge1": {"state": {**rest, "present": bool(copy), "records": copy}},
    }
    return SeenState(TwoHosts(), seen, **more)


def test_a_lost_journal_is_not_taken_for_a_fresh_start(records):
    with pytest.raises(PictureError, match="take_over=edge1") as caught:
        state_of([], records)
    assert caught.value.code == "migration-journal"


def test_a_lost_journal_is_restored_from_the_copy_that_is_named(records):
    with pytest.raises(PictureError):
        state_of([], records, take_over="elsewhere")
    state = state_of([], records, take_over="edge1")
    assert (state.records, state.restore, state.missing) == (records, records, [])


def test_a_copy_that_was_rebuilt_gets_everything_back(records):
    state = state_of(records, [])
    assert (state.restore, state.missing) == ([], records)


def test_completions_of_this_run_count_before_the_journal_has_them(records):
    assert state_of(records, records).history.step == 1
    assert state_of(records, records, noted=[{"event": "step_done", "step": 2}]).history.step == 2
