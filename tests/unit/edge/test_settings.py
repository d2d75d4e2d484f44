"""edge.json: what the federation document derives is read, and everything else is refused as a whole."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from xmppgw.edge.partners import PartnerTable, policy_of
from xmppgw.edge.settings import PartnerSettings, decode_edge_settings
from xmppgw.edge.streams import Admission, network_of
from xmppgw.federation import edge_settings, load_document, partner_outcome
from xmppgw.federation.model import Requirement
from xmppgw.telemetry.settings import SettingsProblem

DOCUMENT = Path(__file__).parents[3] / "inventories/lab/group_vars/all/federation.yml"


def settings(**changes: Any) -> dict[str, Any]:
    derived = edge_settings(load_document(DOCUMENT), "edge1", federation_enabled=True)
    return {**json.loads(json.dumps(derived)), **changes}


@pytest.mark.parametrize("enabled", [True, False])
def test_what_the_federation_document_derives_is_what_the_edge_reads(enabled: bool) -> None:
    derived = edge_settings(load_document(DOCUMENT), "edge1", federation_enabled=enabled)
    read = decode_edge_settings(json.dumps(derived).encode())
    table = PartnerTable(read)
    assert (table.find("partner1.example") is not None) is enabled
    assert read.federation_enabled is enabled


@pytest.mark.parametrize("connected", [True, False])
def test_the_legacy_gateway_stands_in_it_while_partners_may_still_be_there(connected: bool) -> None:
    document = load_document(DOCUMENT)
    derived = edge_settings(document, "edge1", federation_enabled=True, legacy_connected=connected)
    read = decode_edge_settings(json.dumps(derived).encode())
    assert document.federation.legacy is not None
    gateway = document.federation.legacy.gateway
    found = () if read.legacy is None else tuple((each.host, each.port) for each in read.legacy.addresses)
    assert found == (tuple((address, gateway.port) for address in gateway.addresses) if connected else ())
    closed = edge_settings(document, "edge1", federation_enabled=False, legacy_connected=connected)
    assert "legacy" not in closed


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"colour": "red"}, "settings-key"),
        ({"node": 7}, "settings-value"),
        ({"own_domains": []}, "settings-value"),
        ({"metrics": {"address": "0.0.0.0"}}, "settings-value"),
        ({"resolver": ["dns.example"]}, "settings-value"),
        ({"limits": {"stanza_bytes": 9_999}}, "settings-value"),
        ({"limits": {"connect_seconds": 0}}, "settings-value"),
        ({"tls": None}, "settings-conflict"),
        ({"resolver": []}, "settings-conflict"),
        ({"dialback_secret_file": None}, "settings-conflict"),
        ({"own_domains": ["partner1.example"]}, "settings-conflict"),
        (
            {"partners": [{"domain": "a.example"}, {"domain": "b.example", "additional_domains": ["A.example"]}]},
            "settings-conflict",
        ),
        ({"partners": [{"domain": "a.example", "pins": ["xyz"]}]}, "settings-value"),
        ({"partners": [{"domain": "a.example", "tls": "sometimes"}]}, "settings-value"),
        ({"partners": [{"domain": "a.example", "pins": ["00" * 32], "authority": "/a.pem"}]}, "settings-conflict"),
        ({"legacy": {"addresses": []}}, "settings-value"),
    ],
)
def test_what_is_wrong_is_refused_by_its_code(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(SettingsProblem) as problem:
        decode_edge_settings(json.dumps(settings(**changes)).encode())
    assert problem.value.code == code


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b'{"node": "a", "node": "b"}', b"[" * 100_000])
def test_what_is_no_settings_file_is_refused(data: bytes) -> None:
    with pytest.raises(SettingsProblem):
        decode_edge_settings(data)


def test_the_policy_is_the_one_that_the_plan_predicts() -> None:
    """All 18 combinations of TLS, SASL and dialback: the running edge allows exactly what `xmppgw plan` printed."""
    levels = ("required", "optional", "not_supported")
    for tls, sasl, dialback in itertools.product(levels, levels, (True, False)):
        policy = policy_of(PartnerSettings("a.example", tls=tls, sasl=sasl, dialback=dialback))  # type: ignore[arg-type]
        outcome = partner_outcome(Requirement(tls), Requirement(sasl), dialback)
        predicted = {str(each) for each in outcome.allowed}
        letters = {
            letter
            for letter, allowed in (
                ("S", policy.sasl_over_tls),
                ("T", policy.dialback_over_tls),
                ("C", policy.dialback_over_tcp),
            )
            if allowed
        }
        assert letters == predicted, (tls, sasl, dialback)


def test_connections_are_counted_per_address_and_in_all() -> None:
    admission = Admission(per_address=2, total=3)
    assert [admission.admit("a"), admission.admit("a")] == ["", ""]
    assert "2 connections of a" in admission.admit("a")
    assert admission.admit("b") == ""
    assert "3 connections" in admission.admit("c")
    admission.release("a")
    assert admission.admit("c") == ""
    for network in ("a", "b", "c"):
        admission.release(network)
    assert admission.waiting == 0


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_one_ipv6_customer_counts_as_one_client(address: str, network: str) -> None:
    assert network_of(address) == network
