"""A process that is killed for good, at every write of the state and every answer of the provider, loses no resource.

Each kill is a SIGKILL of a process of its own (a fork): before and after each fsync, each rename, each effect of the
provider. The provider's things are files. Then a new process goes on, or takes everything away.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from standalone.engine import Engine
from standalone.plugin import Difference, Found, Known
from standalone.state import Resource, StateFile
from standalone.values import Properties

from .world import Program, thing

pytestmark = pytest.mark.heavy

FIRST = [thing("network"), thing("host", after=("network",)), thing("zone", beside="host"), thing("extra")]
SECOND = [
    thing("network", 2),
    thing("host-2", after=("network",), resource="host"),
    thing("zone", beside="host"),
    thing("late", after=("host",)),
]
AFTER_SECOND = {"network", "host-2", "zone", "late"}


class Deaths:
    """Counts instants; at the chosen one the process is gone."""

    def __init__(self, at: int) -> None:
        self.at, self.count = at, 0

    def instant(self) -> None:
        self.count += 1
        if self.count == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, function: Callable[..., object]) -> Callable[..., object]:
        """The same function with an instant before it and one after it."""

        def watched(*arguments: object, **options: object) -> object:
            self.instant()
            answer = function(*arguments, **options)
            self.instant()
            return answer

        return watched


class Files:
    """A provider whose things are files: what it made is there, whoever died."""

    def __init__(self, directory: Path, deaths: Deaths | None = None) -> None:
        self.directory, self.deaths = directory, deaths
        directory.mkdir(exist_ok=True)

    def _instant(self) -> None:
        if self.deaths is not None:
            self.deaths.instant()

    def check(self, urn: str, old: Properties, new: Properties) -> tuple[Properties, list[tuple[str, str]]]:
        return new, []

    def diff(self, known: Known, new: Properties, ignore: list[str]) -> Difference:
        keys = {key for key in {*known.inputs, *new} if known.inputs.get(key) != new.get(key)}
        return Difference(bool(keys), tuple(sorted(keys)), tuple(sorted(keys & {"name", "beside"})), True)

    def create(self, urn: str, inputs: Properties, *, preview: bool) -> tuple[str, Properties]:
        self._instant()
        (self.directory / str(inputs["name"])).write_text(json.dumps(inputs))
        self._instant()
        return f"id-{inputs['name']}", dict(inputs)

    def read(self, known: Known) -> Found:
        return Found(known.id, known.outputs, known.inputs)

    def update(self, known: Known, new: Properties, ignore: list[str], *, preview: bool) -> Properties:
        self.create(known.urn, new, preview=preview)
        return dict(new)

    def delete(self, known: Known) -> None:
        self._instant()
        (self.directory / str(known.inputs["name"])).unlink(missing_ok=True)
        self._instant()


class Place:
    """A state and a world on disk."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(exist_ok=True)

    def things(self) -> set[str]:
        return {path.name for path in (self.directory / "things").iterdir()}

    def resources(self) -> list[Resource]:
        return [item for item in StateFile(self.directory, "test").load().resources if item.type == "lab:index:Thing"]

    def pending(self) -> list[tuple[str, Resource]]:
        return StateFile(self.directory, "test").load().pending

    def run(self, program: Program | None, deaths: Deaths | None = None) -> None:
        """Bring it to what the program says; without one, take it down."""
        file = StateFile(self.directory, "test")
        provider = Files(self.directory / "things", deaths)
        with file.locked():
            engine = Engine(
                "project", "test", file.load(), provider_for=lambda _: provider, save=file.save, report=lambda _: None
            )
            for goal in program or []:
                engine.register(goal)
            engine.delete_unwanted()
            assert engine.errors == []

    def run_and_die(self, program: Program | None, at: int) -> bool:
        """The same in a process of its own that is killed at that instant; whether it lived to die."""
        child = os.fork()
        if child == 0:
            status = 1
            try:
                deaths = Deaths(at)
                os.fsync = deaths.around(os.fsync)  # type: ignore[assignment]
                os.replace = deaths.around(os.replace)  # type: ignore[assignment]
                self.run(program, deaths)
                status = 0
            finally:
                os._exit(status)
        _, ended = os.waitpid(child, 0)
        assert os.WIFSIGNALED(ended) or os.waitstatus_to_exitcode(ended) == 0, "the run failed instead of being killed"
        return os.WIFSIGNALED(ended)


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed process loses nothing that the kernel has: an fsync is an instant here, not a wait."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


@pytest.fixture
def after_first(tmp_path: Path) -> Callable[[object], Place]:
    """Makes places at which the first program has run."""
    model = Place(tmp_path / "model")
    model.run(FIRST)

    def made(name: object) -> Place:
        directory = tmp_path / str(name)
        shutil.copytree(model.directory, directory)
        return Place(directory)

    return made


@pytest.mark.parametrize("then", ["up", "destroy"])
def test_killed_at_every_write_of_an_up(after_first: Callable[[object], Place], then: str) -> None:
    instant = 1
    while (place := after_first(instant)).run_and_die(SECOND, instant):
        known = {str(item.inputs["name"]) for item in [*place.resources(), *(item for _, item in place.pending())]}
        assert place.things() <= known, f"killed at instant {instant}: something is there that the state does not know"
        place.run(SECOND if then == "up" else None)
        assert place.things() == (AFTER_SECOND if then == "up" else set()), f"killed at instant {instant}"
        assert len(place.resources()) == len(place.things()), f"killed at instant {instant}"
        assert place.pending() == [], f"killed at instant {instant}"
        instant += 1
    assert instant > 60, "so many writes there are"


def test_killed_at_every_write_of_a_destroy(after_first: Callable[[object], Place]) -> None:
    instant = 1
    while (place := after_first(instant)).run_and_die(None, instant):
        place.run(None)
        assert place.things() == set(), f"killed at instant {instant}"
        assert place.pending() == [], f"killed at instant {instant}"
        instant += 1
    assert instant > 30, "so many writes there are"


def test_a_first_run_killed_at_every_write(tmp_path: Path) -> None:
    instant = 1
    while (place := Place(tmp_path / f"{instant}")).run_and_die(FIRST, instant):
        place.run(FIRST)
        assert place.things() == {"network", "host", "zone", "extra"}, f"killed at instant {instant}"
        instant += 1
    assert instant > 30, "so many writes there are"
