"""One line about a daemon's health, for whoever collects lines: `xmppgw health`, run every minute by a timer.

Asks the daemon's `/healthz` and `/metrics` on loopback, once, and appends one JSON object to a file that Azure's agent
(or any other) reads. A daemon that does not answer is a line, too. Never writes a body, an address of a user or a key.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import os
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

#: Octets of one answer; the metrics of 1,000 partners have about a third of it.
MAXIMUM_ANSWER_BYTES: Final = 4 * 1024 * 1024
#: Seconds until an answer must have come.
PATIENCE: Final = 10.0
#: Octets of the file beyond which it is put aside as `<file>.1`: two weeks of lines.
MAXIMUM_FILE_BYTES: Final = 4 * 1024 * 1024
SECONDS_A_DAY: Final = 86_400
#: The fields of a line; the infrastructure's table has the same.
FIELDS: Final = ("TimeGenerated", "host", "daemon", "ready", "reason", "certificate_days", "queue_age_seconds")

Field = str | bool | float | None


def record(daemon: str, host: str, health: bytes, metrics: bytes, now: float) -> dict[str, Field]:
    """Return one line's fields from the two answers. `now`: seconds since the epoch."""
    ready, reason = _health(health)
    values = _gauges(metrics)
    ends = [value for name, value in values.items() if name.endswith("certificate_expiry") and value > 0]
    return {
        **_about(daemon, host, now),
        "ready": ready,
        "reason": reason,
        "certificate_days": round((min(ends) - now) / SECONDS_A_DAY, 2) if ends else None,
        "queue_age_seconds": values.get(f"xmppgw_{daemon}_oldest_waiting_seconds"),
    }


def silence(daemon: str, host: str, reason: str, now: float) -> dict[str, Field]:
    """Return the fields of a line on a daemon that did not answer."""
    unknown: dict[str, Field] = {"certificate_days": None, "queue_age_seconds": None}
    return {**_about(daemon, host, now), "ready": False, "reason": f"no answer: {reason}", **unknown}


def _about(daemon: str, host: str, now: float) -> dict[str, Field]:
    return {"TimeGenerated": datetime.fromtimestamp(now, UTC).isoformat(), "host": host, "daemon": daemon}


def _health(answer: bytes) -> tuple[bool, str]:
    try:
        found = json.loads(answer)
        checks = {str(name): bool(holds) for name, holds in found["checks"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return False, "what /healthz says cannot be read"
    failed = sorted(name for name, holds in checks.items() if not holds)
    return not failed and found.get("healthy") is True, ", ".join(failed)


def _gauges(answer: bytes) -> Mapping[str, float]:
    """Metrics without labels; the others are about partners."""
    found: dict[str, float] = {}
    for line in answer.decode("utf-8", errors="replace").splitlines():
        name, _, value = line.partition(" ")
        try:
            found[name] = float(value)
        except ValueError:
            continue
    return found


def append(path: Path, fields: Mapping[str, Field]) -> None:
    """Append one line in one write; a file that has grown too large is put aside first. Raises OSError."""
    try:
        if path.stat().st_size > MAXIMUM_FILE_BYTES:
            path.replace(path.with_name(f"{path.name}.1"))
    except FileNotFoundError:
        pass
    line = json.dumps({name: fields[name] for name in FIELDS}).encode() + b"\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)


def ask(address: str, port: int, path: str) -> bytes:
    """Return a telemetry server's answer, whatever its status. Raises OSError or ValueError."""
    where = f"[{address}]" if ":" in address else address
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{where}:{port}{path}", timeout=PATIENCE) as answer:
            return bytes(answer.read(MAXIMUM_ANSWER_BYTES))
    except urllib.error.HTTPError as refusal:
        # 503 is how a daemon says that it is not well; the body says why.
        with refusal:
            return bytes(refusal.read(MAXIMUM_ANSWER_BYTES))


def main(argv: list[str]) -> int:
    """Append one line; 0 when it was written, whatever it says; 2 when it cannot be."""
    parser = argparse.ArgumentParser(prog="xmppgw health", description="Append one line on a daemon of this host.")
    parser.add_argument("--daemon", choices=("edge", "frontend"), required=True)
    parser.add_argument("--address", default="127.0.0.1", help="loopback address of the daemon's telemetry")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default=socket.gethostname(), help="name that stands in the line")
    parser.add_argument("--append", type=Path, required=True, metavar="FILE")
    chosen = parser.parse_args(argv)
    try:
        loopback = ipaddress.ip_address(chosen.address).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        parser.error(f"--address {chosen.address}: telemetry is served on loopback only")
    try:
        health, metrics = (ask(chosen.address, chosen.port, path) for path in ("/healthz", "/metrics"))
        fields = record(chosen.daemon, chosen.host, health, metrics, time.time())
    except (OSError, ValueError) as problem:
        fields = silence(chosen.daemon, chosen.host, str(getattr(problem, "reason", problem)), time.time())
    try:
        append(chosen.append, fields)
    except OSError as problem:
        print(f"xmppgw health: {problem}", file=sys.stderr)
        return 2
    return 0
