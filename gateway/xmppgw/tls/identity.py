"""Our own certificate and key: read, checked as a pair, described.

Called by `context` and `reload`, and by the daemons' configuration check. A pair that fails here never reaches OpenSSL,
so that a wrong file at a reload leaves the running one in place.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey | Ed448PrivateKey
MAX_CHAIN = 10
"""Certificates in one chain, ours or a peer's."""
MAX_FILE_BYTES = 1 << 20
"""A certificate or key file larger than this is something else."""


class CertificateProblem(Exception):  # noqa: N818 - the word of the federation document for what an operator must fix
    """Our certificate, key or trust file cannot be used. The message says which file, what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate chain with its key.

    Attributes:
        chain: leaf first.
        key: private key of the leaf.
    """

    chain: tuple[x509.Certificate, ...]
    key: PrivateKey

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate that names us."""
        return self.chain[0]

    @property
    def not_after(self) -> datetime:
        """When the first certificate of the chain expires (UTC)."""
        return min(certificate.not_valid_after_utc for certificate in self.chain)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the leaf, lower case hexadecimal: tells two versions apart in a log line."""
        return self.leaf.fingerprint(hashes.SHA256()).hex()

    @classmethod
    def from_pem(cls, certificate: bytes, key: bytes, now: datetime, *, source: str = "the certificate") -> Identity:
        """Check and take a pair.

        Args:
            certificate: PEM, leaf first, then intermediates.
            key: PEM, not encrypted.
            now: to judge expiry, with time zone.
            source: what to call it in problems.

        Raises:
            CertificateProblem: unreadable, not a pair, broken chain, expired or not valid yet.
        """
        try:
            chain = tuple(x509.load_pem_x509_certificates(certificate))
        except ValueError as error:
            raise CertificateProblem(f"{source} is not a PEM certificate: {error}") from None
        if len(chain) > MAX_CHAIN:
            raise CertificateProblem(f"{source} holds {len(chain)} certificates, the limit is {MAX_CHAIN}")
        try:
            private = load_pem_private_key(key, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise CertificateProblem(f"the key of {source} cannot be read: {error}") from None
        if not isinstance(private, PrivateKey):
            raise CertificateProblem(f"the key of {source} is of a kind that TLS does not use here")
        if _public_bytes(private.public_key()) != _public_bytes(chain[0].public_key()):
            raise CertificateProblem(f"{source} and its key do not belong together; was only one of them replaced?")
        for issued, issuer in pairwise(chain):
            try:
                issued.verify_directly_issued_by(issuer)
            except (ValueError, TypeError, InvalidSignature):
                subject = issued.subject.rfc4514_string()
                raise CertificateProblem(
                    f"{source}: {subject} is not issued by the certificate that follows it; order them leaf first"
                ) from None
        for one in chain:
            if now > one.not_valid_after_utc:
                raise CertificateProblem(f"{source} has expired: {one.subject.rfc4514_string()}, {_day(one)}")
            if now < one.not_valid_before_utc:
                raise CertificateProblem(f"{source} is not valid yet; check the clock")
        return cls(chain, private)

    @classmethod
    def from_files(cls, certificate_file: Path, key_file: Path, now: datetime) -> Identity:
        """`from_pem` of two files.

        Raises:
            CertificateProblem: also when a file cannot be read.
        """
        return cls.from_pem(read_file(certificate_file), read_file(key_file), now, source=str(certificate_file))


def read_file(path: Path) -> bytes:
    """A small file.

    Raises:
        CertificateProblem: missing, unreadable, or larger than `MAX_FILE_BYTES`.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise CertificateProblem(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > MAX_FILE_BYTES:
        raise CertificateProblem(f"{path} is larger than {MAX_FILE_BYTES} bytes; that is no certificate")
    return data


def _public_bytes(key: object) -> bytes:
    assert hasattr(key, "public_bytes")
    data = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert isinstance(data, bytes)
    return data


def _day(certificate: x509.Certificate) -> str:
    return certificate.not_valid_after_utc.date().isoformat()
