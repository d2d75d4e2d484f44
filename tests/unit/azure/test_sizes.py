"""The table of what drives the cost in docs/azure.md says what the previews of its layouts have."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.azure.conftest import ROOT, Preview, example
from tests.unit.azure.layouts import document_of, everything, with_azure, with_document

pytestmark = pytest.mark.heavy

PAGE = ROOT / "docs" / "azure.md"
COUNTED = {
    "static public addresses": "network:PublicIPAddress",
    "bastions": "network:BastionHost",
    "PostgreSQL servers": "dbforpostgresql:Server",
    "Key Vaults, premium": "keyvault:Vault",
    "DNS zones made here": "dns:Zone",
    "hosts that log a line a minute": "compute:VirtualMachineExtension",
    "alert rules": "monitor:ScheduledQueryRule",
}


def smallest(directory: Path) -> dict[str, Any]:
    """One edge and one front end, without a bastion."""
    config = example("azure-prod")
    access = {**config["xmppgw:azure"]["access"], "bastion": False}
    return with_document(with_azure(config, access=access), document_of(1), directory)


def units(preview: Preview) -> dict[str, str]:
    """What a layout has of each unit, as the table writes it."""
    kinds = [item["type"].partition(":")[2] for item in preview["resources"]]
    machines = [item["properties"] for item in preview["resources"] if item["type"].endswith(":compute:VirtualMachine")]
    sizes = [re.search(r"_[A-Z](\d+)", machine["hardwareProfile"]["vmSize"]) for machine in machines]
    cores = [size[1] for size in sizes if size is not None]
    gibibytes = sum(machine["storageProfile"]["osDisk"]["diskSizeGB"] for machine in machines)
    found = {unit: str(kinds.count(kind)) for unit, kind in COUNTED.items()}
    found["machines, 2 cores / 4 cores"] = f"{cores.count('2')} / {cores.count('4')}"
    found["disks, GiB, premium"] = f"{gibibytes:,}"
    return found


def test_the_table_has_what_the_layouts_have(preview: Callable[..., Preview], tmp_path: Path) -> None:
    layouts = [
        preview("azure-dev"),
        preview("azure-prod", smallest(tmp_path)),
        preview("azure-prod"),
        preview("azure-dev", everything(tmp_path)),
    ]
    counted = [units(layout) for layout in layouts]
    lines = PAGE.read_text().split("### What drives the cost")[1].split("\n## ")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    table = {row[0]: row[1:5] for row in rows[1:]}
    assert table == {unit: [layout[unit] for layout in counted] for unit in counted[0]}
