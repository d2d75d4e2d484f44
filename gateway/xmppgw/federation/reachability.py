"""What a host should be able to reach, and what not, by the port table: the connections that a test tries from there.

The playbook `reachability.yml` tries them. A row without addresses (partners, the Internet) cannot be tried from our
hosts; that partners reach us is tried by hosts outside our firewall, where there are some. What must not pass is looked
for between zones only, which is where a firewall stands. Pure.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from xmppgw.federation.host_firewall import SSH_PORT, WRITER, host_addresses
from xmppgw.federation.model import S2S_PORT, Document
from xmppgw.federation.ports import Endpoint, PortRule, Zone, ports

_OPEN_ZONES: Final = (Zone.INTERNET, Zone.ANY)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One connection from `source` (an address of the host) to `address`."""

    source: str
    """empty: whatever address the host has towards the other end"""
    address: str
    port: int
    transport: Literal["tcp", "udp"]
    allowed: bool
    """whether a row lets it through"""
    row: str
    """the row's code; of what no row names, the destination's name"""


def attempts(document: Document, host: str, *, writes_dns: bool = False) -> list[Attempt]:
    """Everything to try from one of our hosts, sorted; raises UnknownHostError."""
    own = host_addresses(document, host)
    rows = ports(document)
    wanted = sorted(
        {each for row in rows for each in _allowed(row, own, writes_dns)},
        key=lambda each: (each.row, each.address, each.port, each.transport, each.source),
    )
    passing = {(each.source, each.address, each.port) for each in wanted}
    unwanted = sorted(
        {each for each in _others(rows, own) if (each.source, each.address, each.port) not in passing},
        key=lambda each: (each.row, each.address, each.port, each.source),
    )
    return [*wanted, *unwanted]


def attempts_from_outside(document: Document) -> list[Attempt]:
    """What to try from a host outside our firewall: every edge, as partners see it; sorted."""
    return sorted(
        (
            Attempt("", str(address), S2S_PORT, "tcp", allowed=True, row="s2s-in")
            for edge in document.federation.edges
            for address in edge.public_addresses or edge.external_addresses
        ),
        key=lambda each: each.address,
    )


def _allowed(row: PortRule, own: tuple[str, ...], writes_dns: bool) -> Iterator[Attempt]:
    if row.source.name == WRITER:
        sources = own if writes_dns else ()
    else:
        sources = tuple(address for address in row.source.addresses if address in own)
    for source, address in _pairs(sources, row.destination.addresses):
        yield Attempt(source, address, row.port, row.transport, allowed=True, row=row.code)


def _others(rows: list[PortRule], own: tuple[str, ...]) -> Iterator[Attempt]:
    """Every TCP port of the table, and SSH, at every end in another zone than the host's own."""
    ends = {end for row in rows for end in (row.source, row.destination) if end.zone not in _OPEN_ZONES}
    ours = {end.zone for end in ends if set(end.addresses) & set(own)}
    numbers = {row.port for row in rows if row.transport == "tcp"} | {SSH_PORT}
    for end in ends:
        if end.zone in ours:
            continue
        for source, address in _pairs(own, _addresses(end)):
            for port in numbers:
                yield Attempt(source, address, port, "tcp", allowed=False, row=end.name)


def _addresses(end: Endpoint) -> tuple[str, ...]:
    return tuple(each for each in end.addresses if "/" not in each)


def _pairs(sources: tuple[str, ...], destinations: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Sources and destinations of the same family."""
    for source in sources:
        for destination in destinations:
            if ipaddress.ip_address(source).version == ipaddress.ip_address(destination).version:
                yield source, destination
