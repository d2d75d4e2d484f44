"""What is wrong with a certificate chain: key, names, usages, dates, order, completeness. Each finding has a code.

Used on the controller only: by the issuers on what comes in, by the planner on what stands on a host, and by `verify`
and `drift` on what is served. Pure: PEM and a time in, findings out.
"""

from __future__ import annotations

import datetime
import hashlib
import re
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

RENEW_BEFORE = datetime.timedelta(days=30)
"""A certificate with less than this left is due, or with less than a third of its life, whichever is shorter."""
CLOCKS_DIFFER = datetime.timedelta(minutes=5)
"""An authority's clock may be so far ahead of ours: what it has just signed is not called `not valid yet`."""
MAX_CHAIN = 10
"""Certificates of one chain that are looked at: real ones have two to four."""
MIN_RSA_BITS, MIN_EC_BITS = 2048, 256
WEAK_HASHES = (hashes.MD5, hashes.SHA1)

USAGES = {"serverAuth": ExtendedKeyUsageOID.SERVER_AUTH, "clientAuth": ExtendedKeyUsageOID.CLIENT_AUTH}

_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE [K]EY-----")
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. `code` is stable and documented in docs/codes.md; `text` says what was found."""

    code: str
    text: str

    def as_dict(self):
        """Return it as plain data for results and reports."""
        return {"code": self.code, "text": self.text}


def read_chain(pem):
    """Return the certificates of a PEM text, in their order. Raises ValueError with a reason."""
    if _KEY.search(pem):
        raise ValueError("it holds a private key; a certificate file must not")
    found = _CERTIFICATE.findall(pem)
    if not found:
        raise ValueError("there is no PEM certificate in it")
    if len(found) > MAX_CHAIN:
        raise ValueError(f"it holds {len(found)} certificates, more than {MAX_CHAIN}")
    try:
        return [x509.load_pem_x509_certificate(item.encode()) for item in found]
    except (ValueError, UnicodeEncodeError) as error:
        raise ValueError(f"a certificate in it cannot be read: {error}") from error


def read_roots(pem):
    """Return the certificates of a trust store, without those that cannot be read."""
    roots = []
    for item in _CERTIFICATE.findall(pem):
        try:
            roots.append(x509.load_pem_x509_certificate(item.encode()))
        except (ValueError, UnicodeEncodeError):
            continue
    return roots


def public_half(certificate_or_request):
    """Return the SHA-256 of the public key (DER) as hex: how a key is known without being seen."""
    der = certificate_or_request.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(der).hexdigest()


def fingerprint(certificate):
    """Return the SHA-256 of the certificate as hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def dns_names(certificate):
    """Return the dNSName entries, sorted."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    return sorted(names.get_values_for_type(x509.DNSName))


def usages(certificate):
    """Return the extended key usages by the names that this project gives them, others by their number; sorted."""
    try:
        found = set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except (x509.ExtensionNotFound, ValueError):
        return []
    words = {oid: name for name, oid in USAGES.items()}
    return sorted(words.get(oid, oid.dotted_string) for oid in found)


def due(certificate, now):
    """Return True if it is time to renew: less than 30 days or a third of its life is left."""
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    return certificate.not_valid_after_utc - now < min(RENEW_BEFORE, life / 3)


def covers(names, wanted):
    """Return True if one of `names` is `wanted`, or a wildcard for it as its whole left-most label (RFC 9525 6.3)."""
    wanted = wanted.lower()
    return any(name.lower() == wanted or name.lower() == f"*.{wanted.partition('.')[2]}" for name in names)


def issued_by(certificate, issuer):
    """Return True if `issuer` signed `certificate` directly."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return False
    return True


def examine(pem, wanted, roots_pem, now, *, public_key=None, exact=False):
    """Return every finding on a chain, worst first; an empty list means that it may be used.

    `wanted`: names, usages. `public_key`: SHA-256 of the public half of the key that it must belong to, or None.
    `exact`: further names and usages count as findings too (our own authority gives exactly what was asked for).
    """
    try:
        chain = read_chain(pem)
    except ValueError as error:
        return [Finding("certificate-unreadable", str(error))]
    leaf = chain[0]
    findings = _order(chain)
    if public_key is not None and public_half(leaf) != public_key:
        others = [number for number, item in enumerate(chain[1:], 2) if public_half(item) == public_key]
        place = f"; the one that does is number {others[0]} in the file" if others else ""
        findings.append(
            Finding("certificate-key", f"its first certificate does not belong to the key on the host{place}")
        )
    findings += _leaf(leaf, wanted, exact=exact)
    findings += dates(chain, now)
    findings += [item for certificate in chain for item in _strength(certificate)]
    untrusted = _trust(chain, read_roots(roots_pem))
    # Where one is missing in the middle, those above it only seem foreign.
    return findings + (untrusted or _foreign(chain))


def _path(chain):
    """Return the leaf and what issued it, each above the one before, as far as the chain goes."""
    path = [chain[0]]
    while above := next((item for item in chain if item not in path and issued_by(path[-1], item)), None):
        path.append(above)
    return path


