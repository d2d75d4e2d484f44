"""A stack's state: a Pulumi deployment (version 3) in one file, replaced by rename before and after every operation.

`pulumi stack import --file <the file>` takes it over. Operations that were announced and not finished stay in
`pending_operations`, so that a kill at any instant loses no resource.
"""

from __future__ import annotations

import datetime
import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from standalone.crypter import Crypter
from standalone.values import Properties, Value

STATE, LOCKED = "infra-state", "infra-locked"  # codes (docs/codes.md)
ENGINE_VERSION = "v3.0.0-standalone"


class StateError(Exception):
    """The state file cannot be read, or another run holds it."""


@dataclass
class Resource:
    """One resource as the state keeps it (apitype.ResourceV3 of pulumi/pulumi)."""

    urn: str
    type: str
    custom: bool
    id: str = ""
    parent: str = ""
    provider: str = ""
    inputs: Properties = field(default_factory=dict)
    outputs: Properties = field(default_factory=dict)
    dependencies: list[str] = field(default_factory=list)
    property_dependencies: dict[str, list[str]] = field(default_factory=dict)
    additional_secret_outputs: list[str] = field(default_factory=list)
    protect: bool = False
    retain_on_delete: bool = False
    deleted_with: str = ""
    # Replaced already; waits for its deletion at the end of the run.
    delete: bool = False
    created: str = ""
    modified: str = ""

    @property
    def name(self) -> str:
        """Last part of the URN."""
        return self.urn.rpartition("::")[2]

    def references(self) -> set[str]:
        """URNs that must outlive this resource."""
        found = {*self.dependencies, *(urn for urns in self.property_dependencies.values() for urn in urns)}
        found |= {self.parent, self.deleted_with, self.provider.rpartition("::")[0]}
        return found - {""}

    def to_json(self, crypter: Crypter) -> Properties:
        """JSON form; empty fields are left out as Pulumi does."""
        whole: Properties = {
            "urn": self.urn,
            "custom": self.custom,
            "delete": self.delete,
            "id": self.id,
            "type": self.type,
            "inputs": crypter.protect(self.inputs),
            "outputs": crypter.protect(self.outputs),
            "parent": self.parent,
            "protect": self.protect,
            "dependencies": cast(Value, self.dependencies),
            "provider": self.provider,
            "propertyDependencies": cast(Value, self.property_dependencies),
            "additionalSecretOutputs": cast(Value, self.additional_secret_outputs),
            "retainOnDelete": self.retain_on_delete,
            "deletedWith": self.deleted_with,
            "created": self.created,
            "modified": self.modified,
        }
        return {key: value for key, value in whole.items() if key in ("urn", "custom", "type") or value}

    @classmethod
    def from_json(cls, data: Properties, crypter: Crypter) -> Resource:
        """Reads `to_json` and what the real engine exports; raises StateError when a needed field is missing."""
        try:
            return cls(
                urn=str(data["urn"]),
                type=str(data["type"]),
                custom=bool(data["custom"]),
                id=str(data.get("id") or ""),
                parent=str(data.get("parent") or ""),
                provider=str(data.get("provider") or ""),
                inputs=cast(Properties, crypter.reveal(data.get("inputs") or {})),
                outputs=cast(Properties, crypter.reveal(data.get("outputs") or {})),
                dependencies=cast(list[str], data.get("dependencies") or []),
                property_dependencies=cast(dict[str, list[str]], data.get("propertyDependencies") or {}),
                additional_secret_outputs=cast(list[str], data.get("additionalSecretOutputs") or []),
                protect=bool(data.get("protect")),
                retain_on_delete=bool(data.get("retainOnDelete")),
                deleted_with=str(data.get("deletedWith") or ""),
                delete=bool(data.get("delete")),
                created=str(data.get("created") or ""),
                modified=str(data.get("modified") or ""),
            )
        except KeyError as missing:
            raise StateError(f"[{STATE}] a resource in the state has no {missing}") from None


@dataclass
class Snapshot:
    """All resources of a stack, and operations that began and were not seen to end."""

    resources: list[Resource] = field(default_factory=list)
    pending: list[tuple[str, Resource]] = field(default_factory=list)  # ("creating" | "updating" | ..., resource)

    def find(self, urn: str) -> Resource | None:
        """The live resource of that URN (not one that waits for its deletion)."""
        return next((item for item in self.resources if item.urn == urn and not item.delete), None)


