"""The provider of package `lab`: Check, Diff, Create, Read, Update, Delete for every kind, on Pulumi's own class.

Started by either engine through `__main__.py`. Blocking work runs in threads, so that hosts boot side by side.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, cast

import grpc  # type: ignore[import-untyped]
import msgspec
from pulumi.provider.experimental import provider as sdk
from pulumi.provider.experimental import server as sdk_server
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

from lab_provider.authority import Certificate, CertificateAuthority, SshKey
from lab_provider.environment import Environment
from lab_provider.firewall import FirewallRules
from lab_provider.host import Host
from lab_provider.kinds import Kind, Made, Properties, Value
from lab_provider.network import Network
from lab_provider.places import Places
from lab_provider.records import RecordSet, Zone

VERSION = "0.1.0"
Result = TypeVar("Result")
# The sentinel that stands for a value not known before the update (pulumi.runtime.rpc.UNKNOWN).
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


class LabProvider(sdk.Provider):
    """Turns property values into plain ones, and calls the kind that the type token names (`lab:index:<Kind>`)."""

    def __init__(self, engine_address: str, places: Places | None = None) -> None:
        where = places or Places.from_environment()
        self.engine = engine_pb2_grpc.EngineStub(grpc.insecure_channel(engine_address))
        # Hosts boot side by side: the loop's own pool has six threads on two cores.
        self._threads = ThreadPoolExecutor(32, thread_name_prefix="resource")
        kinds: tuple[type[Kind[msgspec.Struct]], ...] = cast(
            tuple[type[Kind[msgspec.Struct]], ...],
            (Network, Host, FirewallRules, CertificateAuthority, Certificate, SshKey, Zone, RecordSet, Environment),
        )
        self.kinds: dict[str, Kind[msgspec.Struct]] = {f"lab:index:{kind.__name__}": kind(where) for kind in kinds}

    def _kind(self, chain: str) -> Kind[msgspec.Struct]:
        """The kind of a resource; the SDK puts the types of its parents in front (`a$b$lab:index:Host`)."""
        return self.kinds[chain.rpartition("$")[2]]

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _complain(self, urn: str, made: Made) -> None:
        """Errors that leave the resource in place are told to the engine, which then ends with a failure."""
        for complaint in made.complaints:
            self.engine.Log(engine_pb2.LogRequest(severity=engine_pb2.ERROR, message=complaint, urn=urn))

    async def get_schema(self, request: sdk.GetSchemaRequest) -> sdk.GetSchemaResponse:
        """A schema without types: the program's classes in `xmpp_infra.lab.resources` are its only users."""
        return sdk.GetSchemaResponse(schema=json.dumps({"name": "lab", "version": VERSION}))

    async def check(self, request: sdk.CheckRequest) -> sdk.CheckResponse:
        """Decode the inputs strictly; inputs with unknown parts are checked again when they are known."""
        inputs = plain(request.new_inputs)
        failures = []
        token = request.type.rpartition("$")[2]
        if token not in self.kinds:
            failures.append(sdk.CheckFailure("type", f"the lab has no resource {token}"))
        elif not has_unknown(inputs):
            try:
                self.kinds[token].decode(inputs)
            except msgspec.ValidationError as problem:
                text = str(problem)
                where = text.partition("at `$.")[2].strip("`") or "inputs"
                failures.append(sdk.CheckFailure(where, text))
        return sdk.CheckResponse(inputs=request.new_inputs, failures=failures)

    async def diff(self, request: sdk.DiffRequest) -> sdk.DiffResponse:
        """Compare inputs by value; a host that was found down, or with failed units, differs too."""
        kind = self._kind(request.type)
        old, new = plain(request.old_state), plain(request.new_inputs)
        names = set(kind.inputs_type.__struct_fields__)
        changed = {
            name
            for name in names
            if name not in request.ignore_changes and not _same(old.get(name), new.get(name), _default(kind, name))
        }
        repaired = kind.repairs(old)
        replaces = sorted(changed & kind.replaced_by)
        detailed = {}
        for name in sorted(changed | repaired):
            update, replace = sdk.PropertyDiffKind.UPDATE, sdk.PropertyDiffKind.UPDATE_REPLACE
            detailed[name] = sdk.PropertyDiff(replace if name in replaces else update, input_diff=name in names)
        return sdk.DiffResponse(
            changes=bool(detailed),
            replaces=replaces,
            diffs=sorted(changed | repaired),
            delete_before_replace=True,
            detailed_diff=detailed,
        )

    async def create(self, request: sdk.CreateRequest) -> sdk.CreateResponse:
        """Make the resource in a thread; in a preview, say only what is known already."""
        if request.preview:
            return sdk.CreateResponse(resource_id="", properties=dict(request.properties))
        kind = self._kind(request.type)
        inputs = plain(request.properties)
        made = await self._in_thread(lambda: kind.create(request.name, kind.decode(inputs)))
        await self._in_thread(lambda: self._complain(request.urn, made))
        return sdk.CreateResponse(made.identity, wrapped({**inputs, **made.outputs}))

    async def update(self, request: sdk.UpdateRequest) -> sdk.UpdateResponse:
        """Change the resource in a thread."""
        kind = self._kind(request.type)
        if request.preview:
            steady = {name: request.olds[name] for name in kind.steady_outputs if name in request.olds}
            return sdk.UpdateResponse({**request.news, **steady})
        old, new = plain(request.olds), plain(request.news)
        new.update({name: old[name] for name in request.ignore_changes if name in old})
        before = kind.decode(_inputs_of(kind, old))
        made = await self._in_thread(lambda: kind.update(request.resource_id, before, kind.decode(new)))
        await self._in_thread(lambda: self._complain(request.urn, made))
        return sdk.UpdateResponse(wrapped({**new, **made.outputs}))

    async def read(self, request: sdk.ReadRequest) -> sdk.ReadResponse:
        """What is there now; an empty answer says that the resource is gone."""
        kind = self._kind(request.type)
        state = plain(request.properties)
        inputs = _inputs_of(kind, state)
        outputs = {key: value for key, value in state.items() if key not in inputs}
        seen = await self._in_thread(lambda: kind.read(request.resource_id, kind.decode(inputs), outputs))
        if seen is None:
            return sdk.ReadResponse()
        return sdk.ReadResponse(request.resource_id, wrapped({**inputs, **seen}), wrapped(inputs))

    async def delete(self, request: sdk.DeleteRequest) -> None:
        """Remove the resource in a thread."""
        kind = self._kind(request.type)
        inputs = kind.decode(_inputs_of(kind, plain(request.properties)))
        await self._in_thread(lambda: kind.delete(request.resource_id, inputs))


