"""`upgrade.yml -e back=true` has one end for each host, whatever was stopped or killed before it."""

import json

import pytest
from ansible_collections.xmppgw.migration.plugins.module_utils import release_switching as releases
from ansible_collections.xmppgw.migration.plugins.module_utils.chain import read_history
from ansible_collections.xmppgw.migration.plugins.plugin_utils import upgrading
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError

BEFORE, OLD, NEW, NEWER = "0.9+000000000000", "1.0+aaaaaaaaaaaa", "2.0+bbbbbbbbbbbb", "3.0+cccccccccccc"
HOSTS = ["fe1", "edge1", "edge2"]
"""In the order in which upgrade.yml takes them."""
SERVICES = dict.fromkeys(HOSTS, "xmppgw.service")


class KilledError(BaseException):
    """The run is killed: nothing of it goes on, on no host."""


class Fleet:
    """Three hosts with real links and the journal, walked as upgrade.yml walks them."""

    def __init__(self, folder, previous=BEFORE):
        self.folder, self.records, self.noted = folder, [], []
        self.unwell, self.switched, self.failed = set(), [], set()
        self.kill = lambda host, moment: None
        self.running = dict.fromkeys(HOSTS, OLD)
        for host in HOSTS:
            for name in (BEFORE, OLD, NEW, NEWER):
                (folder / host / name).mkdir(parents=True)
                (folder / host / name / "release.json").write_text(json.dumps({}))
            self.put(host, OLD, previous)

    def put(self, host, current, previous=None):
        """Let a host have these links, and run the first."""
        for name, target in (("current", current), ("previous", previous)):
            if target:
                releases.point(self.folder / host, name, target)
        self.running[host] = current

    def currents(self):
        return [releases.target_of(self.folder / host, "current") for host in HOSTS]

    def seen(self):
        """What `host_state` sees."""
        found = {}
        for host in HOSTS:
            version, wheels = releases.target_of(self.folder / host, "current").split("+")
            state = "enabled" if self.running[host] == f"{version}+{wheels}" else "enabled, outdated"
            found[host] = {
                "version": version,
                "wheels": wheels + "0" * 52,
                "previous": releases.target_of(self.folder / host, "previous"),
                "releases": releases.installed(self.folder / host),
                "units": {"xmppgw.service": "enabled, failed" if host in self.failed else state},
            }
        return found

    def plan_back(self):
        return upgrading.back(self.seen(), read_history(self.records), SERVICES)

    def to(self, release):
        return self.walk(upgrading.forth(self.seen(), release), back=False)

    def back(self):
        moves, found, _say = self.plan_back()
        if found:
            self.records.append({"event": "upgrade_found", "hosts": found})
        return self.walk(moves, back=True)

    def walk(self, moves, *, back):
        """Return the hosts that were switched, and how it ended."""
        self.switched, self.noted = [], []
        for host in [host for host in HOSTS if host in moves]:
            way = moves[host]
            self.records += [*self.noted, {"event": "upgrade_begun", "host": host, **way, "back": back}]
            self.noted = []
            self.kill(host, "announced")
            try:
                did = self.switch(host, way["to"])
            except releases.SwitchError as problem:
                return self.switched, f"stopped at {host}: {problem}"
            self.switched += [host] if did else []
            self.noted = [{"event": "upgraded", "host": host, "from": way["from"], "to": way["to"]}]
            self.kill(host, "done")
        self.records += self.noted
        return self.switched, "done"

    def switch(self, host, name):
        prefix = self.folder / host

        def restart():
            self.kill(host, "pointed")
            self.running[host] = releases.target_of(prefix, "current")

        def healthy():
            self.kill(host, "started")
            return (host, self.running[host]) not in self.unwell, f"status of {self.running[host]}"

        return releases.switch(
            prefix,
            name,
            accepts=lambda folder: None,
            drain=lambda: "everything was finished",
            restart=restart,
            healthy=healthy,
            runs_current=lambda: self.running[host] == releases.target_of(prefix, "current"),
        )

    def killed(self, run, host, moment):
        """Let a run be killed at a moment of a host."""

        def kill(there, then):
            if (there, then) == (host, moment):
                raise KilledError

        self.kill = kill
        with pytest.raises(KilledError):
            run()
        self.kill = lambda host, moment: None


@pytest.fixture
def fleet(tmp_path):
    return Fleet(tmp_path)


@pytest.fixture
def stopped(fleet):
    """fe1 went to the new release, edge1 was not well with it and was taken back, edge2 was never reached."""
    fleet.unwell = {("edge1", NEW)}
    switched, end = fleet.to(NEW)
    assert switched == ["fe1"]
    assert end.startswith("stopped at edge1")
    assert fleet.currents() == [NEW, OLD, OLD]
    return fleet


