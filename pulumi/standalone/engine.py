"""The engine proper: takes what the program registers, compares it with the state, and has the provider make it so.

One thread per registration (the monitor's); every operation is written to the state before and after it happens.
It never reads the program or the network; the provider is behind `plugin.Provider`.
"""

from __future__ import annotations

import datetime
import os
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace

from standalone.plugin import Difference, Known, Provider, ProviderError
from standalone.state import Resource, Snapshot, in_order
from standalone.values import UNKNOWN, Properties, mark_secrets

STACK_TYPE = "pulumi:pulumi:Stack"
#: Registrations and deletions under way at once; per core as many as the real engine allows. All at once, the lab's
#: three dozen RRsets wait for one name server, which writes each to disk, and on a slow machine the last wait in vain.
PARALLEL = min(32, 4 * (os.cpu_count() or 1))


class EngineError(Exception):
    """A registration was refused or failed; the program is told, and so is the operator."""


@dataclass(frozen=True)
class Goal:
    """What the program wants one resource to be."""

    type: str
    name: str
    custom: bool
    inputs: Properties
    parent: str = ""
    dependencies: tuple[str, ...] = ()
    property_dependencies: dict[str, list[str]] = field(default_factory=dict)
    protect: bool = False
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    delete_before_replace: bool | None = None
    retain_on_delete: bool = False
    deleted_with: str = ""
    additional_secret_outputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """One operation that was done (or, in a preview, would be)."""

    operation: str  # create, update, replace, delete, same, refresh
    urn: str
    type: str
    seconds: float
    properties: tuple[str, ...] = ()


Reporter = Callable[[Step], None]


@dataclass(frozen=True)
class _Change:
    """A registration on its way: what is wanted, through which provider, and how it differs from what is there."""

    goal: Goal
    resource: Resource
    provider: Provider
    started: float
    difference: Difference


