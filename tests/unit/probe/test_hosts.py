"""The way to the hosts: what is sent is what arrives, and whatever goes wrong is one sentence with a host's name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.probe.lab_of_paper import Paper

from xmppgw.probe.hosts import Hosts, LabError, read_engine, read_outputs


@pytest.fixture
def hosts(paper: Paper) -> Iterator[Hosts]:
    with Hosts(read_outputs(paper.folder / ".lab" / "outputs.json"), paper.folder) as hosts:
        yield hosts


def test_words_and_input_arrive_as_they_were(paper: Paper, hosts: Hosts) -> None:
    paper.says({"host": "fe1", "says": "printf", "out": "done"})
    assert hosts.run("fe1", ["printf", 'it\'s $HOME; "x"'], stdin=b"a\nb") == b"done"
    (call,) = paper.calls()
    assert call["command"] == "printf 'it'\"'\"'s $HOME; \"x\"'"
    assert call["given"] == "a\nb"


def test_only_a_host_whose_key_is_known_is_spoken_to(paper: Paper, hosts: Hosts) -> None:
    words = hosts.command("fe1", ["true"])
    assert words[-2:] == ["root@fe1", "true"]
    assert {"StrictHostKeyChecking=yes", "BatchMode=yes", "ProxyCommand=nc %h %p"} <= set(words)
    assert f"UserKnownHostsFile={paper.folder}/.lab/known_hosts" in words


def test_a_failure_says_which_host_and_its_last_words(paper: Paper, hosts: Hosts) -> None:
    paper.says({"host": "fe1", "says": "ls", "err": "one\nno such file\n", "status": 2})
    with pytest.raises(LabError, match=r"^fe1: no such file$"):
        hosts.run("fe1", ["ls"])


def test_a_failure_without_words_says_its_status(paper: Paper, hosts: Hosts) -> None:
    paper.says({"host": "fe1", "says": "false", "status": 5})
    with pytest.raises(LabError, match=r"^fe1: exit status 5$"):
        hosts.run("fe1", ["false"])


def test_a_host_that_does_not_answer_is_given_up(paper: Paper, hosts: Hosts) -> None:
    paper.says({"host": "fe1", "says": "hang", "seconds": 30})
    with pytest.raises(LabError, match="fe1: no answer within 0 s to: hang"):
        hosts.run("fe1", ["hang"], wait_s=0.2)


def test_a_host_that_is_not_there(hosts: Hosts) -> None:
    with pytest.raises(LabError, match="the lab has no host fe9"):
        hosts.run("fe9", ["true"])


def test_no_ssh_on_this_machine(hosts: Hosts, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(LabError, match="ssh cannot be started"):
        hosts.run("fe1", ["true"])


def test_hosts_are_found_by_group_in_order(hosts: Hosts) -> None:
    assert (hosts.in_group("edges"), hosts.in_group("nothing")) == (["edge1"], [])


def test_at_the_end_every_kept_connection_is_closed_once(paper: Paper) -> None:
    paper.says({"host": "fe1", "says": "true"}, {"host": "users", "says": "true"})
    with Hosts(read_outputs(paper.folder / ".lab" / "outputs.json"), paper.folder) as hosts:
        sockets = next(Path(word.split("=")[1]).parent for word in hosts.command("fe1", []) if "ControlPath" in word)
        for name in ("fe1", "users", "fe1"):
            hosts.run(name, ["true"])
    closed = [call["host"] for call in paper.calls() if "-O" in call["arguments"]]
    assert closed == ["fe1", "users"]
    assert not sockets.exists()


def test_without_a_lab_it_is_said_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="make lab-up"):
        read_outputs(tmp_path / "outputs.json")


@pytest.mark.parametrize("text", ["", "[]", '{"hosts": {}}', '{"hosts": {"fe1": {}}, "ssh": {}}'])
def test_outputs_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "outputs.json").write_text(text)
    with pytest.raises(LabError, match=r"outputs\.json: .*make lab-down"):
        read_outputs(tmp_path / "outputs.json")


def test_the_engine_is_named_where_it_was_noted(tmp_path: Path) -> None:
    assert read_engine(tmp_path) == ""
    (tmp_path / "engine").write_text("standalone")
    assert read_engine(tmp_path) == "standalone"
