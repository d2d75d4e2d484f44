"""The real engine over the Azure program, with a provider that keeps resources on paper; in directories of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.unit.azure.conftest import PROGRAM

PROVIDER = Path(__file__).parent / "paper_cloud"
ENVIRONMENT = Path(sys.executable).parents[1]


@dataclass(frozen=True)
class Done:
    """How a run of the engine ended: changes by operation, policy packs that judged, what it said, and each step."""

    status: int
    changes: dict[str, int]
    packs: set[str]
    said: str
    steps: list[tuple[str, str, str]]
    """operation, type, name"""


class Organisation:
    """A project on paper: the program as it is, stacks with configurations of their own, a cloud in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.cloud, self.project = directory, directory / "cloud", directory / "project"
        for path in (self.cloud, self.project, directory / "backend"):
            path.mkdir()
        for name in ("xmpp_infra", "lab_provider"):
            (self.project / name).symlink_to(PROGRAM / name)
        self.program()
        project: dict[str, Any] = yaml.safe_load((PROGRAM / "Pulumi.yaml").read_text())
        project["runtime"]["options"]["virtualenv"] = str(ENVIRONMENT)
        project["plugins"]["providers"].append({"name": "azure-native", "path": str(PROVIDER)})
        (self.project / "Pulumi.yaml").write_text(yaml.safe_dump(project))

    def program(self, before: str = "") -> None:
        """The program as it is, after what somebody wrote in front of it."""
        own = f"import runpy\n{before}\nrunpy.run_path({str(PROGRAM / '__main__.py')!r}, run_name='__main__')\n"
        (self.project / "__main__.py").write_text(own)

    def configure(self, stack: str, config: Mapping[str, Any]) -> None:
        """Write a stack's configuration; `delegation` is left to later, so that nobody is asked."""
        azure = config["xmppgw:azure"]
        zones = {name: {**zone, "delegation": "later"} for name, zone in azure["dns"]["zones"].items()}
        azure = {**azure, "dns": {**azure["dns"], "zones": zones}}
        text = yaml.safe_dump({"config": {**config, "xmppgw:azure": azure}})
        (self.project / f"Pulumi.{stack}.yaml").write_text(text)

    def pulumi(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command; its state, its home and its cloud lie in this directory."""
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("PULUMI_")},
            "PULUMI_BACKEND_URL": f"file://{self.directory / 'backend'}",
            "PULUMI_HOME": str(self.directory / "home"),
            "PULUMI_CONFIG_PASSPHRASE": "",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            # A preview's events one by one, as those of `up`, and not one document of another form.
            "PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true",
            "PAPER_CLOUD": str(self.cloud),
        }
        command = ["pulumi", "--cwd", str(self.project), *words, "--non-interactive"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def run(self, verb: str, stack: str, *options: str) -> Done:
        """`up`, `preview` or `destroy`, to its end. As people type it: what changes anything is previewed first."""
        if verb != "preview":
            options = ("--yes", *options)
        done = self.pulumi(verb, "--stack", stack, "--json", *options)
        events = list(_events(done.stdout))
        summary = next((event["summaryEvent"] for event in events if "summaryEvent" in event), {})
        noted = [event["diagnosticEvent"] for event in events if "diagnosticEvent" in event]
        said = [note["message"] for note in noted if note.get("severity") != "debug"]
        said += [event["policyEvent"]["message"] for event in events if "policyEvent" in event]
        steps = [_step(event["resourcePreEvent"]["metadata"]) for event in events if "resourcePreEvent" in event]
        changes = summary.get("resourceChanges") or {}
        packs = {pack.partition("|")[0] for pack in summary.get("PolicyPacks") or {}}
        return Done(done.returncode, changes, packs, "\n".join([*said, done.stderr]), [each for each in steps if each])

    def policies(self) -> Path:
        """The policy pack, in this environment: its own one is made from a package index."""
        pack = self.directory / "policy"
        if not pack.exists():
            shutil.copytree(PROGRAM / "policy", pack, ignore=shutil.ignore_patterns("__pycache__", ".venv"))
            manifest: dict[str, Any] = yaml.safe_load((pack / "PulumiPolicy.yaml").read_text())
            manifest["runtime"]["options"]["virtualenv"] = str(ENVIRONMENT)
            (pack / "PulumiPolicy.yaml").write_text(yaml.safe_dump(manifest))
        return pack

    def names(self) -> set[tuple[str, str]]:
        """What stands in the cloud: (type, identity)."""
        papers = [json.loads(path.read_text()) for path in self.cloud.glob("*.json")]
        return {(paper["type"], paper["id"]) for paper in papers}


def _events(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        if line.startswith("{"):
            yield json.loads(line)


def _step(metadata: Mapping[str, Any]) -> tuple[str, str, str] | None:
    operation, urn = metadata["op"], metadata["urn"]
    return None if operation in ("same", "refresh") else (operation, metadata["type"], urn.rpartition("::")[2])


def missing() -> str | None:
    """Why the real engine cannot run here."""
    return None if shutil.which("pulumi") else "the pulumi command is not on PATH"