def _order(chain):
    path = _path(chain)
    standing = [item for item in chain if item in path]
    for number, (found, wanted) in enumerate(zip(standing, path, strict=True), 1):
        if found != wanted:
            return [
                Finding(
                    "certificate-order",
                    f"certificate {number} must be {_name(wanted)}, the issuer of the one before; it is {_name(found)}",
                )
            ]
    return []


def _foreign(chain):
    path = _path(chain)
    return [
        Finding("certificate-foreign", f"certificate {number} ({_name(item)}) does not belong to this chain")
        for number, item in enumerate(chain, 1)
        if item not in path
    ]


def _missing(certificate):
    return Finding(
        "certificate-incomplete",
        f"the certificate of {certificate.issuer.rfc4514_string() or 'its issuer'}, which issued "
        f"{_name(certificate)}, is missing",
    )


def _trust(chain, roots):
    if not roots:
        return [Finding("certificate-untrusted", "there is no root to check it against")]
    certificate = chain[0]
    for _step in range(MAX_CHAIN):
        if any(issued_by(certificate, root) or certificate == root for root in roots):
            return []
        above = next((item for item in chain if item != certificate and issued_by(certificate, item)), None)
        if above is None:
            break
        if not _is_authority(above):
            return [Finding("certificate-untrusted", f"{_name(above)} issued a certificate but is no authority")]
        certificate = above
    if certificate.issuer == certificate.subject and issued_by(certificate, certificate):
        return [Finding("certificate-untrusted", f"it ends at {_name(certificate)}, which is not trusted here")]
    return [_missing(certificate)]


def _is_authority(certificate):
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def _leaf(leaf, wanted, *, exact):
    findings = []
    if _is_authority(leaf):
        findings.append(
            Finding("certificate-authority", f"its first certificate ({_name(leaf)}) is that of an authority")
        )
    names = dns_names(leaf)
    missing = [name for name in wanted["names"] if not covers(names, name)]
    if missing:
        findings.append(
            Finding(
                "certificate-names",
                f"it does not name {', '.join(missing)}; its names are {', '.join(names) or 'none'}",
            )
        )
    elif exact and set(names) != set(wanted["names"]):
        findings.append(Finding("certificate-names", f"names are {', '.join(names)}"))
    found = usages(leaf)
    lacking = [usage for usage in wanted["usages"] if usage not in found]
    if lacking:
        findings.append(
            Finding(
                "certificate-usage",
                f"its extended key usage lacks {', '.join(lacking)}; it has {', '.join(found) or 'none'}",
            )
        )
    elif exact and set(found) != set(wanted["usages"]):
        findings.append(Finding("certificate-usage", f"other usages: {', '.join(found)}"))
    return findings


def form(chain, wanted):
    """Return what is wrong with a chain whose root nobody here knows: order, names, usages, strength, strangers in it.

    `wanted`: names, usages. A leaf that names no usage at all may be used for any.
    """
    usage = wanted["usages"] if usages(chain[0]) else []
    findings = _order(chain) + _leaf(chain[0], {"names": wanted["names"], "usages": usage}, exact=False)
    if len(chain) == 1 and chain[0].issuer == chain[0].subject:
        findings.append(Finding("certificate-untrusted", "it is signed by nobody but itself"))
    return findings + [item for certificate in chain for item in _strength(certificate)] + _foreign(chain)


def dates(chain, now):
    """Return what is wrong with the dates of a chain alone."""
    return [item for certificate in chain for item in _dates(certificate, now, leaf=certificate is chain[0])]


def _dates(certificate, now, *, leaf):
    if certificate.not_valid_before_utc > now + CLOCKS_DIFFER:
        return [
            Finding(
                "certificate-dates",
                f"{_name(certificate)} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M}Z",
            )
        ]
    if certificate.not_valid_after_utc <= now:
        return [
            Finding("certificate-dates", f"{_name(certificate)} ended on {certificate.not_valid_after_utc:%Y-%m-%d}")
        ]
    if leaf and due(certificate, now):
        return [Finding("certificate-due", f"ends {certificate.not_valid_after_utc:%Y-%m-%d}")]
    return []


def _strength(certificate):
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < MIN_RSA_BITS:
        return [Finding("certificate-weak", f"{_name(certificate)} has an RSA key of {key.key_size} bits")]
    if isinstance(key, ec.EllipticCurvePublicKey) and key.key_size < MIN_EC_BITS:
        return [Finding("certificate-weak", f"{_name(certificate)} has an EC key of {key.key_size} bits")]
    self_signed = certificate.issuer == certificate.subject
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        algorithm = None
    if not self_signed and isinstance(algorithm, WEAK_HASHES):
        return [Finding("certificate-weak", f"{_name(certificate)} is signed with {algorithm.name}")]
    return []


def _name(certificate):
    names = dns_names(certificate)
    return certificate.subject.rfc4514_string() or (names[0] if names else f"serial {certificate.serial_number:x}")


def describe(certificate):
    """Return what people and reports want to know of a certificate. Public parts only."""
    return {
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "names": dns_names(certificate),
        "usages": usages(certificate),
        "not_before": certificate.not_valid_before_utc.isoformat(),
        "not_after": certificate.not_valid_after_utc.isoformat(),
        "fingerprint": fingerprint(certificate),
    }
