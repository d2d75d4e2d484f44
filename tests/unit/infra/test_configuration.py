"""The stack's configuration, and what the lab program derives from it without making anything."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import yaml

from lab_provider.firewall import BASE, Rule, render
from lab_provider.kinds import Value
from xmpp_infra.config import KEYS, ConfigurationError, StackConfig, stack_config
from xmpp_infra.lab.dns import record_sets
from xmpp_infra.lab.firewall import rules
from xmpp_infra.lab.hosts import content

PROGRAM = Path(__file__).resolve().parents[3] / "pulumi"


class Source:
    """What pulumi.Config gives: text, structured values as JSON."""

    def __init__(self, values: dict[str, Value]) -> None:
        self._values = values

    def get(self, key: str) -> str | None:
        value = self._values.get(key)
        return value if value is None or isinstance(value, str) else json.dumps(value)


@pytest.fixture
def values() -> dict[str, Value]:
    config = yaml.safe_load((PROGRAM / "Pulumi.lab.yaml").read_text())["config"]
    return {key: copy.deepcopy(config[f"xmppgw:{key}"]) for key in KEYS}


def _parse(values: dict[str, Value]) -> StackConfig:
    return stack_config(Source(values), "lab", str(PROGRAM), {})


def test_the_lab_is_configured_as_everyone_expects(values: dict[str, Value]) -> None:
    config = _parse(values)
    assert config.namespace == "xmpplab"
    assert len(config.hosts) == 12
    assert config.interface("edge1", "perimeter") == [
        "198.51.100.10/26",
        "2001:db8:2::10/64",
        "198.51.100.11/26",
        "2001:db8:2::11/64",
    ]
    assert config.gateways("users") == ["203.0.113.1", "2001:db8:1::1"]
    assert config.gateways("fw1") == []


def test_everything_wrong_is_said_at_once(values: dict[str, Value]) -> None:
    hosts = values["hosts"]
    assert isinstance(hosts, dict)
    hosts["edge1"] = {
        "image": "plain",
        "groups": ["edges"],
        "addresses": {"perimeter": ["203.0.113.99"], "moon": ["198.51.100.3"]},
    }
    hosts["twin"] = {"image": "plain", "groups": ["edges"], "addresses": {"internal": ["198.51.100.80"]}}
    values["firewall"] = "fw9"
    with pytest.raises(ConfigurationError) as caught:
        _parse(values)
    assert caught.value.problems == [
        "firewall: there is no host fw9",
        "hosts.edge1: 203.0.113.99 is not in network perimeter (198.51.100.0/26)",
        "hosts.edge1: there is no network moon",
        "hosts.twin: 198.51.100.80 belongs to fe1 already",
    ]


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        (
            "hosts",
            {"UPPER": {"image": "plain", "groups": ["x"], "addresses": {"internal": ["198.51.100.80"]}}},
            "UPPER",
        ),
        ("hosts", {"fw1": {"image": "windows", "groups": ["x"], "addresses": {}}}, "hosts.fw1.image"),
        ("dns", {"resolver": "nowhere"}, "dns.resolver"),
        ("platform", "mars", "platform"),
        ("networks", "not a mapping", "networks: must be a mapping"),
        ("federation", "absent.yml", "federation"),
        ("federation", None, ""),
    ],
)
def test_bad_values_are_named(values: dict[str, Value], key: str, value: Value, problem: str) -> None:
    values[key] = value
    if problem:
        with pytest.raises(ConfigurationError, match=problem):
            _parse(values)
    else:
        assert _parse(values).federation is None


def test_firewall_rules_come_from_the_port_table_and_the_plumbing(values: dict[str, Value]) -> None:
    config = _parse(values)
    found = {
        (rule["purpose"].partition(":")[0], tuple(rule["destinations"]), tuple(rule["ports"])) for rule in rules(config)
    }
    assert ("s2s-in", ("198.51.100.10", "2001:db8:2::10"), (5269,)) in found
    assert ("link", ("198.51.100.11", "2001:db8:2::11"), (23456,)) in found
    plumbing = {purpose for purpose, _, _ in found if purpose.startswith(("the operator", "DNS of"))}
    assert plumbing == {"the operator's SSH", "DNS of every host"}
    opened_to_internet_hosts = [rule for rule in rules(config) if "203.0.113.0/25" in rule["sources"]]
    assert {port for rule in opened_to_internet_hosts for port in rule["ports"]} == {53, 5269}


def test_rules_are_rendered_per_address_family() -> None:
    text = render([Rule('say "hi"\n', "tcp", ["198.51.100.0/26", "2001:db8::/64"], ["203.0.113.1"], [5269, 80])])
    assert (
        'ip saddr { 198.51.100.0/26 } ip daddr { 203.0.113.1/32 } tcp dport { 80, 5269 } accept comment "say hi"'
        in text
    )
    assert "ip6" not in text
    assert BASE.count("policy drop") == 2


def test_records_are_now_for_services_and_after_for_addresses(values: dict[str, Value]) -> None:
    config = _parse(values)
    assert config.dns is not None
    sets = record_sets(config, config.dns)
    found = {(row.name, row.type): row.values for rows in sets.values() for row in rows}
    assert found["_xmpp-server._tcp.corp.example", "SRV"] == ("10 10 5269 legacy1.corp.example.",)
    assert found["edge1.corp.example", "A"] == ("198.51.100.10",)
    assert found["pool-target.corp.example", "AAAA"] == ("2001:db8:3::71",)
    assert {row.name for row in sets["partner1.example"]} == {
        "xmpp.partner1.example",
        "_xmpp-server._tcp.partner1.example",
    }


def test_every_host_has_content_without_a_secret_in_it(values: dict[str, Value]) -> None:
    config = _parse(values)
    contents = {host: content(config, host) for host in config.hosts}
    assert "nftables.service" in contents["fw1"].units
    assert "people.service" in contents["users"].units
    assert all("/etc/resolv.conf" in carried.files for carried in contents.values())
    assert "198.51.100.90 users.corp.example users\n" in contents["users"].files["/etc/hosts"].content
    assert "203.0.113.11 partner1\n" in contents["partner1"].files["/etc/hosts"].content
    # Certificates are named once in the whole lab, since each is one file on the controller.
    names = [spec.name for carried in contents.values() for spec in carried.certificates]
    assert len(names) == len(set(names))


def test_optional_hosts_are_made_where_they_are_asked_for(values: dict[str, Value]) -> None:
    assert not {"edge2", "fe2", "acme"} & set(_parse(values).hosts)
    chosen = stack_config(Source(values), "lab", str(PROGRAM), {"XMPPGW_LAB_WITH": "edge2, acme"})
    assert {"edge2", "acme"} <= set(chosen.hosts)
    assert "fe2" not in chosen.hosts
    assert "pebble.service" in content(chosen, "acme").units
    assert any(rule["ports"] == [14000] for rule in rules(chosen))
    with pytest.raises(ConfigurationError, match="edge9 is no optional host"):
        stack_config(Source(values), "lab", str(PROGRAM), {"XMPPGW_LAB_WITH": "edge9"})


def test_the_old_gateway_may_serve_one_pool_only(values: dict[str, Value]) -> None:
    mode = {"XMPPGW_LAB_LEGACY_GATEWAY": "legacy_pool"}
    chosen = stack_config(Source(values), "lab", str(PROGRAM), mode)
    path = "/etc/kamailio/kamailio.cfg"
    assert "does not serve this pool" in content(chosen, "pool-target").files[path].content
    assert "does not serve this pool" not in content(_parse(values), "pool-target").files[path].content
    with pytest.raises(ConfigurationError, match="legacy_gateway"):
        stack_config(Source(values), "lab", str(PROGRAM), {"XMPPGW_LAB_LEGACY_GATEWAY": "nobody"})
