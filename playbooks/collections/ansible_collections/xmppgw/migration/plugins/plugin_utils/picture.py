"""The environment as one run sees it: the document, the inventory's groups, and what `observe` found on every host.

Used on the controller only, by the actions. It turns raw observations into what the planner and the guards take. It
talks to no
host itself.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from pathlib import Path

from ansible_collections.xmppgw.migration.plugins.module_utils.chain import (
    ChainError,
    canonical,
    missing_tail,
    read_history,
)
from ansible_collections.xmppgw.migration.plugins.plugin_utils import (
    caches,
    dns_messages,
    guards,
    issuing,
    planner,
    rrsets,
    wanted,
)

from xmppgw.federation import DocumentProblems, load_document, partner_outcome, records, srv_name

STATE_DIRECTORY = "/var/lib/xmppgw-migration"
TABLES = ("homing", "route")


class PictureError(Exception):
    """Something the operator has to put right before anything can be planned. `code` is stable."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code
        self.text = text


def read_document(path):
    """Return the federation document; raise PictureError with all its problems at once."""
    try:
        return load_document(Path(path))
    except DocumentProblems as error:
        lines = [
            f"{item.file}:{item.line}: [{item.code}] {item.message} {item.hint or ''}".rstrip()
            for item in error.problems
        ]
        raise PictureError(
            "migration-document", "The federation document has problems:\n" + "\n".join(lines)
        ) from error


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

    def __init__(self, document, groups, *, roles, authorities, wheelhouse):
        self.document = document
        self.federation = document.federation
        self.groups = groups
        self.roles = roles
        self.authorities = authorities
        self.release = wanted.release(wheelhouse)
        self.front_ends = sorted(front_end.host for _pool, front_end in self.federation.front_ends)
        self.edges = sorted(edge.host for edge in self.federation.edges)

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
        for group in ("platforms", "legacy_gateway", "dns_writer"):
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
    def homes(self):
        """Return {legacy, target}: what homing tables call the two pools (in the lab: the host name of each)."""
        pools = {"target": self.federation.target.pool}
        if self.federation.legacy:
            pools["legacy"] = self.federation.legacy.pool
        return {side: fqdn.partition(".")[0] for side, fqdn in pools.items()}

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
        if host in self.groups.get("platforms", []):
            arguments["platform"] = list(TABLES)
        if host in self.groups.get("legacy_gateway", []):
            arguments["legacy"] = True
        if host in (self.authority, self.copy):
            arguments["state_directory"] = STATE_DIRECTORY
        if host == self.dns_writer:
            arguments["packets"], about = self.questions()
        return arguments, about

    def questions(self):
        """Return (packets, what each is about): every SRV RRset and SOA on every server, the edges' addresses."""
        packets, about = [], []
        for server in self.federation.dns.authoritative:
            for domain in self.federation.own_domains:
                zone = dns_messages.zone_of(domain, self.federation.dns.zones)
                for name, kind in ((srv_name(domain), "SRV"), (zone, "SOA")):
                    packets.append(dns_messages.question(server, name, kind))
                    about.append([server, domain, name, kind])
            for edge in self.federation.edges:
                for kind in ("A", "AAAA"):
                    packets.append(dns_messages.question(server, edge.fqdn, kind))
                    about.append([server, None, edge.fqdn, kind])
        return packets, about


