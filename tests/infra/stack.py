"""A small lab of its own for these tests, driven through the command line of either engine."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from lab_provider import machines, namespace
from lab_provider.down import remove_everything
from lab_provider.places import Places

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "pulumi"
HOSTS = ("fw1", "dns1", "dns2", "edge1")
LONGEST = 900  # seconds for one command of an engine


@dataclass
class Outcome:
    """How a command ended: status, counts by operation, everything it printed."""

    status: int
    counts: dict[str, int]
    text: str

    def __getitem__(self, operation: str) -> int:
        return self.counts.get(operation, 0)


@dataclass
class Stack:
    """Configuration, directories and engine of one test lab."""

    engine: str
    places: Places
    work: Path
    hosts: list[str] = field(default_factory=lambda: list(HOSTS))
    federation: Callable[[str], str] = lambda text: text

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "XMPPGW_LAB_DIR": str(self.places.lab),
            "XMPPGW_LAB_NAMESPACE": self.places.namespace,
            "PULUMI_BACKEND_URL": f"file://{self.work / 'backend'}",
            "PULUMI_HOME": str(self.work / "home"),
            "PULUMI_CONFIG_PASSPHRASE": "",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }

    def write_configuration(self) -> None:
        """Pulumi.lab.yaml of the project, cut down to the hosts of this test, with a federation document of its own."""
        whole = yaml.safe_load((PROGRAM / "Pulumi.lab.yaml").read_text())
        config = whole["config"]
        document = (PROGRAM / config["xmppgw:federation"]).resolve().read_text()
        self.work.mkdir(parents=True, exist_ok=True)
        (self.work / "federation.yml").write_text(self.federation(document))
        config["xmppgw:federation"] = str(self.work / "federation.yml")
        config["xmppgw:hosts"] = {name: config["xmppgw:hosts"][name] for name in self.hosts}
        (self.work / "config").mkdir(exist_ok=True)
        (self.work / "config" / "Pulumi.lab.yaml").write_text(yaml.safe_dump(whole))

    def command(self, verb: str) -> list[str]:
        if self.engine == "standalone":
            options = ["--stack", "lab", "--config", str(self.work / "config"), "--json"]
            return [sys.executable, "-m", "standalone", verb, *options]
        configuration = str(self.work / "config" / "Pulumi.lab.yaml")
        options = ["--stack", "lab", "--config-file", configuration, "--non-interactive"]
        return ["pulumi", verb, *options, *([] if verb == "preview" else ["--yes", "--skip-preview"])]

    def prepare(self) -> None:
        """The real engine keeps a list of stacks; the standalone one does not."""
        self.write_configuration()
        if self.engine == "pulumi":
            (self.work / "backend").mkdir(exist_ok=True)
            project = self.work / "config" / "Pulumi.yaml"
            project.write_text("name: xmppgw\nruntime: python\n")
            command = [
                "pulumi",
                "--cwd",
                str(project.parent),
                "stack",
                "select",
                "--create",
                "lab",
                "--non-interactive",
            ]
            subprocess.run(command, env=self.environment(), check=True, capture_output=True)

    def run(self, verb: str) -> Outcome:
        self.prepare()
        result = subprocess.run(
            self.command(verb),
            cwd=PROGRAM,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
        text = result.stdout + result.stderr
        return Outcome(result.returncode, self._counts(result.stdout), text)

    def up(self) -> Outcome:
        outcome = self.run("up")
        assert outcome.status == 0, outcome.text
        return outcome

    def _counts(self, output: str) -> dict[str, int]:
        if self.engine == "standalone":
            lines = [line for line in output.splitlines() if line.startswith('{"summary"')]
            return dict(json.loads(lines[-1])["summary"]) if lines else {}
        words = {
            "created": "create",
            "updated": "update",
            "deleted": "delete",
            "replaced": "replace",
            "unchanged": "same",
        }
        found = re.findall(r"^\s+[+~\-±]*-?\s*(\d+) (created|updated|deleted|replaced|unchanged)", output, re.MULTILINE)
        return {words[word]: int(count) for count, word in found}

    @contextmanager
    def started(self, verb: str) -> Iterator[subprocess.Popen[bytes]]:
        """The command under way; whoever uses this ends it."""
        self.prepare()
        with (self.work / "log").open("wb") as log:
            process = subprocess.Popen(
                self.command(verb),
                cwd=PROGRAM,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()
                process.wait()

    def kill_up_when(self, moment: Callable[[], bool]) -> bool:
        """`up`, killed with SIGKILL at a moment; False if it had ended before."""
        with self.started("up") as process:
            limit = time.monotonic() + LONGEST
            while process.poll() is None and time.monotonic() < limit:
                if moment():
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                    self.unlock()
                    return True
        return False

    def unlock(self) -> None:
        """The real engine's lock outlives it (`pulumi cancel` is its own remedy); the standalone one's does not."""
        if self.engine == "pulumi":
            command = ["pulumi", "--cwd", str(self.work / "config"), "cancel", "lab", "--yes", "--non-interactive"]
            subprocess.run(command, env=self.environment(), check=False, capture_output=True)

    def running(self) -> set[str]:
        return {name for name in HOSTS if machines.running(self.places, name) is not None}

    def outputs(self) -> dict[str, object]:
        loaded = json.loads((self.places.lab / "outputs.json").read_text())
        assert isinstance(loaded, dict)
        return loaded

    def ssh(self, host: str, *command: str) -> str:
        """Run a command on a host as Ansible would reach it."""
        outputs = json.loads((self.places.lab / "outputs.json").read_text())
        ssh = outputs["ssh"]
        options = {
            "ProxyCommand": ssh["proxy_command"],
            "UserKnownHostsFile": ROOT / ssh["known_hosts"],
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "BatchMode": "yes",
            "ConnectTimeout": "10",
        }
        whole = ["ssh", "-F", "/dev/null", "-i", str(ROOT / ssh["private_key"])]
        for key, value in options.items():
            whole += ["-o", f"{key}={value}"]
        target = f"{ssh['user']}@{outputs['hosts'][host]['address']}"
        result = subprocess.run([*whole, target, *command], capture_output=True, text=True, timeout=120, check=False)
        assert result.returncode == 0, f"{host}: {result.stderr}"
        return result.stdout.strip()

    def traces(self) -> list[str]:
        """Everything outside the lab's directory that a lab leaves while it is up."""
        found = [f"process of {name}" for name in sorted(self.running())]
        own = self.places.namespace
        found += [f"namespace {name}" for name in namespace.names() if name == own or name.startswith(f"{own}-")]
        mounts = Path("/proc/self/mounts").read_text()
        found += [f"mount {line}" for line in mounts.splitlines() if f"{self.places.lab}/" in line]
        groups = {group.parent for group in self.places.control_groups("x")}
        found += [f"control group {group}" for group in sorted(groups) if group.exists()]
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if f"{self.places.lab}/".encode() in (process / "cmdline").read_bytes():
                    found.append(f"process {process.name}")
            except OSError:
                continue
        return found

    def remove(self) -> None:
        """Whatever a test left."""
        resisted = remove_everything(self.places)
        shutil.rmtree(self.work, ignore_errors=True)
        assert resisted == [], resisted
