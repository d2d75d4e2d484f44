"""The stack `lab` as a whole: networks, certificates, hosts, firewall, DNS, and the one object that describes them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pulumi
from pulumi import Output, ResourceOptions

from lab_provider.places import Places
from xmpp_infra.config import StackConfig
from xmpp_infra.lab import servers
from xmpp_infra.lab.certificates import LabCertificates
from xmpp_infra.lab.dns import LabDns, record_sets
from xmpp_infra.lab.firewall import LabFirewall, rules
from xmpp_infra.lab.hosts import LabHosts, content
from xmpp_infra.lab.network import LabNetwork
from xmpp_infra.lab.resources import Environment

SCHEMA = 1
"""Version of the output object; a consumer refuses versions that it does not know."""


class LabStack(pulumi.ComponentResource):
    """Everything of the lab."""

    environment: Output[Mapping[str, object]]

    def __init__(self, name: str, config: StackConfig, opts: ResourceOptions | None = None) -> None:
        super().__init__("xmppgw:lab:Stack", name, None, opts)
        child = ResourceOptions(parent=self)
        contents = {host: content(config, host) for host in config.hosts}
        wanted = [spec for carried in contents.values() for spec in carried.certificates]
        network = LabNetwork("networks", config, opts=child)
        certificates = LabCertificates("certificates", wanted, opts=child)
        hosts = LabHosts("hosts", config, contents=contents, network=network, certificates=certificates, opts=child)
        firewall = LabFirewall("firewall", config, hosts.hosts[config.firewall], opts=child)
        if config.dns is not None:
            LabDns("dns", config, config.dns, hosts=hosts.hosts, firewall=firewall, opts=child)
        self.environment = Output.from_input(_document(config, hosts, certificates))
        known = {host: [str(address) for address in _own_addresses(config, host)] for host in config.hosts}
        Environment(
            "environment",
            document=self.environment,
            known_hosts=Output.all(**{host: made.host_key for host, made in hosts.hosts.items()}).apply(
                lambda keys: {key: [host, *known[host]] for host, key in keys.items()}
            ),
            opts=child,
        )
        self.register_outputs({})


def _own_addresses(config: StackConfig, host: str) -> list[str]:
    return [
        address.partition("/")[0]
        for network in config.hosts[host].addresses
        for address in config.interface(host, network)
    ]


def _document(config: StackConfig, hosts: LabHosts, certificates: LabCertificates) -> dict[str, object]:
    places = Places.from_environment()
    path = f"/run/netns/{config.namespace}"
    return {
        "schema": SCHEMA,
        "stack": config.stack,
        "namespace": config.namespace,
        "hosts": {
            name: {
                "address": _own_addresses(config, name)[0],
                "addresses": _own_addresses(config, name),
                "groups": sorted(host.groups),
                "zone": next(iter(host.addresses)),
                "host_key": hosts.hosts[name].host_key,
            }
            for name, host in config.hosts.items()
        },
        # Whose server is where: the probe reads there which way a message came.
        "partners": {partner.domain: partner.host for partner in servers.LAB.partners if partner.host in config.hosts},
        "ssh": {
            "user": "root",
            "private_key": _shown(places.lab / "ssh" / "id_ed25519"),
            "known_hosts": _shown(places.lab / "ssh" / "known_hosts"),
            "proxy_command": f"nsenter --net={path} nc %h %p",
        },
        "dns": {
            "resolver": str(config.dns.resolver),
            "primary": str(config.dns.primary),
            "authoritative": [str(address) for address in config.dns.authoritative],
            "zones": sorted(config.dns.zones),
        }
        if config.dns is not None
        else {},
        "certificate_authorities": {
            name: {"certificate_pem": authority.certificate_pem, "fingerprint": authority.fingerprint}
            for name, authority in certificates.authorities.items()
        },
        "ports": [dict(rule) for rule in rules(config)],
        "records": [
            {"zone": zone, "name": row.name, "type": row.type, "ttl": row.ttl, "values": list(row.values)}
            for zone, rows in (record_sets(config, config.dns) if config.dns is not None else {}).items()
            for row in rows
        ],
    }


def _shown(path: Path) -> str:
    """A path inside the project as seen from its root, so that a moved or copied tree still works."""
    root = Path(__file__).resolve().parents[3]
    return os.path.relpath(path, root) if path.is_relative_to(root) else str(path)
