"""`xmppgw edge`: read the configuration, check it or run the edge.

Called by `xmppgw.cli` with the arguments that follow `edge`. Exit codes: 0 fine, 1 failed while running, 2 bad
configuration.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from xmppgw.edge.daemon import Edge, check
from xmppgw.edge.settings import EdgeSettings, decode_edge_settings
from xmppgw.telemetry.log import Log
from xmppgw.telemetry.process import run
from xmppgw.telemetry.settings import SettingsProblem
from xmppgw.telemetry.systemd import inherited_sockets
from xmppgw.tls.identity import CertificateProblem

#: On top of the drain's own deadline, for closing what is then left.
STOP_MARGIN_SECONDS = 10.0


def load(path: Path) -> EdgeSettings:
    """Read settings from `path`. Raises SettingsProblem."""
    try:
        return decode_edge_settings(path.read_bytes())
    except OSError as error:
        raise SettingsProblem("settings-unreadable", f"{path}: {error.strerror}") from None


def main(argv: list[str]) -> int:
    """Run the edge, or with `--check-config` say whether it would run."""
    parser = argparse.ArgumentParser(prog="xmppgw edge", description="The XMPP edge: server-to-server federation.")
    parser.add_argument("--config", type=Path, required=True, help="edge.json")
    parser.add_argument("--check-config", action="store_true", help="check configuration and certificates, then exit")
    arguments = parser.parse_args(argv)
    path: Path = arguments.config
    try:
        settings = load(path)
        if arguments.check_config:
            check(settings)
            return 0
        return asyncio.run(_serve(settings, path))
    except (SettingsProblem, CertificateProblem, OSError) as problem:
        code = problem.code if isinstance(problem, SettingsProblem) else "start-failed"
        print(f"xmppgw edge: {code}: {path}: {problem}", file=sys.stderr)
        return 2


async def _serve(settings: EdgeSettings, path: Path) -> int:
    log = Log("edge", settings.node, gather=True)
    edge = Edge(settings, log, sockets=inherited_sockets())

    def reload() -> str:
        try:
            edge.reload(load(path))
        except (SettingsProblem, CertificateProblem) as problem:
            return str(problem)
        return ""

    return await run(edge, reload, log, stop_seconds=settings.limits.drain_seconds + STOP_MARGIN_SECONDS)
