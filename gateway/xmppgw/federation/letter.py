"""The letter to one partner as a value: what changes for whoever runs its server, what to check, whom to ask.

`xmppgw partner letter` prints it. Everything follows from the document and from certificates that somebody has read
already; what a partner's server is configured with, and when its turn comes inside the window, nobody here knows. Pure.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from xmppgw.federation.certificates import certificates
from xmppgw.federation.model import S2S_PORT, Contact, Document, Edge, Federation, MaintenanceWindow, Partner
from xmppgw.federation.outcome import Method, partner_outcome
from xmppgw.federation.records import records, srv_name


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """The public part of one certificate of a chain."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: str
    """date, UTC"""
    not_after: str
    sha256: str
    """fingerprint in lower-case hexadecimal"""


@dataclass(frozen=True, slots=True)
class EdgeCertificate:
    """What one edge shows. `chain` is leaf first, empty as long as it is not issued."""

    edge: str
    names: tuple[str, ...]
    chain: tuple[IssuedCertificate, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A host and where it is, in both families."""

    name: str
    ipv4: tuple[str, ...]
    ipv6: tuple[str, ...]
    port: int | None = None
    priority: int | None = None
    weight: int | None = None


@dataclass(frozen=True, slots=True)
class RecordChange:
    """A service record as it is and as it will be."""

    name: str
    now: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Check:
    """Something that the partner can run, and what it should see."""

    what: str
    command: str
    expect: str


@dataclass(frozen=True, slots=True)
class Letter:
    """All that a letter says."""

    partner: Partner
    our_domains: tuple[str, ...]
    inbound: tuple[Place, ...]
    """where the partner's server connects to us"""
    outbound: tuple[Place, ...]
    """where we connect from"""
    records: tuple[RecordChange, ...]
    issuer: str
    """kind of issuer; and the authority, where the document names one"""
    authority: str
    certificates: tuple[EdgeCertificate, ...]
    methods: tuple[Method, ...]
    """how the two servers may come to trust each other, best first"""
    old: Place | None
    """our gateway until now"""
    window: MaintenanceWindow | None
    contact: Contact | None
    checks: tuple[Check, ...]


class UnknownPartner(KeyError):  # noqa: N818 - says what it is
    """No partner of the document has that domain."""


def find_partner(federation: Federation, domain: str) -> Partner:
    """The partner that has the domain, as its own or as an additional one; raises UnknownPartner."""
    for partner in federation.partners:
        if domain in partner.domains:
            return partner
    raise UnknownPartner(domain)


def partner_letter(document: Document, domain: str, chains: Iterable[Sequence[IssuedCertificate]] = ()) -> Letter:
    """The letter to the partner with that domain; `chains` are certificates of edges, each leaf first.

    A chain belongs to the edge whose external name its leaf carries; others are left out. Raises UnknownPartner.
    """
    federation = document.federation
    partner = find_partner(federation, domain)
    by_edge = {name: tuple(chain) for chain in chains for name in chain[0].names}
    wanted = {needed.host: needed.names for needed in certificates(document) if needed.name == "public"}
    public = federation.certificates.public
    allowed = partner_outcome(partner.tls, partner.sasl, partner.dialback).allowed
    return Letter(
        partner=partner,
        our_domains=federation.own_domains,
        inbound=tuple(_inbound(edge) for edge in _by_preference(federation)),
        outbound=tuple(_place(edge.fqdn, _seen_from_outside(edge)) for edge in _by_preference(federation)),
        records=_record_changes(document),
        issuer=public.issuer,
        authority=public.authority or "",
        certificates=tuple(
            EdgeCertificate(edge.fqdn, wanted[edge.host], by_edge.get(edge.fqdn, ()))
            for edge in _by_preference(federation)
        ),
        methods=tuple(method for method in Method if method in allowed),
        old=_old_place(federation),
        window=federation.maintenance_window,
        contact=federation.contact,
        checks=tuple(_checks(federation, partner)),
    )


def _by_preference(federation: Federation) -> list[Edge]:
    return sorted(federation.edges, key=lambda edge: (edge.priority, -edge.weight, edge.fqdn))


def _seen_from_outside(edge: Edge) -> tuple[str, ...]:
    return edge.public_addresses or edge.external_addresses


def _place(name: str, addresses: tuple[str, ...]) -> Place:
    versions = {address: ipaddress.ip_address(address).version for address in addresses}
    ipv4, ipv6 = (tuple(address for address in addresses if versions[address] == version) for version in (4, 6))
    return Place(name, ipv4, ipv6)


def _inbound(edge: Edge) -> Place:
    place = _place(edge.fqdn, _seen_from_outside(edge))
    return Place(place.name, place.ipv4, place.ipv6, S2S_PORT, edge.priority, edge.weight)


def _old_place(federation: Federation) -> Place | None:
    if federation.legacy is None:
        return None
    gateway = federation.legacy.gateway
    place = _place(gateway.fqdn, gateway.addresses)
    return Place(place.name, place.ipv4, place.ipv6, gateway.port)


def _record_changes(document: Document) -> tuple[RecordChange, ...]:
    ours = {srv_name(domain) for domain in document.federation.own_domains}
    found = []
    for now, after in records(document).moving:
        one = after or now
        if one is not None and one.name in ours:
            found.append(RecordChange(one.name, now.values if now else (), after.values if after else ()))
    return tuple(found)


def _checks(federation: Federation, partner: Partner) -> Iterable[Check]:
    domain = federation.own_domains[0]
    srv = ", ".join(f"{edge.priority} {edge.weight} {S2S_PORT} {edge.fqdn}." for edge in _by_preference(federation))
    yield Check("Our service record, once it has moved", f"dig +short SRV {srv_name(domain)}", srv)
    for edge in _by_preference(federation):
        for address in _seen_from_outside(edge):
            yield Check(
                f"Port {S2S_PORT} of {edge.fqdn} is open to you, once we have told you that it is",
                f"nc -vz {address} {S2S_PORT}",
                "a connection; a refusal or silence then is a firewall on the way",
            )
    edge = _by_preference(federation)[0]
    # s_client has no option for `from`, without which an edge cannot tell whose connection it is; it puts the name
    # between quotes as it stands.
    yield Check(
        "The certificate that your server will see, after your switch (before it: that of the old gateway)",
        f"openssl s_client -connect {edge.fqdn}:{S2S_PORT} -starttls xmpp-server "
        f"-xmpphost \"{domain}' from='{partner.domain}\" -servername {domain} -verify_hostname {domain} "
        "-showcerts </dev/null",
        "the chain above, and the line: Verify return code: 0 (ok), where your system trusts the authority",
    )
    if (partner.software or "").casefold() == "prosody":
        yield Check(
            "A ping through both directions",
            f'prosodyctl shell \'xmpp:ping("{partner.domain}", "{domain}")\'',
            "an answer with a time",
        )
    else:
        yield Check(
            "A ping through both directions (XEP-0199, sent by any account of yours)",
            f"<iq type='get' id='ping-1' to='{domain}'><ping xmlns='urn:xmpp:ping'/></iq>",
            f"<iq type='result' id='ping-1' from='{domain}'/>",
        )
