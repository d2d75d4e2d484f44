"""A host goes to another release and comes back by itself; nothing is touched by what cannot work."""

import json

import pytest
from ansible_collections.xmppgw.migration.plugins.module_utils import release_switching as releases


class Host:
    """A daemon that is well or not, by release."""

    def __init__(self, prefix, well=("1.0+aaa", "2.0+bbb"), accepts=None, starts=("1.0+aaa", "2.0+bbb")):
        self.prefix, self.well, self.refusal, self.starts = prefix, well, accepts, starts
        self.heard = []
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
        if self.current not in self.starts:
            raise OSError("exit 203")

    def healthy(self):
        return self.current in self.well, f"status of {self.current}"

    def switch(self, name):
        return releases.switch(
            self.prefix, name, accepts=self.accepts, drain=self.drain, restart=self.restart, healthy=self.healthy
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
    with pytest.raises(releases.SwitchError, match="nothing to go back to"):
        releases.destination(tmp_path, release=None, back=True)
    host.switch(releases.destination(tmp_path, release="2.0+bbb", back=False))
    host.switch(releases.destination(tmp_path, release=None, back=True))
    assert (host.current, releases.target_of(tmp_path, "previous")) == ("1.0+aaa", "2.0+bbb")


@pytest.mark.parametrize("how", ["not well", "does not start"])
def test_what_is_not_well_is_taken_back_at_once(tmp_path, how):
    kept = ("1.0+aaa",)
    host = Host(tmp_path, well=kept) if how == "not well" else Host(tmp_path, starts=kept)
    with pytest.raises(releases.SwitchError, match=r"1\.0\+aaa is back and well"):
        host.switch("2.0+bbb")
    assert host.current == "1.0+aaa"
    assert host.heard[-1] == "restart 1.0+aaa"
    assert releases.target_of(tmp_path, "previous") is None


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
    Host(tmp_path)
    with pytest.raises(releases.SwitchError, match="not installed"):
        releases.destination(tmp_path, release="3.0+ccc", back=False)
