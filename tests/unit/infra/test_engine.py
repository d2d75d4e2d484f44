"""The standalone engine against a provider in memory: what it does, in which order, and what survives a kill."""

from __future__ import annotations

from pathlib import Path

import pytest

from standalone.engine import EngineError

from .world import Bench, Killed, thing


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_first_run_creates_and_second_run_does_nothing(bench: Bench) -> None:
    program = [thing("network"), thing("host", after=("network",))]
    assert bench.up(program).summary() == {"create": 2}
    bench.world.calls.clear()
    assert bench.up(program).summary() == {"same": 2}
    assert bench.world.calls == []


def test_a_changed_input_is_one_update(bench: Bench) -> None:
    bench.up([thing("a"), thing("b")])
    engine = bench.up([thing("a", 2), thing("b")])
    assert engine.summary() == {"same": 1, "update": 1}
    assert bench.world.things["a"]["size"] == 2
    assert bench.state()["a"].inputs["size"] == 2


def test_a_removed_resource_is_one_delete(bench: Bench) -> None:
    bench.up([thing("a"), thing("b")])
    assert bench.up([thing("a")]).summary() == {"delete": 1, "same": 1}
    assert set(bench.world.things) == {"a"} == set(bench.state())


def test_destroy_goes_from_the_dependants_to_what_they_need(bench: Bench) -> None:
    bench.up([thing("network"), thing("host", after=("network",)), thing("record", after=("host",))])
    bench.world.calls.clear()
    bench.destroy()
    assert bench.world.calls == [("delete", "record"), ("delete", "host"), ("delete", "network")]
    assert bench.state() == {}


def test_ignored_changes_keep_what_is_there(bench: Bench) -> None:
    bench.up([thing("srv", 15, ignore_changes=("size",))])
    assert bench.up([thing("srv", 99, ignore_changes=("size",))]).summary() == {"same": 1}
    assert bench.state()["srv"].inputs["size"] == 15


def test_a_replacement_takes_its_dependants_along_and_deletes_them_first(bench: Bench) -> None:
    bench.up([thing("server"), thing("zone", beside="server"), thing("bystander", after=("server",))])
    bench.world.calls.clear()
    engine = bench.up(
        [
            thing("server-2", resource="server"),
            thing("zone", beside="server"),
            thing("bystander", after=("server",)),
        ]
    )
    assert bench.world.calls[:2] == [("delete", "zone"), ("delete", "server")]
    assert engine.summary() == {"replace": 2, "same": 1}
    assert set(bench.world.things) == {"server-2", "zone", "bystander"}


def test_a_replacement_can_also_create_first(bench: Bench) -> None:
    bench.provider.delete_before_replace = False
    bench.up([thing("old", resource="host")])
    bench.world.calls.clear()
    bench.up([thing("new", resource="host")])
    assert bench.world.calls == [("create", "new"), ("delete", "old")]
    assert set(bench.world.things) == {"new"}


def test_a_protected_resource_is_not_deleted_and_nothing_else_is_either(bench: Bench) -> None:
    bench.up([thing("zone", protect=True), thing("other")])
    engine = bench.up([])
    assert "protected" in engine.errors[0]
    assert set(bench.world.things) == {"zone", "other"} == set(bench.state())


def test_a_protected_resource_is_not_replaced(bench: Bench) -> None:
    bench.up([thing("old", resource="zone", protect=True)])
    with pytest.raises(EngineError, match="protected"):
        bench.up([thing("new", resource="zone", protect=True)])
    assert set(bench.world.things) == {"old"}


def test_retained_and_joint_deletions_leave_the_provider_alone(bench: Bench) -> None:
    bench.up(
        [
            thing("host"),
            thing("record", deleted_with=_urn("host"), after=("host",)),
            thing("kept", retain_on_delete=True),
        ]
    )
    bench.world.calls.clear()
    bench.destroy()
    assert bench.world.calls == [("delete", "host")]
    assert bench.state() == {}


