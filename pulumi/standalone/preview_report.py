"""Writes what a preview found to `DIRECTORY/STACK.json` and `.md`: resources, policies, ports, records, cost, changes.

Offline: no account, no network. The Markdown is made to be the comment on a pull request; it says plainly that nothing
was applied. The JSON's form is a handle that other programs rely on (`resources`, `policies`, `ports`, `records`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from policy.rules import POLICIES, Resource, Severity, Violation, judge
from standalone.run import Result
from standalone.values import Properties, Value, hidden

FIREWALL, SECURITY_GROUP = "lab:index:FirewallRules", "azure-native:network:NetworkSecurityGroup"
LAB_RECORDS, CLOUD_RECORDS = "lab:index:RecordSet", "azure-native:dns:RecordSet"
# What an organisation pays for, of the kinds made here, and what its price follows. Prices themselves change by region
# and contract; Azure's calculator has them.
COST_DRIVERS = {
    "azure-native:compute:VirtualMachine": ("hours running", ("hardwareProfile", "vmSize")),
    "azure-native:network:PublicIPAddress": ("hours allocated", ("sku", "name")),
    "azure-native:network:BastionHost": ("hours deployed", ("sku", "name")),
    "azure-native:dbforpostgresql:Server": ("hours running, twice when zone-redundant, and storage", ("sku", "name")),
    "azure-native:dns:Zone": ("zones, and queries", ("zoneType",)),
    "azure-native:keyvault:Vault": ("operations on keys", ("properties", "sku", "name")),
    "azure-native:operationalinsights:Workspace": ("gigabytes taken in and kept", ("sku", "name")),
    "azure-native:monitor:ScheduledQueryRule": ("evaluations", ("evaluationFrequency",)),
}


def write(result: Result, stack: str, directory: Path) -> bool:
    """Write both files; returns whether a mandatory policy is violated."""
    assert result.engine is not None
    made = [item for item in result.engine.resources() if not item.type.startswith("pulumi:providers:")]
    protected = {item.urn for item in made if item.protect}
    resources: list[Properties] = [
        {
            "urn": item.urn,
            "type": item.type,
            "name": item.name,
            "parent": item.parent,
            "properties": hidden(item.inputs),
            "protect": item.urn in protected,
        }
        for item in sorted(made, key=lambda item: item.urn)
    ]
    violations = judge([_for_policy(item) for item in resources])
    whole: Properties = {
        "stack": stack,
        "engine": "standalone",
        "resources": list(resources),
        "policies": [
            {"code": each.code, "severity": each.severity.value, "urn": each.urn, "message": each.message}
            for each in violations
        ],
        # From the resources, not from the stack's outputs: those are unknown as a whole while a host key is.
        "ports": list(_ports(resources)),
        "records": list(_records(resources)),
    }
    directory.mkdir(parents=True, exist_ok=True)
    last = _last(directory / f"{stack}.json")
    _replace(directory / f"{stack}.json", json.dumps(whole, indent=1, sort_keys=True) + "\n")
    _replace(directory / f"{stack}.md", _markdown(result, stack, resources, violations, whole, last))
    return any(each.severity is Severity.MANDATORY for each in violations)


def _for_policy(item: Properties) -> Resource:
    properties = item["properties"]
    return Resource(
        str(item["urn"]),
        str(item["type"]),
        str(item["name"]),
        properties if isinstance(properties, dict) else {},
        item["protect"] is True,
    )


def _replace(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(text)
    part.replace(path)


def _last(path: Path) -> dict[str, Value]:
    """Resources of the last preview by URN; empty without one, or with one that cannot be read."""
    try:
        found = json.loads(path.read_text())
        return {item["urn"]: item for item in found["resources"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _listed(item: Mapping[str, Value], name: str) -> list[Value]:
    properties = item["properties"]
    found = properties.get(name) if isinstance(properties, dict) else None
    return found if isinstance(found, list) else []


def _ports(resources: Sequence[Properties]) -> list[Value]:
    rows: list[Value] = []
    for item in resources:
        if item["type"] == FIREWALL:
            rows += _listed(item, "rules")
        elif item["type"] == SECURITY_GROUP:
            for rule in _listed(item, "securityRules"):
                if isinstance(rule, dict) and rule.get("access") == "Allow":
                    rows.append(_port(item, rule))
    return rows


def _port(group: Properties, rule: Properties) -> Properties:
    return {
        "group": group["name"],
        "direction": rule.get("direction"),
        "protocol": str(rule.get("protocol")).lower(),
        "sources": rule.get("sourceAddressPrefixes") or [rule.get("sourceAddressPrefix")],
        "destinations": rule.get("destinationAddressPrefixes") or [rule.get("destinationAddressPrefix")],
        "ports": rule.get("destinationPortRanges") or [rule.get("destinationPortRange")],
        "purpose": rule.get("description"),
    }


def _records(resources: Sequence[Properties]) -> list[Value]:
    rows: list[Value] = []
    for item in resources:
        properties = item["properties"]
        if item["type"] == LAB_RECORDS:
            rows.append(properties)
        elif item["type"] == CLOUD_RECORDS and isinstance(properties, dict):
            rows.append(_record(properties))
    return rows


def _record(properties: Properties) -> Properties:
    zone, relative = str(properties.get("zoneName")), str(properties.get("relativeRecordSetName"))
    values: list[Value] = []
    for key, found in sorted(properties.items()):
        if key.endswith("Records") and isinstance(found, list):
            values += [" ".join(_in_order(each)) for each in found if isinstance(each, dict)]
        elif key.endswith("Records") and isinstance(found, str):
            values.append(found)
    return {
        "zone": zone,
        "name": zone if relative == "@" else f"{relative}.{zone}",
        "type": properties.get("recordType"),
        "ttl": properties.get("ttl"),
        "values": values,
    }


def _in_order(record: Properties) -> list[str]:
    """A record's fields as a zone file has them (RFC 2782 for SRV); of every other kind there is one."""
    order = ("priority", "weight", "port", "target")
    keys = [key for key in order if key in record] or sorted(record)
    return [str(record[key]) for key in keys]


