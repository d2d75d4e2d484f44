"""Resources CertificateAuthority, Certificate and SshKey: keys stay in `.lab/` (0600), state gets public parts.

The private CA keys are also what the `private_ca` issuer of the migration signs with; they never reach a lab host.
"""

from __future__ import annotations

import datetime
import shutil
import subprocess
from pathlib import Path
from typing import cast

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab_provider.kinds import Kind, Made, Properties, ResourceError
from lab_provider.places import Places, write_private

# Peers' clocks may be behind ours; Debian's own CA tooling back-dates by less, an hour costs nothing in a lab.
BACKDATE = datetime.timedelta(hours=1)


class AuthorityInputs(msgspec.Struct, forbid_unknown_fields=True):
    """A self-signed CA: its common name and life in days."""

    name: str
    common_name: str
    days: int = 3650


class CertificateInputs(msgspec.Struct, forbid_unknown_fields=True):
    """A leaf certificate; `authority_fingerprint` ties it to one CA key, so that a new CA means new certificates."""

    name: str
    authority: str
    authority_fingerprint: str
    dns_names: list[str]
    server_auth: bool = True
    client_auth: bool = True
    days: int = 397


class SshKeyInputs(msgspec.Struct, forbid_unknown_fields=True):
    """The key with which the controller enters the lab's hosts."""

    comment: str = "xmppgw-lab"


def authority_directory(places: Places, name: str) -> Path:
    """Where a CA's `ca.pem` and `key.pem` are."""
    return places.lab / "ca" / name


def certificate_files(places: Places, name: str) -> tuple[Path, Path]:
    """Certificate and key of a leaf on the controller."""
    return places.lab / "certs" / f"{name}.crt", places.lab / "certs" / f"{name}.key"


def _fingerprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex()


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_private(path, pem)


def _current(path: Path) -> x509.Certificate | None:
    """The certificate in a file, None if there is none or it is past two thirds of its life (then a new one is due)."""
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    due = certificate.not_valid_before_utc + life * 2 / 3
    return certificate if datetime.datetime.now(datetime.UTC) < due else None


def _public(certificate: x509.Certificate) -> Properties:
    return {
        "certificate_pem": certificate.public_bytes(serialization.Encoding.PEM).decode(),
        "fingerprint": _fingerprint(certificate),
        "not_after": certificate.not_valid_after_utc.isoformat(),
    }


class CertificateAuthority(Kind[AuthorityInputs]):
    """A certificate authority of the lab: `public` stands for public CAs, `private` is the organisation's own."""

    inputs_type = AuthorityInputs
    replaced_by = frozenset({"name", "common_name", "days"})

    def create(self, name: str, inputs: AuthorityInputs) -> Made:
        """Make the key and the self-signed certificate; a complete pair that is there is adopted."""
        directory = authority_directory(self.places, inputs.name)
        present = _current(directory / "ca.pem")
        if present is not None and (directory / "key.pem").exists():
            return Made(inputs.name, _public(present))
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, inputs.common_name)])
        now = datetime.datetime.now(datetime.UTC)
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATE)
            .not_valid_after(now + datetime.timedelta(days=inputs.days))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .add_extension(identifier, critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
            .sign(key, hashes.SHA256())
        )
        _write_key(directory / "key.pem", key)
        write_private(directory / "ca.pem", certificate.public_bytes(serialization.Encoding.PEM))
        return Made(inputs.name, _public(certificate))

    def read(self, identity: str, inputs: AuthorityInputs, outputs: Properties) -> Properties | None:
        """Gone when a file is missing."""
        directory = authority_directory(self.places, identity)
        certificate = _current(directory / "ca.pem")
        return _public(certificate) if certificate is not None and (directory / "key.pem").exists() else None

    def delete(self, identity: str, inputs: AuthorityInputs) -> None:
        """Remove key and certificate."""
        shutil.rmtree(authority_directory(self.places, inputs.name), ignore_errors=True)


class Certificate(Kind[CertificateInputs]):
    """The certificate of one of the lab's stand-ins."""

    inputs_type = CertificateInputs
    replaced_by = frozenset(
        {"name", "authority", "authority_fingerprint", "dns_names", "server_auth", "client_auth", "days"}
    )

    def create(self, name: str, inputs: CertificateInputs) -> Made:
        """Make key and certificate, signed by the named CA."""
        directory = authority_directory(self.places, inputs.authority)
        issuer = x509.load_pem_x509_certificate((directory / "ca.pem").read_bytes())
        if _fingerprint(issuer) != inputs.authority_fingerprint:
            raise ResourceError(f"the CA {inputs.authority} in {directory} is not the one that this stack made")
        loaded = serialization.load_pem_private_key((directory / "key.pem").read_bytes(), password=None)
        issuer_key = cast(ec.EllipticCurvePrivateKey, loaded)
        usages = [ExtendedKeyUsageOID.SERVER_AUTH] * inputs.server_auth + [
            ExtendedKeyUsageOID.CLIENT_AUTH
        ] * inputs.client_auth
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, inputs.dns_names[0][:64])]))
            .issuer_name(issuer.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATE)
            .not_valid_after(now + datetime.timedelta(days=inputs.days))
            .add_extension(
                x509.SubjectAlternativeName([x509.DNSName(name) for name in inputs.dns_names]), critical=False
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                    issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
                ),
                critical=False,
            )
            .sign(issuer_key, hashes.SHA256())
        )
        certificate_file, key_file = certificate_files(self.places, inputs.name)
        _write_key(key_file, key)
        write_private(certificate_file, certificate.public_bytes(serialization.Encoding.PEM))
        return Made(inputs.name, _public(certificate))

    def read(self, identity: str, inputs: CertificateInputs, outputs: Properties) -> Properties | None:
        """Gone when a file is missing or the certificate is due for renewal."""
        certificate_file, key_file = certificate_files(self.places, identity)
        certificate = _current(certificate_file)
        return _public(certificate) if certificate is not None and key_file.exists() else None

    def delete(self, identity: str, inputs: CertificateInputs) -> None:
        """Remove key and certificate from the controller; the copy on the host goes with the host."""
        for path in certificate_files(self.places, inputs.name):
            path.unlink(missing_ok=True)


class SshKey(Kind[SshKeyInputs]):
    """The controller's key; `.lab/ssh/id_ed25519`."""

    inputs_type = SshKeyInputs
    replaced_by = frozenset({"comment"})

    def create(self, name: str, inputs: SshKeyInputs) -> Made:
        """Make the key pair unless there is one."""
        path = self.places.lab / "ssh" / "id_ed25519"
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self.read("", inputs, {}) is None:
            path.unlink(missing_ok=True)
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", inputs.comment, "-f", str(path)]
            subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)
        return Made("ssh", {"public_key": path.with_suffix(".pub").read_text().strip(), "private_key_path": str(path)})

    def read(self, identity: str, inputs: SshKeyInputs, outputs: Properties) -> Properties | None:
        """Gone when either half is missing."""
        path = self.places.lab / "ssh" / "id_ed25519"
        if not path.exists() or not path.with_suffix(".pub").exists():
            return None
        return {"public_key": path.with_suffix(".pub").read_text().strip(), "private_key_path": str(path)}

    def delete(self, identity: str, inputs: SshKeyInputs) -> None:
        """Remove both halves."""
        path = self.places.lab / "ssh" / "id_ed25519"
        path.unlink(missing_ok=True)
        path.with_suffix(".pub").unlink(missing_ok=True)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
