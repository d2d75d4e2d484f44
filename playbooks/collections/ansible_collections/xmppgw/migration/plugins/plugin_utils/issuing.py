"""Signs certificate requests with a private CA, and judges certificates that are already there.

Used on the controller only, by the actions `certificate` and `plan` (it needs cryptography). Names and usages come
from the
federation document; of a request only the public key is taken, after its own signature was checked.
"""

from __future__ import annotations

import datetime
import hashlib
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = datetime.timedelta(days=90)
"""Of an issued certificate: what public authorities give today."""
RENEW_BEFORE = datetime.timedelta(days=30)
"""A certificate with less than this left is replaced."""
BACKDATED = datetime.timedelta(minutes=5)
"""Hosts whose clocks are slightly behind must accept the certificate at once."""

USAGES = {"serverAuth": ExtendedKeyUsageOID.SERVER_AUTH, "clientAuth": ExtendedKeyUsageOID.CLIENT_AUTH}


class IssuingError(Exception):
    """A request that is not signed, an authority that cannot sign."""

    code = "migration-certificate"


def load_authority(folder):
    """Return (certificate, key) of the private CA in `folder` (ca.pem, key.pem); raise IssuingError."""
    try:
        certificate = x509.load_pem_x509_certificate((Path(folder) / "ca.pem").read_bytes())
        key = serialization.load_pem_private_key((Path(folder) / "key.pem").read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise IssuingError(f"certificate authority in {folder}: {error}") from error
    return certificate, key


def issue(request_pem, wanted, authority, now):
    """Return the PEM chain (leaf, authority) for a request. `wanted`: subject, names, usages. `now`: UTC datetime."""
    try:
        request = x509.load_pem_x509_csr(request_pem.encode())
    except ValueError as error:
        raise IssuingError(f"not a certificate request: {error}") from error
    if not request.is_signature_valid:
        raise IssuingError("the request is not signed with its own key")
    authority_certificate, authority_key = authority
    public_key = request.public_key()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, wanted["subject"])]))
        .issuer_name(authority_certificate.subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(min(now + LIFETIME, authority_certificate.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in wanted["names"]]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([USAGES[usage] for usage in wanted["usages"]]), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=False,
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_certificate.public_key()), critical=False
        )
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    return (certificate.public_bytes(pem) + authority_certificate.public_bytes(pem)).decode()


def problem_of(seen, wanted, authority_pem, now):
    """Return what is wrong with the certificate that was seen on a host, in a few words, or None if it is good.

    `seen`: {pem, public_key (SHA-256 of the key's public half)}; `wanted`: names, usages.
    """
    if not seen or not seen.get("pem"):
        return "absent"
    if not seen.get("public_key"):
        return "its key is absent"
    try:
        leaf = x509.load_pem_x509_certificates(seen["pem"].encode())[0]
    except (ValueError, IndexError):
        return "unreadable"
    public = leaf.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if hashlib.sha256(public).hexdigest() != seen["public_key"]:
        return "it does not belong to the key beside it"
    authority = x509.load_pem_x509_certificate(authority_pem.encode())
    try:
        leaf.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError):
        return "not signed by the configured authority"
    return _content_problem(leaf, wanted, now)


def _content_problem(leaf, wanted, now):
    try:
        names = set(
            leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
        )
        usages = set(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return "without names or usages"
    if names != set(wanted["names"]):
        return f"names are {', '.join(sorted(names))}"
    if usages != {USAGES[usage] for usage in wanted["usages"]}:
        return "other usages"
    if (
        leaf.not_valid_after_utc - now < RENEW_BEFORE
        and leaf.not_valid_after_utc - leaf.not_valid_before_utc > RENEW_BEFORE
    ):
        return f"ends {leaf.not_valid_after_utc:%Y-%m-%d}"
    return None