def _markdown(  # noqa: PLR0917 - everything that was found
    result: Result,
    stack: str,
    resources: Sequence[Properties],
    violations: Sequence[Violation],
    whole: Properties,
    last: Mapping[str, Value],
) -> str:
    counts = ", ".join(f"{count} {operation}" for operation, count in result.summary.items()) or "nothing"
    lines = [
        f"# Preview of stack {stack}",
        "",
        f"Offline, by the standalone engine: **previewed, not applied**. {counts}.",
        "",
        *_policies(violations),
        *_changes(resources, last),
        *_costs(resources),
        *_tables(whole),
        "## Resources",
        "",
        *_tree(resources),
    ]
    return "\n".join(lines) + "\n"


def _policies(violations: Sequence[Violation]) -> list[str]:
    lines = ["## Policies", ""]
    if not violations:
        return [*lines, f"All {len(POLICIES)} hold.", ""]
    lines += ["| severity | policy | resource | what to do |", "|---|---|---|---|"]
    lines += [
        f"| {each.severity} | {each.code} | {_cell(each.urn.rpartition('::')[2])} | {_cell(each.message)} |"
        for each in violations
    ]
    return [*lines, ""]


def _changes(resources: Sequence[Properties], last: Mapping[str, Value]) -> list[str]:
    lines = ["## Since the last preview", ""]
    if not last:
        return [*lines, "This is the first one here.", ""]
    now = {str(item["urn"]): item for item in resources}
    rows = [f"| + | {_title(now[urn])} | |" for urn in sorted(set(now) - set(last))]
    for urn in sorted(set(last) - set(now)):
        rows.append(f"| - | {_title(last[urn])} | |")
    for urn in sorted(set(last) & set(now)):
        changed = _differing(last[urn], now[urn])
        if changed:
            rows.append(f"| ~ | {_title(now[urn])} | {_cell(', '.join(changed))} |")
    if not rows:
        return [*lines, "Nothing changed.", ""]
    return [*lines, "| | resource | properties |", "|---|---|---|", *rows, ""]


def _differing(before: Value, after: Value) -> list[str]:
    one = before.get("properties") if isinstance(before, dict) else None
    other = after.get("properties") if isinstance(after, dict) else None
    if not isinstance(one, dict) or not isinstance(other, dict):
        return [] if one == other else ["everything"]
    return sorted(key for key in {*one, *other} if one.get(key) != other.get(key))


def _costs(resources: Sequence[Properties]) -> list[str]:
    found: Counter[tuple[str, str, str]] = Counter()
    for item in resources:
        kind = str(item["type"])
        if kind in COST_DRIVERS:
            driver, path = COST_DRIVERS[kind]
            value: Value = item["properties"]
            for key in path:
                value = value.get(key) if isinstance(value, dict) else None
            found[kind.rpartition(":")[2], str(value or ""), driver] += 1
    if not found:
        return []
    lines = ["## What it costs follows from", "", "| kind | size | count | by |", "|---|---|---|---|"]
    lines += [f"| {kind} | {size} | {count} | {driver} |" for (kind, size, driver), count in sorted(found.items())]
    return [*lines, ""]


def _tables(whole: Properties) -> list[str]:
    lines = ["## Ports", ""]
    ports, records = whole["ports"], whole["records"]
    lines += ["| group | direction | protocol | port | from | to | why |", "|---|---|---|---|---|---|---|"]
    for row in ports if isinstance(ports, list) else []:
        if isinstance(row, dict):
            cells = [row.get("group"), row.get("direction"), row.get("protocol"), row.get("ports")]
            cells += [row.get("sources"), row.get("destinations"), row.get("purpose")]
            lines.append(f"| {' | '.join(_cell(_shown(cell)) for cell in cells)} |")
    lines += ["", "## Records", "", "| name | type | TTL | values |", "|---|---|---|---|"]
    for row in records if isinstance(records, list) else []:
        if isinstance(row, dict):
            cells = [row.get("name"), row.get("type"), row.get("ttl"), row.get("values")]
            lines.append(f"| {' | '.join(_cell(_shown(cell)) for cell in cells)} |")
    return [*lines, ""]


def _tree(resources: Sequence[Properties]) -> list[str]:
    children: dict[str, list[Properties]] = {}
    known = {str(item["urn"]) for item in resources}
    for item in resources:
        parent = str(item["parent"])
        children.setdefault(parent if parent in known else "", []).append(item)
    lines: list[str] = []

    def show(parent: str, depth: int) -> None:
        for item in sorted(children.get(parent, []), key=lambda each: (str(each["type"]), str(each["name"]))):
            mark = " (protected)" if item["protect"] is True else ""
            lines.append(f"{'  ' * depth}- {_title(item)}{mark}")
            show(str(item["urn"]), depth + 1)

    show("", 0)
    return lines


def _title(item: Value) -> str:
    return f"{item['type']} `{item['name']}`" if isinstance(item, dict) else "?"


def _shown(value: Value) -> str:
    if isinstance(value, list):
        return ", ".join(_shown(each) for each in value)
    return "" if value is None else str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
