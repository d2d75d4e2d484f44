"""A lab of the stand-ins' own, beside any other: brought up by the real program, spoken to past its network.

Used by the tests of this folder. It never touches the lab in `.lab/`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[3]
HERE = Path(__file__).parent
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Lab:
    """A running lab. `directory` holds its secrets and authorities."""

    directory: Path
    namespace: str
    chosen: Mapping[str, str] = field(default_factory=dict)
    """What this lab has that others have not: XMPPGW_LAB_WITH and the like (docs/lab.md)."""

    @property
    def environment(self) -> dict[str, str]:
        place = {"XMPPGW_LAB_DIR": str(self.directory), "XMPPGW_LAB_NAMESPACE": self.namespace}
        return {**os.environ, **self.chosen, **place}

    @property
    def secrets(self) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.directory / "secrets.json").read_text(encoding="utf-8"))
        return found

    def program(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a module of pulumi/ for this lab, for example `standalone up --stack lab`."""
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=ROOT / "pulumi",
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def start(self, host: str, *command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "lab_provider.enter", host, *command],
            cwd=ROOT / "pulumi",
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, host: str, *command: str, given: str = "") -> str:
        """What `command` prints on `host`; a failure shows both of its outputs."""
        process = self.start(host, *command)
        output, errors = process.communicate(given, timeout=120)
        assert process.returncode == 0, f"{host}: {' '.join(command)}: exit {process.returncode}\n{output}{errors}"
        return output

    def put(self, host: str, path: str, text: str) -> None:
        self.run(host, "tee", path, given=text)

    def edit_zone(self, zone: str, *changes: str) -> None:
        """Somebody edits a zone on the primary, in one transaction; a change is `set NAME TTL TYPE DATA` or `unset
        NAME TYPE`."""
        lines = [f"knotc zone-{verb} {zone} {rest}" for verb, _, rest in (change.partition(" ") for change in changes)]
        self.run("dns1", "sh", "-euc", "\n".join([f"knotc zone-begin {zone}", *lines, f"knotc zone-commit {zone}"]))

    def rpc(self, host: str, method: str, *parameters: str) -> object:
        """The result of a JSON-RPC call to the Kamailio of `host`; None when Kamailio answers with an error."""
        call = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters})
        return json.loads(self.run(host, "curl", "-s", "-m", "5", "127.0.0.1:8090/RPC", "-d", call)).get("result")

    def tables(self, host: str) -> dict[str, dict[str, str]]:
        """Homing and route table of a pool."""
        found: dict[str, dict[str, str]] = {}
        for table in ("homing", "route"):
            entries = self.rpc(host, "htable.dump", table)
            assert isinstance(entries, list), f"{host} has no table {table}: {entries!r}"
            found[table] = {slot["name"]: slot["value"] for entry in entries for slot in entry["slot"]}
        return found

    @contextmanager
    def sink(self, pause: float = 0.0) -> Iterator[None]:
        """While inside, fe1 takes every SIP MESSAGE (202) and appends its body to /root/sink.txt.

        Connections made in the first `pause` seconds wait, as behind a socket unit whose service is restarting.
        """
        self.run("fe1", "systemd-run", "-q", "--unit=sink", "--property=Type=notify", "--property=NotifyAccess=all",
                 "/usr/bin/python3", "/root/sip_peer.py", "sink", str(pause))  # fmt: skip
        try:
            yield
        finally:
            self.run("fe1", "sh", "-c", "systemctl stop sink; systemctl reset-failed sink 2>/dev/null || true")


def eventually(what: str, probe: Callable[[], T], seconds: float = PATIENCE_SECONDS) -> T:
    """The first true value of `probe`, asked every 200 ms; fails with the last value seen."""
    end = time.monotonic() + seconds
    while True:
        seen = probe()
        if seen:
            return seen
        assert time.monotonic() < end, f"{what}: not within {seconds} s; last seen {seen!r}"
        time.sleep(0.2)
