"""How a module gets to a host: packed on the controller, unpacked by modules/on_host.py, with nothing of ours there."""

import json
import subprocess
from pathlib import Path

import pytest
from ansible_collections.xmppgw.migration.plugins.module_utils import host_task
from ansible_collections.xmppgw.migration.plugins.modules import on_host
from ansible_collections.xmppgw.migration.plugins.plugin_utils import host_calls
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError

HOST_MODULES = sorted(
    path.stem for path in Path(on_host.__file__).parent.glob("*.py") if "\nARGUMENTS = " in path.read_text("utf-8")
)
MARKS = '"<<INCLUDE_ANSIBLE_MODULE_COMPLEX_ARGS>>"', "<<INCLUDE_ANSIBLE_MODULE_JSON_ARGS>>"


def on_a_host(name, arguments, folder, then="", umask=-1, **more):
    """Run what Ansible sends: its two replacements in on_host.py, on the standard input of a bare Python."""
    text = Path(on_host.__file__).read_text(encoding="utf-8")
    given = json.dumps({**host_calls.carried(name, arguments), **more})
    for mark, by in zip(MARKS, (repr(given.encode()), given), strict=True):
        assert mark in text
        text = text.replace(mark, by)
    return subprocess.run(
        ["/usr/bin/python3", "-I", "-"],
        input=text + then,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=folder,
        umask=umask,
    )


def result(*arguments, **more):
    done = on_a_host(*arguments, **more)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_module_runs_where_nothing_of_ours_is(tmp_path):
    wanted = {"entries": [{"key": "kürbis 'x' \"y\" \\ ''' 🙂", "value": "target"}], "limit": 0}
    found = result("platform_look", wanted, tmp_path)
    assert found["elsewhere"] == [wanted["entries"][0]["key"]], "what it was given arrived as it was"
    assert found["changed"] is False


def test_what_a_hardened_host_makes_can_be_read_by_its_daemons(tmp_path):
    given = {"directory": str(tmp_path / "state"), "bodies": [{"event": "run_opened", "run": "r"}]}
    done = on_a_host("journal", given, tmp_path, then="print(oct(os.umask(0)))\n", umask=0o077)
    assert done.stdout.splitlines()[-1] == "0o22", done.stderr


@pytest.mark.parametrize("name", HOST_MODULES)
def test_all_that_a_module_imports_is_sent_along(name, tmp_path):
    text = Path(on_host.__file__).read_text(encoding="utf-8").replace('if __name__ == "__main__":\n    main()\n', "")
    load = (
        f"sys.meta_path.insert(0, Carried({host_calls.sources(name)!r}))\n"
        f"importlib.import_module('{host_calls.PLUGINS}.modules.{name}').run\n"
    )
    done = subprocess.run(
        ["/usr/bin/python3", "-I", "-"], input=text + load, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_what_a_part_imports_when_it_is_asked_for_is_sent_along():
    sent = {name.rpartition(".")[2] for name in host_calls.sources("host_state")}
    assert {"control", "legacy", "next_hop", "packets", "reaching", "served_certificates", "tables", "chain"} <= sent


def test_no_more_is_sent_than_is_imported():
    assert {name.rpartition(".")[2] for name in host_calls.sources("journal")} == {
        "journal",
        "host_task",
        "state_directory",
        "chain",
    }


def test_the_state_directory_is_written_from_there(tmp_path):
    given = {"directory": str(tmp_path / "state"), "bodies": [{"event": "run_opened", "run": "r"}]}
    (record,) = result("journal", given, tmp_path)["records"]
    assert json.loads((tmp_path / "state" / "journal.jsonl").read_text(encoding="utf-8")) == record


def test_check_mode_reaches_it(tmp_path):
    given = {"directory": str(tmp_path / "state"), "bodies": [{"event": "run_opened", "run": "r"}]}
    assert result("journal", given, tmp_path, _ansible_check_mode=True)["records"] == []
    assert not (tmp_path / "state").exists()
    assert result(
        "prove_partners",
        {"socket": "/none", "partners": [], "own_domains": []},
        tmp_path,
        _ansible_check_mode=True,
    )["skipped"]


def test_what_breaks_in_it_is_an_error_with_its_place(tmp_path):
    done = on_a_host("host_state", {"gateway": {"files": []}}, tmp_path)
    assert done.returncode == 1
    assert not done.stdout
    assert 'plugins.modules.host_state.py", line' in done.stderr
    assert "KeyError" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"entries": "x" * 3, "limit": "soon"}, "soon"),
        ({}, "missing required arguments: entries"),
        ({"entries": [], "table": "homes"}, "homing, route"),
        ({"entries": [], "tabel": "homing"}, "tabel"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_sent(arguments, why):
    with pytest.raises(PictureError, match=why) as refused:
        host_calls.carried("platform_look", arguments)
    assert refused.value.code == "migration-arguments"


def test_a_path_is_one_on_the_host(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    assert host_calls.checked("journal", {"directory": "~/$HOME"})["directory"] == "~/$HOME"


def test_what_was_given_as_a_secret_comes_back_in_no_result():
    given = {"method": "GET", "url": "https://vault.example/", "bearer": "eyJhbGci.secret"}
    said = {"failed": True, "msg": "refused: Bearer eyJhbGci.secret", "more": [{"also": "eyJhbGci.secret"}]}
    shown = host_calls.without_secrets("https_exchange", host_calls.checked("https_exchange", given), said)
    assert "eyJhbGci" not in json.dumps(shown)
    assert shown["failed"] is True


def test_a_result_is_left_alone_where_no_text_was_given_as_a_secret():
    given = {"wave": "0-pilot", "held": {"pool": {"alice": {"contacts": []}}}}
    said = {"path": "/var/lib/xmppgw-migration/waves/0-pilot.json", "users": 1}
    assert host_calls.without_secrets("wave_export", host_calls.checked("wave_export", given), said) == said


def test_a_token_that_is_none_is_refused_without_being_quoted(tmp_path):
    given = {"method": "GET", "url": "https://vault.example/", "bearer": "eyJhbGci.secret\n"}
    done = on_a_host("https_exchange", given, tmp_path)
    assert "line's end" in json.loads(done.stdout)["answer"]["error"]
    assert "eyJhbGci" not in done.stdout + done.stderr


def test_two_that_exclude_each_other_are_refused():
    with pytest.raises(PictureError, match="mutually exclusive"):
        host_calls.checked("journal", {"bodies": [{}], "records": [{}]})


def test_a_module_that_only_falls_off_its_end_is_a_mistake():
    class Silent:
        @staticmethod
        def run(module):
            """Say nothing."""

    with pytest.raises(AssertionError):
        host_task.perform(Silent, {}, check_mode=False)
