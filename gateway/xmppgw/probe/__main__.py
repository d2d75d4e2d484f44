"""Command line of the probe: `around` runs a command under it, `report` makes the report's faces anew.

Called by `xmppgw.cli` (`xmppgw probe`) and, as a module, by the Makefile. Exit status of `around`: the command's own; 4
if that was 0 and something was lost, doubled or did not come to rest; 3 if the probe could not begin and the command
was not run.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from xmppgw.probe import runner


def main(arguments: list[str]) -> int:
    """Run one verb."""
    parser = argparse.ArgumentParser(prog="xmppgw probe", description=(__doc__ or "").splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    around = verbs.add_parser("around", help="run a command while people chat, and report what it cost them")
    around.add_argument("--output", default="out/lab", help="where report.{json,html,md} go")
    lab = os.environ.get("XMPPGW_LAB_DIR") or ".lab"
    around.add_argument("--lab", default=lab, help="the lab's own folder, with outputs.json")
    document = os.environ.get("XMPPGW_LAB_DOCUMENT") or "inventories/lab/group_vars/all/federation.yml"
    around.add_argument("--document", default=document)
    around.add_argument("--limit", type=int, default=50_000, help="most messages per pair and direction")
    around.add_argument("--seconds", type=float, default=7200.0, help="longest time that people chat")
    patience = "longest time until everybody gets through and the command starts"
    around.add_argument("--patience", type=float, default=runner.PATIENCE_S, help=patience)
    around.add_argument("command", nargs="+", help="the command, after --")
    again = verbs.add_parser("report", help="make report.html and report.md anew from report.json")
    again.add_argument("--output", default="out/lab")
    typed = parser.parse_args(arguments)
    if typed.verb == "report":
        return runner.render_again(Path(typed.output))
    options = runner.Options(
        command=tuple(typed.command),
        output=Path(typed.output),
        lab=Path(typed.lab).absolute(),
        document=Path(typed.document),
        limit=typed.limit,
        seconds=typed.seconds,
        patience=typed.patience,
    )
    return runner.around(options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
