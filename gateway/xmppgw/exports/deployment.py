"""What the exports say about one deployment, gathered, compared with itself, and typed.

Takes records in any order and any mixture of forms. The same object exported twice (as CLIXML and as JSON) counts once;
two versions of it, one object twice in a file, or parts of two deployments are refused. Defaults are the platform's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Final, Generic, TypeVar

from pydantic_core import PydanticCustomError

from xmppgw.exports import cmdlets
from xmppgw.exports.findings import Findings, Origin
from xmppgw.exports.people import PoolFacts, Topology, user_of, without_scope
from xmppgw.exports.plain import PlainFacts, translate
from xmppgw.exports.records import Reader, Record
from xmppgw.federation.names import domain_name

#: Objects of one cmdlet, users apart: ten times the 10,000 partners that are planned for.
MAXIMUM_OBJECTS: Final = 100_000
NEGOTIATION: Final = ("Required", "Optional", "NotSupported")
PARTNER_TYPES: Final = ("Federated", "PublicVerified", "PublicUnverified")

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class XmppPartner:
    """One allowed partner, in the platform's own words. `additional_domains` None: flattened in the export."""

    domain: str
    additional_domains: tuple[str, ...] | None
    description: str
    type: str
    tls: str
    sasl: str
    dialback: bool
    keep_alive: bool
    connection_limit: int | None
    proxy_fqdn: str


@dataclass(frozen=True, slots=True)
class GatewayConfiguration:
    """The single instance of `Get-CsXmppGatewayConfiguration`. The dialback passphrase is never kept."""

    values: tuple[tuple[str, int], ...]
    has_passphrase: bool
    logs_bodies: bool


@dataclass(frozen=True, slots=True)
class Policy:
    """An access policy: scope `global`, `site` or `user`."""

    scope: str
    name: str
    enable_federation_access: bool
    enable_xmpp_access: bool


@dataclass(frozen=True, slots=True)
class Site:
    """A site and its XMPP route, if the export shows one."""

    name: str
    xmpp_route: str


@dataclass(frozen=True, slots=True)
class StaticRoute:
    """A static SIP route, as far as it is told."""

    match: str
    target: str


@dataclass(frozen=True, slots=True)
class EdgeConfiguration:
    """What of `Get-CsAccessEdgeConfiguration` matters for XMPP."""

    allow_federated_users: bool
    partner_discovery: bool


@dataclass(slots=True)
class Found(Generic[Item]):
    """An item and where it was read."""

    item: Item
    origin: Origin


@dataclass(slots=True)
class UserCounts:
    """Users, counted as they pass by."""

    total: int = 0
    without_address: int = 0
    pools: Counter[str] = field(default_factory=Counter)
    domains: Counter[str] = field(default_factory=Counter)
    policies: Counter[str] = field(default_factory=Counter)
    cloud: int = 0
    blank_names: int = 0
    seen: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Deployment:
    """Everything that was read."""

    partners: dict[str, Found[XmppPartner]] = field(default_factory=dict)
    gateway: dict[str, Found[GatewayConfiguration]] = field(default_factory=dict)
    policies: dict[str, Found[Policy]] = field(default_factory=dict)
    sip_domains: dict[str, Found[str]] = field(default_factory=dict)
    default_domain: str = ""
    pools: dict[str, Found[PoolFacts]] = field(default_factory=dict)
    sites: dict[str, Found[Site]] = field(default_factory=dict)
    allowed_domains: dict[str, Found[str]] = field(default_factory=dict)
    edge: dict[str, Found[EdgeConfiguration]] = field(default_factory=dict)
    routes: dict[str, Found[StaticRoute]] = field(default_factory=dict)
    users: UserCounts = field(default_factory=UserCounts)
    legacy: PlainFacts = field(default_factory=PlainFacts)

    @property
    def topology(self) -> Topology:
        """Pools by name."""
        return Topology({key: found.item for key, found in self.pools.items()})


