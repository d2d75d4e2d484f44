"""How a number is taken, kept and printed."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

REPEATS = 5
"""Rounds of one measurement; the median is reported, the spread beside it."""
ROUND_SECONDS = 0.3


@dataclass(frozen=True)
class Measurement:
    """One number.

    Attributes:
        group: what belongs together in the table.
        name: what was measured.
        value: the number.
        unit: of the number.
        spread: (largest - smallest) / median of the rounds; None where there was one round.
        note: how to read it.
    """

    group: str
    name: str
    value: float
    unit: str
    spread: float | None = None
    note: str = ""


def per_second(group: str, name: str, work: Callable[[], object], *, note: str = "") -> Measurement:
    """How often a call can be made in a second, on one core."""
    count, elapsed = 1, 0.0
    while elapsed < ROUND_SECONDS / 4:
        count *= 2
        elapsed = _timed(work, count)
    count = max(1, int(count * ROUND_SECONDS / elapsed))
    rates = [count / _timed(work, count) for _ in range(REPEATS)]
    median = statistics.median(rates)
    return Measurement(group, name, median, "1/s", (max(rates) - min(rates)) / median, note)


def _timed(work: Callable[[], object], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        work()
    return time.perf_counter() - start


def resident_mebibytes(pid: int) -> float:
    """Resident set of one process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"process {pid} has no resident set")


def family(pid: int) -> list[int]:
    """A process and everything it started that still lives."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += family(int(child))
    return found


def processor_seconds(pids: Iterable[int]) -> float:
    """Processor time that processes have used so far, user and system."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def pin(pids: Iterable[int], core: int) -> None:
    """Keep processes on one core."""
    for pid in pids:
        os.sched_setaffinity(pid, {core})


def table(measurements: Iterable[Measurement]) -> str:
    """The measurements as aligned text, one group after the other."""
    lines: list[str] = []
    group = ""
    for one in measurements:
        if one.group != group:
            group = one.group
            lines += ["", group]
        spread = "" if one.spread is None else f"  (spread {one.spread:.0%})"
        note = f"  {one.note}" if one.note else ""
        lines.append(f"  {one.name:<52} {_readable(one.value):>12} {one.unit}{spread}{note}")
    return "\n".join(lines).lstrip("\n")


def _readable(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
