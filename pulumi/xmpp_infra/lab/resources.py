"""The lab provider's resources as the program sees them: one class per kind, inputs as typed arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

import pulumi
from pulumi import Input, Output, ResourceOptions

Document = Mapping[str, Input[object]]


class InterfaceArgs(TypedDict):
    """A bridge and addresses with prefix lengths."""

    bridge: str
    addresses: list[str]


class FileArgs(TypedDict):
    """A file on a host; `mode` in octal digits."""

    content: str
    mode: str
    owner: str
    group: str


class RuleArgs(TypedDict):
    """A firewall rule: who may open connections to what."""

    purpose: str
    protocol: str
    sources: list[str]
    destinations: list[str]
    ports: list[int]


class RouteArgs(TypedDict):
    """A route of the controller."""

    to: str
    via: str


class Network(pulumi.CustomResource):
    """Namespace and bridges."""

    path: Output[str]

    def __init__(
        self,
        name: str,
        *,
        namespace: str,
        bridges: Sequence[str],
        controller_bridge: str,
        controller_addresses: Sequence[str],
        routes: Sequence[RouteArgs],
        opts: ResourceOptions | None = None,
    ) -> None:
        properties = {
            "namespace": namespace,
            "bridges": list(bridges),
            "controller_bridge": controller_bridge,
            "controller_addresses": list(controller_addresses),
            "routes": [dict(route) for route in routes],
            "path": None,
        }
        super().__init__("lab:index:Network", name, properties, opts)


class CertificateAuthority(pulumi.CustomResource):
    """A CA whose key stays in `.lab/`."""

    certificate_pem: Output[str]
    fingerprint: Output[str]
    not_after: Output[str]

    def __init__(self, name: str, *, authority: str, common_name: str, opts: ResourceOptions | None = None) -> None:
        properties = {
            "name": authority,
            "common_name": common_name,
            "certificate_pem": None,
            "fingerprint": None,
            "not_after": None,
        }
        super().__init__("lab:index:CertificateAuthority", name, properties, opts)


class Certificate(pulumi.CustomResource):
    """A stand-in's certificate; its key stays in `.lab/` and on its host."""

    certificate_pem: Output[str]
    fingerprint: Output[str]
    not_after: Output[str]

    def __init__(
        self,
        name: str,
        *,
        certificate: str,
        authority: CertificateAuthority,
        authority_name: str,
        dns_names: Sequence[str],
        server_auth: bool,
        client_auth: bool,
        opts: ResourceOptions | None = None,
    ) -> None:
        properties = {
            "name": certificate,
            "authority": authority_name,
            "authority_fingerprint": authority.fingerprint,
            "dns_names": list(dns_names),
            "server_auth": server_auth,
            "client_auth": client_auth,
            "certificate_pem": None,
            "fingerprint": None,
            "not_after": None,
        }
        super().__init__("lab:index:Certificate", name, properties, opts)


class SshKey(pulumi.CustomResource):
    """The controller's SSH key."""

    public_key: Output[str]
    private_key_path: Output[str]

    def __init__(self, name: str, opts: ResourceOptions | None = None) -> None:
        properties = {"comment": "xmppgw-lab", "public_key": None, "private_key_path": None}
        super().__init__("lab:index:SshKey", name, properties, opts)


class Host(pulumi.CustomResource):
    """A booted host."""

    host_key: Output[str]
    state: Output[str]
    failed_units: Output[list[str]]

    def __init__(
        self,
        name: str,
        *,
        namespace: str,
        image: str,
        image_digest: str,
        interfaces: Sequence[InterfaceArgs],
        gateways: Sequence[str],
        forwarding: bool,
        files: Mapping[str, FileArgs],
        units: Sequence[str],
        first_boot: Sequence[str],
        certificates: Mapping[str, Input[str]],
        authorities: Mapping[str, Input[str]],
        ssh_public_key: Input[str],
        opts: ResourceOptions | None = None,
    ) -> None:
        properties = {
            "name": name,
            "namespace": namespace,
            "image": image,
            "image_digest": image_digest,
            "interfaces": [dict(interface) for interface in interfaces],
            "gateways": list(gateways),
            "forwarding": forwarding,
            "files": {path: dict(file) for path, file in files.items()},
            "units": list(units),
            "first_boot": list(first_boot),
            "certificates": dict(certificates),
            "authorities": dict(authorities),
            "ssh_public_key": ssh_public_key,
            "host_key": None,
            "state": None,
            "failed_units": None,
        }
        super().__init__("lab:index:Host", name, properties, opts)


class FirewallRules(pulumi.CustomResource):
    """The forwarding rules of the firewall host."""

    digest: Output[str]

    def __init__(
        self,
        name: str,
        *,
        host: str,
        host_key: Input[str],
        rules: Sequence[RuleArgs],
        opts: ResourceOptions | None = None,
    ) -> None:
        properties = {"host": host, "host_key": host_key, "rules": [dict(rule) for rule in rules], "digest": None}
        super().__init__("lab:index:FirewallRules", name, properties, opts)


class Zone(pulumi.CustomResource):
    """A DNS zone that its servers' configuration holds."""

    def __init__(
        self,
        name: str,
        *,
        zone: str,
        primary: str,
        authoritative: Sequence[str],
        servers_identity: Input[str],
        opts: ResourceOptions | None = None,
    ) -> None:
        properties = {
            "zone": zone,
            "primary": primary,
            "authoritative": list(authoritative),
            "servers_identity": servers_identity,
        }
        super().__init__("lab:index:Zone", name, properties, opts)


class RecordSet(pulumi.CustomResource):
    """A whole RRset."""

    def __init__(
        self,
        name: str,
        *,
        zone: Zone,
        zone_name: str,
        primary: str,
        authoritative: Sequence[str],
        owner: str,
        record_type: str,
        ttl: int,
        records: Sequence[str],
        key: str,
        opts: ResourceOptions | None = None,
    ) -> None:
        properties = {
            "zone_id": zone.id,
            "zone": zone_name,
            "primary": primary,
            "authoritative": list(authoritative),
            "name": owner,
            "type": record_type,
            "ttl": ttl,
            "records": list(records),
            "key": key,
        }
        super().__init__("lab:index:RecordSet", name, properties, opts)


class Environment(pulumi.CustomResource):
    """The output object as a file, and the pinned SSH host keys."""

    path: Output[str]

    def __init__(
        self,
        name: str,
        *,
        document: Input[Document],
        known_hosts: Input[Mapping[str, Sequence[str]]],
        opts: ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            "lab:index:Environment", name, {"document": document, "known_hosts": known_hosts, "path": None}, opts
        )
