"""The federation document as typed, frozen values: one YAML file says all of this for one environment.

The loader builds it; everything in this room derives from it. Defaults are those of the platform being replaced where
it has them (`New-CsXmppAllowedPartner`), else the closed choice. Rules that span several fields are in `rules.py`;
partners and users have modules of their own, whose names are repeated here for those who read documents.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints
from pydantic_core import PydanticKnownError

from xmppgw.federation.azure import Azure, AzureZones, KeyVaultKey
from xmppgw.federation.names import Address, DomainName, HostName
from xmppgw.federation.partners import Partner, PartnerType, ProofException, Requirement, Server, Switch
from xmppgw.federation.parts import (
    LINK_PORT,
    S2S_PORT,
    SIP_TLS_PORT,
    Contact,
    Part,
    Pin,
    Port,
    SecretName,
    SrvNumber,
    TimeToLive,
)
from xmppgw.federation.texts import EmailAddress, HttpsAddress, Moment, TimeOfDay, UserAddress
from xmppgw.federation.users import (
    AccessPolicies,
    AccessPolicy,
    ExceptionReason,
    NamedAccessPolicy,
    UserException,
    Users,
    WaveHealth,
    Waves,
)

__all__ = [
    "LINK_PORT",
    "S2S_PORT",
    "SIP_TLS_PORT",
    "AccessPolicies",
    "AccessPolicy",
    "Azure",
    "AzureZones",
    "Certificates",
    "Contact",
    "Dns",
    "Document",
    "Drain",
    "Edge",
    "ExceptionReason",
    "Federation",
    "FrontEnd",
    "Homing",
    "InternalIssuer",
    "Legacy",
    "LegacyEdge",
    "LegacyGateway",
    "MaintenanceWindow",
    "NamedAccessPolicy",
    "NextHop",
    "Owner",
    "Partner",
    "PartnerType",
    "Pilot",
    "Pin",
    "Platform",
    "Pool",
    "Product",
    "ProofException",
    "PublicIssuer",
    "Requirement",
    "Routes",
    "Scenario",
    "Server",
    "Serves",
    "Sip",
    "SipDomain",
    "SipPeer",
    "Switch",
    "Target",
    "Tsig",
    "Ttl",
    "UserException",
    "Users",
    "WaveHealth",
    "Waves",
]


def _not_a_boolean(value: object) -> object:
    """Python, and with it a literal, takes true for 1."""
    if isinstance(value, bool):
        raise PydanticKnownError("literal_error", {"expected": "1"})
    return value


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


class Owner(StrEnum):
    """Which gateway speaks XMPP for a SIP domain."""

    GATEWAY = "gateway"
    LEGACY = "legacy"


class Serves(StrEnum):
    """Whose users reach XMPP through the legacy gateway."""

    BOTH = "both"
    LEGACY_POOL = "legacy_pool"


class Platform(StrEnum):
    """What stands at the SIP next hop: decides what our dialect can carry there."""

    MICROSOFT = "microsoft"
    OTHER = "other"


class SipDomain(Part):
    """A SIP domain of ours; also the XMPP domain under which partners know its users."""

    name: DomainName
    owner: Owner = Owner.GATEWAY
    """`legacy` only in `coexist`: SRV, partners and users of the domain stay where they are"""


class LegacyGateway(Part):
    """The gateway that serves XMPP federation today."""

    host: HostName
    """inventory name"""
    fqdn: DomainName
    """what the SRV record names today"""
    addresses: Annotated[tuple[Address, ...], Field(min_length=1)]
    port: Port = S2S_PORT
    priority: SrvNumber = 10
    weight: SrvNumber = 10
    serves: Serves | None = None
    """whose users it still serves while they move; absent: what is documented for the two products"""


class LegacyEdge(Part):
    """The names of the legacy Access Edge pool's three services (rule R7 compares them)."""

    access_fqdn: DomainName
    web_conferencing_fqdn: DomainName
    av_fqdn: DomainName

    @property
    def single_name(self) -> bool:
        """Whether one name stands for all services."""
        return self.access_fqdn == self.web_conferencing_fqdn == self.av_fqdn


class Legacy(Part):
    """The platform that federation moves away from."""

    product: Product
    gateway: LegacyGateway
    pool: DomainName
    """pool on which users are homed before step 3"""
    single_edge_fqdn: bool | None = None
    """the legacy edge uses one FQDN for Access, Web Conferencing and A/V (rule R7); absent: nobody has looked, or
    `edge` says it"""
    edge: LegacyEdge | None = None
    """the same, by the names themselves"""
    allow_federated_users: bool | None = None
    """`AllowFederatedUsers` of `Get-CsAccessEdgeConfiguration`; absent: nobody has looked"""
    survivable_branch_pools: tuple[DomainName, ...] = ()
    """Survivable Branch Appliances: users homed there have no XMPP (rule R8)"""
    decommissioned: bool = False
    """said after `decommission.yml`: the ports that it needed are no part of the firewall's rules any more"""


