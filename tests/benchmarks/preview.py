"""How long the offline preview of `azure-prod` takes, policies included, and how much memory its processes hold."""

from __future__ import annotations

import importlib.util
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.measure import Measurement, family, resident_mebibytes

PROGRAM = Path(__file__).resolve().parents[2] / "pulumi"
SAMPLE_SECONDS = 0.02
RUNS = 3


def reason_to_skip() -> str | None:
    """Why this cannot be measured here."""
    return None if importlib.util.find_spec("pulumi_azure_native") else "`.ci/setup --for azure` installs the SDK"


def run(stack: str = "azure-prod") -> list[Measurement]:
    """The best of a few previews, as a command, the start of Python included."""
    taken = [_preview(stack) for _ in range(RUNS)]
    wall, processor, memory = (min(column) for column in zip(*taken, strict=True))
    group = f"offline preview of {stack}"
    note = f"{processor:.2f} s of processor time; goal: below 5 s"
    return [
        Measurement(group, "time", wall, "s", note=note),
        Measurement(group, "memory of all its processes", memory, "MiB", note="goal: below 400 MiB"),
    ]


def _preview(stack: str) -> tuple[float, float, float]:
    """Seconds on the wall, on the processor, and the largest sum of resident memory that was seen."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "standalone", "preview", "--stack", stack]
        command += ["--state", f"{directory}/state", "--output", f"{directory}/out"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start, peak = time.perf_counter(), 0.0
        with subprocess.Popen(command, cwd=PROGRAM, stdout=subprocess.DEVNULL) as process:
            while process.poll() is None:
                peak = max(peak, _held_by(process.pid))
                time.sleep(SAMPLE_SECONDS)
        seconds = time.perf_counter() - start
        if process.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} exited {process.returncode}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, peak


def _held_by(process: int) -> float:
    try:
        return sum(resident_mebibytes(member) for member in family(process))
    except (OSError, ValueError):
        return 0.0  # one of them has just ended; the next sample counts
