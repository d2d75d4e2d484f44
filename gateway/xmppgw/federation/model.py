"""The federation document as typed, frozen values: one YAML file says all of this for one environment.

The loader builds it; everything in this room derives from it. Defaults are those of the platform being replaced where
it has them (`New-CsXmppAllowedPartner`), else the closed choice. Rules that span several fields are in `rules.py`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticKnownError

from xmppgw.federation.names import Address, DomainName, DomainNameOrAddress, HostName

# RFC 6120 14.7; MS planning guide (XMPP proxy to gateway, SIP over mutual TLS).
S2S_PORT: Final = 5269
LINK_PORT: Final = 23456
SIP_TLS_PORT: Final = 5061

Port = Annotated[int, Field(ge=1, le=65535, description="TCP or UDP port")]
SrvNumber = Annotated[int, Field(ge=0, le=65535, description="priority or weight of an SRV record (RFC 2782)")]
# A day; the cut-over waits for it.
TimeToLive = Annotated[int, Field(ge=0, le=86400, description="seconds")]
# Names the secret; the value lives in an encrypted file or a store, never here.
SecretName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$")]
# SHA-256 of a leaf certificate (DER), as `openssl x509 -fingerprint -sha256` prints it without colons, in lower case.
Pin = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


def _not_a_boolean(value: object) -> object:
    """Python, and with it a literal, takes true for 1."""
    if isinstance(value, bool):
        raise PydanticKnownError("literal_error", {"expected": "1"})
    return value


class _Part(BaseModel):
    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", populate_by_name=False, use_attribute_docstrings=True
    )


class Scenario(StrEnum):
    """What happens to the legacy gateway."""

    REPLACE = "replace"
    COEXIST = "coexist"


class Product(StrEnum):
    """The SIP platforms that can be on either side of a migration."""

    OCS2007R2 = "ocs2007r2"
    LYNC2010 = "lync2010"
    LYNC2013 = "lync2013"
    SFB2015 = "sfb2015"
    SFB2019 = "sfb2019"
    SFBSE = "sfbse"


class Requirement(StrEnum):
    """How much a partner's TLS or SASL is asked for (`TlsNegotiation`, `SaslNegotiation`)."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    NOT_SUPPORTED = "not_supported"


class PartnerType(StrEnum):
    """How far a partner's users are trusted (`PartnerType`)."""

    FEDERATED = "federated"
    PUBLIC_VERIFIED = "public_verified"
    PUBLIC_UNVERIFIED = "public_unverified"


class Switch(StrEnum):
    """When a partner's SIP route moves, relative to the SRV record."""

    WITH_DNS = "with_dns"
    BEFORE_DNS = "before_dns"


class SipDomain(_Part):
    """A SIP domain of ours; also the XMPP domain under which partners know its users."""

    name: DomainName


class LegacyGateway(_Part):
    """The gateway that serves XMPP federation today."""

    host: HostName
    """inventory name"""
    fqdn: DomainName
    """what the SRV record names today"""
    addresses: Annotated[tuple[Address, ...], Field(min_length=1)]
    port: Port = S2S_PORT
    priority: SrvNumber = 10
    weight: SrvNumber = 10


class Legacy(_Part):
    """The platform that federation moves away from."""

    product: Product
    gateway: LegacyGateway
    pool: DomainName
    """pool on which users are homed before step 3"""
    single_edge_fqdn: bool = False
    """the legacy edge uses one FQDN for Access, Web Conferencing and A/V (rule R7)"""


class Target(_Part):
    """The platform on which users are homed after step 3."""

    product: Product
    pool: DomainName


class FrontEnd(_Part):
    """A host that translates XMPP and SIP."""

    host: HostName
    """inventory name"""
    fqdn: DomainName
    addresses: Annotated[tuple[Address, ...], Field(min_length=1)]


class Pool(_Part):
    """The front ends behind one name."""

    fqdn: DomainName
    front_ends: Annotated[tuple[FrontEnd, ...], Field(min_length=1)]


class Edge(_Part):
    """A host in the perimeter that speaks XMPP server-to-server."""

    host: HostName
    """inventory name"""
    fqdn: DomainName
    """external name: SRV target and certificate subject"""
    external_addresses: Annotated[tuple[Address, ...], Field(min_length=1)]
    """where it listens for partners"""
    public_addresses: tuple[Address, ...] = ()
    """what DNS says, where address translation makes it differ from external_addresses"""
    internal_fqdn: DomainName
    internal_addresses: Annotated[tuple[Address, ...], Field(min_length=1)]
    """where front ends dial the link"""
    priority: SrvNumber = 10
    weight: SrvNumber = 10


class NextHop(_Part):
    """Where the front ends send SIP requests."""

    fqdn: DomainName
    port: Port = SIP_TLS_PORT


class SipPeer(_Part):
    """A pool that may send SIP requests to the front ends."""

    fqdn: DomainName
    addresses: Annotated[tuple[Address, ...], Field(min_length=1)]


