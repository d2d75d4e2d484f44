"""One certificate order by ACME with DNS-01 (RFC 8555), as a conversation: requests out, answers in.

Called by `issuer_acme`, which carries the requests, publishes the records and waits. Nothing here opens a connection,
reads a clock or keeps a key; so the account's key stays on the controller while the DNS writer talks to the authority.
(certbot's `acme` library talks to the network itself, and would bring seven packages to every controller.)
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

JOSE = "application/jose+json"
NONCE_ATTEMPTS = 10
"""A server may refuse any nonce with badNonce and wants another try (RFC 8555 section 6.5); pebble often does."""
PATIENCE = 300
"""Seconds waited in all for the authority to look at the records and to sign."""
LONGEST_PAUSE = 30
"""Seconds between two looks, whatever Retry-After says."""


class AcmeError(Exception):
    """The authority refused, or did not answer in ACME. `kind`: the problem's type, if it gave one."""

    def __init__(self, text, kind=""):
        super().__init__(text)
        self.kind = kind


@dataclass(frozen=True)
class Send:
    """Send this request and give its Answer back."""

    method: str
    url: str
    body: bytes | None = None
    accept: str = ""


@dataclass(frozen=True)
class Publish:
    """Put these TXT records into DNS ({name: [text, ...]}) and go on when every authoritative server serves them."""

    records: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Pause:
    """Wait so many seconds; `reason` is for people."""

    seconds: float
    reason: str


@dataclass(frozen=True)
class Answer:
    """What came back. Header names in lower case."""

    status: int
    headers: dict
    body: bytes

    def json(self):
        """Return the body as an object; raise AcmeError."""
        try:
            value = json.loads(self.body)
        except ValueError as error:
            raise AcmeError(f"the authority's answer ({self.status}) is not JSON") from error
        if not isinstance(value, dict):
            raise AcmeError(f"the authority's answer ({self.status}) is not an object")
        return value


def encoded(data):
    """Return base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class AccountKey:
    """The account's P-256 key as JOSE sees it."""

    def __init__(self, key):
        self._key = key
        numbers = key.public_key().public_numbers()
        self.public = {
            "crv": "P-256",
            "kty": "EC",
            "x": encoded(numbers.x.to_bytes(32, "big")),
            "y": encoded(numbers.y.to_bytes(32, "big")),
        }

    @property
    def thumbprint(self):
        """The key's thumbprint (RFC 7638): members in lexical order, without white space."""
        return encoded(hashlib.sha256(json.dumps(self.public, sort_keys=True, separators=(",", ":")).encode()).digest())

    def sign(self, protected, payload):
        """Return a flattened JWS. `payload` None means POST-as-GET (RFC 8555 section 6.3)."""
        head = encoded(json.dumps(protected).encode())
        text = "" if payload is None else encoded(json.dumps(payload).encode())
        signature = self._key.sign(f"{head}.{text}".encode(), ec.ECDSA(hashes.SHA256()))
        r, s = decode_dss_signature(signature)
        raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return json.dumps({"protected": head, "payload": text, "signature": encoded(raw)}).encode()


def challenge_name(name):
    """Return where the authority looks for the proof of a name (RFC 8555 section 8.4)."""
    return f"_acme-challenge.{name.removeprefix('*.')}"


def order_certificate(key, directory_url, names, request_der, *, email=""):
    """Converse: yields Send, Publish and Pause, is sent an Answer after each Send; returns the chain (PEM).

    `key`: AccountKey; `names`: those of the request. Raises AcmeError; what was published is the caller's to withdraw.
    """
    session = _Session(key)
    yield from session.open(directory_url, email)
    answer = yield from session.post(
        session.directory["newOrder"], {"identifiers": [{"type": "dns", "value": name} for name in names]}
    )
    order_url, order = answer.headers.get("location", ""), answer.json()
    if not order_url:
        raise AcmeError("the authority gave the order no address")
    yield from _prove(session, order)
    order = yield from session.until(order_url, ("ready", "valid"), "the authority to accept the names")
    if order["status"] == "ready":
        yield from session.post(order["finalize"], {"csr": encoded(request_der)})
        order = yield from session.until(order_url, ("valid",), "the authority to sign")
    answer = yield from session.post(order["certificate"], None, accept="application/pem-certificate-chain")
    return answer.body.decode("ascii", errors="replace")


