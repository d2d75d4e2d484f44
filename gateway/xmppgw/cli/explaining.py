"""`xmppgw explain`: which rule decided about a message, from the daemons' logs or from the document.

Called by `program`. Exit status 0: it was, or may be, delivered; 1: a rule stands against it; 2: bad input.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TextIO

from xmppgw.cli.exits import FINE, REFUSED
from xmppgw.cli.output import bad_input, refuse, write_json
from xmppgw.cli.policies import explain_pair
from xmppgw.cli.tables import code, table
from xmppgw.telemetry.trail import Event, Trail, follow

SCHEMA: Final = 1
STANDARD_INPUT: Final = "-"

#: Characters of one line that are looked at; `telemetry.log` writes far shorter ones.
MAXIMUM_LINE_CHARACTERS: Final = 64 * 1024

HOW_TO_READ: Final = (
    "on each host: journalctl -o cat -u xmppgw-edge -u xmppgw-frontend > FILE; then name every FILE with --log"
)


def main(arguments: Sequence[str]) -> int:
    """Run the verb; its exit status."""
    parser = argparse.ArgumentParser(
        prog="xmppgw explain",
        description="Say which rule decided: about a message that the logs know, or about a pair of addresses.",
        epilog=f"The logs: {HOW_TO_READ}.",
    )
    parser.add_argument("message", nargs="?", metavar="ID", help="correlation id, stanza id or SIP Call-ID")
    parser.add_argument(
        "--log", action="append", default=[], metavar="FILE", help="lines of a daemon; - is standard input"
    )
    parser.add_argument("--from", dest="sender", metavar="ADDRESS", help="who writes: user@domain, a SIP or XMPP user")
    parser.add_argument("--to", dest="recipient", metavar="ADDRESS", help="to whom")
    parser.add_argument("--document", type=Path, metavar="PATH", help="the federation document, for --from and --to")
    parser.add_argument("--users", type=Path, metavar="FILE", help="users' table; default users.export beside it")
    parser.add_argument("--format", choices=("text", "markdown", "json"), default="text")
    parsed = parser.parse_args(arguments)
    pair = parsed.sender is not None or parsed.recipient is not None
    if pair == (parsed.message is not None):
        parser.error("give the ID of a message with --log, or --from and --to with --document")
    if pair:
        if parsed.sender is None or parsed.recipient is None or parsed.document is None:
            parser.error("--from, --to and --document belong together")
        return explain_pair(parsed.sender, parsed.recipient, parsed.document, parsed.users, parsed.format)
    if not parsed.log:
        parser.error(f"name the logs: {HOW_TO_READ}")
    return _explain_message(parsed.message, parsed.log, parsed.format)


class LogFiles:
    """The lines of several files, as often as they are asked for. Raises OSError."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._typed: list[str] | None = None

    def __iter__(self) -> Iterator[str]:
        """Every line of every file; standard input is kept, because it comes but once."""
        for name in self._names:
            if name != STANDARD_INPUT:
                # What is no UTF-8 is no line of ours, and is counted as such.
                with Path(name).open(encoding="utf-8", errors="replace") as file:
                    yield from _lines(file)
                continue
            if self._typed is None:
                self._typed = list(_lines(sys.stdin))
            yield from self._typed


def _lines(file: TextIO) -> Iterator[str]:
    """Lines that end somewhere: a file without line ends is read in pieces, none of which is a line of ours."""
    while line := file.readline(MAXIMUM_LINE_CHARACTERS):
        yield line


def _explain_message(wanted: str, names: Sequence[str], form: str) -> int:
    if not wanted.strip():
        return _refuse("explain-message", "ID", "found nothing", "give a correlation id, stanza id or Call-ID", form)
    try:
        trail = follow(LogFiles(names), wanted)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        place = str(getattr(error, "filename", None) or "--log")
        return _refuse("explain-log", place, f"cannot be read: {reason}", HOW_TO_READ, form)
    if not trail.read:
        found = f"none of {trail.skipped} lines is a log line of the gateway"
        return _refuse("explain-log", ", ".join(names), found, HOW_TO_READ, form)
    if not trail.events:
        found = f"{wanted[:200]!r} is in none of {trail.read} log lines"
        hint = "name the logs of every edge and front end, and of the time in question"
        return _refuse("explain-message", ", ".join(names), found, hint, form)
    if form == "json":
        write_json(_as_json(trail))
    else:
        _print(trail, markdown=form == "markdown")
    return FINE if trail.verdict in ("delivered", "under way", "repeated") else REFUSED


def _as_json(trail: Trail) -> dict[str, object]:
    deciding = trail.deciding
    return {
        "schema": SCHEMA,
        "message": trail.wanted,
        "verdict": trail.verdict,
        "correlations": list(trail.correlations),
        "decided_by": None if deciding is None else _event_json(deciding),
        "events": [_event_json(event) for event in trail.events],
    }


def _event_json(event: Event) -> dict[str, object]:
    return {
        "time": event.time,
        "daemon": event.daemon,
        "node": event.node,
        "event": event.event,
        "means": event.means,
        **dict(event.details),
    }


def _print(trail: Trail, *, markdown: bool) -> None:
    name = code(trail.wanted) if markdown else trail.wanted
    print(f"{name}: {trail.verdict}.")
    if trail.deciding is not None:
        print(f"Decided by {_place(trail.deciding)}: {_sentence(trail.deciding)}.")
    print()
    rows = [(_clock(event.time), _place(event), event.event, _details(event)) for event in trail.events]
    sys.stdout.write(table(("time (UTC)", "where", "what", "details"), rows, markdown=markdown))


def _sentence(event: Event) -> str:
    """The event in words, with its code and reason: what a person acts on."""
    facts = dict(event.details)
    codes = [str(facts[name]) for name in ("code", "condition", "status") if name in facts]
    said = event.means + (f" [{', '.join(codes)}]" if codes else "")
    return f"{said}: {facts['reason']}" if "reason" in facts else said


def _place(event: Event) -> str:
    return f"{event.daemon} {event.node}"


def _clock(time: float) -> str:
    try:
        return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    except (ValueError, OverflowError, OSError):
        return str(time)


def _details(event: Event) -> str:
    return ", ".join(f"{name}={value}" for name, value in event.details)


def _refuse(name: str, file: str, message: str, hint: str, form: str) -> int:
    return refuse([bad_input(name, file, message, hint)], form)
