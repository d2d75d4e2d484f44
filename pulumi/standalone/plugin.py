"""Starts a provider plug-in and speaks `ResourceProvider` with it, as the real engine does.

The plug-in prints its port, takes the engine's address as its argument, and dies with this process, however that ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import grpc  # type: ignore[import-untyped]
import yaml
from google.protobuf import empty_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from standalone.values import Properties, from_struct, to_struct

# A host may take minutes to build on a slow disk; the provider has limits of its own for every wait.
LONGEST_CALL = 900.0  # seconds
MESSAGE_BYTES = 400 * 1024 * 1024  # the SDK's own limit (pulumi.runtime._grpc_settings)


DIED = "infra-provider"  # code (docs/codes.md)


class ProviderError(Exception):
    """The provider refused or failed; the message is the provider's."""


@dataclass(frozen=True)
class Difference:
    """Answer of Diff: what changed, what of it means replacing, and whether the old one must go first."""

    changed: bool
    properties: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    delete_before_replace: bool = False


@dataclass(frozen=True)
class Found:
    """Answer of Read; `id` is empty when the resource is gone."""

    id: str
    outputs: Properties = field(default_factory=dict)
    inputs: Properties = field(default_factory=dict)


@dataclass(frozen=True)
class Known:
    """A resource as the state knows it."""

    urn: str
    id: str
    inputs: Properties = field(default_factory=dict)
    outputs: Properties = field(default_factory=dict)


class Provider(Protocol):
    """What the engine needs of a provider; tests implement it in memory."""

    def check(self, urn: str, old: Properties, new: Properties) -> tuple[Properties, list[tuple[str, str]]]:
        """Inputs as the provider wants them, and failures as (property, reason)."""

    def diff(self, known: Known, new: Properties, ignore: list[str]) -> Difference:
        """Compare the known resource with new inputs."""

    def create(self, urn: str, inputs: Properties, *, preview: bool) -> tuple[str, Properties]:
        """Id and outputs."""

    def read(self, known: Known) -> Found:
        """Look what became of it."""

    def update(self, known: Known, new: Properties, ignore: list[str], *, preview: bool) -> Properties:
        """Outputs after the change."""

    def delete(self, known: Known) -> None:
        """Remove; the id is empty if the creation failed or was cut off, then the inputs say what may be there."""