class Gathering:
    """Fills a deployment from records. `from_cmdlets` and `from_plain` tell which kinds of export were met."""

    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        self.reader = Reader(findings)
        self.deployment = Deployment()
        self.from_cmdlets: Origin | None = None
        self.from_plain: Origin | None = None
        self._take: dict[str, Callable[[Record], None]] = {
            cmdlets.PARTNER: self._partner,
            cmdlets.GATEWAY: self._gateway,
            cmdlets.POLICY: self._policy,
            cmdlets.USER: self._user,
            cmdlets.SIP_DOMAIN: self._sip_domain,
            cmdlets.POOL: self._pool,
            cmdlets.SITE: self._site,
            cmdlets.ALLOWED_DOMAIN: self._allowed_domain,
            cmdlets.ACCESS_EDGE: self._access_edge,
            cmdlets.STATIC_ROUTES: self._static_routes,
        }

    def add(self, record: Record) -> None:
        """Take one record, of a cmdlet or of the plain form."""
        exported = self.translated(record)
        if exported is not None:
            self._take[exported.cmdlet](exported)

    def translated(self, record: Record) -> Record | None:
        """The record as one of a cmdlet; None for a row of the plain form that stands for no object."""
        if record.cmdlet == cmdlets.PLAIN:
            self.from_plain = self.from_plain or Origin(record.file)
            return translate(record, self.deployment.legacy, self.reader)
        if not record.translated:
            self.from_cmdlets = self.from_cmdlets or Origin(record.file)
        return record

    def finish(self) -> Deployment:
        """Compare the parts with each other; the deployment."""
        if self.from_cmdlets and self.from_plain:
            message = f"found exports of cmdlets ({self.from_cmdlets.file}) beside the plain CSV form"
            self.findings.refuse("export-mixed", self.from_plain, message)
        self._domains_belong_to_one_partner()
        self._users_belong_here()
        return self.deployment

    # One object each.

    def _partner(self, record: Record) -> None:
        reader = self.reader
        domain = self.domain(record, "Domain", "Identity")
        if not domain:
            return
        listed = reader.texts(record, "AdditionalDomains", "the partner's further domains are not in the document")
        additional: list[str] = []
        for each in listed or ():
            try:
                additional.append(domain_name(each))
            except PydanticCustomError as error:
                reader.wrong(record, "AdditionalDomains", f"domain names ({error.message()})")
        proxy = reader.text(record, "ProxyFqdn").strip()
        self.partner(
            XmppPartner(
                domain=domain,
                additional_domains=None if listed is None else tuple(sorted(set(additional) - {domain})),
                description=reader.text(record, "Description"),
                type=reader.choice(record, "PartnerType", PARTNER_TYPES, "PublicUnverified"),
                tls=reader.choice(record, "TlsNegotiation", NEGOTIATION, "Required"),
                sasl=reader.choice(record, "SaslNegotiation", NEGOTIATION, "Required"),
                dialback=reader.flag(record, "SupportDialbackNegotiation", True),
                keep_alive=reader.flag(record, "EnableKeepAlive", True),
                connection_limit=reader.number(record, "ConnectionLimit"),
                proxy_fqdn=self.domain(record, "ProxyFqdn") if proxy else "",
            ),
            record.origin(domain),
        )

    def partner(self, partner: XmppPartner, origin: Origin) -> None:
        """Keep a partner."""
        self.keep(self.deployment.partners, partner.domain, partner, origin)

    def _gateway(self, record: Record) -> None:
        columns = (
            *("ConnectionLimit", "PartnerConnectionLimit", "KeepAliveInterval", "StreamEstablishmentTimeout"),
            *("StreamInactivityTimeout", "SubscriptionRefreshInterval"),
        )
        numbers = [(column, self.reader.number(record, column)) for column in columns]
        configuration = GatewayConfiguration(
            tuple((column, number) for column, number in numbers if number is not None),
            record.get("DialbackPassphrase") is not None,
            self.reader.flag(record, "EnableLoggingAllMessageBodies", False),
        )
        self._single(self.deployment.gateway, configuration, record)

    def _policy(self, record: Record) -> None:
        identity = self.reader.text(record, "Identity").strip()
        scope, separator, name = identity.partition(":")
        scopes = {"global": "global", "site": "site", "tag": "user"}
        if (
            scope.casefold() not in scopes
            or bool(separator) is (scope.casefold() == "global")
            or (separator and not name)
        ):
            self.reader.wrong(record, "Identity", "Global, Site:name or Tag:name")
            return
        policy = Policy(
            scopes[scope.casefold()],
            name,
            self.reader.flag(record, "EnableFederationAccess", False),
            self.reader.flag(record, "EnableXmppAccess", False),
        )
        self.policy(policy, record.origin(identity))

    def policy(self, policy: Policy, origin: Origin) -> None:
        """Keep an access policy."""
        self.keep(self.deployment.policies, f"{policy.scope}:{policy.name}".casefold(), policy, origin)

    def _user(self, record: Record) -> None:
        user = user_of(record, Topology(), self.reader)
        counts = self.deployment.users
        if user is None:
            counts.without_address += record.get("SipAddress") is None
            return
        # Hashes instead of addresses: enough to count each once, whatever the number of forms it was exported in.
        key = hash(user.user)
        if key in counts.seen:
            return
        counts.seen.add(key)
        counts.total += 1
        counts.domains[user.user.rpartition("@")[2]] += 1
        counts.policies[user.policy] += 1
        counts.cloud += user.hosting == "cloud"
        counts.blank_names += user.blank_name
        if user.pool and user.hosting == "on_premises":
            counts.pools[user.pool] += 1

    def _sip_domain(self, record: Record) -> None:
        domain = self.domain(record, "Name", "Identity")
        if domain:
            self.sip_domain(domain, record.origin(domain))
            if self.reader.flag(record, "IsDefault", False):
                self.deployment.default_domain = domain

    def sip_domain(self, domain: str, origin: Origin) -> None:
        """Keep a SIP domain."""
        self.keep(self.deployment.sip_domains, domain, domain, origin)

    def _pool(self, record: Record) -> None:
        fqdn = self.domain(record, "Fqdn", "Identity")
        if not fqdn:
            return
        services = self.reader.texts(
            record, "Services", "whether the pool is a Survivable Branch Appliance cannot be told"
        )
        site = without_scope(self.reader.text(record, "Site"))
        self.pool(pool_facts(fqdn, site, services), record.origin(fqdn))

    def pool(self, pool: PoolFacts, origin: Origin) -> None:
        """Keep a pool."""
        self.keep(self.deployment.pools, pool.fqdn, pool, origin)

    def _site(self, record: Record) -> None:
        identity = self.reader.text(record, "Identity", "DisplayName", "SiteId")
        name = without_scope(identity)
        if not name:
            self.reader.wrong(record, "Identity", "Site:name")
            return
        route = self.reader.text(record, "XmppExternalFederationRoute", "XmppFederationRoute")
        self.keep(self.deployment.sites, name.casefold(), Site(name, without_scope(route).lower()), record.origin(name))

    def _allowed_domain(self, record: Record) -> None:
        domain = self.domain(record, "Domain", "Identity")
        if domain:
            self.keep(self.deployment.allowed_domains, domain, domain, record.origin(domain))

    def _access_edge(self, record: Record) -> None:
        configuration = EdgeConfiguration(
            self.reader.flag(record, "AllowFederatedUsers", False),
            self.reader.flag(record, "EnablePartnerDiscovery", False)
            if record.has("EnablePartnerDiscovery")
            else False,
        )
        self._single(self.deployment.edge, configuration, record)

    def _static_routes(self, record: Record) -> None:
        routes = record.get("Route")
        if routes is None:
            return
        if isinstance(routes, dict):
            folded = {key.casefold(): value for key, value in routes.items()}
            routes = folded["value"] if isinstance(folded.get("value"), list) else [routes]
        if not isinstance(routes, list) or not all(isinstance(each, dict) for each in routes):
            why = "PowerShell wrote the routes' types, not the routes"
            self.findings.lose(
                "lost-flattened", record.cmdlet, record.origin(), "Route", why, "export with Export-Clixml -Depth 6"
            )
            return
        for number, route in enumerate(routes):
            assert isinstance(route, dict)
            inner = Record.of(record.file, record.line, (), route)
            inner.cmdlet = record.cmdlet
            match = self.reader.text(inner, "MatchUri").strip()
            if match:
                told = self.reader.text(inner, "Fqdn", "Destination", "NextHop").strip()
                kept = StaticRoute(match.lower(), told or next_hop(inner.get("Transport")))
                self.keep(
                    self.deployment.routes, f"{record.name}/{number}/{match}".casefold(), kept, record.origin(match)
                )

    # What they share.

    def domain(self, record: Record, *columns: str) -> str:
        """The domain name in the first of the columns that has one; empty, and a problem, if it is none."""
        written = self.reader.text(record, *columns)
        column = next((each for each in columns if record.get(each) is not None), columns[0])
        if not written:
            if record.get(column) is None:
                self.reader.wrong(record, column, "a domain name")
            return ""
        try:
            return domain_name(
                without_scope(written) if columns[0] != "Domain" and written.strip() == written else written
            )
        except PydanticCustomError as error:
            self.reader.wrong(record, column, f"a domain name ({error.message()})")
            return ""

    def keep(self, kept: dict[str, Found[Item]], key: str, item: Item, origin: Origin) -> None:
        """Keep an item under its key, or say what is wrong with a second one."""
        before = kept.get(key)
        if before is None:
            if len(kept) >= MAXIMUM_OBJECTS:
                self.findings.refuse(
                    "export-too-many", Origin(origin.file), f"found more than {MAXIMUM_OBJECTS} objects"
                )
                return
            kept[key] = Found(item, origin)
        elif before.origin.file == origin.file:
            first = f"line {before.origin.line}" if before.origin.line else "the same file"
            self.findings.refuse(
                "export-duplicate", origin, f"found {origin.object} a second time; the first is in {first}"
            )
        else:
            together = _united(before.item, item)
            if together is None:
                message = f"found {origin.object} with other values than in {before.origin.file}"
                self.findings.refuse("export-conflict", origin, message)
            else:
                kept[key] = Found(together, before.origin)

    def _single(self, kept: dict[str, Found[Item]], item: Item, record: Record) -> None:
        identity = self.reader.text(record, "Identity").strip() or "Global"
        self.keep(kept, identity.casefold(), item, record.origin(identity))

    # All together.

    def _domains_belong_to_one_partner(self) -> None:
        owner: dict[str, str] = {key: key for key in self.deployment.partners}
        for key, found in self.deployment.partners.items():
            for domain in found.item.additional_domains or ():
                other = owner.setdefault(domain, key)
                if other != key:
                    message = f"found {domain} as additional domain; it belongs to the partner {other} already"
                    self.findings.refuse("export-duplicate", found.origin, message)

    def _users_belong_here(self) -> None:
        counts, deployment = self.deployment.users, self.deployment
        if deployment.sip_domains:
            foreign = sorted(set(counts.domains) - set(deployment.sip_domains))
            self._foreign(foreign, sum(counts.domains[each] for each in foreign), "SIP domain", cmdlets.SIP_DOMAIN)
        if deployment.pools:
            foreign = sorted(set(counts.pools) - set(deployment.pools))
            self._foreign(foreign, sum(counts.pools[each] for each in foreign), "pool", cmdlets.POOL)

    def _foreign(self, names: Sequence[str], users: int, what: str, cmdlet: str) -> None:
        if names:
            shown = ", ".join(names[:5]) + (" and others" if len(names) > 5 else "")
            message = f"found {users} users in the {what} {shown}, which the export of {cmdlet} does not have"
            self.findings.refuse("export-mixed", Origin(""), message)


