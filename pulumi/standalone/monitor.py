"""Serves `ResourceMonitor` and `Engine` of Pulumi's gRPC to program and providers; refuses by name what is missing."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

import grpc  # type: ignore[import-untyped]
from google.protobuf import empty_pb2  # type: ignore[import-untyped]
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, resource_pb2, resource_pb2_grpc

from standalone.engine import PARALLEL, STACK_TYPE, Engine, EngineError, Goal
from standalone.plugin import MESSAGE_BYTES
from standalone.values import from_struct, to_struct

FEATURES = ("secrets", "deletedWith")
# What a preview of a package without a plug-in may ignore: they say how a resource of the state is found, and how long
# making it may take; nothing is found or made there.
IRRELEVANT_OFFLINE = ("importId", "aliasURNs", "aliases")
# Request fields of RegisterResource that change what must be done, and that this engine does not do.
UNSUPPORTED = {
    "importId": "import",
    "aliasURNs": "aliases",
    "aliases": "aliases",
    "remote": "components served by a provider (remote)",
    "provider": "explicit providers",
    "providers": "explicit providers",
    "transforms": "transforms",
    "replace_with": "replace_with",
    "pluginDownloadURL": "plug-ins from elsewhere",
    "packageRef": "parameterized packages",
    "state_migrations": "state migrations",
}


class Monitor(resource_pb2_grpc.ResourceMonitorServicer):
    """What the program calls."""

    def __init__(self, engine: Engine, offline: Callable[[str], bool]) -> None:
        self._engine, self._offline = engine, offline

    def GetDeploymentInfo(  # noqa: N802 - the name is gRPC's
        self, request: empty_pb2.Empty, context: grpc.ServicerContext
    ) -> resource_pb2.DeploymentInfo:
        """Which features the program may use."""
        return resource_pb2.DeploymentInfo(
            project=self._engine.project,
            stack=self._engine.stack,
            organization="organization",
            dryRun=self._engine.preview,
            parallel=PARALLEL,
            supportedFeatures=[
                resource_pb2.RESOURCE_MONITOR_FEATURE_SECRETS,
                resource_pb2.RESOURCE_MONITOR_FEATURE_DELETED_WITH,
            ],
        )

    def SupportsFeature(  # noqa: N802
        self, request: resource_pb2.SupportsFeatureRequest, context: grpc.ServicerContext
    ) -> resource_pb2.SupportsFeatureResponse:
        """The older way of asking the same."""
        return resource_pb2.SupportsFeatureResponse(hasSupport=request.id in FEATURES)

    def RegisterResource(  # noqa: N802
        self, request: resource_pb2.RegisterResourceRequest, context: grpc.ServicerContext
    ) -> resource_pb2.RegisterResourceResponse:
        """Make the resource, answer with its URN, id and outputs."""
        offline = request.custom and self._offline(request.type)
        refused = [
            what
            for field, what in UNSUPPORTED.items()
            if getattr(request, field) and not (offline and field in IRRELEVANT_OFFLINE)
        ]
        refused += ["explicit providers"] * request.type.startswith("pulumi:providers:")
        nested = any(set(path) & set(".[*") for path in request.ignoreChanges)
        refused += ["nested ignore_changes"] * (nested and not offline)
        refused += ["replacement_trigger"] * request.HasField("replacement_trigger")
        refused += ["custom timeouts"] * (request.HasField("customTimeouts") and not offline)
        refused += ["resource hooks"] * (request.HasField("hooks") and bool(request.hooks.ListFields()))
        if refused:
            missing = ", ".join(sorted(set(refused)))
            message = f"{request.type} {request.name}: not supported by the standalone engine: {missing}"
            self._engine.error(message)
            context.abort(grpc.StatusCode.UNIMPLEMENTED, message)
        goal = Goal(
            type=request.type,
            name=request.name,
            custom=request.custom,
            inputs=from_struct(request.object),
            parent=request.parent,
            dependencies=tuple(request.dependencies),
            property_dependencies={name: list(item.urns) for name, item in request.propertyDependencies.items()},
            protect=request.protect,
            ignore_changes=tuple(request.ignoreChanges),
            replace_on_changes=tuple(request.replaceOnChanges),
            delete_before_replace=request.deleteBeforeReplace if request.deleteBeforeReplaceDefined else None,
            retain_on_delete=request.retainOnDelete,
            deleted_with=request.deletedWith,
            additional_secret_outputs=tuple(request.additionalSecretOutputs),
        )
        try:
            made = self._engine.register(goal)
        except EngineError as problem:
            context.abort(grpc.StatusCode.UNKNOWN, str(problem))
            raise
        except Exception as problem:
            # A full disk, a missing passphrase, a mistake of ours: gRPC would tell the program only, and briefly.
            self._engine.error(f"{request.type} {request.name}: {type(problem).__name__}: {problem}")
            raise
        return resource_pb2.RegisterResourceResponse(urn=made.urn, id=made.id, object=to_struct(made.outputs))

    def RegisterResourceOutputs(  # noqa: N802
        self, request: resource_pb2.RegisterResourceOutputsRequest, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        """Outputs of a component."""
        try:
            self._engine.register_outputs(request.urn, from_struct(request.outputs))
        except EngineError as problem:
            context.abort(grpc.StatusCode.UNKNOWN, str(problem))
        return empty_pb2.Empty()

    def Invoke(  # noqa: N802
        self, request: resource_pb2.ResourceInvokeRequest, context: grpc.ServicerContext
    ) -> NoReturn:
        """Refused: the lab's provider has no functions, stack references need the real engine."""
        self._refuse(context, f"function {request.tok}")

    def Call(  # noqa: N802
        self, request: resource_pb2.ResourceCallRequest, context: grpc.ServicerContext
    ) -> NoReturn:
        """Refused."""
        self._refuse(context, f"method {request.tok}")

    def ReadResource(  # noqa: N802
        self, request: resource_pb2.ReadResourceRequest, context: grpc.ServicerContext
    ) -> NoReturn:
        """Refused."""
        self._refuse(context, f"reading the existing resource {request.type} {request.id}")

    def RegisterPackage(  # noqa: N802
        self, request: resource_pb2.RegisterPackageRequest, context: grpc.ServicerContext
    ) -> NoReturn:
        """Refused."""
        self._refuse(context, f"parameterized package {request.name}")

    def RegisterStackTransform(self, request: object, context: grpc.ServicerContext) -> NoReturn:  # noqa: N802
        """Refused."""
        self._refuse(context, "stack transforms")

    def RegisterResourceHook(self, request: object, context: grpc.ServicerContext) -> NoReturn:  # noqa: N802
        """Refused."""
        self._refuse(context, "resource hooks")

    def SignalAndWaitForShutdown(  # noqa: N802
        self, request: empty_pb2.Empty, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        """The program has registered everything; nothing here needs it to stay."""
        return empty_pb2.Empty()

    def _refuse(self, context: grpc.ServicerContext, what: str) -> NoReturn:
        message = f"not supported by the standalone engine: {what}; use the pulumi command for this program"
        self._engine.error(message)
        context.abort(grpc.StatusCode.UNIMPLEMENTED, message)
        raise AssertionError("abort raises")


class EngineService(engine_pb2_grpc.EngineServicer):
    """What the program and providers log to."""

    def __init__(self, engine: Engine, show: Callable[[str, str], None]) -> None:
        self._engine, self._show, self._root = engine, show, ""

    def Log(self, request: engine_pb2.LogRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:  # noqa: N802
        """Show a message; an error makes the run fail, as it does with the real engine."""
        if request.severity == engine_pb2.ERROR:
            self._engine.error(request.message)
        if request.severity != engine_pb2.DEBUG:
            self._show(engine_pb2.LogSeverity.Name(request.severity).lower(), request.message)
        return empty_pb2.Empty()

    def GetRootResource(  # noqa: N802
        self, request: engine_pb2.GetRootResourceRequest, context: grpc.ServicerContext
    ) -> engine_pb2.GetRootResourceResponse:
        """URN of the stack."""
        return engine_pb2.GetRootResourceResponse(urn=self._root)

    def SetRootResource(  # noqa: N802
        self, request: engine_pb2.SetRootResourceRequest, context: grpc.ServicerContext
    ) -> engine_pb2.SetRootResourceResponse:
        """Remember the stack's URN."""
        self._root = request.urn
        return engine_pb2.SetRootResourceResponse()

    def RequirePulumiVersion(  # noqa: N802
        self, request: engine_pb2.RequirePulumiVersionRequest, context: grpc.ServicerContext
    ) -> engine_pb2.RequirePulumiVersionResponse:
        """Refused: this is not a version of Pulumi."""
        message = "require_pulumi_version: the standalone engine is no version of Pulumi"
        self._engine.error(message)
        context.abort(grpc.StatusCode.UNIMPLEMENTED, message)
        raise AssertionError("abort raises")


class Server:
    """Both services on one loopback port; the engine comes later, since plug-ins need the address first."""

    def __init__(self) -> None:
        limits = [("grpc.max_receive_message_length", MESSAGE_BYTES), ("grpc.max_send_message_length", MESSAGE_BYTES)]
        self._server = grpc.server(ThreadPoolExecutor(PARALLEL * 2, thread_name_prefix="monitor"), options=limits)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def start(
        self, engine: Engine, show: Callable[[str, str], None], offline: Callable[[str], bool] = lambda _: False
    ) -> None:
        """Begin to serve; `offline` says of which resource types a preview makes nothing and asks nobody."""
        resource_pb2_grpc.add_ResourceMonitorServicer_to_server(Monitor(engine, offline), self._server)
        engine_pb2_grpc.add_EngineServicer_to_server(EngineService(engine, show), self._server)
        self._server.start()

    def stop(self) -> None:
        """Stop serving at once."""
        self._server.stop(0)


__all__ = ["STACK_TYPE", "EngineService", "Monitor", "Server"]