class Target(Part):
    """The platform on which users are homed after step 3."""

    product: Product
    pool: DomainName


class FrontEnd(Part):
    """A host that translates XMPP and SIP."""

    host: HostName
    """inventory name"""
    fqdn: DomainName
    addresses: Annotated[tuple[Address, ...], Field(min_length=1)]


class Pool(Part):
    """The front ends behind one name."""

    fqdn: DomainName
    front_ends: Annotated[tuple[FrontEnd, ...], Field(min_length=1)]


class Edge(Part):
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


class NextHop(Part):
    """Where the front ends send SIP requests."""

    fqdn: DomainName
    port: Port = SIP_TLS_PORT
    platform: Platform = Platform.MICROSOFT
    """`microsoft` carries only text in this version, and a migration wants that accepted by name"""


class SipPeer(Part):
    """A pool that may send SIP requests to the front ends."""

    fqdn: DomainName
    addresses: Annotated[tuple[Address, ...], Field(min_length=1)]


class Sip(Part):
    """The SIP side of the gateway."""

    next_hop: NextHop
    peers: Annotated[tuple[SipPeer, ...], Field(min_length=1)]
    dialect: Literal["simple"] = "simple"
    """`simple`: page-mode MESSAGE, RFC 3428 and RFC 7572"""


class Homing(Part):
    """What moves users between the platforms."""

    provider: Literal["lab", "powershell", "manual"]


class Routes(Part):
    """What moves the platform's SIP routes."""

    provider: Literal["lab", "powershell", "manual"]


class Drain(Part):
    """What closes partners' streams at the legacy gateway."""

    provider: Literal["lab", "powershell", "wait"]
    quiet_minute: TimeOfDay | None = None
    """powershell: when the legacy proxy service may be restarted, on the clock of its host"""


class PublicIssuer(Part):
    """Who signs the edges' external names, which partners see."""

    issuer: Literal["private_ca", "acme", "import"]
    authority: SecretName | None = None
    """name of the authority: its key is a secret, its certificate a trust anchor; acme: only for one of your own"""
    directory: HttpsAddress | None = None
    """acme: the server's directory (RFC 8555 7.1.1)"""
    directory_authority: SecretName | None = None
    """acme: the authority that signed the server's own HTTPS certificate, where it is no public one"""
    email: EmailAddress | None = None
    """acme: whom the server may warn (RFC 8555 7.3)"""
    names: Annotated[tuple[DomainName, ...], Field(max_length=50)] = ()
    """further names in the certificate"""


class InternalIssuer(Part):
    """Who signs the link and the SIP legs."""

    issuer: Literal["private_ca", "key_vault", "import"]
    authority: SecretName
    """name of the authority: its key is a secret, its certificate a trust anchor"""
    key: KeyVaultKey | None = None
    """key_vault: the authority's key in Key Vault, which signs there and never leaves it"""


class Certificates(Part):
    """Who signs what."""

    public: PublicIssuer
    """the edges' external names, seen by partners"""
    internal: InternalIssuer
    """the link and the SIP legs"""
    link: InternalIssuer | None = None
    """the link, where it has an authority of its own: that one can be rolled over without asking the SIP platform"""

    @property
    def of_link(self) -> InternalIssuer:
        """Who signs the certificates of the link."""
        return self.link or self.internal


