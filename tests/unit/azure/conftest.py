"""Previews of Azure stacks, each made once: the program as it is, offline, with the examples or changed copies."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
PROGRAM = ROOT / "pulumi"
Preview = dict[str, Any]


def example(stack: str) -> dict[str, Any]:
    """The configuration of an example stack, with its federation document beside it as an absolute path."""
    config: dict[str, Any] = yaml.safe_load((PROGRAM / f"Pulumi.{stack}.yaml").read_text())["config"]
    config["xmppgw:federation"] = str((PROGRAM / config["xmppgw:federation"]).resolve())
    return config


def document() -> dict[str, Any]:
    """The federation document of the examples."""
    path = ROOT / "inventories" / "azure" / "group_vars" / "all" / "federation.yml"
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


def run_preview(directory: Path, stack: str, config: Mapping[str, Any]) -> subprocess.CompletedProcess[str]:
    (directory / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump({"config": dict(config)}))
    command = [sys.executable, "-m", "standalone", "preview", "--stack", stack, "--program", str(PROGRAM)]
    command += ["--config", str(directory), "--state", str(directory / "state"), "--output", str(directory / "out")]
    return subprocess.run(command, cwd=PROGRAM, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def preview(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Preview]:
    """Preview a configuration; the same one is previewed once in a session."""
    pytest.importorskip("pulumi_azure_native", reason=".ci/setup --for azure installs it")
    made: dict[str, Preview] = {}

    def of(stack: str, config: Mapping[str, Any] | None = None) -> Preview:
        config = example(stack) if config is None else config
        key = json.dumps([stack, config], sort_keys=True)
        if key not in made:
            directory = tmp_path_factory.mktemp("preview")
            run = run_preview(directory, stack, config)
            assert run.returncode in (0, 1), run.stderr
            assert (directory / "out" / f"{stack}.json").exists(), run.stdout + run.stderr
            made[key] = json.loads((directory / "out" / f"{stack}.json").read_text())
            made[key]["markdown"] = (directory / "out" / f"{stack}.md").read_text()
            made[key]["status"] = run.returncode
        return made[key]

    return of
