"""The daemons' configuration files, derived from the document: whole, so that no daemon is ever told two things.

The roles that install the daemons call these and write the result as JSON. The shapes are decoded strictly by
`xmppgw.edge.settings` and `xmppgw.frontend.settings`; what is not said here is a default there. Pure.
"""

from __future__ import annotations

from typing import Final

from xmppgw.federation.certificates import SYSTEM_TRUST, TLS_DIRECTORY, authority_file
from xmppgw.federation.model import (
    LINK_PORT,
    S2S_PORT,
    SIP_TLS_PORT,
    AccessPolicy,
    Document,
    Edge,
    Federation,
    FrontEnd,
    Partner,
    Pool,
)

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

EDGE_CONTROL_SOCKET: Final = "/run/xmppgw-edge/control.sock"
FRONT_END_CONTROL_SOCKET: Final = "/run/xmppgw-frontend/control.sock"
FRONT_END_STORE: Final = "/var/lib/xmppgw-frontend/store.sqlite"
FRONT_END_USERS: Final = "/var/lib/xmppgw-frontend/users.sqlite"
DIALBACK_SECRET_FILE: Final = "/etc/xmppgw/dialback.secret"  # noqa: S105 - a path
EDGE_METRICS_PORT: Final = 9269
FRONT_END_METRICS_PORT: Final = 9061


def edge_settings(
    document: Document, host: str, *, federation_enabled: bool, legacy_connected: bool = False
) -> dict[str, Json]:
    """The whole edge.json of one edge.

    `legacy_connected`: whether partners are switched one by one, so that who has not been switched is still answered by
    the legacy gateway; from step 5 until decommission. Before step 5 (`federation_enabled` false) the edge listens for
    nobody and is told of no partner, no public certificate and no dialback secret: rule R5.
    Raises KeyError for a host that is not an edge of the document.
    """
    federation = document.federation
    edge = _edge(federation, host)
    settings: dict[str, Json] = {
        "node": edge.fqdn,
        "own_domains": list(federation.own_domains),
        "federation_enabled": federation_enabled,
        "listen": [],
        "link": {
            "listen_address": edge.internal_addresses[0],
            "port": LINK_PORT,
            **_private_certificate(federation, "link"),
            "peers": [front_end.fqdn for _, front_end in federation.front_ends],
        },
        "resolver": list(federation.dns.resolvers),
        "metrics": {"address": "127.0.0.1", "port": EDGE_METRICS_PORT},
        "control_socket": EDGE_CONTROL_SOCKET,
        "partners": [],
    }
    if federation_enabled:
        settings["listen"] = [{"address": address, "port": S2S_PORT} for address in edge.external_addresses]
        settings["tls"] = {
            "certificate": f"{TLS_DIRECTORY}/public.crt",
            "key": f"{TLS_DIRECTORY}/public.key",
            "trust": _public_trust(federation),
        }
        settings["dialback_secret_file"] = DIALBACK_SECRET_FILE
        settings["partners"] = [_edge_partner(partner) for partner in federation.partners]
        if legacy_connected and federation.legacy is not None:
            gateway = federation.legacy.gateway
            settings["legacy"] = {
                "addresses": [{"host": address, "port": gateway.port} for address in gateway.addresses]
            }
    return settings


def front_end_settings(
    document: Document, host: str, *, policy_enabled: bool, federation_enabled: bool
) -> dict[str, Json]:
    """The whole frontend.json of one front end.

    `policy_enabled` is true from step 4 on (before it the access policy is closed), `federation_enabled` from step 5 on
    (before it no partner is known: rule R1). Raises KeyError for a host that is not a front end of the document.
    """
    federation = document.federation
    pool, front_end = _front_end(federation, host)
    hop = federation.sip.next_hop
    return {
        "node": front_end.fqdn,
        "pool_fqdn": pool.fqdn,
        "own_domains": list(federation.own_domains),
        "links": [
            {"server_name": edge.internal_fqdn, "addresses": [edge.internal_addresses[0]], "port": LINK_PORT}
            for edge in federation.edges
        ],
        "tls": _private_certificate(federation, "link"),
        "sip": {
            **_private_certificate(federation, "sip"),
            "listen": [{"address": address, "port": SIP_TLS_PORT} for address in front_end.addresses],
            "next_hop": {"host": hop.fqdn, "port": hop.port, "server_name": hop.fqdn},
            "peers": [peer.fqdn for peer in federation.sip.peers],
            "dialect": federation.sip.dialect,
        },
        "partners": [
            {
                "domain": partner.domain,
                "additional_domains": list(partner.additional_domains),
                "type": partner.type.value,
            }
            for partner in federation.partners
        ]
        if federation_enabled
        else [],
        "access_policy": _access_policy(federation) if policy_enabled else {"global": _switches(AccessPolicy())},
        "store": FRONT_END_STORE,
        "metrics": {"address": "127.0.0.1", "port": FRONT_END_METRICS_PORT},
        "control_socket": FRONT_END_CONTROL_SOCKET,
    }


def _access_policy(federation: Federation) -> dict[str, Json]:
    policies = federation.access_policies
    derived: dict[str, Json] = {"global": _switches(policies.global_)}
    if federation.users.export is not None:
        # Built there from the exported table by the role access_policy; without a table, one policy holds for all.
        derived["users_table"] = FRONT_END_USERS
        derived["sites"] = {policy.name: _switches(policy) for policy in policies.sites}
        derived["users"] = {policy.name: _switches(policy) for policy in policies.users}
        derived["survivable_branch"] = policies.survivable_branch
    return derived


def _switches(policy: AccessPolicy) -> dict[str, Json]:
    return {
        "enable_federation_access": policy.enable_federation_access,
        "enable_xmpp_access": policy.enable_xmpp_access,
    }


def _edge(federation: Federation, host: str) -> Edge:
    for edge in federation.edges:
        if edge.host == host:
            return edge
    raise KeyError(f"{host} is not an edge of this document")


def _front_end(federation: Federation, host: str) -> tuple[Pool, FrontEnd]:
    for pool, front_end in federation.front_ends:
        if front_end.host == host:
            return pool, front_end
    raise KeyError(f"{host} is not a front end of this document")


def _private_certificate(federation: Federation, name: str) -> dict[str, Json]:
    issuer = federation.certificates.of_link if name == "link" else federation.certificates.internal
    return {
        "certificate": f"{TLS_DIRECTORY}/{name}.crt",
        "key": f"{TLS_DIRECTORY}/{name}.key",
        "ca": authority_file(issuer.authority),
    }


def _public_trust(federation: Federation) -> list[Json]:
    # Where an authority of our own stands for the public ones, partners' certificates come from it too.
    authority = federation.certificates.public.authority
    return [SYSTEM_TRUST, *([authority_file(authority)] if authority else [])]


def _edge_partner(partner: Partner) -> dict[str, Json]:
    return {
        "domain": partner.domain,
        "additional_domains": list(partner.additional_domains),
        "tls": partner.tls.value,
        "sasl": partner.sasl.value,
        "dialback": partner.dialback,
        "addresses": [{"host": server.host, "port": server.port} for server in partner.servers],
        "pins": list(partner.pins),
        # A key that only partners with an authority of their own need.
        **({"authority": authority_file(partner.authority)} if partner.authority else {}),
    }
