"""Layouts beyond the examples: documents of another size, and a stack with every option on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from tests.unit.azure.conftest import document, example


def edge(number: int) -> dict[str, Any]:
    """The `number`-th edge of the federation document, dual stack."""
    name = f"edge{number}"
    return {
        "host": name,
        "fqdn": f"{name}.contoso.example",
        "external_addresses": [f"10.60.0.{9 + number}", f"fd60:60::{9 + number}"],
        "internal_fqdn": f"{name}-int.contoso.example",
        "internal_addresses": [f"10.60.1.{9 + number}", f"fd60:60:0:1::{9 + number}"],
    }


def front_end(number: int) -> dict[str, Any]:
    """The `number`-th front end, dual stack."""
    name = f"fe{number}"
    addresses = [f"10.60.1.{19 + number}", f"fd60:60:0:1::{19 + number}"]
    return {"host": name, "fqdn": f"{name}.contoso.example", "addresses": addresses}


def document_of(edges: int, front_ends: int = 1) -> dict[str, Any]:
    """The examples' document with that many hosts. More than one front end can be planned, not yet migrated to."""
    found = document()
    found["federation"]["edges"] = [edge(number) for number in range(1, edges + 1)]
    found["federation"]["pools"][0]["front_ends"] = [front_end(number) for number in range(1, front_ends + 1)]
    return found


def with_document(config: dict[str, Any], federation: dict[str, Any], directory: Path) -> dict[str, Any]:
    """The stack's configuration, with another federation document, which is written to `directory`."""
    path = directory / f"federation-{len(list(directory.glob('federation-*')))}.yml"
    path.write_text(yaml.safe_dump(federation))
    return {**config, "xmppgw:federation": str(path)}


def with_azure(config: dict[str, Any], **changes: object) -> dict[str, Any]:
    """The stack's configuration with other values under `xmppgw:azure`."""
    return {**config, "xmppgw:azure": {**config["xmppgw:azure"], **changes}}


def everything(directory: Path) -> dict[str, Any]:
    """The largest layout with every option on, in the stack `azure-dev`, which makes its zone itself."""
    config = example("azure-dev")
    azure = config["xmppgw:azure"]
    network = {**azure["network"], "database": "10.60.2.0/28", "bastion": "10.60.3.0/26"}
    access = {**azure["access"], "admin_networks": ["10.10.0.0/24", "fd60:10::/48"], "bastion": True}
    database = {"administrators_group": "22222222-2222-2222-2222-222222222222", "size": "Standard_D8ds_v5"}
    largest = {"size": "Standard_D4s_v5", "disk_gib": 128}
    config = with_azure(
        config,
        network=network,
        access=access,
        postgresql={**database, "storage_gib": 256},
        edges=largest,
        front_ends=largest,
        direct_tls=True,
    )
    return with_document(config, document_of(4, 8), directory)
