"""Every kind of resource that the program can declare is declared in one of the layouts that tests preview."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.unit.azure.conftest import PROGRAM, Preview, example
from tests.unit.azure.layouts import everything

pytestmark = pytest.mark.heavy

CLOUD, LAB = PROGRAM / "xmpp_infra" / "azure", PROGRAM / "xmpp_infra" / "lab"


def declared(directory: Path) -> set[str]:
    """Types of resources that the sources of a platform construct: by a cloud's class, or by a type of our own."""
    return {kind for path in directory.rglob("*.py") for kind in _declared_in(ast.parse(path.read_text()))}


def _declared_in(tree: ast.Module) -> Iterator[str]:
    services = {
        name.asname or name.name: name.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "pulumi_azure_native"
        for name in node.names
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        match node.func:
            # Beside resources there are only inputs' classes (`…Args`) and functions, which are written small.
            case ast.Attribute(value=ast.Name(id=service), attr=kind) if service in services:
                if kind[0].isupper() and not kind.endswith("Args"):
                    yield f"azure-native:{services[service]}:{kind}"
            case ast.Attribute(value=ast.Call(func=ast.Name(id="super")), attr="__init__"):
                if node.args and isinstance(node.args[0], ast.Constant):
                    yield str(node.args[0].value)


def kinds(preview: Preview) -> set[str]:
    return {item["type"] for item in preview["resources"]}


def test_every_kind_of_the_cloud_is_in_a_layout_under_test(preview: Callable[..., Preview], tmp_path: Path) -> None:
    wanted = declared(CLOUD)
    assert {"azure-native:network:Subnet", "azure-native:dns:DnssecConfig", "xmppgw:azure:Host"} <= wanted
    layouts = [preview("azure-dev"), preview("azure-prod"), preview("azure-dev", everything(tmp_path))]
    reached = set().union(*map(kinds, layouts))
    assert wanted - reached == set(), "declare it in a layout of tests/unit/azure/layouts.py"
    assert all(layout["policies"] == [] for layout in layouts), "the policies judge every kind"


def test_every_kind_of_the_lab_is_in_its_stack(preview: Callable[..., Preview]) -> None:
    wanted = declared(LAB)
    assert {"lab:index:Host", "xmppgw:lab:Stack"} <= wanted
    assert wanted - kinds(preview("lab", example("lab"))) == set()
