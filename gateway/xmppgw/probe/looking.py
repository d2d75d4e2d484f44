"""Looking at the lab from outside: what the name servers answer, which certificates stand where, what our daemons use.

Called by the runner before and after the command. Reads only. What cannot be seen is left out and said in one line: a
probe must not fail because a host is about to be installed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from xmppgw.federation import Federation
from xmppgw.probe.hosts import Hosts, LabError
from xmppgw.probe.observations import (
    STANDS_FOR,
    Certificate,
    Host,
    Observation,
    RecordSet,
    Service,
    read_certificate,
)

ANSWER = re.compile(r"^(\S+)\s+(\d+)\s+IN\s+(\S+)\s+(.+)$")
MARK = "== "
DAEMONS = (("edges", "xmppgw-edge.service"), ("front_ends", "xmppgw-frontend.service"))

LIST_CERTIFICATES = f'for f in /etc/xmppgw/tls/*.crt; do [ -e "$f" ] && echo "{MARK}$f" && cat "$f"; done; true'
SHOW_MEMORY = (
    'echo "$(systemctl is-active "$1") $(sed -n "s/^VmRSS:[^0-9]*//p" '
    '/proc/$(systemctl show -p MainPID --value "$1")/status 2>/dev/null)"'
)


def look(hosts: Hosts, federation: Federation) -> tuple[Observation, list[str]]:
    """See everything at this moment; also return what could not be seen, one line each."""
    unseen: list[str] = []
    dns = list(_dns(hosts, federation, unseen))
    certificates = [*_served(hosts, federation, unseen), *_installed(hosts, unseen)]
    services = list(_services(hosts, unseen))
    return Observation(tuple(dns), tuple(certificates), tuple(services)), unseen


def describe_hosts(hosts: Hosts) -> tuple[Host, ...]:
    """The environment's hosts with what they run and stand for."""
    described = []
    for name, host in sorted(hosts.outputs.hosts.items()):
        runs, stands_for = STANDS_FOR.get(name, ("", ""))
        addresses = host.addresses or (host.address,)
        described.append(Host(name, tuple(addresses), tuple(sorted(host.groups)), runs, stands_for))
    return tuple(described)


def _dns(hosts: Hosts, federation: Federation, unseen: list[str]) -> Iterator[RecordSet]:
    """Ask every authoritative server by its own address, from where people sit."""
    servers = [str(address) for address in federation.dns.authoritative]
    for domain in federation.sip_domains:
        name = f"_xmpp-server._tcp.{domain.name}"
        for server in servers:
            try:
                said = hosts.run("users", ["kdig", f"@{server}", "+noall", "+answer", "+timeout=3", name, "SRV"])
            except LabError as problem:
                unseen.append(f"DNS at {server}: {problem}")
                continue
            found = [match for line in said.decode().splitlines() if (match := ANSWER.match(line.strip()))]
            if found:
                records = tuple(sorted(match[4] for match in found))
                yield RecordSet(server, found[0][1], found[0][3], int(found[0][2]), records)


def _served(hosts: Hosts, federation: Federation, unseen: list[str]) -> Iterator[Certificate]:
    """The certificate that a partner's server gets at the old gateway and at each edge."""
    places = [(edge.host, str(edge.external_addresses[0])) for edge in federation.edges]
    if federation.legacy is not None:
        gateway = federation.legacy.gateway
        places.append((gateway.host, str(gateway.addresses[0])))
    partners = hosts.in_group("partners")
    for host, address in places:
        if not partners:
            return
        line = [
            "timeout", "6", "openssl", "s_client", "-connect", f"{address}:5269",
            "-starttls", "xmpp-server", "-xmpphost", str(federation.sip_domains[0].name), "-showcerts",
        ]  # fmt: skip
        try:
            said = hosts.run(partners[0], line)
        except LabError:
            # Nothing listens there yet, or not any more: that is a fact about the moment, not a problem.
            continue
        found = _first_certificate(said, host, "served to partners on 5269", unseen)
        if found is not None:
            yield found


def _installed(hosts: Hosts, unseen: list[str]) -> Iterator[Certificate]:
    """The certificates that our daemons were given, read where they are used."""
    for host in sorted({*hosts.in_group("edges"), *hosts.in_group("front_ends")}):
        try:
            said = hosts.run(host, ["sh", "-c", LIST_CERTIFICATES]).decode("ascii", "replace")
        except LabError as problem:
            unseen.append(f"certificates on {host}: {problem}")
            continue
        for part in said.split(MARK)[1:]:
            path, _, pem = part.partition("\n")
            found = _first_certificate(pem.encode(), host, path.rpartition("/")[2].removesuffix(".crt"), unseen)
            if found is not None:
                yield found


def _first_certificate(text: bytes, host: str, place: str, unseen: list[str]) -> Certificate | None:
    begin = text.find(b"-----BEGIN CERTIFICATE-----")
    if begin < 0:
        return None
    try:
        return read_certificate(text[begin:], host, place)
    except ValueError as error:
        unseen.append(f"certificate {place} of {host}: {error}")
        return None


def _services(hosts: Hosts, unseen: list[str]) -> Iterator[Service]:
    for group, unit in DAEMONS:
        for host in hosts.in_group(group):
            try:
                said = hosts.run(host, ["sh", "-c", SHOW_MEMORY, "sh", unit]).decode().split()
            except LabError as problem:
                unseen.append(f"{unit} on {host}: {problem}")
                continue
            yield Service(host, unit, said[0] if said else "unknown", _kibibytes(said[1:]))


def _kibibytes(words: Sequence[str]) -> int:
    return int(words[0]) * 1024 if words and words[0].isdigit() else 0