def test_refused_inputs_name_the_property(bench: Bench) -> None:
    with pytest.raises(EngineError, match="size: must not be negative"):
        bench.up([thing("a", -1)])
    assert bench.world.things == {}


def test_a_failed_creation_is_repeated_by_the_next_run(bench: Bench) -> None:
    bench.provider.fails = {"b"}
    with pytest.raises(EngineError, match="b cannot be made"):
        bench.up([thing("a"), thing("b")])
    assert set(bench.state()) == {"a"}
    bench.provider.fails = set()
    assert bench.up([thing("a"), thing("b")]).summary() == {"create": 1, "same": 1}


def test_a_failed_deletion_stays_in_the_state(bench: Bench) -> None:
    bench.up([thing("a"), thing("b")])
    bench.provider.fails = {"b"}
    assert bench.destroy().errors
    assert set(bench.state()) == {"b"}
    bench.provider.fails = set()
    assert not bench.destroy().errors
    assert bench.world.things == {}


def test_the_same_name_twice_is_refused(bench: Bench) -> None:
    with pytest.raises(EngineError, match="registered twice"):
        bench.up([thing("a"), thing("a")])


def test_refresh_makes_again_what_vanished(bench: Bench) -> None:
    bench.up([thing("a"), thing("b")])
    del bench.world.things["a"]
    assert bench.up([thing("a"), thing("b")], refresh=True).summary() == {"create": 1, "same": 1}
    assert set(bench.world.things) == {"a", "b"}


def test_a_preview_changes_neither_world_nor_state(bench: Bench) -> None:
    bench.up([thing("a"), thing("gone")])
    before = bench.file.path.read_text()
    bench.world.calls.clear()
    engine = bench.up([thing("a", 2), thing("new")], preview=True)
    assert engine.summary() == {"create": 1, "delete": 1, "update": 1}
    assert bench.world.calls == []
    assert bench.file.path.read_text() == before


def test_after_an_interruption_nothing_new_is_begun(bench: Bench) -> None:
    engine = bench.engine()
    engine.register(thing("a"))
    engine.cancel()
    with pytest.raises(EngineError, match="interrupted"):
        engine.register(thing("b"))
    assert set(bench.state()) == {"a"}


FIRST = [thing("network"), thing("host", after=("network",)), thing("zone", beside="host"), thing("extra")]
SECOND = [
    thing("network", 2),
    thing("host-2", after=("network",), resource="host"),
    thing("zone", beside="host"),
    thing("late", after=("host",)),
]


def _effects_of(directory: Path) -> int:
    bench = Bench(directory)
    bench.up(FIRST)
    before = bench.world.effects
    bench.up(SECOND)
    return bench.world.effects - before


def test_a_kill_at_any_instant_loses_nothing(tmp_path: Path) -> None:
    """Killed at the n-th effect, for every n: the next run converges, and a destroy leaves the world empty."""
    total = _effects_of(tmp_path / "count")
    assert total > 20
    for instant in range(1, total + 1):
        for after in ("up", "destroy"):
            bench = Bench(tmp_path / f"{instant}-{after}")
            bench.up(FIRST)
            bench.world.kill_at = bench.world.effects + instant
            with pytest.raises(Killed):
                bench.up(SECOND)
            bench.world.kill_at = None
            if after == "up":
                bench.up(SECOND)
                assert set(bench.world.things) == {"network", "host-2", "zone", "late"}, f"killed at effect {instant}"
                assert set(bench.state()) == {"network", "host", "zone", "late"}
                assert bench.world.things["network"]["size"] == 2
                assert bench.file.load().pending == []
            bench.destroy()
            assert bench.world.things == {}, f"killed at effect {instant}, then destroyed"
            assert bench.file.load().pending == []


def _urn(name: str) -> str:
    return f"urn:pulumi:test::project::lab:index:Thing::{name}"
