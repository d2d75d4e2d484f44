"""Is this certificate chain trusted, and for which names: two separate facts and a reason for people.

Called by the edge once a stream has named its domain, and by `MemoryTls` checks on link and SIP legs. Peers are judged
*as servers* in both directions: public CAs no longer issue clientAuth. Names follow RFC 9525: DNS-ID with a wildcard
only as the whole left-most label, SRV-ID, XmppAddr; the common name is never read.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import crypto

from xmppgw.xmpp.address import AddressError, domain_to_ascii, prepare_domain

from .identity import MAX_CHAIN, CertificateProblem, read_file
from .memory import PeerCheck

_SRV_ID = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.7")
_XMPP_ADDR = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.5")
_XMPP_SERVICE = "_xmpp-server."
_IA5_STRING, _UTF8_STRING = 0x16, 0x0C
_PEM_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME, which pyOpenSSL does not name."""
MIN_RSA_BITS = 2048
MIN_EC_BITS = 256
MAX_NAMES = 256
"""Alternative names of one certificate that are looked at."""


class ChainStatus(StrEnum):
    """What is to be said about the chain; the value is the metric label."""

    VALID = "valid"
    PINNED = "pinned"
    NONE = "none"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    SELF_SIGNED = "self_signed"
    UNKNOWN_ISSUER = "unknown_issuer"
    WRONG_PURPOSE = "wrong_purpose"
    WEAK = "weak"
    NOT_PINNED = "not_pinned"
    INVALID = "invalid"


class IdentityStatus(StrEnum):
    """What is to be said about the name; the value is the metric label."""

    VALID = "valid"
    MISMATCH = "mismatch"
    UNCHECKED = "unchecked"


_REASONS: dict[ChainStatus, str] = {
    ChainStatus.VALID: "is valid",
    ChainStatus.PINNED: "is pinned for this partner",
    ChainStatus.NONE: "was not presented",
    ChainStatus.EXPIRED: "has expired",
    ChainStatus.NOT_YET_VALID: "is not valid yet",
    ChainStatus.SELF_SIGNED: "is self-signed",
    ChainStatus.UNKNOWN_ISSUER: "was issued by an authority that is not trusted here, or an intermediate is missing",
    ChainStatus.WRONG_PURPOSE: "is not meant for servers",
    ChainStatus.WEAK: "uses a key or signature that is too weak",
    ChainStatus.NOT_PINNED: "is not one of those pinned for this partner",
    ChainStatus.INVALID: "is not valid",
}
"""Completes "Your server's certificate ..."."""

