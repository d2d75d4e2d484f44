"""A provider in memory, and a world that can be switched off in the middle of anything."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from standalone.engine import Engine, Goal, Step
from standalone.plugin import Difference, Found, Known, ProviderError
from standalone.state import Resource, Snapshot, StateFile
from standalone.values import UNKNOWN, Properties


class Killed(BaseException):
    """The engine's process is gone: nothing after this instant happens."""


class World:
    """Things by name. From the `kill_at`-th effect on (a provider's change, or a save), nothing happens any more."""

    def __init__(self) -> None:
        self.things: dict[str, Properties] = {}
        self.calls: list[tuple[str, str]] = []
        self.kill_at: int | None = None
        self.effects = 0
        self._lock = threading.Lock()

    def effect(self) -> None:
        """Count one; raises Killed from the chosen one on."""
        with self._lock:
            self.effects += 1
            if self.kill_at is not None and self.effects >= self.kill_at:
                raise Killed


class MemoryProvider:
    """Things have a `name` (replaces), a `size` (updates), and may point at another thing by its id (replaces)."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.fails: set[str] = set()
        self.delete_before_replace = True

    def check(self, urn: str, old: Properties, new: Properties) -> tuple[Properties, list[tuple[str, str]]]:
        if new.get("size") == -1:
            return new, [("size", "must not be negative")]
        return new, []

    def diff(self, known: Known, new: Properties, ignore: list[str]) -> Difference:
        keys = {key for key in {*known.inputs, *new} if key not in ignore and known.inputs.get(key) != new.get(key)}
        replaces = tuple(sorted(keys & {"name", "beside"}))
        return Difference(bool(keys), tuple(sorted(keys)), replaces, self.delete_before_replace)

    def create(self, urn: str, inputs: Properties, *, preview: bool) -> tuple[str, Properties]:
        name = str(inputs["name"])
        if preview:
            return "", {**inputs, "serial": UNKNOWN}
        self.world.effect()
        if name in self.fails:
            raise ProviderError(f"{name} cannot be made")
        self.world.calls.append(("create", name))
        self.world.things[name] = inputs
        self.world.effect()
        return f"id-{name}", {**inputs, "serial": len(self.world.calls)}

    def read(self, known: Known) -> Found:
        if known.id.removeprefix("id-") not in self.world.things:
            return Found("")
        return Found(known.id, known.outputs, known.inputs)

    def update(self, known: Known, new: Properties, ignore: list[str], *, preview: bool) -> Properties:
        if not preview:
            self.world.effect()
            self.world.calls.append(("update", str(new["name"])))
            self.world.things[str(new["name"])] = new
            self.world.effect()
        return {**new, "serial": len(self.world.calls)}

    def delete(self, known: Known) -> None:
        name = str(known.inputs["name"])
        self.world.effect()
        if name in self.fails:
            raise ProviderError(f"{name} cannot be removed")
        self.world.calls.append(("delete", name))
        self.world.things.pop(name, None)
        self.world.effect()


Program = list[Goal]


def thing(
    name: str, size: int = 1, *, after: tuple[str, ...] = (), beside: str | None = None, **options: object
) -> Goal:
    """A goal; `after` and `beside` name other things (dependency without and with a property)."""
    inputs: Properties = {"name": name, "size": size}
    dependencies = [urn_of(other) for other in after]
    properties: dict[str, list[str]] = {}
    if beside is not None:
        inputs["beside"] = f"id-{beside}"
        dependencies.append(urn_of(beside))
        properties["beside"] = [urn_of(beside)]
    return Goal(
        "lab:index:Thing",
        str(options.pop("resource", name)),
        custom=True,
        inputs=inputs,
        dependencies=tuple(dependencies),
        property_dependencies=properties,
        **options,  # type: ignore[arg-type]
    )


def urn_of(name: str) -> str:
    return f"urn:pulumi:test::project::lab:index:Thing::{name}"


class Bench:
    """State on disk, a world, and runs of the engine over them."""

    def __init__(self, directory: Path) -> None:
        self.file = StateFile(directory, "test")
        self.world = World()
        self.provider = MemoryProvider(self.world)

    def engine(self, *, preview: bool = False) -> Engine:
        def save(snapshot: Snapshot) -> None:
            self.world.effect()
            self.file.save(snapshot)

        return Engine(
            "project",
            "test",
            self.file.load(),
            provider_for=lambda _: self.provider,
            save=save,
            report=_ignore,
            preview=preview,
        )

    def up(self, program: Program, *, preview: bool = False, refresh: bool = False) -> Engine:
        engine = self.engine(preview=preview)
        if refresh:
            engine.refresh()
        for goal in program:
            engine.register(goal)
        engine.delete_unwanted()
        return engine

    def destroy(self) -> Engine:
        engine = self.engine()
        engine.destroy()
        return engine

    def state(self) -> dict[str, Resource]:
        return {item.name: item for item in self.file.load().resources if item.type == "lab:index:Thing"}

    def document(self) -> Properties:
        loaded = json.loads(self.file.path.read_text())
        assert isinstance(loaded, dict)
        return loaded


def _ignore(step: Step) -> None:
    """Nobody reads along."""
