"""A whole environment as preflight would find it, without a host: the lab's document and made-up observations.

Nothing stands on the gateway hosts yet, every user is at home on the legacy pool, DNS points at the legacy gateway.
A test changes what it is about and asks the planner or the guards.
"""

import base64
import datetime
import json
import zipfile
from pathlib import Path

import dns.message
import dns.rrset
import yaml
from ansible_collections.xmppgw.migration.plugins.module_utils.chain import extend
from ansible_collections.xmppgw.migration.plugins.plugin_utils.environment import (
    RESOLVED,
    Environment,
    examine,
    narrowed_to_the_pilot,
)
from ansible_collections.xmppgw.migration.plugins.plugin_utils.picture import Picture
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT = ROOT / "inventories" / "lab" / "group_vars" / "all" / "federation.yml"
NOW = 1_800_000_000.0
AUTHORITIES = ("public", "private", "link", "pinned")


def an_authority(folder):
    """Write ca.pem of a throw-away authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, folder.name)])
    begin = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin.replace(year=2040))
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(parents=True)
    (folder / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def a_wheel(folder, name):
    """Write a wheel that has nothing but a RECORD."""
    with zipfile.ZipFile(folder / name, "w") as archive:
        archive.writestr(f"{'-'.join(name.split('-')[:2])}.dist-info/RECORD", "something/__init__.py,,\n")


def a_wheelhouse(folder):
    """Write a folder with our wheel."""
    folder.mkdir()
    a_wheel(folder, "xmppgw-0.1.0-py3-none-any.whl")


class World:
    """What preflight would find. Change `document`, `homing`, `srv`, `gateways`, `records`...; then ask `picture()`."""

    def __init__(self, folder):
        self.folder = folder
        for name in AUTHORITIES:
            an_authority(folder / "ca" / name)
        a_wheelhouse(folder / "wheels")
        self.document = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))
        self.federation = self.document["federation"]
        self.federation["sip_domains"] = [{"name": "corp.example"}]
        self.federation.pop("pilot", None)
        self.federation["dns"]["zones"] = ["corp.example"]
        users = ["alice", "bob", "carol", "dave", "erin", "frank"]
        self.homing = {
            pool: {f"{user}@corp.example": "pool-legacy" for user in users} for pool in ("pool-legacy", "pool-target")
        }
        self.routes = {
            pool: {partner["domain"]: "legacy" for partner in self.federation["partners"]} for pool in self.homing
        }
        self.srv = {}
        """(server, domain) to (TTL, record texts); what is not here points at the legacy gateway."""
        self.gateways = {}
        """Host to what to lay over an untouched gateway host."""
        self.records = []
        self.copy_records = None
        self.lock = None
        self.state_problem = None
        self.silent_servers = set()
        self.tamper = lambda reply, about: None
        """Called with every answer of a name server before it is sent."""
        self.direct_tls = set()
        """Domains that publish direct TLS."""
        self.bogus = set()
        """Domains whose signatures do not hold for a resolver that checks them."""
        self.unaddressed = set()
        """Names without an A or AAAA record."""
        self.legacy_streams = []
        self.legacy_problem = None
        self.legacy_off = False
        self.reach = {"198.51.100.5:5269": None}
        self.now = NOW
        self.rehearsal = False
        self.watch = 0
        self.vantage = {}
        """Host outside our firewall to what `observe` found from there."""

    def environment(self):
        """Return the Environment of the document as it now is."""
        path = self.folder / "federation.yml"
        path.write_text(yaml.safe_dump(self.document), encoding="utf-8")
        document, problems = examine(path)
        if self.rehearsal:
            document = narrowed_to_the_pilot(document)
        return Environment(
            document,
            {
                "front_ends": [front_end.host for _pool, front_end in document.federation.front_ends],
                "edges": [edge.host for edge in document.federation.edges],
                "platforms": ["pool-legacy", "pool-target"],
                "legacy_gateway": ["legacy1"],
                "dns_writer": ["fe1"],
                "vantage": list(self.vantage),
            },
            roles=str(ROOT / "roles"),
            authorities={name: str(self.folder / "ca" / name) for name in AUTHORITIES},
            wheelhouse=str(self.folder / "wheels"),
            folder=self.folder,
            evidence=str(self.folder / "evidence"),
            watch=self.watch,
            problems=problems,
        )

    def answer(self, environment, packet, about):
        """Return a name server's answer to one question."""
        server, domain, name, kind = about
        if server in self.silent_servers:
            return {"error": "timed out"}
        query = dns.message.from_wire(base64.b64decode(packet["message"]))
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.AA
        if name.startswith("_xmpps-server."):
            if domain in self.direct_tls:
                reply.answer.append(dns.rrset.from_text(f"{name}.", 15, "IN", "SRV", "1 1 5270 edge1.corp.example."))
        elif kind == "resolved" and domain in self.bogus:
            reply.set_rcode(dns.rcode.SERVFAIL)
        elif kind == "SRV" or kind in RESOLVED:
            gateway = self.federation["legacy"]["gateway"]["fqdn"]
            server = self.federation["dns"].get("primary", server) if kind in RESOLVED else server
            ttl, texts = self.srv.get((server, domain), (15, [f"10 10 5269 {gateway}."]))
            reply.answer.append(dns.rrset.from_text(f"{name}.", ttl, "IN", "SRV", *texts))
        elif kind == "SOA":
            reply.answer.append(
                dns.rrset.from_text(f"{name}.", 15, "IN", "SOA", f"dns1.{name}. hostmaster.{name}. 1 60 60 3600 3")
            )
        elif name not in self.unaddressed:
            address = "198.51.100.10" if kind == "A" else "2001:db8:2::10"
            reply.answer.append(dns.rrset.from_text(f"{name}.", 15, "IN", kind, address))
        self.tamper(reply, about)
        return {"answer": base64.b64encode(reply.to_wire()).decode()}

    def seen(self, environment):
        """Return what `observe` would have registered on every host."""
        blank = {
            "version": None,
            "wheels": None,
            "previous": None,
            "releases": [],
            "files": {},
            "units": {},
            "certificates": {},
            "settings": None,
            "listening": [],
            "runs_on": {"python": "3.11", "machine": "x86_64", "libc": "2.36"},
            "control": {},
        }
        hosts = [*environment.front_ends, *environment.edges]
        seen = {host: {"gateway": {**blank, **self.gateways.get(host, {})}} for host in hosts}
        for pool in self.homing:
            seen[pool] = {"platform": {"homing": self.homing[pool], "route": self.routes[pool]}}
        seen["legacy1"] = {
            "legacy": self.legacy_streams,
            "legacy_problem": self.legacy_problem,
            "legacy_off": self.legacy_off,
        }
        for host in environment.edges:
            seen[host]["reach"] = self.reach
        for host, looks in self.vantage.items():
            seen[host] = {"outside": looks}
        for host, asked in (
            ("fe1", environment.questions()),
            (environment.resolving_edge, environment.resolver_questions()),
        ):
            seen[host]["about"] = [item for _packet, item in asked]
            seen[host]["packets"] = [self.answer(environment, packet, item) for packet, item in asked]
        state = {"problem": self.state_problem, "lock": self.lock, "present": bool(self.records)}
        copy = self.records if self.copy_records is None else self.copy_records
        seen[environment.authority]["state"] = {**state, "records": self.records}
        seen[environment.copy]["state"] = {**state, "records": copy, "lock": None}
        return seen

    def journal(self, *bodies):
        """Let the journal, and its copy, say these things."""
        self.records = [*self.records, *extend(self.records, list(bodies))]

    def steps_done(self, *steps):
        """Let the journal say that these steps are done."""
        self.journal(*({"event": "step_done", "step": step} for step in steps))

    def users(self, *users):
        """Write the exported users' table and name it in the document."""
        (self.folder / "users.table").write_text(json.dumps({"schema": 1, "users": list(users)}), encoding="utf-8")
        self.federation["users"] = {**self.federation.get("users", {}), "export": "users.table"}

    def first_act(self, **act):
        """Write what the runbook's first act left behind, about the pilot's partner: a static route wins."""
        self.federation["pilot"] = {"users": ["alice@corp.example"], "partner": "partner1.example"}
        whole = {"schema": 1, "pool": "FE-pool.corp.example", "partner": "partner1.example", "winner": "static_route"}
        (self.folder / "evidence").mkdir(exist_ok=True)
        # PowerShell writes a byte order mark in front.
        path = self.folder / "evidence" / "first-act.json"
        path.write_text(json.dumps({**whole, **act}), encoding="utf-8-sig")

    def coexist(self):
        """Let corp.example stay with the legacy gateway, and ours own branch.example."""
        self.federation["scenario"] = "coexist"
        self.federation["sip_domains"] = [
            {"name": "corp.example", "owner": "legacy"},
            {"name": "branch.example", "owner": "gateway"},
        ]
        self.federation["dns"]["zones"] = ["corp.example", "branch.example"]
        for table in self.homing.values():
            table["grace@branch.example"] = "pool-legacy"

    def picture(self, **more):
        """Return the Picture of all this."""
        environment = self.environment()
        return Picture(environment, self.seen(environment), self.now, **more)
