"""How long `xmppgw check` and `xmppgw plan` take for a document with 10,000 partners."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from tests.benchmarks.measure import Measurement

PARTNERS = 10_000
DOCUMENT = Path(__file__).resolve().parents[2] / "inventories/lab/group_vars/all/federation.yml"
CONSOLE_SCRIPT = Path(sys.executable).with_name("xmppgw")


def run() -> list[Measurement]:
    """`check` and `plan` as commands, the start of Python included."""
    document = yaml.safe_load(DOCUMENT.read_text())
    document["federation"]["partners"] = [
        {
            "domain": f"partner-{number}.example",
            "additional_domains": [f"chat.partner-{number}.example"],
            "type": "federated",
            "tls": "required",
            "sasl": ("required", "optional")[number % 2],
            "dialback": bool(number % 2),
        }
        for number in range(PARTNERS)
    ]
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "federation.yml"
        path.write_text(yaml.safe_dump(document))
        size = path.stat().st_size
        times = {verb: _timed(verb, path) for verb in ("check", "plan")}
    group = f"A document with {PARTNERS:,} partners ({size / 1e6:.1f} MB)"
    rows = [
        Measurement(group, f"xmppgw {verb} --format json", wall, "s", note=f"{processor:.2f} s of processor time")
        for verb, (wall, processor) in times.items()
    ]
    wall, processor = (sum(column) for column in zip(*times.values(), strict=True))
    note = f"{processor:.2f} s of processor time; goal: below 5 s"
    return [*rows, Measurement(group, "check + plan", wall, "s", note=note)]


def _timed(verb: str, path: Path) -> tuple[float, float]:
    """Seconds on the wall and on the processor."""
    command = [str(CONSOLE_SCRIPT), verb, "--document", str(path), "--format", "json"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} exited {done.returncode}: {done.stderr.decode()[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
