"""A host goes to another release and comes back by itself; nothing is touched by what cannot work."""

import json

import pytest
from ansible_collections.xmppgw.migration.plugins.module_utils import release_switching as releases


class Host:
    """A daemon that is well or not, by release."""

    def __init__(self, prefix, well=("1.0+aaa", "2.0+bbb"), accepts=None, starts=("1.0+aaa", "2.0+bbb")):
        self.prefix, self.well, self.refusal, self.starts = prefix, well, accepts, starts
        self.heard, self.running = [], "1.0+aaa"
        for name in ("1.0+aaa", "2.0+bbb"):
            (prefix / name).mkdir()
            (prefix / name / "release.json").write_text(json.dumps({"version": name[:3]}))
        releases.point(prefix, "current", "1.0+aaa")

    @property
    def current(self):
        return releases.target_of(self.prefix, "current")

    def accepts(self, folder):
        self.heard.append(f"check {folder.name}")
        return self.refusal

    def drain(self):
        self.heard.append("drain")
        return "everything was finished"

    def restart(self):
        self.heard.append(f"restart {self.current}")
        self.running = self.current
        if self.current not in self.starts:
            raise OSError("exit 203")

    def healthy(self):
        return self.current in self.well, f"status of {self.current}"

    def switch(self, name):
        return releases.switch(
            self.prefix,
            name,
            accepts=self.accepts,
            drain=self.drain,
            restart=self.restart,
            healthy=self.healthy,
            runs_current=lambda: self.running == self.current,
        )


def test_it_is_drained_before_it_is_restarted_and_the_old_release_stays(tmp_path):
    host = Host(tmp_path)
    assert host.switch("2.0+bbb")
    assert host.heard == ["check 2.0+bbb", "drain", "restart 2.0+bbb"]
    assert (host.current, releases.target_of(tmp_path, "previous")) == ("2.0+bbb", "1.0+aaa")
    assert (tmp_path / "1.0+aaa/release.json").exists()
    assert host.switch("2.0+bbb") == []


def test_back_and_forth(tmp_path):
    host = Host(tmp_path)
    host.switch("2.0+bbb")
    host.switch("1.0+aaa")
    assert (host.current, releases.target_of(tmp_path, "previous")) == ("1.0+aaa", "2.0+bbb")


class KilledError(BaseException):
    """The module is killed: nothing of it goes on."""


def killed_before(monkeypatch, link):
    """Let the module be killed as it is about to point this link."""
    point = releases.point

    def until_then(prefix, name, target):
        if name == link:
            raise KilledError
        point(prefix, name, target)

    monkeypatch.setattr(releases, "point", until_then)


def test_a_kill_between_the_two_links_leaves_no_release_before_that_never_ran(tmp_path, monkeypatch):
    host = Host(tmp_path)
    (tmp_path / "previous").symlink_to("0.9+000")
    killed_before(monkeypatch, "current")
    with pytest.raises(KilledError):
        host.switch("2.0+bbb")
    assert (host.current, releases.target_of(tmp_path, "previous")) == ("1.0+aaa", "1.0+aaa")
    monkeypatch.undo()
    host.switch("2.0+bbb")
    assert (host.current, releases.target_of(tmp_path, "previous")) == ("2.0+bbb", "1.0+aaa")


def test_what_a_killed_run_had_switched_to_is_started_and_seen_well(tmp_path):
    """Not taken for done because its link is right: the old release still runs."""
    host = Host(tmp_path)
    host.restart = lambda: (_ for _ in ()).throw(KilledError())
    with pytest.raises(KilledError):
        host.switch("2.0+bbb")
    assert (host.current, host.running) == ("2.0+bbb", "1.0+aaa")
    assert releases.target_of(tmp_path, "previous") == "1.0+aaa"
    del host.restart
    assert host.switch("2.0+bbb") == ["started 2.0+bbb, which an earlier run had switched to"]
    assert host.running == "2.0+bbb"
    assert host.switch("2.0+bbb") == []


def test_what_a_killed_run_had_switched_to_must_be_well_before_the_next_host(tmp_path):
    host = Host(tmp_path, well=("1.0+aaa",))
    releases.point(tmp_path, "current", "2.0+bbb")
    with pytest.raises(releases.SwitchError, match=r"2\.0\+bbb was the current release already and is not well"):
        host.switch("2.0+bbb")


def test_a_link_that_cannot_be_made_changes_neither(tmp_path, monkeypatch):
    host, point = Host(tmp_path), releases.point
    releases.point(tmp_path, "previous", "0.9+000")

    def full(prefix, name, target):
        if target == "2.0+bbb":
            raise OSError("No space left on device")
        point(prefix, name, target)

    monkeypatch.setattr(releases, "point", full)
    with pytest.raises(releases.SwitchError, match=r"No space left.*1\.0\+aaa is back and well"):
        host.switch("2.0+bbb")
    assert (host.current, releases.target_of(tmp_path, "previous")) == ("1.0+aaa", "0.9+000")
    assert host.heard[-1] == "restart 1.0+aaa", "it was drained, and serves again"


@pytest.mark.parametrize("how", ["not well", "does not start"])
def test_what_is_not_well_is_taken_back_at_once(tmp_path, how):
    kept = ("1.0+aaa",)
    host = Host(tmp_path, well=kept) if how == "not well" else Host(tmp_path, starts=kept)
    releases.point(tmp_path, "previous", "0.9+000")
    with pytest.raises(releases.SwitchError, match=r"1\.0\+aaa is back and well"):
        host.switch("2.0+bbb")
    assert host.current == "1.0+aaa"
    assert host.heard[-1] == "restart 1.0+aaa"
    assert releases.target_of(tmp_path, "previous") == "0.9+000"


def test_if_the_old_one_is_not_well_either_both_are_said(tmp_path):
    host = Host(tmp_path, well=())
    with pytest.raises(releases.SwitchError, match=r"not well either: status of 1\.0\+aaa"):
        host.switch("2.0+bbb")
    assert host.current == "1.0+aaa"


def test_a_release_that_refuses_the_configuration_is_never_started(tmp_path):
    host = Host(tmp_path, accepts="settings-key: unknown")
    with pytest.raises(releases.SwitchError, match="Nothing was changed"):
        host.switch("2.0+bbb")
    assert host.heard == ["check 2.0+bbb"]


def test_a_release_that_is_not_installed_is_refused(tmp_path):
    host = Host(tmp_path)
    (tmp_path / "3.0+ccc").mkdir()
    with pytest.raises(releases.SwitchError, match="not installed"):
        host.switch("3.0+ccc")
    assert host.heard == []
    assert releases.installed(tmp_path) == ["1.0+aaa", "2.0+bbb"]
