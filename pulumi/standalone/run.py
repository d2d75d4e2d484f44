"""The verbs of the command: puts project, state, plug-ins, engine and program together for each of them."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from standalone import project as projects
from standalone.engine import Engine, Step
from standalone.monitor import Server
from standalone.offline import OfflineProvider
from standalone.plugin import Plugin, Provider, ProviderError
from standalone.state import Snapshot, StateFile
from standalone.values import Properties, Value, hidden, revealed

MARKS = {"create": "+", "update": "~", "replace": "+-", "delete": "-", "refresh": "?", "same": " "}


@dataclass(frozen=True)
class Where:
    """Program, stack, state directory; `config` is the directory of Pulumi.<stack>.yaml if it is not the program's."""

    program: Path
    stack: str
    state: Path
    config: Path | None = None


@dataclass(frozen=True)
class Result:
    """How a run ended."""

    summary: dict[str, int]
    errors: tuple[str, ...]
    seconds: float
    outputs: Properties
    engine: Engine | None = None


class _Plugins:
    """The project's plug-ins: all started at once, or in a preview each when it is first needed."""

    def __init__(self, project: projects.Project, address: str, *, preview: bool) -> None:
        self._project, self._address, self._preview = project, address, preview
        self._plugins: dict[str, Plugin] = {}
        self._starting = threading.Lock()

    def __call__(self, kind: str) -> Provider:
        package = kind.partition(":")[0]
        if not self._project.has_plugin(kind):
            if self._preview:
                return OfflineProvider()
            raise ProviderError(
                f"there is no provider for package {package!r}: the standalone engine runs those of Pulumi.yaml's "
                f"plugins.providers ({', '.join(sorted(self._project.plugins)) or 'none'})"
            )
        with self._starting:
            if package not in self._plugins:
                self._connect([package])
            return self._plugins[package]

    def start(self) -> None:
        # What is applied will need them, so all start together; a stack on another platform is previewed without.
        if not self._preview:
            with self._starting:
                self._connect(list(self._project.plugins))

    def _connect(self, packages: Sequence[str]) -> None:
        started = {package: Plugin(self._project.plugins[package], self._address) for package in packages}
        self._plugins.update(started)
        for plugin in started.values():
            plugin.connect()

    def close(self) -> None:
        for plugin in self._plugins.values():
            plugin.close()


def _show_step(step: Step) -> None:
    if step.operation == "same":
        return
    details = f" [{', '.join(step.properties)}]" if step.properties else ""
    kind, name = step.type.rpartition(":")[2], step.urn.rpartition("::")[2]
    print(f" {MARKS[step.operation]:2} {kind} {name}{details} ({step.seconds:.1f} s)", flush=True)


def _show_message(severity: str, message: str) -> None:
    print(f" {severity}: {message}", file=sys.stderr, flush=True)


@contextmanager
def _deployment(where: Where, *, preview: bool) -> Iterator[tuple[projects.Project, Engine, Server]]:
    project = projects.load_project(where.program)
    file = StateFile(where.state, where.stack)
    with ExitStack() as cleanup:
        if not preview:
            cleanup.enter_context(file.locked())
        snapshot: Snapshot = file.load()
        server = Server()
        plugins = _Plugins(project, server.address, preview=preview)
        cleanup.callback(plugins.close)
        engine = Engine(
            project.name,
            where.stack,
            snapshot,
            provider_for=plugins,
            save=file.save,
            report=_show_step,
            preview=preview,
        )
        server.start(engine, _show_message, offline=lambda kind: preview and not project.has_plugin(kind))
        cleanup.callback(server.stop)
        plugins.start()
        yield project, engine, server


def up(where: Where, *, preview: bool = False, refresh: bool | None = None) -> Result:
    """Make the stack what the program says (or say what would be done)."""
    started = time.monotonic()
    config = projects.load_config(projects.load_project(where.program), where.stack, where.config)
    with _program() as program, _deployment(where, preview=preview) as (project, engine, server):
        order = {
            "directory": str(project.directory.resolve()),
            "main": str(project.directory.resolve() / "__main__.py"),
            "project": project.name,
            "stack": where.stack,
            "address": server.address,
            "preview": preview,
            "packages": sorted(project.plugins),
            "config": config,
        }
        if project.always_refresh if refresh is None else refresh:
            engine.refresh()
        status = 1 if engine.errors else _run(program, order, engine)
        if status == 0 and not engine.errors:
            engine.delete_unwanted()
        if status != 0 and not engine.errors:
            engine.error(f"the program ended with status {status}")
        return _result(engine, started)


@contextmanager
def _program() -> Iterator[subprocess.Popen[bytes]]:
    """The process that waits to be told what to run: it loads the SDK while the engine looks at what there is."""
    # setpriv: a killed engine must not leave the program behind, which would wait for it.
    command = ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "standalone.program"]
    home = Path(__file__).resolve().parents[1]
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=home, start_new_session=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _run(process: subprocess.Popen[bytes], order: dict[str, object], engine: Engine) -> int:
    try:
        process.communicate(json.dumps(order).encode())
    except KeyboardInterrupt:
        engine.cancel()
        engine.error("interrupted: what was under way is finished, nothing new was begun")
        process.communicate()
    return process.returncode


def _require_stack(where: Where) -> None:
    """A stack without a file may have a state still; one that has neither is a slip of the pen (ProjectError)."""
    if not StateFile(where.state, where.stack).path.exists():
        projects.stack_file(projects.load_project(where.program), where.stack, where.config)


def destroy(where: Where) -> Result:
    """Remove everything that the state knows."""
    _require_stack(where)
    started = time.monotonic()
    with _deployment(where, preview=False) as (_, engine, _server):
        engine.destroy()
        return _result(engine, started)


def refresh(where: Where) -> Result:
    """Bring the state in line with what is there."""
    _require_stack(where)
    started = time.monotonic()
    with _deployment(where, preview=False) as (_, engine, _server):
        engine.refresh()
        return _result(engine, started)


def outputs(where: Where, *, show_secrets: bool = False) -> Properties:
    """Outputs of the stack as of its last run."""
    _require_stack(where)
    snapshot = StateFile(where.state, where.stack).load()
    engine = Engine(
        "",
        where.stack,
        snapshot,
        provider_for=_no_provider,
        save=lambda _: None,
        report=lambda _: None,
        preview=True,
    )
    found: Value = engine.outputs()
    shown = revealed(found) if show_secrets else hidden(found)
    return shown if isinstance(shown, dict) else {}


def _no_provider(kind: str) -> Provider:
    raise ProviderError(f"no provider is running ({kind})")


def _result(engine: Engine, started: float) -> Result:
    return Result(engine.summary(), tuple(engine.errors), time.monotonic() - started, engine.outputs(), engine)
