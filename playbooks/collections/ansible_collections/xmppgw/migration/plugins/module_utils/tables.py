"""The lab platforms' tables over Kamailio's JSON-RPC: `homing` (user to pool) and `route` (domain to gateway).

Used by the modules `platform_table`, `platform_look` and `host_state` on the platforms themselves; the RPC listens on
loopback only.
"""

from __future__ import annotations

import http.client
import json

ADDRESS, PORT, PATH = "127.0.0.1", 8090, "/RPC"


class TableError(Exception):
    """The platform did not do what it was asked."""


class Platform:
    """One connection to a platform's RPC: thousands of entries are written over it, not over one each."""

    def __init__(self, *, address=ADDRESS, port=PORT, timeout=10.0):
        self.where = f"http://{address}:{port}{PATH}"
        self.connection = http.client.HTTPConnection(address, port, timeout=timeout)

    def __enter__(self):
        return self

    def __exit__(self, *_reason):
        self.connection.close()

    def call(self, method, parameters):
        """Call one JSON-RPC method and return its result; raise TableError."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
        try:
            self.connection.request("POST", PATH, json.dumps(request), {"Content-Type": "application/json"})
            reply = self.connection.getresponse()
            body = reply.read()
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            raise TableError(f"{self.where} {method}: {error}") from error
        try:
            answer = json.loads(body)
        except ValueError as error:
            raise TableError(f"{method}: HTTP {reply.status}, not JSON: {body[:80]!r}") from error
        if "error" in answer:
            raise TableError(f"{method} {parameters}: {answer['error'].get('message')}")
        return answer.get("result")

    def dump(self, table):
        """Return the whole table as {key: value}."""
        return dict(sorted(parse_dump(self.call("htable.dump", [table])).items()))

    def write(self, table, key, value):
        """Set one entry, or delete it if `value` is None."""
        if value is None:
            self.call("htable.delete", [table, key])
        else:
            self.call("htable.sets", [table, key, value])


def parse_dump(result):
    """Return {key: value} from what htable.dump answers: slots, each with entries of name and value."""
    table = {}
    for slot in result or []:
        for entry in slot.get("slot", []):
            item = entry.get("item", entry) if isinstance(entry, dict) else {}
            table[str(item["name"])] = str(item["value"])
    return table


def dump(table, **where):
    """Return the whole table as {key: value}."""
    with Platform(**where) as platform:
        return platform.dump(table)
