"""A small Azure on this machine: the parts of its REST interfaces that this project speaks, with ways to fail.

It serves HTTPS on loopback: record sets of Azure DNS with ETags and preconditions, keys of Key Vault that sign, the
token services. A test may throttle it, make it lose answers, or have somebody else write in between.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import ipaddress
import json
import ssl
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

from ansible_collections.xmppgw.migration.plugins.module_utils import https_carrying
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature

from . import certificate_world as certificates

SUBSCRIPTION = "33333333-3333-3333-3333-333333333333"
GROUP, CHALLENGES = "rg-dns", "rg-xmppgw"


class Azure:
    """The server and what it holds."""

    def __init__(self, folder):
        self.zones = {
            (GROUP, "corp.example"): {},
            (CHALLENGES, "_acme-challenge.edge1.corp.example"): {},
        }
        self.keys = {"private-ca": ec.generate_private_key(ec.SECP256R1()), "web": None}
        self.requests, self.troubles, self.before_write = [], [], None
        self.tokens, self.refused_tokens, self.count = set(), set(), 0
        self.lock = threading.RLock()
        self.trust = self._certificate(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "cloud.pem")
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"cloud": self}))
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.address = f"https://127.0.0.1:{self.server.server_address[1]}"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def _certificate(self, folder):
        key, now = certificates.key(), datetime.datetime.now(datetime.UTC)
        name = certificates.subject("cloud")
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now - certificates.DAY)
            .not_valid_after(now + certificates.DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
            )
            .sign(key, hashes.SHA256())
        )
        (folder / "cloud.pem").write_text(certificates.private_pem(key) + certificates.pem(made))
        return certificates.pem(made)

    # -- what tests do to it

    def trouble(self, *troubles):
        """The next requests for records or keys meet these: (status, headers), "lost" (done, no answer), or None."""
        self.troubles += troubles

    def put(self, name, ttl, records, zone="corp.example", kind="SRV", **more):
        """Set a record set as somebody else would."""
        key = "SRVRecords" if kind == "SRV" else "TXTRecords"
        self._store((GROUP, zone), (kind, name), {"TTL": ttl, key: records, **more})

    def record(self, name, kind="SRV", zone="corp.example", group=GROUP):
        found = self.zones[group, zone].get((kind, name))
        return found and found["properties"]

    def writes(self):
        return [each for each in self.requests if each[0] in ("PUT", "DELETE")]

    def settings(self, **more):
        facts = {
            "credential": "environment",
            "client": None,
            "tenant": None,
            "management": self.address,
            "login": f"{self.address}/login",
            "vault": "https://vault.azure.net",
            "authority": None,
        }
        return SimpleNamespace(**{**facts, **more})

    # -- what it does

    def _store(self, zone, record, properties):
        self.count += 1
        self.zones[zone][record] = {"etag": f"etag-{self.count}", "properties": properties}
        return self.zones[zone][record]

    def token(self):
        self.count += 1
        made = f"token-{self.count}"
        self.tokens.add(made)
        return made

    def answer(self, method, path, query, headers, body):
        """Return (status, headers, value); the caller holds the lock."""
        parts = path.strip("/").split("/")
        if parts[0] == "login" or path.startswith("/metadata/identity/oauth2/token"):
            return self._hand_out(method, parts, query, headers, body)
        if headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens - self.refused_tokens:
            return 401, {}, {"error": {"code": "InvalidAuthenticationToken", "message": "who are you?"}}
        if parts[0] == "keys":
            return self._key(method, parts, body)
        return self._record(method, parts, headers, body)

    def _hand_out(self, method, parts, query, headers, body):
        if parts[0] != "login":
            if headers.get("Metadata") != "true" or query.get("resource") != [self.address]:
                return 400, {}, {"error": "invalid_request", "error_description": "Metadata header is missing"}
            return 200, {}, {"access_token": self.token()}
        form = urllib.parse.parse_qs(body.decode())
        if method != "POST" or form["client_assertion"] != ["the pipeline's own"]:
            return 400, {}, {"error": "invalid_client", "error_description": "AADSTS700213: no matching credential"}
        return 200, {}, {"access_token": self.token()}

    def _key(self, method, parts, body):
        key = self.keys.get(parts[1])
        if key is None:
            return 200, {}, {"key": {"kid": f"{self.address}/keys/{parts[1]}/0", "kty": "RSA-HSM"}}
        if method == "POST":
            asked = json.loads(body)
            digest = base64.urlsafe_b64decode(asked["value"] + "==")
            assert (asked["alg"], len(digest), parts[-1]) == ("ES256", 32, "sign")
            r, s = decode_dss_signature(key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256()))))
            raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
            return 200, {}, {"value": base64.urlsafe_b64encode(raw).rstrip(b"=").decode()}
        numbers = key.public_key().public_numbers()
        x, y = (
            base64.urlsafe_b64encode(axis.to_bytes(32, "big")).rstrip(b"=").decode() for axis in (numbers.x, numbers.y)
        )
        kid = f"{self.address}/keys/{parts[1]}/{hashlib.md5(x.encode(), usedforsecurity=False).hexdigest()}"
        return 200, {}, {"key": {"kid": kid, "kty": "EC-HSM", "crv": "P-256", "x": x, "y": y}}

    def _record(self, method, parts, headers, body):
        assert parts[:2] == ["subscriptions", SUBSCRIPTION]
        zone = (parts[3], parts[7])
        if zone not in self.zones:
            return 404, {}, {"error": {"code": "ParentResourceNotFound", "message": f"no zone {zone[1]}"}}
        if len(parts) == 8:
            return 200, {}, {"name": zone[1], "properties": {"nameServers": ["ns1.azure.example."]}}
        record = (parts[8], parts[9])
        if method != "GET" and self.before_write is not None:
            meddle, self.before_write = self.before_write, None
            meddle()
        found = self.zones[zone].get(record)
        if method == "GET":
            return (200, {}, found) if found else (404, {}, {"code": "NotFound", "message": "no such record"})
        wanted, none = headers.get("If-Match"), headers.get("If-None-Match")
        assert wanted or none == "*", "an unconditional write"
        if (wanted and (found is None or found["etag"] != wanted)) or (none and found is not None):
            return 412, {}, {"code": "PreconditionFailed", "message": "the condition is not met"}
        if method == "DELETE":
            del self.zones[zone][record]
            return 200, {}, {}
        return (200 if found else 201), {}, self._store(zone, record, json.loads(body)["properties"])


class _Handler(BaseHTTPRequestHandler):
    cloud: Azure
    protocol_version = "HTTP/1.0"

    def _serve(self):
        cloud = self.cloud
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        about_tokens = path.startswith(("/login", "/metadata"))
        with cloud.lock:
            cloud.requests.append((self.command, path, dict(self.headers)))
            trouble = cloud.troubles.pop(0) if cloud.troubles and not about_tokens else None
            if isinstance(trouble, tuple):
                status, headers, value = (*trouble, {"error": {"code": "TooManyRequests", "message": "slow down"}})
            else:
                asked = urllib.parse.parse_qs(query)
                status, headers, value = cloud.answer(self.command, path, asked, self.headers, body)
        if trouble == "lost":
            self.close_connection = True
            return
        data = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815 - the base class's names

    def log_message(self, *_arguments):
        """Say nothing."""


class World:
    """A run beside that cloud: requests go there for real; waits are noted, not waited."""

    def __init__(self, cloud, **settings):
        self.cloud, self.azure = cloud, cloud.settings(**settings)
        self.paused = []

    def carry_https(self, wish):
        sent = {**wish, "body": base64.b64encode(wish.get("body") or b"").decode()}
        answer = https_carrying.carry(sent, trust=self.cloud.trust)
        return answer if "error" in answer else {**answer, "body": base64.b64decode(answer["body"])}

    def pause(self, seconds, reason):
        self.paused.append(seconds)
        assert reason

    def resolve(self, name):
        return [{"ns1.azure.example": "203.0.113.53"}[name]]