class Picture:
    """What stands, as `observe` found it: `seen` maps hosts to its results."""

    def __init__(self, environment, seen, now, *, noted=(), take_over=""):
        self.environment = environment
        self.seen = seen
        self.now = now
        self.noted = list(noted)
        self.take_over = take_over
        self._read_state()
        self._read_dns()

    # Journal and lock

    def _read_state(self):
        authority = self.seen[self.environment.authority]["state"]
        copy = self.seen.get(self.environment.copy, {}).get("state") or {"records": [], "present": False}
        for state in (authority, copy):
            if state.get("problem"):
                raise PictureError("migration-journal", state["problem"])
        self.restore = []
        if not authority["records"] and copy["records"]:
            if self.take_over != self.environment.copy:
                raise PictureError(
                    "migration-journal",
                    f"{self.environment.authority} has no journal, but {self.environment.copy} has a copy with "
                    f"{len(copy['records'])} records. If {self.environment.authority} was rebuilt, run again with "
                    f"-e take_over={self.environment.copy}: the copy is then restored there.",
                )
            authority = {**authority, "records": copy["records"]}
            self.restore = copy["records"]
        try:
            self.missing = missing_tail(authority["records"], copy["records"])
        except ChainError as problem:
            raise PictureError(problem.code, problem.text) from problem
        self.records = authority["records"]
        self.tail = self.records[-1]["hash"] if self.records else ""
        self.lock = authority["lock"]
        self.history = read_history([*self.records, *self.noted])

    # DNS

    def _read_dns(self):
        answers = self.seen[self.environment.dns_writer]
        self.rrsets, self.negative_ttl, self.addressed = {}, {}, {}
        for (server, domain, name, kind), answer in zip(answers["about"], answers["packets"], strict=True):
            try:
                found = dns_messages.read_rrset(answer, name, kind)
            except dns_messages.DnsError as problem:
                raise PictureError("migration-unreachable", f"Name server {server}: {problem}") from problem
            if kind == "SRV":
                self.rrsets.setdefault(domain, {})[server] = found["rrset"]
            elif kind == "SOA":
                self.negative_ttl[domain] = max(self.negative_ttl.get(domain, 0), found["negative_ttl"] or 0)
            elif found["rrset"]:
                self.addressed.setdefault(name, set()).add(server)

    def rrset(self, domain):
        """Return the SRV RRset of a domain as its primary serves it."""
        primary = self.environment.federation.dns.primary
        by_server = self.rrsets[domain]
        return by_server.get(primary, by_server[sorted(by_server)[0]])

    def wanted_rrsets(self, domain):
        """Return {lowered, after}: what the RRset becomes in steps 4 and 6."""
        plan, name = records(self.environment.document), srv_name(domain)
        legacy = [
            value.lower()
            for record in plan.now
            if (record.name, record.type) == (name, "SRV")
            for value in record.values
        ]
        ours = [
            value.lower()
            for record in plan.after
            if (record.name, record.type) == (name, "SRV")
            for value in record.values
        ]
        ttl = self.environment.federation.dns.ttl.migration
        seen = self.rrset(domain)
        after = rrsets.switched(seen, legacy, ours, ttl)
        # Where the new targets stand already, what stood before them is in the journal.
        journalled = (
            self.history.before.get(f"6/srv/{domain}") if seen and seen["records"] == after["records"] else None
        )
        return {"lowered": rrsets.lowered(journalled or seen, legacy, ttl), "after": after}

    def seconds_until_forgotten(self, now):
        """Return how long resolvers may still hold an earlier SRV RRset of any of our domains."""
        return max(
            caches.seconds_left(self.history.served, self.negative_ttl.get(domain, 0), [srv_name(domain)], now)
            for domain in self.environment.federation.own_domains
        )

    # Platforms

    def tables(self, table):
        """Return {pool: {key: value}} of one table on every platform."""
        return {host: self.seen[host]["platform"][table] for host in sorted(self.environment.groups["platforms"])}

    def users_at(self, pool):
        """Return the users whom any platform homes on `pool` (as the tables call it)."""
        return sorted(
            {user for table in self.tables("homing").values() for user, home in table.items() if home == pool}
        )

    # Gateway hosts

    def gateway(self, host):
        """Return what stands on a gateway host, with each certificate judged."""
        seen = self.seen[host]["gateway"]
        wanted_now = self.environment.wanted_host(host)
        now = datetime.datetime.fromtimestamp(self.now, datetime.UTC)
        judged = {
            name: {
                "problem": issuing.problem_of(
                    seen["certificates"].get(name),
                    item,
                    wanted.authority_certificate(self.environment.authorities, item["authority"]),
                    now,
                )
            }
            for name, item in wanted_now["certificates"].items()
        }
        return {**seen, "certificates": judged}

    def stage(self, host):
        """Return the step whose configuration stands, or must stand by the journal, on a gateway host."""
        plain = wanted.digests(self.environment.wanted_host(host))
        seen = self.seen[host]["gateway"]
        return planner.stage_in_force(
            plain["files"][plain["settings"]], seen["files"].get(plain["settings"]), self.history.step
        )

    def configured_partners(self):
        """Return the partners that the standing configurations of our hosts name."""
        hosts = [*self.environment.front_ends, *self.environment.edges]
        standing = [(self.seen[host]["gateway"].get("settings") or {}).get("partners") or [] for host in hosts]
        return sorted({partner["domain"] for partners in standing for partner in partners})

    def open_edges(self):
        """Return the edges that listen on 5269 or have federation enabled."""
        found = []
        for host in self.environment.edges:
            seen = self.seen[host]["gateway"]
            if 5269 in seen["listening"] or (seen.get("settings") or {}).get("federation_enabled"):
                found.append(host)
        return found

    # Plan

    def plan(self, until=6):
        """Return the plan document."""
        environment, federation = self.environment, self.environment.federation
        actions, done = [], self.history.step
        for host in [*environment.front_ends, *environment.edges]:
            plain = wanted.digests(environment.wanted_host(host))
            actions += planner.gateway_actions(host, self.gateway(host), plain, done)
        actions += planner.secret_actions(
            {host: self.seen[host]["gateway"]["files"].get(wanted.DIALBACK_SECRET) for host in environment.edges}
        )
        homes = environment.homes
        actions += planner.homing_actions(self.tables("homing"), homes.get("legacy", ""), homes["target"])
        dns_moves = False
        for domain in federation.own_domains:
            changes = list(
                planner.dns_actions(domain, srv_name(domain), self.rrset(domain), self.wanted_rrsets(domain), done)
            )
            dns_moves = dns_moves or any(item["step"] == 6 for item in changes)
            actions += changes
        partners = []
        routes = self.tables("route")
        for partner in federation.partners:
            outcome = partner_outcome(partner.tls, partner.sasl, partner.dialback)
            described = {
                "domain": partner.domain,
                "allowed": outcome.letters.split(","),
                "rationale": outcome.rationale,
            }
            proof = self.history.proofs.get(partner.domain)
            standing = {host: table.get(partner.domain) for host, table in routes.items()}
            actions += planner.partner_actions(
                described, standing, proof, self.fingerprint(partner), dns_moves=dns_moves
            )
            partners.append(planner.describe_partner(described, proof))
        actions = [item for item in actions if item["step"] <= until]
        return planner.assemble(actions, partners, scenario=federation.scenario.value, until=until)

    def fingerprint(self, partner):
        """Return what an authentication proof rests on: the partner's entry and our edges' names."""
        facts = {
            "partner": partner.model_dump(mode="json"),
            "edges": [edge.fqdn for edge in self.environment.federation.edges],
        }
        return hashlib.sha256(canonical(facts).encode()).hexdigest()

    # Guards

    def situation(self, step, *, preflight):
        """Return what the guards look at before `step`."""
        federation = self.environment.federation
        homes = self.environment.homes
        known = set(homes.values())
        strays = {
            user: home for table in self.tables("homing").values() for user, home in table.items() if home not in known
        }
        lowered = federation.dns.ttl.migration
        return guards.Situation(
            step=step,
            preflight=preflight,
            done=self.history.step,
            legacy_users=self.users_at(homes.get("legacy", "")),
            stray_users=strays,
            configured_partners=self.configured_partners(),
            open_edges=self.open_edges(),
            seconds_until_forgotten=self.seconds_until_forgotten(self.now),
            ttl_lowered=all(
                rrset is not None and rrset["ttl"] <= lowered
                for servers in self.rrsets.values()
                for rrset in servers.values()
            ),
            server_disagreement=[
                sentence
                for domain, by_server in sorted(self.rrsets.items())
                for sentence in rrsets.disagreements(srv_name(domain), by_server)
            ],
            missing_addresses=[
                f"{edge.fqdn} on {server}"
                for edge in federation.edges
                for server in federation.dns.authoritative
                if server not in self.addressed.get(edge.fqdn, set())
            ],
        )