def _default(kind: Kind[msgspec.Struct], name: str) -> Value:
    for item in msgspec.structs.fields(kind.inputs_type):
        if item.name == name:
            if item.default is not msgspec.NODEFAULT:
                return cast(Value, item.default)
            if item.default_factory is not msgspec.NODEFAULT:
                return cast(Value, item.default_factory())
    return None


def _same(old: Value, new: Value, default: Value) -> bool:
    return (default if old is None else old) == (default if new is None else new)


def _inputs_of(kind: Kind[msgspec.Struct], state: Properties) -> Properties:
    return {name: state[name] for name in kind.inputs_type.__struct_fields__ if name in state}


def has_unknown(value: Value) -> bool:
    """Whether a value holds the sentinel of something that only an update can know."""
    if isinstance(value, dict):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(has_unknown(item) for item in value)
    return value == UNKNOWN


def plain(properties: Mapping[str, PropertyValue]) -> Properties:
    """Property values as plain Python; whole numbers become int, secrets and dependencies are the engine's concern."""
    return {key: _plain(value) for key, value in properties.items()}


def _plain(value: PropertyValue) -> Value:
    content = value.value
    if content is None or isinstance(content, bool | str):
        return content
    if isinstance(content, float):
        return int(content) if content.is_integer() else content
    if isinstance(content, Mapping):
        return {str(key): _plain(item) for key, item in content.items()}
    if isinstance(content, Sequence):
        return [_plain(cast(PropertyValue, item)) for item in content]
    raise TypeError(f"the lab takes no {type(content).__name__} as a property")


def wrapped(properties: Properties) -> dict[str, PropertyValue]:
    """Plain values as property values."""
    return {key: _wrapped(value) for key, value in properties.items()}


def _wrapped(value: Value) -> PropertyValue:
    if isinstance(value, dict):
        return PropertyValue({key: _wrapped(item) for key, item in value.items()})
    if isinstance(value, list):
        return PropertyValue([_wrapped(item) for item in value])
    if isinstance(value, int) and not isinstance(value, bool):
        return PropertyValue(float(value))
    return PropertyValue(value)


def _end_with(engine_address: str) -> None:
    """End this process when the engine is gone: nobody would record what it still does."""
    host, _, port = engine_address.rpartition(":")
    while True:
        try:
            with socket.create_connection((host, int(port)), timeout=5) as connection:
                connection.settimeout(None)
                while connection.recv(4096):
                    continue
        except OSError:
            os._exit(1)


def main() -> None:
    """Serve until the engine ends this process, or ends itself."""
    threading.Thread(target=_end_with, args=(sys.argv[1],), name="engine watch", daemon=True).start()
    sdk_server.main(sys.argv[1:], VERSION, LabProvider(sys.argv[1]))