def test_after_a_stopped_upgrade_only_who_was_upgraded_goes_back(stopped):
    assert stopped.plan_back()[2].splitlines() == [
        "One host after another:",
        f"  edge1: stays with {OLD}, which it ran before the newest upgrade",
        f"  edge2: stays with {OLD}, which the newest upgrade did not touch",
        f"  fe1: from {NEW} to {OLD}",
    ]
    assert stopped.back() == (["fe1"], "done")
    assert stopped.currents() == [OLD, OLD, OLD]


def test_the_first_upgrade_ever_can_be_taken_back(tmp_path):
    fleet = Fleet(tmp_path, previous=None)
    fleet.unwell = {("edge1", NEW)}
    fleet.to(NEW)
    assert fleet.back() == (["fe1"], "done")
    assert fleet.currents() == [OLD, OLD, OLD]


def test_a_second_way_back_does_nothing_and_says_so(fleet):
    fleet.to(NEW)
    assert fleet.back() == (HOSTS, "done")
    assert fleet.currents() == [OLD, OLD, OLD]
    assert fleet.plan_back()[2].startswith("Nothing to take back:")
    for _ in range(2):
        assert fleet.back() == ([], "done")
        assert fleet.currents() == [OLD, OLD, OLD]


@pytest.mark.parametrize("moment", ["announced", "pointed", "started", "done"])
@pytest.mark.parametrize("host", HOSTS)
def test_a_way_back_that_was_killed_keeps_its_end(fleet, host, moment):
    fleet.to(NEW)
    fleet.killed(fleet.back, host, moment)
    assert fleet.back()[1] == "done"
    assert fleet.currents() == [OLD, OLD, OLD]
    assert set(fleet.running.values()) == {OLD}, "the daemons run what the links say"
    assert fleet.back() == ([], "done")


@pytest.mark.parametrize("moment", ["announced", "pointed", "started", "done"])
@pytest.mark.parametrize("host", HOSTS)
def test_an_upgrade_that_was_killed_goes_on_or_back(tmp_path, host, moment):
    for name, end in (("on", NEW), ("back", OLD)):
        fleet = Fleet(tmp_path / name)
        fleet.killed(lambda fleet=fleet: fleet.to(NEW), host, moment)
        assert (fleet.to(NEW) if name == "on" else fleet.back())[1] == "done"
        assert fleet.currents() == [end] * 3
        assert set(fleet.running.values()) == {end}
        # Also who had the new release already when the killed upgrade was repeated.
        fleet.back()
        assert fleet.currents() == [OLD] * 3


def test_a_kill_between_the_two_links_loses_nothing(fleet, monkeypatch):
    """Neither the way on nor the way back, whatever `previous` says by then."""
    point = releases.point

    def until_then(prefix, name, target):
        if (prefix.name, name, target) == ("edge1", "current", NEW):
            raise KilledError
        point(prefix, name, target)

    monkeypatch.setattr(releases, "point", until_then)
    with pytest.raises(KilledError):
        fleet.to(NEW)
    monkeypatch.undo()
    assert [releases.target_of(fleet.folder / host, "previous") for host in HOSTS] == [OLD, OLD, BEFORE]
    assert fleet.to(NEW)[1] == "done"
    assert [releases.target_of(fleet.folder / host, "previous") for host in HOSTS] == [OLD, OLD, OLD]
    fleet.back()
    assert fleet.currents() == [OLD, OLD, OLD]


def test_a_host_that_is_not_well_on_the_way_back_holds_it_up_and_keeps_its_end(fleet):
    fleet.to(NEW)
    fleet.unwell = {("edge1", OLD)}
    assert fleet.back()[1].startswith("stopped at edge1")
    assert fleet.currents() == [OLD, NEW, NEW]
    fleet.unwell = set()
    assert fleet.back() == (["edge1", "edge2"], "done")
    assert fleet.currents() == [OLD, OLD, OLD]


def test_who_was_switched_back_by_a_killed_run_must_be_well_before_the_next_host(fleet):
    fleet.to(NEW)
    fleet.killed(fleet.back, "fe1", "started")
    fleet.unwell = {("fe1", OLD)}
    assert fleet.back()[1].startswith(f"stopped at fe1: {OLD} was the current release already and is not well")
    assert fleet.currents() == [OLD, NEW, NEW]


def test_who_was_never_upgraded_need_not_be_well_for_the_others_to_go_back(stopped):
    stopped.unwell, stopped.failed = {("edge1", OLD), ("edge2", OLD)}, {"edge1", "edge2"}
    assert stopped.back() == (["fe1"], "done")