class StateFile:
    """`<directory>/<stack>.json` and its lock."""

    def __init__(self, directory: Path, stack: str) -> None:
        self.path = directory / f"{stack}.json"
        self.previous = directory / f"{stack}.json.previous"
        self.lock_path = directory / f"{stack}.lock"
        self.crypter = Crypter.from_environment(None)

    def load(self) -> Snapshot:
        """The snapshot, empty if there is no file. Raises StateError for anything that is not a deployment v3."""
        try:
            text = self.path.read_text()
        except FileNotFoundError:
            return Snapshot()
        try:
            data = json.loads(text)
            version, deployment = data["version"], data["deployment"]
        except (ValueError, KeyError, TypeError) as problem:
            raise StateError(self._unreadable(repr(problem))) from None
        if version != 3:
            raise StateError(f"[{STATE}] {self.path} is a deployment of version {version}; this engine reads version 3")
        providers = deployment.get("secrets_providers") or {}
        if providers.get("type", "passphrase") != "passphrase":
            raise StateError(
                f"[{STATE}] secrets provider {providers['type']} is not supported by the standalone engine; use "
                "passphrase"
            )
        self.crypter = Crypter.from_environment((providers.get("state") or {}).get("salt"))
        return Snapshot(
            [Resource.from_json(item, self.crypter) for item in deployment.get("resources") or []],
            [
                (item["type"], Resource.from_json(item["resource"], self.crypter))
                for item in deployment.get("pending_operations") or []
            ],
        )

    def _unreadable(self, problem: str) -> str:
        remedy = "restore it from a backup"
        if self.previous.exists():
            remedy = f"the one before it is {self.previous}: mv it there, then `up`, which looks at what is there"
        return (
            f"[{STATE}] {self.path} is not a Pulumi deployment ({problem}), and nothing was changed: {remedy}. "
            "For the lab, `make lab-down` takes everything down without any state"
        )

    def save(self, snapshot: Snapshot) -> None:
        """Replace the file; references to resources that are gone are dropped, the order is dependencies first."""
        ordered = in_order(snapshot.resources)
        resources: list[Value] = [item.to_json(self.crypter) for item in ordered]
        pending: list[Value] = [
            {"resource": item.to_json(self.crypter), "type": operation} for operation, item in snapshot.pending
        ]
        deployment: Properties = {
            "manifest": {
                "time": datetime.datetime.now(datetime.UTC).isoformat(),
                "magic": hashlib.sha256(ENGINE_VERSION.encode()).hexdigest(),
                "version": ENGINE_VERSION,
            },
            "resources": resources,
            "pending_operations": pending,
            "metadata": {},
        }
        provider_state = self.crypter.provider_state()
        if provider_state:
            deployment["secrets_providers"] = dict(provider_state)
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = self.path.with_suffix(".json.new")
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
            stream.write(json.dumps({"version": 3, "deployment": deployment}, indent=1))
            stream.flush()
            os.fsync(stream.fileno())
        self._keep_previous()
        temporary.replace(self.path)
        self._sync_directory()

    def _keep_previous(self) -> None:
        """Leave the file that is about to be replaced under a second name."""
        link = self.path.with_suffix(".json.old")
        try:
            link.unlink(missing_ok=True)
            os.link(self.path, link)
        except FileNotFoundError:
            return
        link.replace(self.previous)

    def _sync_directory(self) -> None:
        """A rename is on the disk only when its directory is."""
        directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the stack for this process; raises StateError naming the holder. A killed holder lets go by itself."""
        self.lock_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.lock_path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.read(descriptor, 200).decode(errors="replace").strip() or "another process"
                raise StateError(
                    f"[{LOCKED}] the stack is being changed by {holder}; wait for it, or end that process, then "
                    "run again. Nothing was changed"
                ) from None
            os.ftruncate(descriptor, 0)
            started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            os.pwrite(descriptor, f"process {os.getpid()} (since {started})\n".encode(), 0)
            yield
        finally:
            os.close(descriptor)


def in_order(resources: Iterable[Resource]) -> list[Resource]:
    """Resources so that each comes after everything it refers to; otherwise in the order given."""
    items = list(resources)
    known = {item.urn for item in items}
    placed: list[Resource] = []
    done: set[str] = set()
    visiting: set[int] = set()
    by_urn: dict[str, list[Resource]] = {}
    for item in items:
        by_urn.setdefault(item.urn, []).append(item)

    def place(item: Resource) -> None:
        if id(item) in visiting:
            return
        visiting.add(id(item))
        for urn in sorted(item.references() & known):
            for below in by_urn[urn]:
                if below is not item:
                    place(below)
        placed.append(item)
        done.add(item.urn)

    for item in items:
        place(item)
    for item in placed:
        item.dependencies = [urn for urn in item.dependencies if urn in known]
        item.property_dependencies = {
            name: [urn for urn in urns if urn in known] for name, urns in item.property_dependencies.items()
        }
        if item.deleted_with not in known:
            item.deleted_with = ""
    return placed