def next_hop(transport: object) -> str:
    """The next hop's FQDN in what `Transport` of a static route exports as: objects within objects, or their text.

    As text it reads `TransportChoice=Certificate=...;Fqdn=<name>;Port=<number>`.
    """
    if isinstance(transport, dict):
        folded = {str(key).casefold(): value for key, value in transport.items()}
        told = folded.get("fqdn")
        if isinstance(told, str):
            return told.strip()
        return next((found for value in folded.values() if (found := next_hop(value))), "")
    match = re.search(r"(?:^|[;={ ])Fqdn=([^;}\s]+)", str(transport or ""), re.IGNORECASE)
    return match[1] if match else ""


def pool_facts(fqdn: str, site: str, services: Sequence[str] | None) -> PoolFacts:
    """What a pool is, by its services: one that registers users without serving them is a branch's, or a Director."""
    if services is None:
        return PoolFacts(fqdn, site, None)
    kinds = {service.partition(":")[0].casefold() for service in services}
    registers_only = "registrar" in kinds and "userserver" not in kinds
    return PoolFacts(fqdn, site, registers_only, registers_only and "mediationserver" not in kinds)


def _united(one: Item, other: Item) -> Item | None:
    """Two readings of one object as one, where they differ only in what one of them could not tell."""
    if one == other:
        return one
    if isinstance(one, XmppPartner) and isinstance(other, XmppPartner):
        return _filled(one, other, "additional_domains")
    if isinstance(one, PoolFacts) and isinstance(other, PoolFacts):
        known, unknown = (one, other) if one.survivable_branch is not None else (other, one)
        blank = replace(known, survivable_branch=None, director=False)
        return known if unknown == blank else None
    return None


def _filled(one: Item, other: Item, name: str) -> Item | None:
    ours, theirs = getattr(one, name), getattr(other, name)
    if ours is not None and theirs is not None:
        return None
    differing = [each.name for each in fields(one) if getattr(one, each.name) != getattr(other, each.name)]  # type: ignore[arg-type]
    return (one if ours is not None else other) if differing == [name] else None