# X509_V_ERR_* of OpenSSL's x509_vfy.h.
_OPENSSL_STATUS: dict[int, ChainStatus] = {
    2: ChainStatus.UNKNOWN_ISSUER,
    18: ChainStatus.SELF_SIGNED,
    19: ChainStatus.UNKNOWN_ISSUER,
    20: ChainStatus.UNKNOWN_ISSUER,
    21: ChainStatus.UNKNOWN_ISSUER,
    26: ChainStatus.WRONG_PURPOSE,
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found out about a peer's certificate for one domain.

    Attributes:
        chain: trusted or why not.
        identity: whether it names the domain.
        reason: completes "Your server's certificate ...".
        fingerprint: SHA-256 of the leaf in lower case hexadecimal, or the empty string.
    """

    chain: ChainStatus
    identity: IdentityStatus
    reason: str
    fingerprint: str = ""

    @property
    def trusted(self) -> bool:
        """Whether it proves the domain."""
        return self.chain in (ChainStatus.VALID, ChainStatus.PINNED) and self.identity is IdentityStatus.VALID


class TrustStore:
    """The authorities that may vouch for partners. Build once, use for every verification.

    Args:
        certificates: trust anchors.
    """

    def __init__(self, certificates: Iterable[x509.Certificate]) -> None:
        self._store = crypto.X509Store()
        # A second `X509Store.set_time` changes nothing (OpenSSL only fills in what is unset): a daemon would judge all
        # its life by the hour of its first partner. So validity is ours to check, with the caller's time.
        self._store.set_flags(_NO_CHECK_TIME)
        self.size = 0
        """How many anchors it holds."""
        for certificate in certificates:
            self._store.add_cert(crypto.X509.from_cryptography(certificate))
            self.size += 1

    @classmethod
    def from_pem(cls, *bundles: bytes) -> TrustStore:
        """From PEM bundles; certificates that occur twice count once.

        Raises:
            CertificateProblem: a bundle holds no readable certificate.
        """
        found: dict[bytes, x509.Certificate] = {}
        for bundle in bundles:
            certificates = list(_readable(bundle))
            if not certificates:
                raise CertificateProblem("a trust file holds no PEM certificate")
            found |= {certificate.fingerprint(hashes.SHA256()): certificate for certificate in certificates}
        return cls(found.values())

    @classmethod
    def from_files(cls, *paths: Path) -> TrustStore:
        """`from_pem` of files.

        Raises:
            CertificateProblem: also when a file cannot be read.
        """
        return cls.from_pem(*(read_file(path) for path in paths))

    def check(self, chain: Sequence[x509.Certificate], now: datetime) -> ChainStatus:
        """Signatures, validity, constraints, purpose and strength of a chain, leaf first."""
        leaf, *rest = chain
        context = crypto.X509StoreContext(
            self._store,
            crypto.X509.from_cryptography(leaf),
            [crypto.X509.from_cryptography(certificate) for certificate in rest],
        )
        try:
            verified = context.get_verified_chain()
        except crypto.X509StoreContextError as error:
            return _OPENSSL_STATUS.get(error.errors[0], ChainStatus.INVALID)
        path = [certificate.to_cryptography() for certificate in verified]
        for certificate in path:
            if now > certificate.not_valid_after_utc:
                return ChainStatus.EXPIRED
            if now < certificate.not_valid_before_utc:
                return ChainStatus.NOT_YET_VALID
        if not _for_servers(leaf):
            return ChainStatus.WRONG_PURPOSE
        if not all(_strong(certificate, anchor=index == len(path) - 1) for index, certificate in enumerate(path)):
            return ChainStatus.WEAK
        return ChainStatus.VALID


def _readable(bundle: bytes) -> Iterator[x509.Certificate]:
    """The certificates of a bundle. One odd root among the system's hundred must not cost the others."""
    for block in _PEM_BLOCK.findall(bundle):
        with warnings.catch_warnings():
            # Some public roots have serial numbers that RFC 5280 forbids; whether to trust them is the system's choice.
            warnings.simplefilter("ignore")
            with suppress(ValueError):
                yield x509.load_pem_x509_certificate(block)


def verify_server(
    chain: Sequence[bytes], domain: str, now: datetime, store: TrustStore, pins: Iterable[str] = ()
) -> Verdict:
    """Judge a peer's chain as that of the XMPP server of `domain`.

    Args:
        chain: DER, leaf first, as presented.
        domain: normalised domain of the stream, never an SRV target (RFC 6120 13.7.2.1).
        now: with time zone.
        store: trust anchors; not consulted where there are pins (RFC 6120 13.6).
        pins: SHA-256 fingerprints of leaf certificates, hexadecimal. A pin stands for chain and name, not for expiry.
    """
    if not chain:
        return _verdict(ChainStatus.NONE, IdentityStatus.UNCHECKED)
    try:
        certificates = [x509.load_der_x509_certificate(der) for der in chain[:MAX_CHAIN]]
        leaf = certificates[0]
        fingerprint = leaf.fingerprint(hashes.SHA256()).hex()
        wanted = {pin.replace(":", "").lower() for pin in pins}
        if wanted:
            return _verdict(_check_pin(leaf, fingerprint, wanted, now), IdentityStatus.VALID, fingerprint)
        status = store.check(certificates, now)
        identity = IdentityStatus.VALID if names_domain(leaf, domain) else IdentityStatus.MISMATCH
    except ValueError:
        # Whatever of it cannot be parsed cannot be trusted either.
        return _verdict(ChainStatus.INVALID, IdentityStatus.UNCHECKED)
    return _verdict(status, identity, fingerprint)


def _verdict(chain: ChainStatus, identity: IdentityStatus, fingerprint: str = "") -> Verdict:
    reason = _REASONS[chain]
    if chain is ChainStatus.VALID and identity is IdentityStatus.MISMATCH:
        reason = "is not valid for your domain"
    return Verdict(chain, identity, reason, fingerprint)


def _check_pin(leaf: x509.Certificate, fingerprint: str, pins: set[str], now: datetime) -> ChainStatus:
    if fingerprint not in pins:
        return ChainStatus.NOT_PINNED
    if now > leaf.not_valid_after_utc:
        return ChainStatus.EXPIRED
    return ChainStatus.NOT_YET_VALID if now < leaf.not_valid_before_utc else ChainStatus.PINNED


def _for_servers(leaf: x509.Certificate) -> bool:
    """Extended key usage, where there is one, includes serverAuth (RFC 5280 4.2.1.12)."""
    try:
        usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return ExtendedKeyUsageOID.SERVER_AUTH in usages or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usages


def _strong(certificate: x509.Certificate, *, anchor: bool) -> bool:
    """Key size, and signature hash unless it is the anchor, whose signature nobody relies on."""
    key = certificate.public_key()
    if isinstance(key, RSAPublicKey) and key.key_size < MIN_RSA_BITS:
        return False
    if isinstance(key, EllipticCurvePublicKey) and key.key_size < MIN_EC_BITS:
        return False
    digest = certificate.signature_hash_algorithm
    return anchor or digest is None or digest.digest_size >= hashes.SHA256.digest_size


# --- names -----------------------------------------------------------------------------------------------------------


def _alternative_names(leaf: x509.Certificate) -> list[x509.GeneralName]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return list(names)[:MAX_NAMES]


def certificate_names(leaf: bytes) -> list[str]:
    """The dNSName entries of a DER certificate in lower case, sorted; what link and SIP legs compare.

    Raises:
        ValueError: not a certificate.
    """
    return _dns_names(x509.load_der_x509_certificate(leaf))


def _dns_names(leaf: x509.Certificate) -> list[str]:
    return sorted({name.value.lower() for name in _alternative_names(leaf) if isinstance(name, x509.DNSName)})


def names_domain(leaf: x509.Certificate, domain: str) -> bool:
    """Whether a certificate names an XMPP domain: DNS-ID, SRV-ID or XmppAddr."""
    wanted = domain_to_ascii(domain)
    for name in _alternative_names(leaf):
        if isinstance(name, x509.DNSName):
            if matches_dns_id(name.value, wanted):
                return True
        elif isinstance(name, x509.OtherName):
            if name.type_id == _SRV_ID:
                value = _string(name.value, _IA5_STRING).lower()
                if value.startswith(_XMPP_SERVICE) and value.removeprefix(_XMPP_SERVICE) == wanted:
                    return True
            elif name.type_id == _XMPP_ADDR and _is_domain(_string(name.value, _UTF8_STRING), domain):
                return True
    return False


def matches_dns_id(presented: str, wanted: str) -> bool:
    """RFC 9525 6.3: equal, or a wildcard that stands for exactly one label, the left-most.

    A wildcard over a whole top-level domain (`*.example`) matches nothing.

    Args:
        presented: from the certificate.
        wanted: A-label form of the domain, lower case.
    """
    presented = presented.lower()
    if presented == wanted:
        return True
    if not presented.startswith("*."):
        return False
    parent = presented[2:]
    _, dot, rest = wanted.partition(".")
    return bool(dot) and "*" not in parent and "." in parent and rest == parent


def _is_domain(text: str, domain: str) -> bool:
    try:
        return prepare_domain(text) == domain
    except AddressError:
        return False


def _string(der: bytes, tag: int) -> str:
    """The text of one DER string of the given tag; the empty string for anything else."""
    if len(der) < 2 or der[0] != tag:
        return ""
    length, start = der[1], 2
    if length & 0x80:
        count = length & 0x7F
        if not 1 <= count <= 2 or len(der) < 2 + count:
            return ""
        length, start = int.from_bytes(der[2 : 2 + count]), 2 + count
    value = der[start:]
    if len(value) != length:
        return ""
    try:
        return value.decode("ascii" if tag == _IA5_STRING else "utf-8")
    except UnicodeDecodeError:
        return ""


def dns_peer(names: Iterable[str]) -> PeerCheck:
    """For link legs: the certificate carries one of `names` as dNSName, literally (no wildcards)."""
    wanted = frozenset(name.lower() for name in names)

    def check(chain: Sequence[bytes]) -> str | None:
        if not chain:
            return "was not presented"
        found = certificate_names(chain[0])
        if wanted.isdisjoint(found):
            return f"names {_list(found)}, expected {_list(sorted(wanted))}"
        return None

    return check


def sip_peer(names: Iterable[str]) -> PeerCheck:
    """For SIP legs (RFC 5922 7): the certificate's SIP domain is one of `names`."""
    wanted = frozenset(name.lower() for name in names)

    def check(chain: Sequence[bytes]) -> str | None:
        if not chain:
            return "was not presented"
        found = sip_names(chain[0])
        if wanted.isdisjoint(found):
            return f"names {_list(found)}, expected {_list(sorted(wanted))}"
        return None

    return check


def sip_names(leaf: bytes) -> list[str]:
    """The SIP identities of a DER certificate, sorted: `sip:` URIs without user part; where there is none, dNSNames.

    RFC 5922 7.1 and 7.2: wildcards are not recognised, comparison is of whole names without case.

    Raises:
        ValueError: not a certificate.
    """
    certificate = x509.load_der_x509_certificate(leaf)
    uris = [
        name.value[4:].lower()
        for name in _alternative_names(certificate)
        if isinstance(name, x509.UniformResourceIdentifier) and name.value[:4].lower() == "sip:"
    ]
    domains = {uri for uri in uris if uri and not set("@;?:/") & set(uri)}
    return sorted(domains) if uris else _dns_names(certificate)


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5]) or "nobody"
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
