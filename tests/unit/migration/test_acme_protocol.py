"""One order with an ACME authority, as a conversation: what is asked, published, and every way to be refused."""

import base64
import hashlib
import json

import pytest
from ansible_collections.xmppgw.migration.plugins.plugin_utils import acme_protocol as acme
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

BASE = "https://acme.example/"
DIRECTORY = {name: f"{BASE}{name}" for name in ("newNonce", "newAccount", "newOrder")}
NAMES = ["edge1.corp.example", "corp.example"]
CHAIN = "-----BEGIN CERTIFICATE-----\nleaf\n-----END CERTIFICATE-----\n"


def decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Authority:
    """Answers as RFC 8555 says. A test changes what it answers for one address."""

    def __init__(self):
        self.secret = ec.generate_private_key(ec.SECP256R1())
        self.asked, self.published, self.paused = [], [], []
        self.nonces = 0
        self.refuse_nonces = 0
        self.proved = False
        self.looks = 0
        """How often an authorization is pending before it is valid."""
        self.other = {}
        """Address to the Answer that is given instead."""

    def answer(self, status=200, body=b"", **headers):
        self.nonces += 1
        named = {"replay-nonce": f"n{self.nonces}", **{name.replace("_", "-"): text for name, text in headers.items()}}
        return acme.Answer(status, named, body if isinstance(body, bytes) else json.dumps(body).encode())

    def __call__(self, wish):
        self.asked.append((wish.method, wish.url.removeprefix(BASE)))
        if wish.method == "POST":
            payload = self.opened(wish)
            if self.refuse_nonces:
                self.refuse_nonces -= 1
                return self.answer(400, {"type": "urn:ietf:params:acme:error:badNonce", "detail": "again"})
        if wish.url in self.other:
            return self.other[wish.url]
        name = wish.url.removeprefix(BASE)
        if name == "dir":
            return self.answer(200, DIRECTORY)
        if name == "newNonce":
            return self.answer()
        if name == "newAccount":
            return self.answer(201, {}, location=f"{BASE}account/1")
        if name == "newOrder":
            assert [item["value"] for item in payload["identifiers"]] == NAMES
            return self.answer(201, self.order("pending"), location=f"{BASE}order/1")
        if name.startswith("authz/"):
            return self.answer(200, self.authorization(name.rpartition("/")[2]))
        if name.startswith("challenge/"):
            assert payload == {}
            return self.answer(200, {})
        if name == "order/1":
            return self.answer(200, self.order("valid" if ("POST", "finalize/1") in self.asked else "ready"))
        if name == "finalize/1":
            assert decoded(payload["csr"]) == b"request"
            return self.answer(200, self.order("processing"))
        assert name == "certificate/1", name
        return self.answer(200, CHAIN.encode())

    def order(self, status):
        return {
            "status": status,
            "authorizations": [f"{BASE}authz/{number}" for number in range(len(NAMES))],
            "finalize": f"{BASE}finalize/1",
            "certificate": f"{BASE}certificate/1",
        }

    def authorization(self, number):
        challenged = ("POST", f"challenge/{number}") in self.asked
        valid = self.proved or (challenged and self.looks <= 0)
        self.looks -= challenged
        return {
            "status": "valid" if valid else "pending",
            "identifier": {"type": "dns", "value": NAMES[int(number)]},
            "challenges": [
                {"type": "http-01", "url": f"{BASE}no", "token": "x"},
                {"type": "dns-01", "url": f"{BASE}challenge/{number}", "token": f"token{number}"},
            ],
        }

    def opened(self, wish):
        """The payload of a request, after its signature was checked."""
        message = json.loads(wish.body)
        raw = decoded(message["signature"])
        pair = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
        signed = f"{message['protected']}.{message['payload']}".encode()
        self.secret.public_key().verify(pair, signed, ec.ECDSA(hashes.SHA256()))
        protected = json.loads(decoded(message["protected"]))
        assert protected["url"] == wish.url
        assert protected["nonce"] == f"n{self.nonces}", "every nonce is used once, the latest"
        assert ("jwk" in protected) == wish.url.endswith("newAccount")
        return json.loads(decoded(message["payload"])) if message["payload"] else None

    def converse(self):
        """Let the client go to its end; its chain."""
        talk = acme.order_certificate(
            acme.AccountKey(self.secret), f"{BASE}dir", NAMES, b"request", email="pki@corp.example"
        )
        answer = None
        try:
            while True:
                wish = talk.send(answer)
                answer = None
                if isinstance(wish, acme.Send):
                    answer = self(wish)
                elif isinstance(wish, acme.Publish):
                    self.published.append(wish.records)
                else:
                    self.paused.append(wish.seconds)
        except StopIteration as done:
            return done.value


@pytest.fixture
def authority():
    return Authority()


def problem(kind, detail, **more):
    body = {"type": f"urn:ietf:params:acme:error:{kind}", "detail": detail, **more}
    return acme.Answer(403, {"replay-nonce": "n", "retry-after": "3600"}, json.dumps(body).encode())


