"""Certificates from a real ACME authority (pebble), proved through a real name server (Knot), and what is refused.

Pebble is the one that the lab's host `acme` boots, from the same image.
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "playbooks" / "collections"))

from ansible_collections.xmppgw.migration.plugins.module_utils import https_carrying, packets  # noqa: E402
from ansible_collections.xmppgw.migration.plugins.plugin_utils import acme_protocol as acme  # noqa: E402
from ansible_collections.xmppgw.migration.plugins.plugin_utils import certificate_judging as judging  # noqa: E402
from ansible_collections.xmppgw.migration.plugins.plugin_utils import issuing  # noqa: E402
from ansible_collections.xmppgw.migration.plugins.plugin_utils.dns_challenge import Challenges  # noqa: E402
from ansible_collections.xmppgw.migration.plugins.plugin_utils.dns_rfc2136 import Rfc2136  # noqa: E402
from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402

from . import stage as stages  # noqa: E402

SKIP = stages.reason_to_skip() or (
    None if stages.ACME_IMAGE.is_dir() else f"needs the image at {stages.ACME_IMAGE}: .ci/setup --for test bakes it"
)
pytestmark = [pytest.mark.interop, pytest.mark.skipif(SKIP is not None, reason=SKIP or "")]

AUTHORITY, KNOT = stages.PROSODY, stages.EJABBERD
DIRECTORY = f"https://{AUTHORITY}:14000/dir"
SECRET = "c2VjcmV0IG9mIHRoaXMgdGVzdCBvbmx5ISEhISEhISE="
TSIG = SimpleNamespace(name="lab-update", algorithm="hmac-sha256", secret="lab-update")
DNS = SimpleNamespace(primary=KNOT, authoritative=[KNOT], zones=["corp.example"], tsig=TSIG)
NAMES = ["edge1.corp.example", "corp.example"]
WANTED = {
    "subject": NAMES[0],
    "names": NAMES,
    "usages": ["serverAuth"],
    "issuer": "acme",
    "authority": "public",
}


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


def listener_certificate(folder):
    """A self-signed certificate for pebble's own HTTPS; returns its path, which is also what the carrier trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pebble")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(AUTHORITY))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "pebble.pem").write_bytes(pem(certificate))
    (folder / "pebble.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    return folder / "pebble.pem"


KNOT_CONFIGURATION = f"""
server:
    listen: {KNOT}@53
    rundir: /tmp
key:
  - id: lab-update
    algorithm: hmac-sha256
    secret: {SECRET}
acl:
  - id: update
    key: lab-update
    action: [update]
database:
    storage: /tmp
zone:
  - domain: corp.example
    file: /tmp/corp.example.zone
    acl: update
"""
ZONE = """$TTL 60
@ SOA ns.corp.example. hostmaster.corp.example. 1 3600 600 86400 60
@ NS ns.corp.example.
ns A 203.0.113.12
"""


class World:
    """Pebble and Knot on a stage, and what a DNS writer there would carry."""

    def __init__(self, folder):
        self.stage = stages.Stage(folder)
        self.folder = folder
        root = self.stage.root("knot")
        (root / "etc/knot/knot.conf").write_text(KNOT_CONFIGURATION)
        (root / "tmp/corp.example.zone").write_text(ZONE)
        self.stage.start("knot", "/usr/sbin/knotd", "-c", "/etc/knot/knot.conf")
        inside = self.stage.root("pebble", stages.ACME_IMAGE)
        self.trust = listener_certificate(folder)
        for name in ("pebble.pem", "pebble.key"):
            (inside / "tmp" / name).write_bytes((folder / name).read_bytes())
        configuration = {
            "pebble": {
                "listenAddress": f"{AUTHORITY}:14000",
                "managementListenAddress": f"{AUTHORITY}:15000",
                "certificate": "/tmp/pebble.pem",
                "privateKey": "/tmp/pebble.key",
                "httpPort": 5002,
                "tlsPort": 5001,
            }
        }
        (inside / "tmp/pebble.json").write_text(json.dumps(configuration))
        # No sleeping before it validates; everything else as it comes: one nonce in twenty is refused.
        self.stage.start(
            "pebble", "/usr/bin/env", "PEBBLE_VA_NOSLEEP=1", "/usr/bin/pebble", "-config", "/tmp/pebble.json",
            "-strict", "-dnsserver", f"{KNOT}:53",
        )  # fmt: skip
        self.stage.wait_for_port("knot", KNOT, 53)
        self.stage.wait_for_port("pebble", AUTHORITY, 14000)
        self.published, self.withdrawn = [], []
        self.challenges = Challenges(Rfc2136(DNS, self), self.exchange)

    def secret(self, name):
        assert name == "tsig/lab-update"
        return SECRET

    def exchange(self, requests):
        with self.stage.inside():
            return packets.carry(requests)

    def carry(self, wish, trust=None):
        request = {
            "method": wish.method,
            "url": wish.url,
            "body": base64.b64encode(wish.body).decode() if wish.body else "",
            "content_type": acme.JOSE if wish.body else "",
            "accept": wish.accept,
        }
        with self.stage.inside():
            answer = https_carrying.carry(request, trust=Path(trust or self.trust).read_text())
        if "error" in answer:
            raise acme.AcmeError(answer["error"])
        headers = {name.lower(): value for name, value in answer["headers"].items()}
        return acme.Answer(answer["status"], headers, base64.b64decode(answer["body"]))

    def roots(self):
        answer = self.carry(acme.Send("GET", f"https://{AUTHORITY}:15000/roots/0"))
        return answer.body.decode()

    def publish(self, records):
        self.published.append(records)
        self.challenges.publish(records)

    def withdraw(self, records):
        self.withdrawn.append(records)
        self.challenges.withdraw(records)

    def surroundings(self, **more):
        facts = {
            "settings": {"directory": DIRECTORY, "email": "certificates@corp.example"},
            "account_folder": str(self.folder / "acme"),
            "carry_https": self.carry,
            "publish_txt": self.publish,
            "withdraw_txt": self.withdraw,
        }
        return issuing.Surroundings(**{**facts, **more})


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    made = World(tmp_path_factory.mktemp("acme"))
    yield made
    made.stage.stop()


def order(world, names=NAMES):
    key = ec.generate_private_key(ec.SECP256R1())
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])]))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return issuing.Order("edge1", "public", {**WANTED, "names": names}, pem(request).decode(), world.roots())


