"""The federation document with the inventory's groups around it: who is who, and what is to be read from which host.

Used on the controller only, by the actions and by Picture. It talks to no host.
"""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path

from ansible_collections.xmppgw.migration.plugins.module_utils.chain import canonical
from ansible_collections.xmppgw.migration.plugins.plugin_utils import dns_messages, wanted
from ansible_collections.xmppgw.migration.plugins.plugin_utils.directory import read_directory
from ansible_collections.xmppgw.migration.plugins.plugin_utils.problems import PictureError

from xmppgw.federation import DocumentProblems, Severity, examine_document, srv_name
from xmppgw.federation.model import S2S_PORT, ExceptionReason, Owner, Scenario

STATE_DIRECTORY = "/var/lib/xmppgw-migration"
TABLES = ("homing", "route")
UNCHECKED = "resolved unchecked"
RESOLVED = ("resolved", UNCHECKED)
"""What a question to a resolver is about: its answer as everybody gets it, and the one that it did not validate."""


def examine(path):
    """Return (document, problems that are no errors); raise PictureError with all problems at once."""
    examination = examine_document(Path(path))
    try:
        return examination.require(), examination.problems
    except DocumentProblems as error:
        lines = [
            f"{item.file}:{item.line}: [{item.code}] {item.message} {item.hint or ''}".rstrip()
            for item in error.problems
        ]
        raise PictureError(
            "migration-document", "The federation document has problems:\n" + "\n".join(lines)
        ) from error


def read_document(path):
    """Return the federation document; raise PictureError with all its problems at once."""
    return examine(path)[0]


def direct_tls_name(domain):
    """Return the owner of a domain's SRV RRset for direct TLS (XEP-0368)."""
    return f"_xmpps-server._tcp.{domain}"


def narrowed_to_the_pilot(document):
    """Return the document of a rehearsal: both gateways side by side, ours owning the pilot's SIP domain only.

    With a pilot partner, that one alone takes part.
    """
    federation = document.federation
    pilot = federation.pilot.sip_domain
    if pilot is None or len(federation.sip_domains) < 2:
        raise PictureError(
            "migration-rehearsal",
            "A rehearsal walks the pilot's SIP domain: name it in pilot.sip_domain, one of at least two SIP domains. "
            "Everybody else's federation stays where it is meanwhile.",
        )
    if pilot not in federation.own_domains:
        raise PictureError("migration-rehearsal", f"{pilot} is the legacy gateway's; a rehearsal needs one of ours.")
    domains = tuple(
        domain.model_copy(update={"owner": Owner.GATEWAY if domain.name == pilot else Owner.LEGACY})
        for domain in federation.sip_domains
    )
    partners = tuple(item for item in federation.partners if federation.pilot.partner in (None, *item.domains))
    narrow = federation.model_copy(
        update={
            "scenario": Scenario.COEXIST,
            "sip_domains": domains,
            "partners": partners,
            "holds": (),
            "maintenance_window": None,
        }
    )
    return document.model_copy(update={"federation": narrow})