class Sip(_Part):
    """The SIP side of the gateway."""

    next_hop: NextHop
    peers: Annotated[tuple[SipPeer, ...], Field(min_length=1)]
    dialect: Literal["simple"] = "simple"
    """`simple`: page-mode MESSAGE, RFC 3428 and RFC 7572"""


class Server(_Part):
    """A fixed server of a partner, instead of what DNS says (`ProxyFqdn`)."""

    host: DomainNameOrAddress
    port: Port = S2S_PORT


class Partner(_Part):
    """A remote XMPP domain and its policy (`New-CsXmppAllowedPartner`)."""

    domain: DomainName
    additional_domains: tuple[DomainName, ...] = ()
    """further domains; subdomains are not implied"""
    description: Annotated[str, StringConstraints(max_length=1000)] = ""
    type: PartnerType = PartnerType.PUBLIC_UNVERIFIED
    tls: Requirement = Requirement.REQUIRED
    sasl: Requirement = Requirement.REQUIRED
    dialback: bool = True
    keep_alive: bool = True
    """the partner is expected to send keep-alives"""
    connection_limit: Annotated[int, Field(ge=1, le=1000)] = 20
    """simultaneous streams"""
    servers: Annotated[tuple[Server, ...], Field(max_length=16)] = ()
    """fixed servers, instead of what DNS says"""
    pins: Annotated[tuple[Pin, ...], Field(max_length=16)] = ()
    """when given, only leaf certificates with one of these SHA-256 fingerprints are accepted"""
    switch: Switch = Switch.WITH_DNS

    @property
    def domains(self) -> tuple[str, ...]:
        """The primary domain and the additional ones."""
        return (self.domain, *self.additional_domains)


class AccessPolicy(_Part):
    """Who may use XMPP federation; both switches are needed (`CsExternalAccessPolicy`)."""

    enable_federation_access: bool = False
    enable_xmpp_access: bool = False

    @property
    def open(self) -> bool:
        """Whether the policy lets messages pass."""
        return self.enable_federation_access and self.enable_xmpp_access


class AccessPolicies(_Part):
    """Access policies by scope."""

    global_: Annotated[AccessPolicy, Field(alias="global")] = AccessPolicy()


class Homing(_Part):
    """What moves users between the platforms."""

    provider: Literal["lab", "powershell", "manual"]


class Routes(_Part):
    """What moves the platform's SIP routes."""

    provider: Literal["lab", "powershell", "manual"]


class Drain(_Part):
    """What closes partners' streams at the legacy gateway."""

    provider: Literal["lab", "powershell", "wait"]


class Issuer(_Part):
    """Who signs a kind of certificate."""

    issuer: Literal["private_ca", "acme", "import"]
    authority: SecretName
    """name of the authority: its key is a secret, its certificate a trust anchor"""


class Certificates(_Part):
    """Who signs what."""

    public: Issuer
    """the edges' external names, seen by partners"""
    internal: Issuer
    """the link and the SIP legs"""


class Tsig(_Part):
    """The key that signs DNS updates (RFC 8945)."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,253}$")]
    algorithm: Literal["hmac-sha256", "hmac-sha384", "hmac-sha512"] = "hmac-sha256"
    secret: SecretName
    """the NAME of the secret"""


class Ttl(_Part):
    """Times to live of the records that move, in seconds."""

    normal: TimeToLive = 3600
    migration: TimeToLive = 60


class Dns(_Part):
    """Where the SRV records live and how they are changed."""

    provider: Literal["rfc2136", "azure", "manual"]
    primary: Address | None = None
    authoritative: tuple[Address, ...] = ()
    """every server whose answer must have changed before a wait begins"""
    resolvers: tuple[Address, ...] = ()
    """what edges ask; empty: what their system is configured to ask"""
    tsig: Tsig | None = None
    zones: Annotated[tuple[DomainName, ...], Field(min_length=1)]
    ttl: Ttl = Ttl()


class Federation(_Part):
    """The root: everything under the key `federation`."""

    version: Annotated[Literal[1], BeforeValidator(_not_a_boolean)]
    scenario: Scenario = Scenario.REPLACE
    sip_domains: Annotated[tuple[SipDomain, ...], Field(min_length=1)]
    legacy: Legacy | None = None
    target: Target
    pools: Annotated[tuple[Pool, ...], Field(min_length=1)]
    edges: Annotated[tuple[Edge, ...], Field(min_length=1)]
    sip: Sip
    partners: tuple[Partner, ...] = ()
    access_policies: AccessPolicies = AccessPolicies()
    homing: Homing
    routes: Routes
    drain: Drain
    certificates: Certificates
    dns: Dns

    @property
    def own_domains(self) -> tuple[str, ...]:
        """Our SIP domains."""
        return tuple(domain.name for domain in self.sip_domains)

    @property
    def front_ends(self) -> tuple[tuple[Pool, FrontEnd], ...]:
        """Every front end with its pool."""
        return tuple((pool, front_end) for pool in self.pools for front_end in pool.front_ends)


class Document(_Part):
    """A whole document."""

    federation: Federation
