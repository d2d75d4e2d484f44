"""`xmppgw frontend`: read the configuration, check it or run the front end.

Called by `xmppgw.cli` with the arguments that follow `frontend`. Exit codes: 0 fine, 1 failed while running, 2 bad
configuration.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from xmppgw.frontend.daemon import FrontEnd, check
from xmppgw.frontend.settings import FrontEndSettings, decode_front_end_settings
from xmppgw.store.interface import StoreProblem
from xmppgw.telemetry.log import Log
from xmppgw.telemetry.process import run
from xmppgw.telemetry.settings import SettingsProblem
from xmppgw.telemetry.systemd import inherited_sockets
from xmppgw.tls.identity import CertificateProblem

#: On top of the drain's own deadline, for closing what is then left.
STOP_MARGIN_SECONDS = 10.0


def load(path: Path) -> FrontEndSettings:
    """Read settings from `path`. Raises SettingsProblem."""
    try:
        return decode_front_end_settings(path.read_bytes())
    except OSError as error:
        raise SettingsProblem("settings-unreadable", f"{path}: {error.strerror}") from None


def main(argv: list[str]) -> int:
    """Run the front end, or with `--check-config` say whether it would run."""
    parser = argparse.ArgumentParser(prog="xmppgw frontend", description="The front end: XMPP to SIP and back.")
    parser.add_argument("--config", type=Path, required=True, help="frontend.json")
    parser.add_argument("--check-config", action="store_true", help="check configuration and certificates, then exit")
    arguments = parser.parse_args(argv)
    path: Path = arguments.config
    try:
        settings = load(path)
        if arguments.check_config:
            check(settings)
            return 0
        return asyncio.run(_serve(settings, path))
    except (SettingsProblem, CertificateProblem, StoreProblem, OSError) as problem:
        code = problem.code if isinstance(problem, SettingsProblem) else "start-failed"
        print(f"xmppgw frontend: {code}: {path}: {problem}", file=sys.stderr)
        return 2


async def _serve(settings: FrontEndSettings, path: Path) -> int:
    log = Log("frontend", settings.node, gather=True)
    front_end = FrontEnd(settings, log, sockets=inherited_sockets())

    def reload() -> str:
        try:
            front_end.reload(load(path))
        except (SettingsProblem, CertificateProblem) as problem:
            return str(problem)
        return ""

    return await run(front_end, reload, log, stop_seconds=settings.limits.drain_seconds + STOP_MARGIN_SECONDS)
