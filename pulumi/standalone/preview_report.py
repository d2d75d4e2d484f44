"""Writes what a preview found to `<directory>/<stack>.json` and `.md`: the resource tree as the stack would be."""

from __future__ import annotations

import json
from pathlib import Path

from standalone.run import Result
from standalone.values import Value, hidden

RULES, RECORDS = "lab:index:FirewallRules", "lab:index:RecordSet"


def _listed(item: dict[str, Value], name: str) -> list[Value]:
    properties = item["properties"]
    found = properties.get(name) if isinstance(properties, dict) else None
    return found if isinstance(found, list) else []


def write(result: Result, stack: str, directory: Path) -> bool:
    """Write both files; returns whether a mandatory policy is violated."""
    assert result.engine is not None
    resources: list[dict[str, Value]] = [
        {
            "urn": item.urn,
            "type": item.type,
            "name": item.name,
            "parent": item.parent,
            "properties": hidden(item.inputs),
        }
        for item in sorted(result.engine.resources(), key=lambda item: item.urn)
        if not item.type.startswith("pulumi:providers:")
    ]
    whole: dict[str, Value] = {
        "stack": stack,
        "engine": "standalone",
        "resources": list(resources),
        "policies": [],
        # From the resources, not from the stack's outputs: those are unknown as a whole while a host key is.
        "ports": [rule for item in resources if item["type"] == RULES for rule in _listed(item, "rules")],
        "records": [item["properties"] for item in resources if item["type"] == RECORDS],
    }
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{stack}.json").write_text(json.dumps(whole, indent=1, sort_keys=True) + "\n")
    lines = [f"# Preview of stack {stack}", "", "| change | count |", "|---|---|"]
    lines += [f"| {operation} | {count} |" for operation, count in result.summary.items()]
    lines += ["", "| type | name |", "|---|---|"]
    lines += [f"| {item['type']} | {item['name']} |" for item in resources]
    (directory / f"{stack}.md").write_text("\n".join(lines) + "\n")
    return False
