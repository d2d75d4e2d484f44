"""The command `python -m standalone up|preview|refresh|destroy|outputs --stack NAME`; works from any directory."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from standalone import preview_report, run
from standalone.crypter import SecretsError
from standalone.plugin import ProviderError
from standalone.project import ProjectError
from standalone.state import StateError

PROGRAM = Path(__file__).resolve().parents[1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit 0: done; 1: something failed or was refused; 2: bad usage, or no such stack."""
    parser = argparse.ArgumentParser(prog="python -m standalone", description=__doc__)
    lab = Path(os.environ.get("XMPPGW_LAB_DIR") or PROGRAM.parent / ".lab")
    parser.add_argument("verb", choices=["up", "preview", "refresh", "destroy", "outputs"])
    parser.add_argument("--stack", required=True)
    parser.add_argument("--program", type=Path, default=PROGRAM, help="directory of Pulumi.yaml (default: %(default)s)")
    parser.add_argument("--config", type=Path, help="directory of Pulumi.<stack>.yaml (default: the program's)")
    parser.add_argument(
        "--state", type=Path, default=lab / "state", help="directory of the state (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON line at the end")
    parser.add_argument(
        "--output", type=Path, default=PROGRAM.parent / "out" / "preview", help="preview: report directory"
    )
    parser.add_argument("--show-secrets", action="store_true", help="outputs: in the clear")
    chosen = parser.parse_args(arguments)
    where = run.Where(chosen.program.absolute(), chosen.stack, chosen.state.absolute(), chosen.config)
    try:
        if chosen.verb == "outputs":
            print(json.dumps(run.outputs(where, show_secrets=chosen.show_secrets), indent=1, sort_keys=True))
            return 0
        if chosen.verb == "preview":
            result = run.up(where, preview=True)
            # Half a tree would be taken for the whole one; the last report stays.
            violated = not result.errors and preview_report.write(result, chosen.stack, chosen.output)
        else:
            verbs = {"up": run.up, "refresh": run.refresh, "destroy": run.destroy}
            result, violated = verbs[chosen.verb](where), False
    except (ProjectError, StateError, ProviderError, SecretsError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2 if isinstance(problem, ProjectError) else 1
    for error in result.errors:
        print(f"error: {error}", file=sys.stderr)
    counts = ", ".join(f"{count} {operation}" for operation, count in result.summary.items()) or "nothing"
    print(f"{chosen.verb} of stack {chosen.stack}: {counts} ({result.seconds:.1f} s)")
    if chosen.json:
        print(
            json.dumps({"summary": result.summary, "errors": list(result.errors), "seconds": round(result.seconds, 2)})
        )
    return 1 if result.errors or violated else 0


if __name__ == "__main__":
    sys.exit(main())
