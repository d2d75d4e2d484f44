#!/usr/bin/env python3
"""Tell through which address each message from the organisation's domains came in, from Prosody's own debug log.

    through-log [--domain corp.example]... [--partner partner1.example] [LOG]

Where a host has several servers, `--partner` says whose log is read.
Prints one JSON object a line: {"id": stanza id, "from": bare address, "address": peer's address, "t": epoch seconds}.
Prosody logs "New connection FD n (address, port, ...)" directly followed by "Incoming s2s connection" under the
session's name, and later every stanza's opening tag under that same name. It only reads; a log is whole seconds.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from html import unescape
from pathlib import Path

CONNECTION = re.compile(r"\tNew connection FD \d+ \(([0-9a-fA-F.:]+), ")
SESSION = re.compile(r" (s2sin[0-9a-f]+)\s+\w+\tIncoming s2s connection$")
STANZA = re.compile(r"^(\S+) (s2sin[0-9a-f]+)\s+\w+\tReceived\[s2sin\]: <message (.*)>$")
ATTRIBUTE = re.compile(r"""([\w:]+)=(?:'([^']*)'|"([^"]*)")""")


def messages(lines: Iterable[str], domains: Collection[str]) -> Iterator[dict[str, str | float | None]]:
    """One record for each message from one of `domains`, in the log's order."""
    address_of: dict[str, str | None] = {}
    newest: str | None = None
    for line in lines:
        text = line.rstrip("\n")
        if found := CONNECTION.search(text):
            newest = found.group(1).removeprefix("::ffff:")
        elif found := SESSION.search(text):
            address_of[found.group(1)] = newest
        elif found := STANZA.match(text):
            when, session, rest = found.groups()
            attributes = {name: unescape(one or two) for name, one, two in ATTRIBUTE.findall(rest)}
            sender = attributes.get("from", "").partition("/")[0]
            if sender.partition("@")[2] in domains:
                yield {
                    "id": attributes.get("id", ""),
                    "from": sender,
                    "address": address_of.get(session),
                    "t": datetime.fromisoformat(when).timestamp(),
                }


def log_of(partner: str) -> Path:
    """The debug log of a partner's server: its own where the host has several, else the host's only one."""
    own = Path(f"/var/log/prosody-{partner.partition('.')[0]}/prosody.debug")
    return own if own.exists() else Path("/var/log/prosody/prosody.debug")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--domain", action="append", help="of the organisation; corp.example")
    options.add_argument("--partner", default="")
    options.add_argument("log", nargs="?", type=Path)
    arguments = options.parse_args()
    with (arguments.log or log_of(arguments.partner)).open(encoding="utf-8", errors="replace") as log:
        for record in messages(log, arguments.domain or ["corp.example"]):
            sys.stdout.write(json.dumps(record) + "\n")
