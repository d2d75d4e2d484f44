"""The names, addresses and people of the lab, as its stand-ins know them.

Every builder of this package reads them from here; the templates never spell an address. It decides nothing about
networks or firewalls: those belong to the lab program, whose plan these addresses follow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address

SIP_PORT = 5061
S2S_PORT = 5269
C2S_PORT = 5222
RPC_PORT = 8090  # Kamailio's JSON-RPC, on loopback only
AGENT_PORT = 8088  # the agent of the people, on loopback of host `users` only
BRIDGE_PORT = 8091  # the legacy gateway's bridge, on loopback only; one more for each further SIP domain
COMPONENT_PORT = 5347  # Prosody's component port, on loopback only
PRIORITY = -10
"""Of whatever carries people's messages: on a busy machine the probe would otherwise measure how busy it is."""
AHEAD = f"""\
# On a busy machine it goes first. With automatic groups (kernel.sched_autogroup_enabled) a process' own niceness counts
# only among those of its service; that of the group is set here, where there are groups.
Nice={PRIORITY}
ExecStartPost=-+/bin/sh -c 'echo {PRIORITY} >/proc/${{MAINPID}}/autogroup'
"""

PUBLIC_CA = "/etc/ssl/lab/public-ca.pem"
PRIVATE_CA = "/etc/ssl/lab/private-ca.pem"


@dataclass(frozen=True)
class Address:
    """One IPv4 and one IPv6 address of the same interface."""

    ipv4: str
    ipv6: str

    def __post_init__(self) -> None:
        IPv4Address(self.ipv4)
        IPv6Address(self.ipv6)


@dataclass(frozen=True)
class Partner:
    """An XMPP domain of the simulated Internet, served by one host."""

    domain: str
    host: str
    server_name: str
    address: Address
    users: tuple[str, ...]
    authority: str = "public"
    """who signed its certificate: a lab authority's name"""
    demands_certificate: bool = True
    """whether a peer must prove its domain by a certificate, or may do so by dialback"""
    resolver: str = ""
    """a resolver of its own, which says what the lab's does not; empty: the lab's"""

    @property
    def label(self) -> str:
        """The first label of the domain: the name of its certificate, and of its server where a host has several."""
        return self.domain.partition(".")[0]

    @property
    def shares_host(self) -> bool:
        """Whether its server is one of several on the host."""
        return self.host != self.label

    @property
    def secret_names(self) -> dict[str, str]:
        """The name of each user's password in the lab's secrets, by user."""
        return {user: f"xmpp/{user}@{self.domain}" for user in self.users}


@dataclass(frozen=True)
class Pool:
    """One SIP platform: a Kamailio on which SIP users are homed."""

    host: str
    fqdn: str
    address: Address


@dataclass(frozen=True)
class Site:
    """The whole lab from its stand-ins' point of view."""

    top_level: str
    sip_domains: tuple[str, ...]  # the first is the organisation's own, whose zone names its hosts
    sip_users: tuple[str, ...]  # addresses
    name_servers: dict[str, Address]  # FQDN to address; the first is the primary
    resolver: Address
    resolver_clients: tuple[str, ...]
    partners: tuple[Partner, ...]
    legacy_fqdn: str
    legacy_address: Address
    pools: tuple[Pool, ...]
    users_fqdn: str
    users_address: Address
    gateway_pool: str  # FQDN of the new gateway's pool
    gateway_names: tuple[str, ...]  # every name by which the new gateway may show itself on the SIP leg
    silent_domain: str  # a partner that nobody reaches: what is sent to its address vanishes
    silent_address: Address

    @property
    def sip_domain(self) -> str:
        """The organisation's own SIP domain."""
        return self.sip_domains[0]

    @property
    def partner_domains(self) -> tuple[str, ...]:
        """Every XMPP domain that users write to, the unreachable one included."""
        return (*(partner.domain for partner in self.partners), self.silent_domain)

    @property
    def zones(self) -> tuple[str, ...]:
        """The zones that are written by dynamic update: the organisation's and its partners'."""
        return (*self.sip_domains, *self.partner_domains)

    @property
    def signed_zones(self) -> tuple[str, ...]:
        """The zones that the primary signs (DNSSEC): those that a migration writes."""
        return self.sip_domains

    def on_host(self, host: str) -> tuple[Partner, ...]:
        """The partners whose servers run on `host`."""
        return tuple(partner for partner in self.partners if partner.host == host)

    @property
    def primary(self) -> str:
        """FQDN of the primary name server."""
        return next(iter(self.name_servers))


_INTERNET, _PERIMETER, _INTERNAL = "2001:db8:1::", "2001:db8:2::", "2001:db8:3::"


def _partner(domain: str, number: int, host: str, *users: str) -> Partner:
    return Partner(domain, host, f"xmpp.{domain}", Address(f"203.0.113.{number}", f"{_INTERNET}{number}"), users)


LAB = Site(
    top_level="example",
    sip_domains=("corp.example", "branch.example"),
    sip_users=(
        *(f"{user}@corp.example" for user in ("alice", "bob", "carol", "dave", "erin", "frank")),
        "grace@branch.example",
    ),
    name_servers={
        "dns1.corp.example": Address("203.0.113.53", _INTERNET + "53"),
        "dns2.corp.example": Address("203.0.113.54", _INTERNET + "54"),
    },
    resolver=Address("203.0.113.55", _INTERNET + "55"),
    resolver_clients=("127.0.0.0/8", "::1/128", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"),
    partners=(
        _partner("partner1.example", 11, "partner1", "juliet", "nurse", "paris"),
        _partner("partner2.example", 12, "partner2", "romeo", "friar"),
        # Nobody knows who signed its certificate, and it knows nobody's: both sides are left with dialback.
        replace(
            _partner("dialback.example", 13, "partner3", "rosaline"), authority="dialback", demands_certificate=False
        ),
        # An authority of its own: who wants its certificate must have been told.
        replace(_partner("pinned.example", 14, "partner3", "tybalt"), authority="pinned"),
        # Its first SRV target, dead.backup.example, refuses connections.
        _partner("backup.example", 15, "partner3", "benvolio"),
        # Whatever DNS says, it goes to our old gateway.
        replace(_partner("static.example", 16, "partner3", "mercutio"), resolver="127.0.0.1"),
    ),
    legacy_fqdn="legacy1.corp.example",
    legacy_address=Address("198.51.100.5", _PERIMETER + "5"),
    pools=(
        Pool("pool-legacy", "pool-legacy.corp.example", Address("198.51.100.70", _INTERNAL + "70")),
        Pool("pool-target", "pool-target.corp.example", Address("198.51.100.71", _INTERNAL + "71")),
    ),
    users_fqdn="users.corp.example",
    users_address=Address("198.51.100.90", _INTERNAL + "90"),
    gateway_pool="fe-pool.corp.example",
    gateway_names=("fe-pool.corp.example", "fe1.corp.example", "fe2.corp.example"),
    silent_domain="away.example",
    silent_address=Address("203.0.113.18", _INTERNET + "18"),
)