class Engine:
    """One run over one stack."""

    def __init__(
        self,
        project: str,
        stack: str,
        snapshot: Snapshot,
        *,
        provider_for: Callable[[str], Provider],
        save: Callable[[Snapshot], None],
        report: Reporter,
        preview: bool = False,
    ) -> None:
        self.project, self.stack, self.preview = project, stack, preview
        self._old = {item.urn: item for item in snapshot.resources if not item.delete}
        self._new: dict[str, Resource] = {}
        self._condemned = [item for item in snapshot.resources if item.delete]
        self._pending = list(snapshot.pending)
        self._replaced: set[str] = (
            set()
        )  # deleted in this run to make room; the registration still to come makes it anew
        self._provider_for, self._save, self._report = provider_for, save, report
        self._lock = threading.RLock()
        self._cancelled = threading.Event()
        self.steps: list[Step] = []
        self.errors: list[str] = []

    # -- what the program calls, through the monitor ---------------------------------------------------------------

    def urn(self, kind: str, name: str, parent: str) -> str:
        """URN of a resource; the parent's type chain is part of it unless the parent is the stack."""
        chain = ""
        if parent:
            parent_type = parent.split("::")[2]
            chain = "" if parent_type == STACK_TYPE else parent_type + "$"
        return f"urn:pulumi:{self.stack}::{self.project}::{chain}{kind}::{name}"

    def register(self, goal: Goal) -> Resource:
        """Bring one resource into being; returns it as it now is. Raises EngineError."""
        urn = self.urn(goal.type, goal.name, goal.parent)
        with self._lock:
            if urn in self._new:
                raise EngineError(f"{urn} is registered twice")
        if self._cancelled.is_set():
            raise EngineError("the run was interrupted; nothing new is begun")
        try:
            if goal.custom:
                return self._register_custom(urn, goal)
            return self._register_component(urn, goal)
        except ProviderError as problem:
            message = f"{goal.type} {goal.name}: {problem}"
            with self._lock:
                self.errors.append(message)
            raise EngineError(message) from None

    def register_outputs(self, urn: str, outputs: Properties) -> None:
        """Outputs of a component, the stack among them."""
        with self._lock:
            resource = self._new.get(urn)
            if resource is None:
                raise EngineError(f"outputs for {urn}, which was not registered")
            resource.outputs = outputs
            self._write()

    def outputs(self) -> Properties:
        """Outputs of the stack."""
        for resource in self._new.values() if self._new else self._old.values():
            if resource.type == STACK_TYPE:
                return resource.outputs
        return {}

    def resources(self) -> list[Resource]:
        """Everything that was registered in this run, dependencies first."""
        with self._lock:
            return in_order(self._new.values())

    def cancel(self) -> None:
        """Begin nothing new; what is under way is finished."""
        self._cancelled.set()

    def error(self, message: str) -> None:
        """An error that a provider or the program reported; the run ends with a failure."""
        with self._lock:
            self.errors.append(message)

    # -- registration ----------------------------------------------------------------------------------------------

    def _register_component(self, urn: str, goal: Goal) -> Resource:
        started = time.monotonic()
        with self._lock:
            old = self._old.get(urn)
            resource = self._wanted(urn, goal, goal.inputs)
            resource.outputs = old.outputs if old is not None else {}
            resource.created = old.created if old is not None else _now()
            resource.modified = old.modified if old is not None else resource.created
            self._new[urn] = resource
            self._write()
        self._done("same" if old is not None else "create", resource, started)
        return resource

    def _register_custom(self, urn: str, goal: Goal) -> Resource:
        started = time.monotonic()
        old = self._old.get(urn)
        provider = self._provider_for(goal.type)
        inputs = dict(goal.inputs)
        if old is not None:
            for name in goal.ignore_changes:
                if name in old.inputs:
                    inputs[name] = old.inputs[name]
                else:
                    inputs.pop(name, None)
        checked, failures = provider.check(urn, old.inputs if old is not None else {}, inputs)
        if failures:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in failures)
            raise ProviderError(f"the inputs are not accepted: {reasons}")
        resource = self._wanted(urn, goal, checked)
        resource.provider = self._default_provider(goal.type)
        if old is None:
            change = _Change(goal, resource, provider, started, Difference(changed=True))
            return self._create(change, "replace" if urn in self._replaced else "create")
        resource.id, resource.created, resource.modified = old.id, old.created, old.modified
        difference = provider.diff(_known(old), checked, list(goal.ignore_changes))
        change = _Change(goal, resource, provider, started, difference)
        forced = [name for name in goal.replace_on_changes if name == "*" or name in difference.properties]
        if difference.changed and (difference.replaces or forced):
            return self._replace(change, old)
        if difference.changed:
            return self._update(change, old)
        resource.outputs = old.outputs
        with self._lock:
            self._new[urn] = resource
            if resource != old:
                self._write()
        self._done("same", resource, started)
        return resource

    def _wanted(self, urn: str, goal: Goal, inputs: Properties) -> Resource:
        return Resource(
            urn=urn,
            type=goal.type,
            custom=goal.custom,
            parent=goal.parent,
            inputs=inputs,
            dependencies=sorted(set(goal.dependencies)),
            property_dependencies={
                name: sorted(urns) for name, urns in sorted(goal.property_dependencies.items()) if urns
            },
            additional_secret_outputs=list(goal.additional_secret_outputs),
            protect=goal.protect,
            retain_on_delete=goal.retain_on_delete,
            deleted_with=goal.deleted_with,
        )

    def _create(self, change: _Change, operation: str) -> Resource:
        resource = change.resource
        resource.id = ""
        with self._pending_operation("creating", resource):
            resource.id, outputs = change.provider.create(resource.urn, resource.inputs, preview=self.preview)
            resource.outputs = mark_secrets(outputs, resource.inputs, resource.additional_secret_outputs)
            resource.created = resource.modified = _now()
            if not self.preview and not resource.id:
                raise ProviderError("the provider gave no id")
            self._keep(resource)
        self._done(operation, resource, change.started, change.difference.properties)
        return resource

    def _update(self, change: _Change, old: Resource) -> Resource:
        resource = change.resource
        with self._pending_operation("updating", resource):
            ignored = list(change.goal.ignore_changes)
            outputs = change.provider.update(_known(old), resource.inputs, ignored, preview=self.preview)
            resource.outputs = mark_secrets(outputs, resource.inputs, resource.additional_secret_outputs)
            resource.modified = _now()
            self._keep(resource)
        self._done("update", resource, change.started, change.difference.properties)
        return resource

    def _replace(self, change: _Change, old: Resource) -> Resource:
        if old.protect:
            raise ProviderError("it is protected and would have to be replaced: unprotect it first")
        wish = change.goal.delete_before_replace
        if change.difference.delete_before_replace if wish is None else wish:
            for victim in [*self._replaced_along(old), old]:
                self._delete(victim, operation=None)
                with self._lock:
                    self._old.pop(victim.urn, None)
                    self._replaced.add(victim.urn)
        else:
            with self._lock:
                if not self.preview:
                    self._condemned.append(replace(old, delete=True))
                self._old.pop(old.urn, None)
        return self._create(change, "replace")

    def _replaced_along(self, root: Resource) -> list[Resource]:
        """Resources that must go before `root` can, because its replacement means theirs too; dependants first."""
        victims = {root.urn}
        found: list[Resource] = []
        with self._lock:
            candidates = in_order(self._old.values())
        for item in candidates:
            touched = [name for name, urns in item.property_dependencies.items() if victims & set(urns)]
            if not item.custom or item.urn == root.urn or not touched or item.urn in self._new:
                continue
            guess = {**item.inputs, **dict.fromkeys(touched, UNKNOWN)}
            answer = self._provider_for(item.type).diff(_known(item), guess, [])
            if answer.replaces:
                victims.add(item.urn)
                found.append(item)
        return found[::-1]

    def _keep(self, resource: Resource) -> None:
        with self._lock:
            self._old.pop(resource.urn, None)
            self._new[resource.urn] = resource

    def _default_provider(self, kind: str) -> str:
        """Reference to the default provider of the package; it stands in the state as the real engine keeps it."""
        package = kind.partition(":")[0]
        provider_type = f"pulumi:providers:{package}"
        urn = self.urn(provider_type, "default", "")
        with self._lock:
            resource = self._new.get(urn)
            if resource is None:
                old = self._old.pop(urn, None)
                resource = old or Resource(urn=urn, type=provider_type, custom=True, id=str(uuid.uuid4()))
                resource.created = resource.created or _now()
                self._new[urn] = resource
        return f"{urn}::{resource.id}"

    # -- refresh, deletion -----------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Ask the provider what became of every resource; what is gone leaves the state, so that it is made again."""

        def look(item: Resource) -> None:
            started = time.monotonic()
            found = self._provider_for(item.type).read(_known(item))
            with self._lock:
                if not found.id:
                    self._old.pop(item.urn, None)
                    self._done("refresh", item, started, ("gone",))
                elif found.outputs != item.outputs:
                    item.outputs = mark_secrets(found.outputs, item.inputs, item.additional_secret_outputs)
                    self._done("refresh", item, started, ("changed",))

        items = [item for item in self._old.values() if item.custom and not item.type.startswith("pulumi:providers:")]
        with ThreadPoolExecutor(PARALLEL) as pool:
            for future in [pool.submit(look, item) for item in items]:
                try:
                    future.result()
                except ProviderError as problem:
                    self.errors.append(f"refresh: {problem}")
        self._write()

    def delete_unwanted(self) -> None:
        """Remove what the program did not register, what was replaced, and what a killed run had begun to make."""
        doomed = [item for item in self._old.values() if item.urn not in self._new] + self._condemned
        known = {item.urn for item in [*self._old.values(), *self._new.values()]}
        half_made = [item for kind, item in self._pending if kind == "creating" and item.urn not in known]
        protected = sorted(item.urn for item in doomed if item.protect)
        if protected:
            self.errors.append(f"protected, so not deleted (nor anything else): {', '.join(protected)}")
            return
        self._delete_all([*doomed, *half_made])
        if not self.errors and not self._cancelled.is_set():
            with self._lock:
                self._pending = []
                self._write()

    def destroy(self) -> None:
        """Remove everything, dependants first."""
        self.delete_unwanted()

    def _delete_all(self, doomed: list[Resource]) -> None:
        """Delete in parallel, each only after everything that refers to it."""
        waiting = {id(item): item for item in doomed}
        running: dict[Future[None], Resource] = {}
        with ThreadPoolExecutor(PARALLEL) as pool:
            while waiting or running:
                if not self._cancelled.is_set() and not self.errors:
                    in_the_way: set[str] = set()
                    for item in [*waiting.values(), *running.values()]:
                        in_the_way |= item.references() - {item.urn}
                    for key, item in list(waiting.items()):
                        if item.urn not in in_the_way:
                            del waiting[key]
                            running[pool.submit(self._delete, item)] = item
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    item = running.pop(future)
                    problem = future.exception()
                    if isinstance(problem, ProviderError):
                        self.error(f"deleting {item.type} {item.name}: {problem}")
                    elif problem is not None:
                        raise problem

    def _delete(self, item: Resource, operation: str | None = "delete") -> None:
        if item.protect:
            raise ProviderError(f"{item.urn} is protected: unprotect it before it can be deleted")
        started = time.monotonic()
        spared = item.retain_on_delete or self._goes_with_another(item)
        touches = item.custom and not item.type.startswith("pulumi:providers:") and not spared
        if touches and not self.preview:
            with self._pending_operation("deleting", item):
                self._provider_for(item.type).delete(_known(item))
        with self._lock:
            if self._old.get(item.urn) is item:
                del self._old[item.urn]
            self._condemned = [other for other in self._condemned if other is not item]
            self._pending = [(kind, other) for kind, other in self._pending if other is not item]
            self._write()
        if operation:
            self._done(operation, item, started)

    def _goes_with_another(self, item: Resource) -> bool:
        """`deleted_with`: the resource vanishes by itself together with one that is being deleted in this run too."""
        return bool(item.deleted_with) and item.deleted_with not in self._new

    # -- state and report ------------------------------------------------------------------------------------------

    def _pending_operation(self, kind: str, resource: Resource) -> _PendingOperation:
        return _PendingOperation(self, kind, resource)

    def _write(self) -> None:
        if self.preview:
            return
        with self._lock:
            kept = [item for urn, item in self._old.items() if urn not in self._new]
            resources = [*self._new.values(), *kept, *self._condemned]
            self._save(Snapshot([replace(item) for item in resources], list(self._pending)))

    def _done(self, operation: str, item: Resource, started: float, properties: tuple[str, ...] = ()) -> None:
        step = Step(operation, item.urn, item.type, time.monotonic() - started, properties)
        with self._lock:
            if not item.type.startswith("pulumi:providers:"):
                self.steps.append(step)
                self._report(step)

    def summary(self) -> dict[str, int]:
        """How many resources were created, updated, replaced, deleted, left as they were; components too."""
        counts: dict[str, int] = {}
        for step in self.steps:
            if step.operation != "refresh":
                counts[step.operation] = counts.get(step.operation, 0) + 1
        return dict(sorted(counts.items()))


class _PendingOperation:
    """Announces an operation in the state, and takes the announcement back when it has ended well."""

    def __init__(self, engine: Engine, kind: str, resource: Resource) -> None:
        self._engine, self._entry = engine, (kind, replace(resource))

    def __enter__(self) -> None:
        engine, (_, mine) = self._engine, self._entry
        with engine._lock:
            # A new attempt takes over what a killed run announced for the same resource.
            engine._pending = [entry for entry in engine._pending if entry[1].urn != mine.urn or entry[0] == "deleting"]
            engine._pending.append(self._entry)
            engine._write()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        engine = self._engine
        with engine._lock:
            if kind is None:
                engine._pending = [entry for entry in engine._pending if entry is not self._entry]
            engine._write()


def _known(item: Resource) -> Known:
    return Known(item.urn, item.id, item.inputs, item.outputs)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
