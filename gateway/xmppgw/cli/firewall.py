"""`xmppgw firewall request` and `xmppgw firewall rules`: the port table for whoever keeps the firewalls.

`request` is for an enterprise firewall's administrators: every row with addresses and a reason. `rules` is one host's
own nftables file. Called by `program`. Reads the document, writes to standard output; nothing is sent or changed.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Final

from xmppgw.cli import documents
from xmppgw.cli.output import bad_input, refuse, write_json
from xmppgw.cli.tables import code, table
from xmppgw.federation import Document, PortRule, examine_document, ports
from xmppgw.federation.host_firewall import Surroundings, UnknownHostError, WrongNetworkError, host_rules

SCHEMA: Final = 1
COLUMNS: Final = (
    "code", "application", "protocol", "port", "source", "source_addresses", "destination", "destination_addresses",
    "direction", "until", "purpose",
)  # fmt: skip
# A cell that begins so is a formula to a spreadsheet, and purposes carry names from the document.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def request(path: Path, form: str) -> int:
    """Print the request: every row that a firewall between two zones must let through; return the exit status."""
    examination = examine_document(path)
    if examination.document is None:
        return documents.refuse(path, examination, "json" if form == "json" else "text")
    rows = request_rows(examination.document)
    translated = translations(examination.document)
    if form == "json":
        write_json({"schema": SCHEMA, "rows": rows, "translations": translated, "everything_else": "refuse"})
    elif form == "csv":
        sys.stdout.write(_as_csv(rows))
    else:
        sys.stdout.write(_as_text(examination.document, rows, translated, markdown=form == "markdown"))
    return documents.status(examination)


def rules(path: Path, host: str, around: Surroundings) -> int:
    """Print one host's nftables file; return the exit status."""
    examination = examine_document(path)
    if examination.document is None:
        return documents.refuse(path, examination, "text")
    try:
        sys.stdout.write(host_rules(examination.document, host, around))
    except UnknownHostError:
        federation = examination.document.federation
        known = sorted([edge.host for edge in federation.edges] + [each.host for _, each in federation.front_ends])
        message = f"{host[:80]!r} is no edge and no front end"
        return refuse([bad_input("firewall-host", str(path), message, f"Name one of {', '.join(known)}.")], "text")
    except WrongNetworkError as problem:
        hint = "Give addresses or networks, --administrators at least once."
        return refuse([bad_input("firewall-network", str(path), str(problem), hint)], "text")
    return documents.status(examination)


def request_rows(document: Document) -> list[dict[str, object]]:
    """The rows as they are asked for, in the port table's order."""
    return [_row(rule) for rule in ports(document)]


def translations(document: Document) -> list[dict[str, object]]:
    """Which public addresses stand in front of which edge's own, where the document names such."""
    return [
        {"host": edge.host, "addresses": list(edge.external_addresses), "public_addresses": list(edge.public_addresses)}
        for edge in sorted(document.federation.edges, key=lambda edge: edge.host)
        if edge.public_addresses and edge.public_addresses != edge.external_addresses
    ]


def _row(rule: PortRule) -> dict[str, object]:
    return {
        "code": rule.code,
        "application": rule.application,
        "protocol": rule.transport,
        "port": rule.port,
        "source": rule.source.name,
        "source_addresses": list(rule.source.addresses),
        "destination": rule.destination.name,
        "destination_addresses": list(rule.destination.addresses),
        "direction": rule.direction,
        "until": rule.until,
        "purpose": rule.purpose,
    }


def _as_csv(rows: Sequence[Mapping[str, object]]) -> str:
    out = StringIO()
    writer = csv.writer(out, lineterminator="\r\n")  # RFC 4180
    writer.writerow(COLUMNS)
    writer.writerows([_cell(row[column]) for column in COLUMNS] for row in rows)
    return out.getvalue()


def _cell(value: object) -> str:
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _as_text(
    document: Document,
    rows: Sequence[Mapping[str, object]],
    translated: Sequence[Mapping[str, object]],
    *,
    markdown: bool,
) -> str:
    domains = ", ".join(domain.name for domain in document.federation.sip_domains)
    mark = "# " if markdown else ""
    header = ("for", "protocol", "port", "from", "to", "direction", "until", "why")
    body = [
        (
            str(row["code"]), str(row["protocol"]), str(row["port"]), _end(row, "source"), _end(row, "destination"),
            str(row["direction"]), str(row["until"]), str(row["purpose"]),
        )
        for row in rows
    ]  # fmt: skip
    lines = [
        f"{mark}Firewall request: XMPP federation of {domains}",
        "",
        "Please let these connections through, opened from the left to the right, with their answers; nothing else.",
        "Rows that hold until `decommission` may be closed when the legacy gateway is off; you will be told.",
        "What is not allowed should be dropped, not rejected: then the test afterwards can tell the two apart.",
        "",
        table(header, body, markdown=markdown).rstrip("\n"),
    ]
    if translated:
        wanted = [(str(one["host"]), _list(one["addresses"]), _list(one["public_addresses"])) for one in translated]
        lines += [
            "",
            "Address translation, both ways and one to one, so that partners see the address that DNS names:",
            "",
            table(("host", "address", "public address"), wanted, markdown=markdown).rstrip("\n"),
        ]
    tell = (
        code("ansible-playbook playbooks/reachability.yml")
        if markdown
        else "ansible-playbook playbooks/reachability.yml"
    )
    return "\n".join([*lines, "", f"Afterwards we test it from our hosts: {tell}.", ""])


def _end(row: Mapping[str, object], side: str) -> str:
    addresses = _list(row[f"{side}_addresses"])
    name = str(row[side])
    return f"{name} ({addresses})" if addresses and addresses != name else name


def _list(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
