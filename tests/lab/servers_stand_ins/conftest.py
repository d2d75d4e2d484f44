"""One lab for all tests of the stand-ins, made by the real program and removed at the end."""

from __future__ import annotations

import datetime
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from tests.lab.servers_stand_ins.stand_ins import HERE, ROOT, Lab

from xmpp_infra.lab.servers import LAB

PERSONS = {f"{user}@{partner.domain}": partner.address.ipv4 for partner in LAB.partners for user in partner.users}


def _certificate(lab: Lab, name: str) -> tuple[str, str]:
    """Certificate and key in PEM for `name`, from the lab's private authority."""
    directory = lab.directory / "ca" / "private"
    authority = x509.load_pem_x509_certificate((directory / "ca.pem").read_bytes())
    signer = serialization.load_pem_private_key((directory / "key.pem").read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .sign(signer, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(pem).decode(), private.decode()


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    if os.geteuid() != 0:
        pytest.skip("a lab needs root")
    if shutil.which("systemd-nspawn") is None:
        pytest.skip("a lab needs systemd-nspawn (package systemd-container)")
    if not (ROOT / ".cache" / "images" / "current-servers").exists():
        pytest.skip("no images: run `make setup` once (python -m lab_provider.image bake)")
    lab = Lab(tmp_path_factory.mktemp("stand-ins"), "standins")
    try:
        up = lab.program("standalone", "up", "--stack", "lab")
        assert up.returncode == 0, f"the lab did not come up:\n{up.stdout}{up.stderr}"
        lab.run("users", "systemctl", "stop", "people.service")
        lab.put("users", "/root/traffic.py", (HERE / "traffic.py").read_text(encoding="utf-8"))
        lab.put("fe1", "/root/sip_peer.py", (HERE / "sip_peer.py").read_text(encoding="utf-8"))
        for stem, name in (("gateway", "fe1.corp.example"), ("stranger", "stranger.corp.example")):
            certificate, key = _certificate(lab, name)
            lab.put("fe1", f"/root/{stem}.crt", certificate)
            lab.put("fe1", f"/root/{stem}.key", key)
        yield lab
    finally:
        down = lab.program("lab_provider.down")
        assert down.returncode == 0, f"the lab left something behind:\n{down.stdout}{down.stderr}"


@dataclass
class Traffic:
    """The result of a stretch of traffic, there once the block that made it has ended."""

    result: dict[str, object] = field(default_factory=dict)

    def __getattr__(self, name: str) -> object:
        return self.result[name]


@pytest.fixture
def traffic(lab: Lab):
    """A context: numbered messages flow between the pairs while its block runs, and are counted at its end.

    With `count` exactly so many are sent in each direction, and the block may end earlier.
    """

    @contextmanager
    def flow(
        pairs: list[tuple[str, str]],
        count: int | None = None,
        rate: float = 20.0,
        proxy: str = LAB.pools[1].address.ipv4,
        elsewhere: bool = False,
        notices: int = 0,
    ) -> Iterator[Traffic]:
        people = {xmpp: (PERSONS[xmpp], lab.secrets[f"xmpp/{xmpp}"]) for _, xmpp in pairs if xmpp in PERSONS}
        orders = {
            "people": {} if elsewhere else people,
            "pairs": pairs,
            "count": count,
            "rate": rate,
            "proxy": proxy,
            "elsewhere": elsewhere,
            "notices": notices,
        }
        process = lab.start("users", "python3", "/root/traffic.py")
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(orders) + "\n")
        process.stdin.flush()
        first = process.stdout.readline()
        if first != "ready\n":
            process.kill()
            raise AssertionError(f"traffic did not begin: {first}{process.communicate()}")
        seen = Traffic()
        try:
            yield seen
        finally:  # a block that failed must not leave its traffic to the next one
            output, errors = process.communicate("stop\n", timeout=120)
        assert process.returncode == 0, f"traffic failed:\n{output}{errors}"
        seen.result.update(json.loads(output))

    return flow


@pytest.fixture
def tables(lab: Lab) -> Iterator[None]:
    """Puts homing and route of both pools back as they were."""
    before = {pool.host: lab.tables(pool.host) for pool in LAB.pools}
    yield
    for host, contents in before.items():
        for table, rows in contents.items():
            for key, value in rows.items():
                lab.rpc(host, "htable.sets", table, key, value)