def read_secret(path, name):
    """Return a named secret from the secrets file; raise PictureError."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))[name]
    except (OSError, ValueError, KeyError) as error:
        raise PictureError(
            "migration-secret",
            f"The secret {name!r} is not in {path} ({type(error).__name__}): name the right file in migration_secrets.",
        ) from error


class Environment:
    """The document with the inventory's groups around it."""

    def __init__(
        self,
        document,
        groups,
        *,
        roles,
        authorities,
        wheelhouse,
        folder=".",
        problems=(),
        exports="exports",
        evidence="evidence",
        watch=0,
    ):
        self.document = document
        self.folder = folder
        self.exports, self.evidence = exports, evidence
        """Folders beside the inventory: what platforms export, and what administrators proved."""
        self.problems = problems
        """What `check` says about the document beyond errors."""
        self.arriving = frozenset()
        """SIP domains that became ours after the migration was done; a Picture finds them (see Picture._arriving)."""
        self.federation = document.federation
        self.groups = groups
        self.roles = roles
        self.authorities = authorities
        self.release = wanted.release(wheelhouse)
        self.watch_s = watch * max(1, len(groups.get("platforms", [])))
        """Seconds for which one order to a person is watched, one platform after another; nothing renews the lock."""
        self.front_ends = sorted(front_end.host for _pool, front_end in self.federation.front_ends)
        self.edges = sorted(edge.host for edge in self.federation.edges)

    @functools.cached_property
    def document_digest(self):
        """SHA-256 over what the document says; how it is written, and its comments, do not count."""
        return hashlib.sha256(canonical(self.document.model_dump(mode="json")).encode()).hexdigest()

    def check_inventory(self):
        """Raise PictureError if the inventory's groups and the document name different hosts."""
        for group, hosts in (("front_ends", self.front_ends), ("edges", self.edges)):
            listed = sorted(self.groups.get(group, []))
            if listed != hosts:
                raise PictureError(
                    "migration-inventory",
                    f"Group {group} of the inventory has {', '.join(listed) or 'no host'}; the federation document "
                    f"names {', '.join(hosts)}.",
                )
        if inside := sorted({*self.vantages} & {*self.edges, *self.front_ends}):
            raise PictureError(
                "migration-inventory",
                f"Group vantage of the inventory has {', '.join(inside)}: a host outside our firewall is none of ours.",
            )
        asked = "lab" in (self.federation.homing.provider, self.federation.routes.provider)
        legacy = self.federation.drain.provider == "lab"
        for group in (*(["platforms"] if asked else []), *(["legacy_gateway"] if legacy else []), "dns_writer"):
            if not self.groups.get(group):
                raise PictureError("migration-inventory", f"Group {group} of the inventory is empty.")

    @property
    def authority(self):
        """The host whose journal and lock count: the first front end by name."""
        return self.front_ends[0]

    @property
    def copy(self):
        """The host that keeps the journal's copy: the second front end, else the first edge."""
        return self.front_ends[1] if len(self.front_ends) > 1 else self.edges[0]

    @property
    def dns_writer(self):
        """The host that carries DNS messages."""
        return sorted(self.groups["dns_writer"])[0]

    @property
    def vantages(self):
        """The hosts outside our firewall, from which the edges are tried as a partner would; there may be none."""
        return sorted(self.groups.get("vantage", []))

    def outside_looks(self):
        """Return the looks from outside: every edge at every address that DNS says, in the name of a partner."""
        federation = self.federation
        return [
            {
                "name": edge.host,
                "kind": "xmpp",
                "addresses": [str(address)],
                "port": S2S_PORT,
                "to": federation.own_domains[0],
                "from": federation.partners[0].domain if federation.partners else "",
            }
            for edge in federation.edges
            for address in edge.public_addresses or edge.external_addresses
        ]

    @property
    def next_hop(self):
        """The SIP next hop as a server to look at."""
        sip = self.federation.sip
        peer = next(peer for peer in sip.peers if peer.fqdn == sip.next_hop.fqdn)
        return {
            "name": sip.next_hop.fqdn,
            "kind": "tls",
            "addresses": [str(address) for address in peer.addresses],
            "port": sip.next_hop.port,
            "server_name": sip.next_hop.fqdn,
        }

    @property
    def resolving_edge(self):
        """The host that asks the document's resolvers: what an edge may ask is what the firewall lets it ask."""
        return self.edges[0]

    @property
    def homes(self):
        """Return {legacy, target}: what homing tables call the two pools (in the lab: the host name of each)."""
        pools = {"target": self.federation.target.pool}
        if self.federation.legacy:
            pools["legacy"] = self.federation.legacy.pool
        short = {side: fqdn.partition(".")[0] for side, fqdn in pools.items()}
        # pool01 of one domain and pool01 of another are two pools.
        return short if len(set(short.values())) == len(set(pools.values())) else pools

    @functools.cached_property
    def branches(self):
        """What homing tables call the Survivable Branch Appliances; in lower case.

        Only the lab's platforms know pools by their first label alone. There one that a home of ours has is that home:
        an appliance pool01 of one domain must not make branch users of all those of pool01 of another.
        """
        legacy = self.federation.legacy
        pools = frozenset(pool.lower() for pool in legacy.survivable_branch_pools) if legacy else frozenset()
        # Where the first labels of our two pools collide, those tables have whole names, too.
        if not self.platforms or self.homes["target"] == self.federation.target.pool:
            return pools
        return pools | ({pool.partition(".")[0] for pool in pools} - {home.lower() for home in self.homes.values()})

    @property
    def users_change_pools(self):
        """Whether there is a legacy pool to leave: where the target platform is the one in use, nobody has to move."""
        return self.homes.get("legacy") not in (None, self.homes["target"])

    @property
    def platforms(self):
        """The hosts of the SIP platforms that can be asked; none where they tell their state by exports."""
        return sorted(self.groups.get("platforms", []))

    @property
    def legacy_hosts(self):
        """The hosts of the legacy gateway whose streams can be seen and closed: only the lab's can."""
        return sorted(self.groups.get("legacy_gateway", [])) if self.federation.drain.provider == "lab" else []

    @property
    def management(self):
        """The Windows host on which the runbook's scripts can be run; empty where a person runs them."""
        return next(iter(sorted(self.groups.get("management", []))), "")

    @property
    def proxies(self):
        """The hosts on which the legacy proxy can be restarted by its script; none where a person does it."""
        if self.federation.drain.provider != "powershell":
            return []
        return sorted(self.groups.get("legacy_gateway", []))

    @property
    def pool_names(self):
        """Return {FQDN of a pool: what homing tables call it}."""
        pools = {self.federation.target.pool: self.homes["target"]}
        if self.federation.legacy:
            pools.setdefault(self.federation.legacy.pool, self.homes["legacy"])
        return pools

    @functools.cached_property
    def directory(self):
        """What the exported users' table says; an empty one where the document names none."""
        return read_directory(self.federation, self.folder)

    @functools.cached_property
    def excepted(self):
        """User to reason: those whom the document leaves where they are."""
        return {
            exception.user: exception.reason.value
            for exception in self.federation.users.exceptions
            if exception.reason is not ExceptionReason.INTERRUPTION
        }

    def address_of(self, user):
        """Return a user of a homing table as user@domain.

        The lab's platforms know users by their first half alone: then the one whom the document or the exported table
        names so is meant, else one of the first SIP domain.
        """
        if "@" in user:
            return user
        return self.named.get(user) or self.directory.by_name.get(user) or f"{user}@{self.first_domain}"

    @functools.cached_property
    def named(self):
        """First half to address, of the users whom the document names."""
        users = self.federation.users
        addresses = [*self.federation.pilot.users, *users.waves.pilot, *(item.user for item in users.exceptions)]
        return {address.partition("@")[0]: address for address in addresses}

    @property
    def first_domain(self):
        """The first SIP domain of the document."""
        return self.federation.sip_domains[0].name

    def stays(self, user):
        """Return whether step 3 leaves a user alone: excepted by name, of a Survivable Branch Appliance as the exported
        table says, of a domain that the legacy gateway owns, or of one whose partners still find it there.

        What was decided or accepted about branch users (R8) is about XMPP: their home is the appliance either way.
        """
        address = self.address_of(user)
        domain = address.rpartition("@")[2]
        return (
            address in self.excepted
            or address in self.directory.survivable
            or domain in self.federation.legacy_domains
            or domain in self.arriving
        )

    @property
    def route_platforms(self):
        """The platforms whose SIP routes move: all of them, in `coexist` the target only, where our domains' users
        are."""
        platforms = self.platforms
        if self.federation.scenario is Scenario.REPLACE:
            return platforms
        return [host for host in platforms if host == self.homes["target"]]

    def refused_by_the_document(self):
        """Return what `check` refuses about the document, though it is well formed."""
        return [problem for problem in self.problems if problem.severity is Severity.REFUSED]

    def wanted_host(self, host):
        """Return what must stand on a gateway host."""
        return wanted.wanted_host(
            self.document, host, roles=self.roles, authorities=self.authorities, release_wanted=self.release
        )

    def reading(self, host):
        """Return (arguments for `host_state`, what each packet is about) for one host."""
        arguments, about = {}, []
        if host in self.front_ends or host in self.edges:
            arguments["gateway"] = wanted.what_to_read(self.wanted_host(host))
        if host in self.front_ends:
            arguments["next_hop"] = {"settings": arguments["gateway"]["settings"], "server": self.next_hop}
        if host in self.edges and self.federation.legacy:
            gateway = self.federation.legacy.gateway
            arguments["reach"] = [
                *({"host": str(address), "port": gateway.port} for address in gateway.addresses),
                *({"host": str(address), "port": dns_messages.PORT} for address in self.federation.dns.resolvers),
            ]
        if host in self.groups.get("platforms", []):
            arguments["platform"] = list(TABLES)
        if host in self.legacy_hosts:
            arguments["legacy"] = True
        if host in self.vantages:
            arguments["outside"] = self.outside_looks()
        if host in (self.authority, self.copy):
            arguments["state_directory"] = STATE_DIRECTORY
        asked = []
        if host == self.dns_writer:
            asked += self.questions()
        if host == self.resolving_edge:
            asked += self.resolver_questions()
        if asked:
            arguments["packets"], about = [packet for packet, _about in asked], [item for _packet, item in asked]
        return arguments, about

    def questions(self):
        """Return [(packet, what it is about)]: every SRV RRset and SOA on every server, with their signatures, and the
        edges' addresses."""
        asked = []
        for server in self.federation.dns.authoritative:
            for domain in (*self.federation.own_domains, *self.federation.legacy_domains):
                zone = dns_messages.zone_of(domain, self.federation.dns.zones)
                for name, kind in ((srv_name(domain), "SRV"), (direct_tls_name(domain), "SRV"), (zone, "SOA")):
                    packet = dns_messages.question_for_signatures(server, name, kind)
                    asked.append((packet, [server, domain, name, kind]))
            for edge in self.federation.edges:
                for kind in ("A", "AAAA"):
                    packet = dns_messages.question(server, edge.fqdn, kind)
                    asked.append((packet, [server, None, edge.fqdn, kind]))
        return asked

    def resolver_questions(self):
        """Return [(packet, what it is about)]: our SRV RRsets at every resolver, with its checks and without."""
        return [
            (
                dns_messages.question_to_resolver(
                    resolver, srv_name(domain), "SRV", checking_disabled=kind == UNCHECKED
                ),
                [resolver, domain, srv_name(domain), kind],
            )
            for resolver in self.federation.dns.resolvers
            for domain in self.federation.own_domains
            for kind in RESOLVED
        ]
