"""Reads Pulumi.yaml and Pulumi.<stack>.yaml as the real engine does, as far as this project uses them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import yaml

CODE = "infra-stack"  # docs/codes.md


class ProjectError(Exception):
    """A project or stack file is missing or cannot be used; the message names it."""


@dataclass(frozen=True)
class Project:
    """The program's directory, its name, its plug-ins by package, whether every run begins with a refresh."""

    directory: Path
    name: str
    plugins: dict[str, Path] = field(default_factory=dict)
    always_refresh: bool = False

    def has_plugin(self, kind: str) -> bool:
        """Whether the package of a resource type has a plug-in here."""
        return kind.partition(":")[0] in self.plugins


def load_project(directory: Path) -> Project:
    """Read Pulumi.yaml; raises ProjectError."""
    path = directory / "Pulumi.yaml"
    data = _mapping(path)
    runtime = data.get("runtime")
    runtime_name = runtime.get("name") if isinstance(runtime, dict) else runtime
    if runtime_name != "python":
        raise ProjectError(
            f"{directory / 'Pulumi.yaml'}: runtime {runtime_name!r} is not supported by the standalone engine"
        )
    plugins: dict[str, Path] = {}
    entries = _part(data, "plugins", path).get("providers") or []
    if not isinstance(entries, list):
        raise ProjectError(f"{path}: plugins.providers must be a list")
    for entry in entries:
        plugins[str(entry["name"])] = (directory / str(entry["path"])).resolve()
    refresh = _part(data, "options", path).get("refresh") == "always"
    return Project(directory, str(data["name"]), plugins, refresh)


def stack_file(project: Project, stack: str, directory: Path | None = None) -> Path:
    """Where the stack's configuration stands; raises ProjectError, with the stacks that there are."""
    path = (directory or project.directory) / f"Pulumi.{stack}.yaml"
    if not path.exists():
        known = sorted(found.name.split(".")[1] for found in path.parent.glob("Pulumi.*.yaml"))
        raise ProjectError(
            f"[{CODE}] there is no stack {stack!r}: {path} is missing. Stacks here: {', '.join(known) or 'none'}"
        )
    return path


def load_config(project: Project, stack: str, directory: Path | None = None) -> dict[str, str]:
    """The stack's configuration as the SDK takes it: namespaced keys, structured values as JSON text."""
    path = stack_file(project, stack, directory)
    data = _mapping(path)
    found: dict[str, str] = {}
    for key, value in _part(data, "config", path).items():
        full = key if ":" in key else f"{project.name}:{key}"
        if isinstance(value, dict) and set(value) == {"secure"}:
            raise ProjectError(
                f"{path}: {key} is encrypted; secret configuration is not supported by the standalone engine"
            )
        found[full] = value if isinstance(value, str) else json.dumps(value)
    return found


def _mapping(path: Path) -> dict[str, object]:
    try:
        data = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise ProjectError(f"[{CODE}] there is no {path}") from None
    except yaml.YAMLError as problem:
        raise ProjectError(f"[{CODE}] {path} is not YAML: {problem}") from None
    if not isinstance(data, dict):
        raise ProjectError(f"[{CODE}] {path} does not hold a mapping")
    return data


def _part(data: dict[str, object], key: str, path: Path) -> dict[str, object]:
    part = data.get(key) or {}
    if not isinstance(part, dict):
        raise ProjectError(f"{path}: {key} must be a mapping")
    return part