class Plugin:
    """A provider in a process of its own."""

    def __init__(self, directory: Path, engine_address: str) -> None:
        manifest = yaml.safe_load((directory / "PulumiPlugin.yaml").read_text())
        runtime = manifest.get("runtime")
        name = runtime.get("name") if isinstance(runtime, dict) else runtime
        if name != "python":
            raise ProviderError(f"plug-in {directory.name}: runtime {name!r} is not supported by the standalone engine")
        # setpriv: the plug-in must not outlive a killed engine and go on changing things that nobody records.
        command = ["setpriv", "--pdeathsig", "KILL", sys.executable, str(directory), engine_address]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True, env=os.environ.copy()
        )
        self._directory = directory
        self._stub: provider_pb2_grpc.ResourceProviderStub | None = None

    def connect(self) -> None:
        """Wait for the port and configure the provider."""
        assert self._process.stdout is not None
        port = self._process.stdout.readline().decode().strip()
        if not port.isdigit():
            raise ProviderError(f"plug-in {self._directory.name} did not start (status {self._process.wait(10)})")
        limits = [("grpc.max_receive_message_length", MESSAGE_BYTES), ("grpc.max_send_message_length", MESSAGE_BYTES)]
        stub = provider_pb2_grpc.ResourceProviderStub(grpc.insecure_channel(f"127.0.0.1:{port}", options=limits))
        stub.Configure(provider_pb2.ConfigureRequest(acceptSecrets=True, acceptResources=False), timeout=30)
        self._stub = stub

    def close(self) -> None:
        """End the plug-in's process."""
        if self._stub is not None:
            try:
                self._stub.Cancel(empty_pb2.Empty(), timeout=2)
            except grpc.RpcError:
                self._stub = None
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _call(self, verb: str, request: object) -> object:
        if self._stub is None:
            raise ProviderError(f"plug-in {self._directory.name} is not connected")
        try:
            return getattr(self._stub, verb)(request, timeout=LONGEST_CALL)
        except grpc.RpcError as problem:
            if problem.code() == grpc.StatusCode.UNAVAILABLE:
                raise ProviderError(self._died(verb)) from None
            details = str(problem.details() or problem)
            # The SDK's server appends its own traceback; the first part is what the provider said.
            raise ProviderError(
                details.removeprefix("Unexpected <class 'Exception'>: ").split(":\n  File ")[0]
            ) from None

    def _died(self, verb: str) -> str:
        try:
            ended = f"ended with status {self._process.wait(5)}"
        except subprocess.TimeoutExpired:
            ended = "no longer answers"
        return (
            f"[{DIED}] the plug-in {self._directory.name} {ended} during {verb}. What it was doing stands in "
            "the state: run `up` again, which finishes or makes it anew, or `destroy`"
        )

    def check(self, urn: str, old: Properties, new: Properties) -> tuple[Properties, list[tuple[str, str]]]:
        """Check."""
        request = provider_pb2.CheckRequest(urn=urn, olds=to_struct(old), news=to_struct(new), randomSeed=b"")
        answer = self._call("Check", request)
        assert isinstance(answer, provider_pb2.CheckResponse)
        return from_struct(answer.inputs), [(failure.property, failure.reason) for failure in answer.failures]

    def diff(self, known: Known, new: Properties, ignore: list[str]) -> Difference:
        """Diff."""
        request = provider_pb2.DiffRequest(
            urn=known.urn,
            id=known.id,
            olds=to_struct(known.outputs),
            news=to_struct(new),
            old_inputs=to_struct(known.inputs),
            ignoreChanges=ignore,
        )
        answer = self._call("Diff", request)
        assert isinstance(answer, provider_pb2.DiffResponse)
        changed = answer.changes == provider_pb2.DiffResponse.DIFF_SOME or bool(answer.replaces)
        if answer.changes == provider_pb2.DiffResponse.DIFF_UNKNOWN:
            changed = known.inputs != new
        return Difference(changed, tuple(answer.diffs), tuple(answer.replaces), answer.deleteBeforeReplace)

    def create(self, urn: str, inputs: Properties, *, preview: bool) -> tuple[str, Properties]:
        """Create."""
        answer = self._call(
            "Create", provider_pb2.CreateRequest(urn=urn, properties=to_struct(inputs), preview=preview)
        )
        assert isinstance(answer, provider_pb2.CreateResponse)
        return answer.id, from_struct(answer.properties)

    def read(self, known: Known) -> Found:
        """Read."""
        request = provider_pb2.ReadRequest(
            urn=known.urn, id=known.id, inputs=to_struct(known.inputs), properties=to_struct(known.outputs)
        )
        answer = self._call("Read", request)
        assert isinstance(answer, provider_pb2.ReadResponse)
        return Found(answer.id, from_struct(answer.properties), from_struct(answer.inputs))

    def update(self, known: Known, new: Properties, ignore: list[str], *, preview: bool) -> Properties:
        """Update."""
        request = provider_pb2.UpdateRequest(
            urn=known.urn,
            id=known.id,
            olds=to_struct(known.outputs),
            news=to_struct(new),
            old_inputs=to_struct(known.inputs),
            ignoreChanges=ignore,
            preview=preview,
        )
        answer = self._call("Update", request)
        assert isinstance(answer, provider_pb2.UpdateResponse)
        return from_struct(answer.properties)

    def delete(self, known: Known) -> None:
        """Delete."""
        request = provider_pb2.DeleteRequest(
            urn=known.urn,
            id=known.id,
            properties=to_struct(known.outputs or known.inputs),
            old_inputs=to_struct(known.inputs),
        )
        self._call("Delete", request)