class Tsig(Part):
    """The key that signs DNS updates (RFC 8945)."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,253}$")]
    algorithm: Literal["hmac-sha256", "hmac-sha384", "hmac-sha512"] = "hmac-sha256"
    secret: SecretName
    """the NAME of the secret"""


class Ttl(Part):
    """Times to live of the records that move, in seconds."""

    normal: TimeToLive = 3600
    migration: TimeToLive = 60


class Dns(Part):
    """Where the SRV records live and how they are changed."""

    provider: Literal["rfc2136", "azure", "manual"]
    primary: Address | None = None
    authoritative: tuple[Address, ...] = ()
    """every server whose answer must have changed before a wait begins"""
    resolvers: tuple[Address, ...] = ()
    """what edges ask; empty: what their system is configured to ask"""
    tsig: Tsig | None = None
    azure: AzureZones | None = None
    """where Azure DNS has the zones; needed by the provider `azure`, and only by that"""
    zones: Annotated[tuple[DomainName, ...], Field(min_length=1)]
    ttl: Ttl = Ttl()


class MaintenanceWindow(Part):
    """When steps 5 and 6 may run (rule R6)."""

    start: Moment
    """ISO 8601 with the offset from UTC, in quotes"""
    end: Moment

    @property
    def opens(self) -> datetime:
        """The start, aware of its offset."""
        return datetime.fromisoformat(self.start)

    @property
    def closes(self) -> datetime:
        """The end, aware of its offset."""
        return datetime.fromisoformat(self.end)


class Pilot(Part):
    """With whom things are tried first: the rehearsal, the pilot's proof after rule R1, the runbook's first act."""

    sip_domain: DomainName | None = None
    """the domain that a rehearsal walks, cut and return included"""
    users: Annotated[tuple[UserAddress, ...], Field(max_length=100)] = ()
    """moved first, and asked whether they still exchange messages"""
    partner: DomainName | None = None
    """with whose users they exchange them"""


def _each_step_once(value: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(set(value)))


# R6: steps 5 and 6 are what partners notice.
_HELD_STEPS: Final = (5, 6)
Holds = Annotated[tuple[Annotated[int, Field(ge=1, le=6)], ...], Field(max_length=6), AfterValidator(_each_step_once)]

# Rule R1 is documented for a move from these to Lync 2013.
_R1_SOURCES: Final = (Product.OCS2007R2, Product.LYNC2010)


class Federation(Part):
    """The root: everything under the key `federation`."""

    version: Annotated[Literal[1], BeforeValidator(_not_a_boolean)]
    scenario: Scenario = Scenario.REPLACE
    sip_domains: Annotated[tuple[SipDomain, ...], Field(min_length=1)]
    contact: Contact | None = None
    """whom a partner may ask about the migration; stands in the letters"""
    holds: Holds = _HELD_STEPS
    """steps before which a run stops until it is confirmed"""
    maintenance_window: MaintenanceWindow | None = None
    """steps 5 and 6 run only inside it"""
    pilot: Pilot = Pilot()
    legacy: Legacy | None = None
    target: Target
    pools: Annotated[tuple[Pool, ...], Field(min_length=1)]
    edges: Annotated[tuple[Edge, ...], Field(min_length=1)]
    sip: Sip
    partners: tuple[Partner, ...] = ()
    users: Users = Users()
    access_policies: AccessPolicies = AccessPolicies()
    homing: Homing
    routes: Routes
    drain: Drain
    certificates: Certificates
    dns: Dns
    azure: Azure = Azure()
    """how Azure's interfaces are reached, where DNS or a key lies there"""

    @property
    def own_domains(self) -> tuple[str, ...]:
        """The SIP domains whose XMPP our gateway speaks: all of them, in `coexist` those that it owns."""
        return tuple(domain.name for domain in self.sip_domains if domain.owner is Owner.GATEWAY)

    @property
    def legacy_domains(self) -> tuple[str, ...]:
        """The SIP domains whose XMPP stays with the legacy gateway (`coexist`)."""
        return tuple(domain.name for domain in self.sip_domains if domain.owner is Owner.LEGACY)

    @property
    def front_ends(self) -> tuple[tuple[Pool, FrontEnd], ...]:
        """Every front end with its pool."""
        return tuple((pool, front_end) for pool in self.pools for front_end in pool.front_ends)

    @property
    def legacy_serves(self) -> Serves | None:
        """Whose users the legacy gateway serves while they move; None without a legacy platform.

        As the document says, else as the products' documentation has it: both platforms where the target is the
        platform in use or R1 is documented (OCS 2007 R2 or Lync 2010 to Lync 2013), else the legacy pool only.
        """
        if self.legacy is None:
            return None
        if self.legacy.gateway.serves is not None:
            return self.legacy.gateway.serves
        source, target = self.legacy.product, self.target.product
        documented = source in _R1_SOURCES and target is Product.LYNC2013
        return Serves.BOTH if source is target or documented else Serves.LEGACY_POOL

    @property
    def partner_groups(self) -> tuple[str, ...]:
        """The names of the partners' groups in the order in which they are switched: canary, then the others sorted."""
        groups = {partner.group for partner in self.partners if partner.group is not None}
        return tuple(sorted(groups, key=lambda group: (group != CANARY, group)))


# The group that is switched before all others.
CANARY: Final = "canary"


class Document(Part):
    """A whole document."""

    federation: Federation
