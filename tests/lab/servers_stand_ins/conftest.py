"""One lab for all tests of the stand-ins, made by the real program and removed at the end."""

from __future__ import annotations

import datetime
import functools
import os
import shutil
from collections.abc import Iterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from tests.lab.servers_stand_ins.conversation import bring, conversation
from tests.lab.servers_stand_ins.stand_ins import HERE, ROOT, Lab

from xmpp_infra.lab.servers import LAB


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
        pytest.skip("no images: `.ci/setup --for test` bakes them")
    lab = Lab(tmp_path_factory.mktemp("stand-ins"), "standins")
    try:
        up = lab.program("standalone", "up", "--stack", "lab")
        assert up.returncode == 0, f"the lab did not come up:\n{up.stdout}{up.stderr}"
        lab.run("users", "systemctl", "stop", "people.service")
        bring(lab)
        lab.put("fe1", "/root/sip_peer.py", (HERE / "sip_peer.py").read_text(encoding="utf-8"))
        for stem, name in (("gateway", "fe1.corp.example"), ("stranger", "stranger.corp.example")):
            certificate, key = _certificate(lab, name)
            lab.put("fe1", f"/root/{stem}.crt", certificate)
            lab.put("fe1", f"/root/{stem}.key", key)
        yield lab
    finally:
        down = lab.program("lab_provider.down")
        assert down.returncode == 0, f"the lab left something behind:\n{down.stdout}{down.stderr}"


@pytest.fixture
def traffic(lab: Lab):
    """Conversations between pairs of people; see conversation.py."""
    return functools.partial(conversation, lab)


@pytest.fixture
def tables(lab: Lab) -> Iterator[None]:
    """Puts homing and route of both pools back as they were."""
    before = {pool.host: lab.tables(pool.host) for pool in LAB.pools}
    yield
    for host, contents in before.items():
        for table, rows in contents.items():
            for key, value in rows.items():
                lab.rpc(host, "htable.sets", table, key, value)
