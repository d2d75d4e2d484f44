"""The port table: every connection that a firewall must let through, computed from the document and nowhere else.

`xmppgw plan`, the lab's nftables rules and cloud security groups are made from it. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from xmppgw.federation.model import LINK_PORT, S2S_PORT, SIP_TLS_PORT, Document, Edge, Federation, FrontEnd
from xmppgw.federation.names import is_address


class Zone(StrEnum):
    """Where an endpoint stands."""

    INTERNET = "internet"
    PERIMETER = "perimeter"
    INTERNAL = "internal"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One side of a rule. Without addresses it means everything in its zone."""

    name: str
    zone: Zone
    addresses: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class PortRule:
    """One row: `source` opens connections to `port` of `destination`."""

    code: str
    """what the row is for; stable, one per purpose"""
    application: str
    transport: Literal["tcp", "udp"]
    port: int
    source: Endpoint
    destination: Endpoint
    until: Literal["always", "decommission"]
    """`decommission`: closes when the legacy gateway goes"""
    purpose: str

    @property
    def direction(self) -> str:
        """Between which zones, seen from the source."""
        return f"{self.source.zone.value} to {self.destination.zone.value}"


HTTPS_PORT: Final = 443

_PARTNERS = Endpoint("partners", Zone.INTERNET)
_INTERNET = Endpoint("any", Zone.INTERNET)
_ANYWHERE = Endpoint("any", Zone.ANY)


def ports(document: Document) -> list[PortRule]:
    """Every row for this document, sorted by purpose, source and destination; no row twice."""
    rows = set(_rows(document.federation))
    order = {code: number for number, code in enumerate(dict.fromkeys(row.code for row in _rows(document.federation)))}
    return sorted(
        rows, key=lambda row: (order[row.code], row.source.name, row.destination.name, row.port, row.transport)
    )


def _external(edge: Edge) -> Endpoint:
    return Endpoint(edge.fqdn, Zone.PERIMETER, edge.external_addresses)


def _internal(edge: Edge) -> Endpoint:
    return Endpoint(edge.internal_fqdn, Zone.PERIMETER, edge.internal_addresses)


def _front_end(front_end: FrontEnd) -> Endpoint:
    return Endpoint(front_end.fqdn, Zone.INTERNAL, front_end.addresses)


def _rows(federation: Federation) -> Iterator[PortRule]:
    yield from _edge_rows(federation)
    yield from _link_and_sip_rows(federation)
    yield from _resolver_rows(federation)
    yield from _issuer_rows(federation)
    yield from _azure_rows(federation)
    gone = federation.legacy is not None and federation.legacy.decommissioned
    yield from (row for row in _legacy_rows(federation) if not (gone and row.until == "decommission"))


def _edge_rows(federation: Federation) -> Iterator[PortRule]:
    for edge in federation.edges:
        outside = _external(edge)
        yield PortRule("s2s-in", "XMPP S2S", "tcp", S2S_PORT, _PARTNERS, outside, "always", "partners reach us")
        yield PortRule(
            "s2s-out", "XMPP S2S", "tcp", S2S_PORT, outside, _PARTNERS, "always",
            "we reach partners; a partner whose SRV record names another port needs that one too",
        )  # fmt: skip
        for partner in federation.partners:
            for server in partner.servers:
                destination = Endpoint(server.host, Zone.INTERNET, (server.host,) if is_address(server.host) else ())
                yield PortRule(
                    "s2s-out-fixed",
                    "XMPP S2S",
                    "tcp",
                    server.port,
                    outside,
                    destination,
                    "always",
                    f"fixed server of {partner.domain}",
                )
        yield PortRule(
            "revocation",
            "HTTP",
            "tcp",
            80,
            outside,
            _INTERNET,
            "always",
            "certificate revocation lists and OCSP of public authorities",
        )


def _link_and_sip_rows(federation: Federation) -> Iterator[PortRule]:
    for _, front_end in federation.front_ends:
        source = _front_end(front_end)
        for edge in federation.edges:
            yield PortRule(
                "link",
                "link (mutual TLS)",
                "tcp",
                LINK_PORT,
                source,
                _internal(edge),
                "always",
                "front end dials the edge's internal side",
            )
        hop = federation.sip.next_hop
        peers = {peer.fqdn: Endpoint(peer.fqdn, Zone.INTERNAL, peer.addresses) for peer in federation.sip.peers}
        next_hop = peers.get(hop.fqdn, Endpoint(hop.fqdn, Zone.INTERNAL))
        yield PortRule(
            "sip-out", "SIP (mutual TLS)", "tcp", hop.port, source, next_hop, "always", "to the SIP platform's next hop"
        )
        for peer in peers.values():
            yield PortRule(
                "sip-in", "SIP (mutual TLS)", "tcp", SIP_TLS_PORT, peer, source, "always", "from the SIP platform"
            )


