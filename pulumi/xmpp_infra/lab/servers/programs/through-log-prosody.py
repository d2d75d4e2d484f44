#!/usr/bin/env python3
"""Tell through which address each message from the organisation's domain came in, from Prosody's own debug log.

    through-log [--domain corp.example] [LOG]

Prints one JSON object a line: {"id": stanza id, "from": bare address, "address": peer's IP address, "t": epoch seconds}.
Prosody logs "New connection FD n (address, port, ...)" directly followed by "Incoming s2s connection" under the session's
name, and later every stanza's opening tag under that same name. It only reads.
"""

import argparse
import json
import re
import sys
from datetime import datetime
from html import unescape

CONNECTION = re.compile(r"\tNew connection FD \d+ \(([0-9a-fA-F.:]+), ")
SESSION = re.compile(r"(s2sin[0-9a-f]+)\t\w+\tIncoming s2s connection$")
STANZA = re.compile(r"^(\S+) *\S* (s2sin[0-9a-f]+)\t\w+\tReceived\[s2sin\]: <message (.*)>$")
ATTRIBUTE = re.compile(r"""([\w:]+)=(?:'([^']*)'|"([^"]*)")""")


def messages(lines, domain):
    """One record for each message of `domain`, in the log's order."""
    address_of = {}
    newest = None
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
    options.add_argument("log", nargs="?", default="/var/log/prosody/prosody.debug")
    arguments = options.parse_args()
    with open(arguments.log, encoding="utf-8", errors="replace") as log:
        for record in messages(log, arguments.domain):
            json.dump(record, sys.stdout)
            sys.stdout.write("\n")
