"""Signs requests with a private authority whose key lies on the controller.

For the link and the SIP leg; for the public name only in the lab, or where every partner pins it. Called by
`issuing.obtain`. The key never goes to a host.
"""

from __future__ import annotations

import datetime
from pathlib import Path

from ansible_collections.xmppgw.migration.plugins.plugin_utils import certificate_judging as judging
from ansible_collections.xmppgw.migration.plugins.plugin_utils.issuing import IssuingError, Outcome, read_request
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

LIFETIME = datetime.timedelta(days=90)
"""Of an issued certificate: what public authorities give today."""
SIGNED_OVER = hashes.SHA256()
BACKDATED = datetime.timedelta(minutes=5)
"""Hosts whose clocks are slightly behind must accept the certificate at once."""


def obtain(orders, surroundings, now):
    """Return an Outcome with every order signed."""
    outcome = Outcome()
    for order in orders:
        folder = surroundings.authorities.get(order.wanted["authority"])
        if folder is None:
            raise IssuingError(
                f"no folder is configured for the certificate authority {order.wanted['authority']!r} "
                f"(migration_authorities)"
            )
        outcome.chains[order.name] = issue(order.request, order.wanted, load_authority(folder), now)
    return outcome


def load_authority(folder):
    """Return (certificate, key) of the authority in `folder` (ca.pem, key.pem); raise IssuingError.

    ca.pem may hold more than one certificate; the first is the one that signs.
    """
    try:
        certificate = judging.read_chain((Path(folder) / "ca.pem").read_text(encoding="ascii"))[0]
        key = serialization.load_pem_private_key((Path(folder) / "key.pem").read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise IssuingError(f"certificate authority in {folder}: {error}") from error
    if _der(key.public_key()) != _der(certificate.public_key()):
        raise IssuingError(f"certificate authority in {folder}: key.pem does not belong to ca.pem")
    return certificate, key


def _der(public_key):
    return public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def issue(request_pem, wanted, authority, now, digest=SIGNED_OVER):
    """Return the PEM chain (leaf, authority) for a request. `wanted`: subject, names, usages. `now`: UTC datetime."""
    public_key = read_request(request_pem).public_key()
    authority_certificate, authority_key = authority
    if authority_certificate.not_valid_after_utc <= now:
        raise IssuingError(f"the authority ended on {authority_certificate.not_valid_after_utc:%Y-%m-%d}")
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
        .add_extension(x509.ExtendedKeyUsage([judging.USAGES[usage] for usage in wanted["usages"]]), critical=False)
        .add_extension(signing_only(), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_certificate.public_key()), critical=False
        )
        .sign(authority_key, digest)
    )
    pem = serialization.Encoding.PEM
    return (certificate.public_bytes(pem) + authority_certificate.public_bytes(pem)).decode()


def signing_only(*, authority=False):
    """Return the key usage of a leaf, or of an authority."""
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
