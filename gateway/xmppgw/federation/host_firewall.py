"""A host's own nftables rules, from the port table: every row that names one of its addresses, and nothing else.

For hosts that somebody already has: `xmppgw firewall rules` prints it, the role `host_firewall` puts it in place.
Closed in both directions. It is one table of its own, so it stands beside whatever else the host filters. Pure.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from xmppgw.federation.model import Document
from xmppgw.federation.ports import Endpoint, ports

TABLE: Final = "xmppgw_host"
WRITER: Final = "DNS writer"
"""What the port table calls the host that changes DNS and orders certificates; it has no addresses of its own there."""
SSH_PORT: Final = 22
NTP_PORT: Final = 123
# Without neighbour discovery there is no IPv6, without packet-too-big and unreachable no path MTU (RFC 4890, 4.3, 4.4).
_ICMP: Final = (
    "icmp type { destination-unreachable, time-exceeded, parameter-problem, echo-request, echo-reply } accept"
)
_ICMPV6: Final = (
    "icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem, echo-request, "
    "echo-reply, nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } accept"
)


class UnknownHostError(LookupError):
    """The document has no edge and no front end of this name."""


class WrongNetworkError(ValueError):
    """Not an address or a network."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a host needs that is not in the document, as addresses or networks.

    `administrators` may open SSH to it, `time_servers` are asked for the time. `writes_dns`: it changes DNS and orders
    certificates.
    """

    administrators: tuple[str, ...]
    time_servers: tuple[str, ...] = ()
    writes_dns: bool = False


@dataclass(frozen=True, slots=True)
class _Rule:
    chain: Literal["input", "output"]
    transport: Literal["tcp", "udp"]
    port: int
    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    why: str


def host_addresses(document: Document, host: str) -> tuple[str, ...]:
    """Every address of an edge or a front end, by its inventory name; raises UnknownHostError."""
    for edge in document.federation.edges:
        if edge.host == host:
            return (*edge.external_addresses, *edge.internal_addresses)
    for _, front_end in document.federation.front_ends:
        if front_end.host == host:
            return front_end.addresses
    raise UnknownHostError(host)


def host_rules(document: Document, host: str, around: Surroundings) -> str:
    """The rules as an nftables file that replaces the table as a whole, in one transaction.

    Raises UnknownHostError, and WrongNetworkError for what is no network in `around`; without administrators nobody
    could ever change the host again, so that is refused too.
    """
    own = host_addresses(document, host)
    if not around.administrators:
        raise WrongNetworkError("no network of administrators: nobody could reach the host by SSH any more")
    for network in (*around.administrators, *around.time_servers):
        try:
            ipaddress.ip_network(network)
        except ValueError as problem:
            raise WrongNetworkError(f"{network!r}: {problem}") from None
    rules = list(dict.fromkeys([*_around(own, around), *_rows(document, own, writes=around.writes_dns)]))
    inward, outward = ([rule for rule in rules if rule.chain == chain] for chain in ("input", "output"))
    return "\n".join(
        [
            f"# Made from the federation document's port table for {host}; a change here is undone by the next run.",
            f"table inet {TABLE} {{}}",
            f"delete table inet {TABLE}",
            f"table inet {TABLE} {{",
            "    counter refused_in {}",
            "    counter refused_out {}",
            *_chain("input", "iifname", inward),
            *_chain("output", "oifname", outward),
            "}",
            "",
        ]
    )


def _chain(name: str, interface: str, rules: Iterable[_Rule]) -> Iterator[str]:
    yield f"    chain {name} {{"
    yield f"        type filter hook {name} priority filter; policy drop;"
    yield "        ct state established,related accept"
    yield "        ct state invalid drop"
    yield f'        {interface} "lo" accept'
    yield f"        {_ICMP}"
    yield f"        {_ICMPV6}"
    for rule in rules:
        yield from (f"        {line}" for line in _lines(rule))
    yield f'        counter name "refused_{"in" if name == "input" else "out"}"'
    yield "    }"


def _rows(document: Document, own: Sequence[str], *, writes: bool) -> Iterator[_Rule]:
    mine = frozenset(own)
    for row in ports(document):
        why = f"{row.code}: {row.application}"
        if ours := _ours(row.destination, mine):
            yield _Rule("input", row.transport, row.port, row.source.addresses, ours, why)
        ours = _ours(row.source, mine)
        if row.source.name == WRITER and writes:
            ours = tuple(own)
        if ours:
            yield _Rule("output", row.transport, row.port, ours, row.destination.addresses, why)


def _ours(end: Endpoint, own: frozenset[str]) -> tuple[str, ...]:
    return tuple(address for address in end.addresses if address in own)


def _around(own: Sequence[str], around: Surroundings) -> Iterator[_Rule]:
    # To any of its addresses: an organisation may reach its hosts by one that the document does not know.
    yield _Rule("input", "tcp", SSH_PORT, around.administrators, (), "SSH of administrators")
    if around.time_servers:
        yield _Rule("output", "udp", NTP_PORT, tuple(own), around.time_servers, "time")


def _lines(rule: _Rule) -> Iterator[str]:
    """One line for each address family that both sides have; a side without addresses is everybody."""
    for version, word in ((4, "ip"), (6, "ip6")):
        sources, destinations = (_of(side, version) for side in (rule.sources, rule.destinations))
        if (rule.sources and not sources) or (rule.destinations and not destinations):
            continue
        matches = [f"{word} saddr {{ {', '.join(sources)} }}"] if sources else []
        matches += [f"{word} daddr {{ {', '.join(destinations)} }}"] if destinations else []
        yield f'{" ".join(matches)} {rule.transport} dport {rule.port} accept comment "{rule.why}"'


def _of(addresses: Iterable[str], version: int) -> tuple[str, ...]:
    return tuple(sorted(each for each in addresses if ipaddress.ip_network(each).version == version))