def _prove(session, order):
    records, challenges = {}, []
    for url in order["authorizations"]:
        authorization = (yield from session.post(url, None)).json()
        if authorization["status"] == "valid":
            continue  # proved for an earlier order; the authority remembers for a while
        name = authorization["identifier"]["value"]
        found = next((item for item in authorization["challenges"] if item["type"] == "dns-01"), None)
        if found is None:
            raise AcmeError(f"the authority offers no proof by DNS for {name}")
        digest = hashlib.sha256(f"{found['token']}.{session.key.thumbprint}".encode()).digest()
        records.setdefault(challenge_name(name), []).append(encoded(digest))
        challenges.append((url, found["url"]))
    if not challenges:
        return
    yield Publish(records)
    for _authorization, challenge in challenges:
        yield from session.post(challenge, {})
    for authorization, _challenge in challenges:
        yield from session.until(authorization, ("valid",), "the authority to look at the records")


class _Session:
    """Directory, nonce and account address of one conversation."""

    def __init__(self, key):
        self.key, self.directory, self.nonce, self.account = key, {}, "", ""
        self.waited = 0.0

    def open(self, directory_url, email):
        answer = yield Send("GET", directory_url)
        if answer.status != 200:
            raise _problem(answer, directory_url)
        self.directory = answer.json()
        missing = [name for name in ("newNonce", "newAccount", "newOrder") if name not in self.directory]
        if missing:
            raise AcmeError(f"{directory_url} is not an ACME directory: it lacks {', '.join(missing)}")
        # An account that exists is found by its key (RFC 8555 section 7.3.1); nothing need be remembered of it.
        payload = {"termsOfServiceAgreed": True, **({"contact": [f"mailto:{email}"]} if email else {})}
        answer = yield from self.post(self.directory["newAccount"], payload)
        self.account = answer.headers.get("location", "")
        if not self.account:
            raise AcmeError("the authority gave the account no address")

    def post(self, url, payload, accept=""):
        for _attempt in range(NONCE_ATTEMPTS):
            if not self.nonce:
                fresh = yield Send("HEAD", self.directory["newNonce"])
                self.nonce = fresh.headers.get("replay-nonce", "")
                if not self.nonce:
                    raise AcmeError(f"{self.directory['newNonce']} gave no nonce")
            who = {"kid": self.account} if self.account else {"jwk": self.key.public}
            protected = {"alg": "ES256", "nonce": self.nonce, "url": url, **who}
            answer = yield Send("POST", url, self.key.sign(protected, payload), accept)
            self.nonce = answer.headers.get("replay-nonce", "")
            if answer.status < 400:
                return answer
            problem = _problem(answer, url)
            if problem.kind != "badNonce":
                raise problem
        raise AcmeError(f"the authority refused {NONCE_ATTEMPTS} nonces in a row")

    def until(self, url, wanted, what):
        pause = 1.0
        while True:
            answer = yield from self.post(url, None)
            found = answer.json()
            if found.get("status") in wanted:
                return found
            if found.get("status") in ("invalid", "expired", "revoked", "deactivated"):
                raise AcmeError(_why(found))
            if self.waited >= PATIENCE:
                raise AcmeError(f"waited {self.waited:.0f} s for {what}; it is still {found.get('status')}")
            asked = answer.headers.get("retry-after", "")
            seconds = min(float(asked) if asked.isdigit() and int(asked) else pause, LONGEST_PAUSE)
            self.waited += seconds
            pause = min(pause * 1.5, LONGEST_PAUSE)
            yield Pause(seconds, f"waiting for {what}")


def _why(found):
    errors = [item["error"] for item in found.get("challenges", []) if item.get("error")]
    errors += [found["error"]] if found.get("error") else []
    name = (found.get("identifier") or {}).get("value", "the order")
    told = "; ".join(str(error.get("detail", error)) for error in errors) or "no reason given"
    return f"{name} is {found.get('status')}: {told}"


def _problem(answer, url):
    """Return an answer of 400 and more as an AcmeError (RFC 7807, RFC 8555 section 6.7)."""
    try:
        document = answer.json()
    except AcmeError:
        return AcmeError(f"{url} answered {answer.status}")
    kind = str(document.get("type", "")).rpartition(":")[2]
    parts = [str(document.get("detail", ""))]
    parts += [
        f"{(item.get('identifier') or {}).get('value', '')}: {item.get('detail', '')}"
        for item in document.get("subproblems") or []
    ]
    later = answer.headers.get("retry-after", "")
    if later:
        parts.append(f"not before {later} (Retry-After)")
    return AcmeError(f"{kind or answer.status}: {'; '.join(part for part in parts if part)}", kind)
