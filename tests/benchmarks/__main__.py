"""`python -m tests.benchmarks`: measure, print a table, write JSON. Nothing timed here passes or fails.

Parts: `codec`, `planning`, `users` and `calls` need nothing; `preview` needs the cloud's SDK, `path` needs root and the
lab's server image.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
from dataclasses import asdict
from pathlib import Path

from tests.benchmarks.measure import Measurement, table

PARTS = ("codec", "planning", "users", "calls", "preview", "path")


def main() -> int:
    """Run the parts that were asked for, in order."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--part", action="append", choices=PARTS, help="one part only; may be given again")
    parser.add_argument("--output", type=Path, default=Path("out/bench/bench.json"))
    parser.add_argument("--messages", type=int, default=20_000, help="messages sent through each path")
    arguments = parser.parse_args()
    measurements: list[Measurement] = []
    skipped: dict[str, str] = {}
    for part in arguments.part or PARTS:
        module = importlib.import_module(f"tests.benchmarks.{part}")
        reason = module.reason_to_skip() if hasattr(module, "reason_to_skip") else None
        if reason is not None:
            skipped[part] = reason
            continue
        taken = module.run(arguments.messages) if part == "path" else module.run()
        measurements += taken
        print(table(taken), flush=True)
        print(flush=True)
    for part, reason in skipped.items():
        print(f"not measured: {part}: {reason}")
    report = {
        "schema": 1,
        "machine": {
            "cores": os.cpu_count(),
            "architecture": platform.machine(),
            "python": platform.python_version(),
            "load_before": os.getloadavg()[1],
        },
        "measurements": [asdict(one) for one in measurements],
        "skipped": skipped,
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(report, indent=2) + "\n")
    print(f"written to {arguments.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
