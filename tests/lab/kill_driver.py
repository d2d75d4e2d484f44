"""Runs a playbook again and again and kills something at the beginning of tasks: itself, or parts of the gateway.

Started by test_kill_points.py under the probe. A boundary is the beginning of the task behind one that may have changed
something outside the controller, as the callback writes them to $XMPPGW_STEPS_FILE: behind a task that only looks or
decides, the world is as it was. Each boundary is used once; a run that meets no unused one goes on to its end.

    python -m tests.lab.kill_driver --used FILE --most N [--seed S] [--within PLAY]... [--parts] -- ansible-playbook ...

With --seed one boundary in RARE is used, whichever run reaches it; with --within only those of plays that begin so.

Without --parts the whole process group of the playbook is killed (SIGKILL). With --parts a daemon of the gateway is, or
the plug of its host is pulled and the host booted again, while the playbook goes on; should it fail, it is run again.

Exit status: 0 when the playbook came to its end, 3 when N runs were killed, else that of the playbook.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
POLL = 0.02
"""Seconds between two looks at the steps file: a task takes ten times as long."""
ENDED = "the playbook came to its end with status"
RARE = 12
"""With a seed, one boundary in so many is used. Which ones depends on nothing else, or early ones would be preferred:
every run passes them again."""
DECIDES = {
    *("set_fact", "include_role", "include_tasks", "import_role", "meta", "validate_argument_spec", "assert", "say"),
    *("step", "guard", "plan", "wave", "note_partner", "judge_arrival", "judge_proofs"),
}
"""Actions of the controller's own; nothing of them is left when it dies."""
LOOKS = {
    *("observe", "platform_look", "dns_view", "served", "verify", "users_index", "restart_order", "policy_effect"),
    *("slurp", "prove_partners", "partner_arrival"),
}
"""Actions that only ask."""
PARTS = (
    ("edge1", "xmppgw-edge.service"),
    ("fe1", "xmppgw-frontend.service"),
    ("edge1", ""),
    ("fe1", ""),
)
"""Host and unit to kill; without a unit the plug of the host is pulled."""
PULL = (
    "import sys; from lab_provider import machines; from lab_provider.places import Places; "
    "machines.pull_the_plug(Places.from_environment(), sys.argv[1])"
)
A_SECOND = 160
"""Messages that all people together send in a second, rounded up."""


Kill = Callable[[subprocess.Popen[bytes]], None]


class Boundaries:
    """Which boundaries were used, and whether the next one is to be."""

    def __init__(self, path: Path, seed: int | None, most: int, within: tuple[str, ...]) -> None:
        self.path, self.left, self.seed, self.within = path, most, seed, within
        self.used: set[str] = set(json.loads(path.read_text())) if path.exists() else set()

    def wants(self, boundary: str) -> bool:
        """Whether to kill here; notes it if so."""
        if boundary in self.used or not self.left:
            return False
        if not self.chosen(boundary):
            return False
        self.left -= 1
        self.used.add(boundary)
        self.path.write_text(json.dumps(sorted(self.used), indent=1) + "\n")
        print(f"killed behind: {boundary}", flush=True)
        return True

    def chosen(self, boundary: str) -> bool:
        """Whether the seed takes it."""
        if self.within and not boundary.startswith(self.within):
            return False
        digest = hashlib.sha256(f"{self.seed} {boundary}".encode()).digest()
        return self.seed is None or int.from_bytes(digest[:4]) % RARE == 0


class Tasks:
    """Reads the steps file as it grows, from where it ends now."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = path.stat().st_size if path.exists() else 0
        self.acting = ""
        """The task under way, if it may change something."""

    def boundaries(self) -> list[str]:
        """The boundaries that were reached since the last time."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self.offset)
            data = file.read()
        complete = data[: data.rfind(b"\n") + 1]
        self.offset += len(complete)
        found = []
        for line in map(json.loads, complete.splitlines()):
            if line["event"] == "task_started":
                found += [self.acting] * bool(self.acting)
                passive = line["action"] in DECIDES | LOOKS
                self.acting = "" if passive else f"{line['play']} | {line['task']}"
        return found


def run(command: list[str], steps: Path, boundaries: Boundaries, kill: Kill) -> int:
    """One run, with what is killed during it; its exit status, negative if it was killed itself."""
    tasks = Tasks(steps)
    process = subprocess.Popen(command, start_new_session=True)
    while process.poll() is None:
        if any(boundaries.wants(boundary) for boundary in reversed(tasks.boundaries())):
            kill(process)
        time.sleep(POLL)
    return process.returncode


def kill_controller(process: subprocess.Popen[bytes]) -> None:
    """The playbook with all that it has started here."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Parts:
    """Kills the parts of the gateway in turn, and tells the probe so."""

    def __init__(self, steps: Path) -> None:
        self.steps, self.number = steps, 0

    def tell(self, what: str, bound: int, began: float, away_s: float = 0.0) -> None:
        line = {"t": began, "event": "killed", "what": what, "bound": bound, "seconds": away_s}
        with self.steps.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def kill(self, _process: subprocess.Popen[bytes]) -> None:
        """The next part. A daemon that is not there yet cannot be killed; that is no failure."""
        host, unit = PARTS[self.number % len(PARTS)]
        self.number += 1
        print(f"the victim: {host} {unit}", flush=True)
        if unit:
            # What a peer without stream management had written to the dead process's sockets.
            self.tell(f"{unit} on {host}", A_SECOND // 4, time.time())
            self.lab("-m", "lab_provider.enter", host, "systemctl", "kill", "--signal=KILL", unit)
            return
        began = time.time()
        self.lab("-c", PULL, host)
        subprocess.run([str(ROOT / ".ci" / "stack"), "up", "lab"], check=True, stdout=subprocess.DEVNULL)
        # What peers without stream management sent to a host that was not there, until its kernel told them so.
        away = time.time() - began
        self.tell(f"host {host}", round(A_SECOND * (away + 5)), began, away)

    def lab(self, *arguments: str) -> None:
        subprocess.run([sys.executable, *arguments], cwd=ROOT / "pulumi", check=False, stdout=subprocess.DEVNULL)


def ended(status: int) -> int:
    """Say so, for the probe has an exit status of its own."""
    print(f"{ENDED} {status}", flush=True)
    return status


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--used", type=Path, required=True)
    parser.add_argument("--most", type=int, required=True)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--within", action="append", default=[])
    parser.add_argument("--parts", action="store_true")
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    steps = Path(os.environ["XMPPGW_STEPS_FILE"])
    boundaries = Boundaries(arguments.used, arguments.seed, arguments.most, tuple(arguments.within))
    if arguments.parts:
        return with_parts(arguments.command, steps, boundaries)
    while boundaries.left:
        status = run(arguments.command, steps, boundaries, kill_controller)
        if status != -signal.SIGKILL:
            return ended(status)
    if arguments.seed is not None:
        return ended(subprocess.run(arguments.command, check=False).returncode)
    return 3


def with_parts(command: list[str], steps: Path, boundaries: Boundaries) -> int:
    """Until it comes to its end; it may fail once for each part that died under it."""
    parts = Parts(steps)
    failures = 0
    while True:
        status = run(command, steps, boundaries, parts.kill)
        failures += bool(status)
        if not status or failures > parts.number:
            return ended(status)


if __name__ == "__main__":
    sys.exit(main())
