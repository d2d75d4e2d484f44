#!/usr/bin/env python3
"""Tell through which address each message from the organisation's domain came in, from Prosody's own debug log.

    through-log [--domain corp.example] [LOG]

Prints one JSON object a line: {"id": stanza id, "from": bare address, "address": peer's address, "t": epoch seconds}.
Prosody logs "New connection FD n (address, port, ...)" directly followed by "Incoming s2s connection" under the
session's name, and later every stanza's opening tag under that same name. It only reads; a log is whole seconds.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from html import unescape
from pathlib import Path

CONNECTION = re.compile(r"\tNew connection FD \d+ \(([0-9a-fA-F.:]+), ")
SESSION = re.compile(r" (s2sin[0-9a-f]+)\s+\w+\tIncoming s2s connection$")
STANZA = re.compile(r"^(\S+) (s2sin[0-9a-f]+)\s+\w+\tReceived\[s2sin\]: <message (.*)>$")
ATTRIBUTE = re.compile(r"""([\w:]+)=(?:'([^']*)'|"([^"]*)")""")


def messages(lines: Iterable[str], domain: str) -> Iterator[dict[str, str | float | None]]:
    """One record for each message from `domain`, in the log's order."""
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
            if sender.partition("@")[2] == domain:
                yield {
                    "id": attributes.get("id", ""),
                    "from": sender,
                    "address": address_of.get(session),
                    "t": datetime.fromisoformat(when).timestamp(),
                }


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--domain", default="corp.example")
    options.add_argument("log", nargs="?", type=Path, default=Path("/var/log/prosody/prosody.debug"))
    arguments = options.parse_args()
    with arguments.log.open(encoding="utf-8", errors="replace") as log:
        for record in messages(log, arguments.domain):
            sys.stdout.write(json.dumps(record) + "\n")
