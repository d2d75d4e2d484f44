"""The names, addresses and people of the lab, as its stand-ins know them.

Every builder of this package reads them from here; the templates never spell an address. It decides nothing about
networks or firewalls: those belong to the lab program, whose plan these addresses follow.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

SIP_PORT = 5061
S2S_PORT = 5269
C2S_PORT = 5222
RPC_PORT = 8090  # Kamailio's JSON-RPC, on loopback only
AGENT_PORT = 8088  # the agent of the people, on loopback of host `users` only
BRIDGE_PORT = 8089  # the legacy gateway's bridge, on loopback only
COMPONENT_PORT = 5347  # Prosody's component port, on loopback only

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
    sip_domain: str
    sip_users: tuple[str, ...]
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

    @property
    def zones(self) -> tuple[str, ...]:
        """The zones that are written by dynamic update: the organisation's and its partners'."""
        return (self.sip_domain, *(partner.domain for partner in self.partners))

    @property
    def primary(self) -> str:
        """FQDN of the primary name server."""
        return next(iter(self.name_servers))


_INTERNET, _PERIMETER, _INTERNAL = "2001:db8:1::", "2001:db8:2::", "2001:db8:3::"

LAB = Site(
    top_level="example",
    sip_domain="corp.example",
    sip_users=("alice", "bob", "carol", "dave", "erin", "frank"),
    name_servers={
        "dns1.corp.example": Address("203.0.113.53", _INTERNET + "53"),
        "dns2.corp.example": Address("203.0.113.54", _INTERNET + "54"),
    },
    resolver=Address("203.0.113.55", _INTERNET + "55"),
    resolver_clients=("127.0.0.0/8", "::1/128", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"),
    partners=(
        Partner(
            "partner1.example",
            "partner1",
            "xmpp.partner1.example",
            Address("203.0.113.11", _INTERNET + "11"),
            ("juliet", "nurse"),
        ),
        Partner(
            "partner2.example",
            "partner2",
            "xmpp.partner2.example",
            Address("203.0.113.12", _INTERNET + "12"),
            ("romeo", "friar"),
        ),
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
)