def now():
    return datetime.datetime.now(datetime.UTC)


def test_a_certificate_is_ordered_proved_and_fetched(world):
    wanted = order(world)
    outcome = issuing.obtain([wanted], world.surroundings(), now())
    leaf, *above = judging.read_chain(outcome.chains["public"])
    assert judging.dns_names(leaf) == sorted(NAMES)
    assert judging.public_half(leaf) == judging.public_half(issuing.read_request(wanted.request))
    assert above, "pebble signs with an intermediate, which must be in the chain"
    assert outcome.awaited == {}


def test_nothing_of_the_proof_is_left_in_the_zone(world):
    issuing.obtain([order(world)], world.surroundings(), now())
    assert world.withdrawn == world.published
    for records in world.published:
        assert sorted(world.challenges.unserved(records)) == sorted(f"{name} on {KNOT}" for name in records)


def test_a_renewal_with_the_same_account_gives_another_certificate(world):
    chains = [issuing.obtain([order(world)], world.surroundings(), now()).chains["public"] for _attempt in range(2)]
    first, second = (judging.read_chain(chain)[0] for chain in chains)
    assert first.serial_number != second.serial_number
    assert len(list((world.folder / "acme").iterdir())) == 1


def test_what_the_authority_says_of_a_missing_record_reaches_the_operator_and_nothing_stays(world):
    fresh = order(world, names=["unproved.corp.example"])
    withdrawn = []
    around = world.surroundings(publish_txt=lambda records: None, withdraw_txt=withdrawn.append)
    with pytest.raises(issuing.IssuingError) as refusal:
        issuing.obtain([fresh], around, now())
    assert refusal.value.code == "migration-acme"
    assert "unproved.corp.example is invalid" in str(refusal.value)
    assert len(withdrawn) == 1


def test_a_name_outside_our_zones_is_refused_before_anything_is_published(world):
    with pytest.raises(Exception, match=r"is in none of the zones corp\.example"):
        issuing.obtain([order(world, names=["edge.other.example"])], world.surroundings(), now())


def test_a_chain_that_ends_at_another_root_is_not_used(world):
    other = issuing.Order("edge1", "public", WANTED, order(world).request, world.trust.read_text())
    with pytest.raises(issuing.IssuingError, match="certificate-incomplete"):
        issuing.obtain([other], world.surroundings(), now())


def test_an_authority_that_cannot_be_trusted_or_is_none_is_said(world):
    # The system's roots only, as on a real DNS writer.
    around = world.surroundings(carry_https=lambda wish: world.carry(wish, "/etc/ssl/certs/ca-certificates.crt"))
    with pytest.raises(issuing.IssuingError, match=r"(?i)certificate verify failed"):
        issuing.obtain([order(world)], around, now())
    wrong = world.surroundings(settings={"directory": f"https://{AUTHORITY}:14000/nonce-plz"})
    with pytest.raises(issuing.IssuingError, match="answered"):
        issuing.obtain([order(world)], wrong, now())
    plain = world.surroundings(settings={"directory": f"http://{AUTHORITY}:14000/dir"})
    with pytest.raises(issuing.IssuingError, match="no https directory"):
        issuing.obtain([order(world)], plain, now())
