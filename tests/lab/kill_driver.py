"""Runs a playbook again and again and kills it (SIGKILL, the whole process group) at the beginning of tasks.

Started by test_kill_points.py under the probe. A boundary is a task of a play, as the callback writes it to
$XMPPGW_STEPS_FILE. Each boundary is used once; a run that meets no unused one goes on to its end.

    python -m tests.lab.kill_driver --used FILE --most N [--seed S] -- ansible-playbook ...

Exit status: 0 when the playbook came to its end, 3 when N runs were killed, else that of the playbook.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

POLL = 0.02
"""Seconds between two looks at the steps file: a task takes ten times as long."""
ENDED = "the playbook came to its end with status"
RARE = 12
"""With a seed, one boundary in so many is used."""


class Boundaries:
    """Which boundaries were used, and whether the next one is to be."""

    def __init__(self, path: Path, seed: int | None) -> None:
        self.path = path
        self.used: set[str] = set(json.loads(path.read_text())) if path.exists() else set()
        self.chance = None if seed is None else random.Random(seed)

    def wants(self, boundary: str) -> bool:
        """Whether to kill here; notes it if so."""
        if boundary in self.used:
            return False
        if self.chance is not None and self.chance.randrange(RARE):
            return False
        self.used.add(boundary)
        self.path.write_text(json.dumps(sorted(self.used), indent=1) + "\n")
        return True


def boundaries_since(path: Path, offset: int) -> tuple[list[str], int]:
    """The boundaries in complete lines behind `offset`, and the offset behind them."""
    if not path.exists():
        return [], offset
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read()
    complete = data[: data.rfind(b"\n") + 1]
    lines = [json.loads(line) for line in complete.splitlines()]
    found = [f"{line['play']} | {line['task']}" for line in lines if line["event"] == "task_started"]
    return found, offset + len(complete)


def run(command: list[str], steps: Path, boundaries: Boundaries) -> int | None:
    """One run; its exit status, or None if it was killed."""
    offset = steps.stat().st_size if steps.exists() else 0
    process = subprocess.Popen(command, start_new_session=True)
    while process.poll() is None:
        found, offset = boundaries_since(steps, offset)
        if any(boundaries.wants(boundary) for boundary in reversed(found)):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return None
        time.sleep(POLL)
    return process.returncode


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
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    steps = Path(os.environ["XMPPGW_STEPS_FILE"])
    boundaries = Boundaries(arguments.used, arguments.seed)
    for _number in range(arguments.most):
        status = run(arguments.command, steps, boundaries)
        if status is not None:
            return ended(status)
        print(f"killed; {len(boundaries.used)} boundaries used", flush=True)
    if arguments.seed is not None:
        return ended(subprocess.run(arguments.command, check=False).returncode)
    return 3


if __name__ == "__main__":
    sys.exit(main())
