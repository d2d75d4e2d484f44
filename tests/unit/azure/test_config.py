"""Everything that is wrong with a stack's configuration is said at once, with the key and what is allowed."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.azure.conftest import document, example
from tests.unit.azure.layouts import document_of

from xmpp_infra.azure.naming import Naming
from xmpp_infra.azure.reading import azure_config
from xmpp_infra.config import ConfigurationError

DATABASE = {"administrators_group": "22222222-2222-2222-2222-222222222222"}


class Values:
    """Stands for pulumi.Config."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def get(self, key: str) -> str | None:
        value = self._values.get(f"xmppgw:{key}")
        return value if value is None or isinstance(value, str) else json.dumps(value)


def problems(tmp_path: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> list[str]:
    config, federation = copy.deepcopy(example("azure-prod")), document()
    change(config["xmppgw:azure"], federation["federation"])
    path = tmp_path / "federation.yml"
    path.write_text(yaml.safe_dump(federation))
    config["xmppgw:federation"] = str(path)
    try:
        azure_config(Values(config), "azure-prod", "/")
    except ConfigurationError as wrong:
        return wrong.problems
    return []


def _change(path: str, value: object) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    def change(config: dict[str, Any], _federation: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        for parent in parents:
            config = config[parent]
        if value is None:
            del config[last]
        else:
            config[last] = value

    return change


def test_the_examples_are_fine(tmp_path: Path) -> None:
    assert problems(tmp_path, lambda _config, _federation: None) == []


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (
            "network.internal",
            {"ipv4": "10.61.0.0/24", "ipv6": "fd60:60:0:1::/64"},
            "does not fit into the network 10.60",
        ),
        ("network.internal", {"ipv4": "10.60.0.128/25", "ipv6": "fd60:60:0:1::/64"}, "overlaps perimeter.ipv4"),
        ("network.perimeter", {"ipv4": "10.60.0.0/30", "ipv6": "fd60:60::/64"}, "Azure allows /29 and larger"),
        ("network.perimeter", {"ipv4": "10.60.0.0/24", "ipv6": "fd60:60::/60"}, "Azure allows /64 only"),
        ("network.bastion", "10.60.3.0/27", "needs /26 or larger"),
        ("network.bastion", None, "the bastion needs a subnet"),
        ("postgresql", DATABASE, "PostgreSQL needs a subnet"),
        ("access.admin_networks", ["0.0.0.0/0"], "SSH is never open to the Internet"),
        ("access.public_keys", ["ssh-dss AAAA"], "expected an OpenSSH public key"),
        ("tags", {"owner": "us"}, "tags.cost-center: missing"),
        ("dns.zones", {"other.example": {"mode": "create"}}, "contoso.example of the federation document is missing"),
        ("dns.zones", {"contoso.example": {"mode": "adopt"}}, "resource_group: needed with mode adopt"),
        ("edges", {"zones": ["4"]}, "'1', '2' or '3'"),
        ("edges", {"sise": "x"}, "edges.sise"),
        ("tenant", "somewhere", "tenant"),
        ("vault_networks", ["10.0.0.0/29"], "expected public IPv4 addresses"),
        ("vault_networks", ["203.0.0.0/16"], "expected public IPv4 addresses"),
        ("vault_networks", [], "nobody could sign with the private CA's key"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(tmp_path: Path, path: str, value: object, said: str) -> None:
    found = problems(tmp_path, _change(path, value))
    assert any(said in sentence for sentence in found), found


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    def change(config: dict[str, Any], federation: dict[str, Any]) -> None:
        config["network"]["bastion"] = "10.60.3.0/27"
        config["access"]["admin_networks"] = ["0.0.0.0/0"]
        config["environment"] = "Production!"
        federation["partners"][0]["tls"] = "maybe"

    found = problems(tmp_path, change)
    assert len(found) >= 4, found


def test_too_many_hosts_and_an_address_that_azure_keeps_are_refused(tmp_path: Path) -> None:
    def change(_config: dict[str, Any], federation: dict[str, Any]) -> None:
        federation["edges"][0]["external_addresses"] = ["10.60.0.3"]
        federation["pools"] = document_of(1, 9)["federation"]["pools"]

    found = problems(tmp_path, change)
    assert any("10.60.0.3 of edge1 is no usable address" in sentence for sentence in found), found
    assert any("9 front ends, expected at most 8" in sentence for sentence in found), found


def test_several_front_ends_need_a_store_that_they_share(tmp_path: Path) -> None:
    def change(_config: dict[str, Any], federation: dict[str, Any]) -> None:
        federation["pools"] = document_of(1, 2)["federation"]["pools"]

    assert problems(tmp_path, change) == ["postgresql: missing, 2 front ends share one store"]


def test_names_follow_the_convention_and_fit() -> None:
    naming = Naming("xmppgw", "prod", "weu", "00000000-0000-0000-0000-000000000000")
    assert naming.of("nsg", "edges") == "nsg-xmppgw-prod-weu-edges"
    longest = Naming("abcdefghij", "abcdefgh", "weu", "00000000-0000-0000-0000-000000000000").worldwide("kv", 24)
    assert len(longest) <= 24
    assert not longest.endswith("-")
