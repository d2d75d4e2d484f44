"""The lab platforms' tables over Kamailio's JSON-RPC: `homing` (user to pool) and `route` (domain to gateway).

Used by the modules `platform_table` and `host_state` on the platforms themselves; the RPC listens on loopback only.
"""

from __future__ import annotations

import http.client
import json


class TableError(Exception):
    """The platform did not do what it was asked."""


def call(method, parameters, *, address="127.0.0.1", port=8090, path="/RPC", timeout=10.0):
    """Call one JSON-RPC method and return its result; raise TableError."""
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
    connection = http.client.HTTPConnection(address, port, timeout=timeout)
    try:
        connection.request("POST", path, json.dumps(request), {"Content-Type": "application/json"})
        reply = connection.getresponse()
        body = reply.read()
    except OSError as error:
        raise TableError(f"http://{address}:{port}{path} {method}: {error}") from error
    finally:
        connection.close()
    try:
        answer = json.loads(body)
    except ValueError as error:
        raise TableError(f"{method}: HTTP {reply.status}, not JSON: {body[:80]!r}") from error
    if "error" in answer:
        raise TableError(f"{method} {parameters}: {answer['error'].get('message')}")
    return answer.get("result")


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
    return dict(sorted(parse_dump(call("htable.dump", [table], **where)).items()))


def write(table, key, value, **where):
    """Set one entry, or delete it if `value` is None."""
    if value is None:
        call("htable.delete", [table, key], **where)
    else:
        call("htable.sets", [table, key, value], **where)
