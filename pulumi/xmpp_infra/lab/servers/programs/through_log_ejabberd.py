#!/usr/bin/env python3
"""Tell through which address each message from the organisation's domains came in, from ejabberd's own log.

    through-log [--domain corp.example]... [--partner partner2.example] [LOG]

Prints one JSON object a line: {"id": stanza id, "from": bare address, "address": peer's address, "t": epoch seconds}.
ejabberd logs "Accepted connection [address]:port -> [address]:5269" under the name of the connection's process, and
what it reads from that connection, piece by piece, under the same name. It only reads.

A message to such a domain which ejabberd took from its user and wrote to nobody is told with an empty address. It
happens when the stream to it is just being closed (seen: 3 of 2,098 messages over 70 closings): for some
milliseconds more ejabberd 23.01 hands messages to the closing stream's process, and they end with it, neither sent nor
bounced.
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

ENTRY = re.compile(r"^(\d{4}-\d\d-\d\d \S+) \[\w+\] ")
ACCEPTED = re.compile(r"\((<[\d.]+>)\) Accepted connection \[?([0-9a-fA-F.:]+)\]?:\d+ -> \S+:(\d+)$")
SENT = re.compile(r"\(\w+\|<[\d.]+>\) Send XML on stream = <<\"(.*)\">>$", re.DOTALL)
RECEIVED = re.compile(r"\(\w+\|(<[\d.]+>)\) Received XML on stream = <<\"(.*)\">>$", re.DOTALL)
OPENING = re.compile(r"<message(\s[^>]*)>")
ATTRIBUTE = re.compile(r"""([\w:]+)=(?:'([^']*)'|"([^"]*)")""")
S2S_PORT = "5269"


def entries(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Time and text of each entry; an entry may have more than one line."""
    when, parts = "", list[str]()
    for line in lines:
        if found := ENTRY.match(line):
            if parts:
                yield when, "".join(parts).rstrip("\n")
            when, parts = found.group(1), [line]
        elif parts:
            parts.append(line)
    if parts:
        yield when, "".join(parts).rstrip("\n")


def from_users(text: str, domains: Collection[str]) -> Iterator[tuple[str, str]]:
    """Stanza id and sender of each message to one of `domains` in a piece of logged XML; Erlang escapes its quotes."""
    for opening in OPENING.finditer(text.replace('\\"', '"')):
        attributes = {name: unescape(one or two) for name, one, two in ATTRIBUTE.findall(opening.group(1))}
        recipient = attributes.get("to", "").partition("/")[0]
        if recipient.partition("@")[2] in domains and attributes.get("id"):
            yield attributes["id"], attributes.get("from", "").partition("/")[0]


def never_written(lines: Iterable[str], domains: Collection[str]) -> Iterator[dict[str, str | float]]:
    """One record for each message to one of `domains` that was taken from a user and written to nobody."""
    taken: dict[str, str] = {}
    for when, text in entries(lines):
        if found := SENT.search(text):
            for identifier, _ in from_users(found.group(1), domains):
                taken.pop(identifier, None)
        elif found := RECEIVED.search(text):
            for identifier, _ in from_users(found.group(2), domains):
                taken.setdefault(identifier, when)
    for identifier, when in taken.items():
        yield {"id": identifier, "from": "", "address": "", "t": datetime.fromisoformat(when).timestamp()}


def messages(lines: Iterable[str], domains: Collection[str]) -> Iterator[dict[str, str | float]]:
    """One record for each message from one of `domains`, in the log's order."""
    address_of: dict[str, str] = {}
    rest_of: dict[str, str] = {}  # a stanza's opening tag may be split over two reads
    for when, text in entries(lines):
        if found := ACCEPTED.search(text):
            process, address, port = found.groups()
            address_of.pop(process, None)
            if port == S2S_PORT:
                address_of[process], rest_of[process] = address.removeprefix("::ffff:"), ""
        elif (found := RECEIVED.search(text)) and found.group(1) in address_of:
            process = found.group(1)
            data = rest_of[process] + found.group(2)
            end = 0
            for opening in OPENING.finditer(data):
                end = opening.end()
                attributes = {name: unescape(one or two) for name, one, two in ATTRIBUTE.findall(opening.group(1))}
                sender = attributes.get("from", "").partition("/")[0]
                if sender.partition("@")[2] in domains:
                    yield {
                        "id": attributes.get("id", ""),
                        "from": sender,
                        "address": address_of[process],
                        "t": datetime.fromisoformat(when).timestamp(),
                    }
            unfinished = data.rfind("<")
            rest_of[process] = data[max(unfinished, end) :] if ">" not in data[unfinished:] else ""


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--domain", action="append", help="of the organisation; corp.example")
    options.add_argument("--partner", help="whose server: this host has one")
    options.add_argument("log", nargs="?", type=Path, default=Path("/var/log/ejabberd/ejabberd.log"))
    arguments = options.parse_args()
    for tell in (messages, never_written):
        with arguments.log.open(encoding="utf-8", errors="replace") as log:
            for record in tell(log, arguments.domain or ["corp.example"]):
                sys.stdout.write(json.dumps(record) + "\n")