def test_names_are_proved_by_records_before_the_authority_is_told_to_look(authority):
    assert authority.converse() == CHAIN
    key = acme.AccountKey(authority.secret)
    wanted = {
        f"_acme-challenge.{name}": [acme.encoded(hashlib.sha256(f"token{n}.{key.thumbprint}".encode()).digest())]
        for n, name in enumerate(NAMES)
    }
    assert authority.published == [wanted]
    assert authority.paused == []


def test_the_thumbprint_is_that_of_rfc_7638():
    # Members in lexical order, no white space; the digest of just that text.
    key = acme.AccountKey(ec.generate_private_key(ec.SECP256R1()))
    text = f'{{"crv":"P-256","kty":"EC","x":"{key.public["x"]}","y":"{key.public["y"]}"}}'
    assert key.thumbprint == acme.encoded(hashlib.sha256(text.encode()).digest())


def test_a_name_that_is_proved_already_needs_no_record(authority):
    authority.proved = True
    assert authority.converse() == CHAIN
    assert authority.published == []


def test_a_refused_nonce_is_tried_again_but_not_for_ever(authority):
    authority.refuse_nonces = acme.NONCE_ATTEMPTS - 1
    assert authority.converse() == CHAIN
    authority.refuse_nonces = 10**6
    with pytest.raises(acme.AcmeError, match="nonces in a row"):
        authority.converse()


def test_it_looks_again_with_growing_pauses(authority):
    authority.looks = 3
    assert authority.converse() == CHAIN
    assert authority.paused == [1.0, 1.5, 2.25]


def test_patience_ends_and_says_what_was_waited_for(authority):
    authority.looks = 10**6
    with pytest.raises(acme.AcmeError, match="for the authority to look at the records; it is still pending"):
        authority.converse()
    assert sum(authority.paused) >= acme.PATIENCE
    assert max(authority.paused) <= acme.LONGEST_PAUSE


@pytest.mark.parametrize(("asked", "waited"), [("7", 7.0), ("86400", acme.LONGEST_PAUSE), ("soon", 1.0), ("0", 1.0)])
def test_retry_after_is_kept_within_reason(authority, asked, waited):
    authority.looks = 1
    plain = authority.answer
    authority.answer = lambda status=200, body=b"", **headers: plain(status, body, retry_after=asked, **headers)
    authority.converse()
    assert authority.paused == [waited]


@pytest.mark.parametrize(
    ("address", "answer", "words"),
    [
        ("dir", acme.Answer(404, {}, b"nothing"), "dir answered 404"),
        ("dir", acme.Answer(200, {}, b"<html>"), "is not JSON"),
        ("dir", acme.Answer(200, {}, b"[]"), "is not an object"),
        ("dir", acme.Answer(200, {}, b"{}"), "lacks newNonce, newAccount, newOrder"),
        ("newNonce", acme.Answer(200, {}, b""), "gave no nonce"),
        ("newAccount", acme.Answer(201, {"replay-nonce": "n3"}, b"{}"), "account no address"),
        ("newAccount", problem("externalAccountRequired", "a contract is needed"), "a contract is needed"),
        ("newOrder", problem("rateLimited", "too many"), r"rateLimited: too many; not before 3600 \(Retry-After\)"),
        (
            "newOrder",
            problem(
                "rejectedIdentifier",
                "no",
                subproblems=[{"identifier": {"value": "corp.example"}, "detail": "CAA forbids"}],
            ),
            "corp.example: CAA forbids",
        ),
        (
            "authz/1",
            acme.Answer(
                200,
                {},
                json.dumps(
                    {
                        "status": "pending",
                        "identifier": {"value": "corp.example"},
                        "challenges": [{"type": "http-01"}],
                    }
                ).encode(),
            ),
            "offers no proof by DNS for corp.example",
        ),
    ],
)
def test_what_the_authority_refuses_reaches_the_operator(authority, address, answer, words):
    authority.other[f"{BASE}{address}"] = answer
    with pytest.raises(acme.AcmeError, match=words):
        authority.converse()


def test_an_order_without_address_and_one_that_turns_invalid(authority):
    authority.other[f"{BASE}newOrder"] = acme.Answer(201, {"replay-nonce": "n"}, json.dumps({}).encode())
    with pytest.raises(acme.AcmeError, match="order no address"):
        authority.converse()
    other = Authority()
    failed = {
        "status": "invalid",
        "identifier": {"value": "corp.example"},
        "challenges": [{"type": "dns-01", "error": {"detail": "NXDOMAIN looking up TXT"}}],
    }
    plain = other.authorization
    other.authorization = lambda number: failed if ("POST", f"challenge/{number}") in other.asked else plain(number)
    with pytest.raises(acme.AcmeError, match=r"corp\.example is invalid: NXDOMAIN looking up TXT"):
        other.converse()
    assert len(other.published) == 1, "the caller withdraws what was published"


def test_a_wildcard_is_proved_at_its_base_name():
    assert acme.challenge_name("*.corp.example") == "_acme-challenge.corp.example"