def test_only_the_newest_upgrade_is_taken_back(fleet):
    fleet.to(NEW)
    fleet.unwell = {("edge1", NEWER)}
    fleet.to(NEWER)
    assert fleet.currents() == [NEWER, NEW, NEW]
    for _ in range(2):
        assert fleet.back()[1] == "done"
        assert fleet.currents() == [NEW, NEW, NEW]


def test_an_upgrade_that_goes_on_after_half_a_way_back_is_one(fleet):
    fleet.to(NEW)
    fleet.killed(fleet.back, "edge1", "announced")
    assert fleet.currents() == [OLD, NEW, NEW]
    fleet.killed(lambda: fleet.to(NEW), "fe1", "done")
    fleet.back()
    assert fleet.currents() == [OLD, OLD, OLD]


def test_what_was_taken_back_is_no_part_of_a_later_upgrade_to_the_same_release(fleet):
    """In between migrate.yml installed another, and puts this one on the last host."""
    fleet.to(NEW)
    fleet.back()
    for host in HOSTS:
        fleet.put(host, NEWER)
    fleet.killed(lambda: fleet.to(NEW), "edge1", "done")
    fleet.put("edge2", NEW)
    fleet.back()
    assert fleet.currents() == [NEWER, NEWER, NEW]


def test_who_runs_neither_side_is_left_alone(fleet):
    fleet.to(NEW)
    fleet.put("edge2", NEWER)
    assert f"edge2: stays with {NEWER}, which is neither side of the newest upgrade" in fleet.plan_back()[2]
    assert fleet.back() == (["fe1", "edge1"], "done")
    assert fleet.currents() == [OLD, OLD, NEWER]


def test_where_the_release_before_is_gone_nothing_is_begun(fleet):
    fleet.to(NEW)
    (fleet.folder / "edge2" / OLD / "release.json").unlink()
    with pytest.raises(PictureError, match=rf"edge2 has no {OLD.replace('+', '.')}.*Nothing was changed") as refusal:
        fleet.back()
    assert refusal.value.code == "migration-upgrade"
    assert fleet.currents() == [NEW, NEW, NEW]


# Without records: an older playbook did it


def refused(fleet, words):
    before = fleet.currents()
    with pytest.raises(PictureError, match=words) as refusal:
        fleet.back()
    assert refusal.value.code == "migration-upgrade"
    assert "Nothing was changed" in str(refusal.value)
    assert fleet.currents() == before


@pytest.mark.parametrize("reached", [HOSTS, ["fe1"]])
def test_without_records_each_host_s_own_word_counts_if_all_then_run_the_same(tmp_path, reached):
    fleet = Fleet(tmp_path, previous=None)
    for host in reached:
        fleet.put(host, NEW, OLD)
    assert "the journal knows of no upgrade" in fleet.plan_back()[2]
    assert fleet.back() == (reached, "done")
    assert fleet.currents() == [OLD, OLD, OLD]
    assert fleet.back() == ([], "done"), "its own `previous` now names the release that was left"
    assert fleet.currents() == [OLD, OLD, OLD]


def test_without_records_a_killed_way_back_keeps_its_end_too(fleet):
    for host in HOSTS:
        fleet.put(host, NEW, OLD)
    fleet.killed(fleet.back, "fe1", "done")
    assert fleet.currents() == [OLD, NEW, NEW]
    fleet.back()
    assert fleet.currents() == [OLD, OLD, OLD]


def test_without_records_a_stopped_upgrade_is_refused(fleet):
    fleet.put("fe1", NEW, OLD)
    refused(fleet, f"fe1 {OLD}, edge1|edge1 {BEFORE}, edge2 {BEFORE}, fe1 {OLD}".replace("+", r"\+"))


def test_without_records_and_without_a_release_before_there_is_nothing_to_go_back_to(tmp_path):
    refused(Fleet(tmp_path, previous=None), "nothing to go back to")


@pytest.mark.parametrize(("to", "goes"), [("the release before", False), ("2.0", True)])
def test_what_an_older_playbook_took_back_is_not_turned_round(fleet, to, goes):
    """Its records name versions only; the last of them says whether `previous` is behind or ahead."""
    for host in HOSTS:
        fleet.put(host, NEW, OLD)
        fleet.records += [
            {"event": "upgrade_begun", "host": host, "from": "1.0", "to": to},
            {"event": "upgraded", "host": host, "from": OLD, "to": NEW},
        ]
    if goes:
        assert fleet.back() == (HOSTS, "done")
    else:
        refused(fleet, "was a way back")