def _resolver_rows(federation: Federation) -> Iterator[PortRule]:
    servers = [Endpoint(address, Zone.ANY, (address,)) for address in federation.dns.resolvers] or [_ANYWHERE]
    transports: tuple[Literal["tcp", "udp"], ...] = ("tcp", "udp")
    sources = [_external(edge) for edge in federation.edges] + [
        _front_end(front_end) for _, front_end in federation.front_ends
    ]
    for source in sources:
        for server in servers:
            for transport in transports:
                yield PortRule(
                    "dns",
                    "DNS",
                    transport,
                    53,
                    source,
                    server,
                    "always",
                    "name resolution; TCP for long answers (RFC 7766)",
                )
    if federation.dns.provider == "rfc2136":
        writer = Endpoint("DNS writer", Zone.INTERNAL)
        for address in sorted(
            {*federation.dns.authoritative, *([federation.dns.primary] if federation.dns.primary else [])}
        ):
            for transport in transports:
                yield PortRule(
                    "dns-update", "DNS", transport, 53, writer, Endpoint(address, Zone.ANY, (address,)), "always",
                    "signed updates (RFC 2136) to the primary, read-back from every authoritative server",
                )  # fmt: skip


def _issuer_rows(federation: Federation) -> Iterator[PortRule]:
    directory = federation.certificates.public.directory
    if directory is None:
        return
    host, _, port = directory.removeprefix("https://").partition("/")[0].partition(":")
    writer, server = Endpoint("DNS writer", Zone.INTERNAL), Endpoint(host, Zone.INTERNET)
    yield PortRule(
        "acme", "HTTPS", "tcp", int(port or HTTPS_PORT), writer, server, "always",
        "orders and renews the public certificates (RFC 8555)",
    )  # fmt: skip


def _azure_rows(federation: Federation) -> Iterator[PortRule]:
    """Whom the DNS writer asks where DNS or an authority's key lies in Azure. (A managed identity asks its machine.)"""
    writer, asked = Endpoint("DNS writer", Zone.INTERNAL), {}
    if federation.dns.provider == "azure":
        asked[federation.azure.management] = "changes records by Azure's resource manager"
    for issuer in (federation.certificates.internal, federation.certificates.of_link):
        if issuer.key is not None:
            asked[issuer.key] = "has certificates signed in Key Vault"
    if asked and federation.azure.credential == "federated":
        asked[federation.azure.login] = "exchanges the pipeline's token"
    for address, purpose in sorted(asked.items()):
        host, _, port = address.removeprefix("https://").partition("/")[0].partition(":")
        server = Endpoint(host, Zone.INTERNET)
        yield PortRule("azure", "HTTPS", "tcp", int(port or HTTPS_PORT), writer, server, "always", purpose)


def _legacy_rows(federation: Federation) -> Iterator[PortRule]:
    if federation.legacy is None:
        return
    gateway = federation.legacy.gateway
    legacy = Endpoint(gateway.fqdn, Zone.PERIMETER, gateway.addresses)
    for edge in federation.edges:
        yield PortRule(
            "legacy-splice", "XMPP S2S", "tcp", gateway.port, _external(edge), legacy, "decommission",
            "connections of partners that are not switched yet are joined to the legacy gateway",
        )  # fmt: skip
        yield PortRule(
            "legacy-verify", "XMPP S2S", "tcp", gateway.port, _external(edge), legacy, "decommission",
            "dialback keys of the legacy gateway are verified there while it still sends",
        )  # fmt: skip
    # In coexistence the legacy gateway keeps domains of its own, and with them its connections.
    until: Literal["always", "decommission"] = "always" if federation.legacy_domains else "decommission"
    yield PortRule(
        "legacy-s2s-in", "XMPP S2S", "tcp", gateway.port, _PARTNERS, legacy, until, "partners reach the legacy gateway"
    )
    yield PortRule(
        "legacy-s2s-out", "XMPP S2S", "tcp", S2S_PORT, legacy, _PARTNERS, until, "the legacy gateway reaches partners"
    )
    for peer in federation.sip.peers:
        pool = Endpoint(peer.fqdn, Zone.INTERNAL, peer.addresses)
        for source, destination in ((pool, legacy), (legacy, pool)):
            yield PortRule(
                "legacy-sip", "SIP (mutual TLS)", "tcp", SIP_TLS_PORT, source, destination, until,
                "the SIP platform and the legacy gateway",
            )  # fmt: skip
