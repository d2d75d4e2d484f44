"""What can be seen of the lab from outside, before and after: DNS answers, certificates, hosts and services.

The runner fills these in; the report compares them. Pure: it takes PEM text and typed answers, public parts only.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

STANDS_FOR: dict[str, tuple[str, str]] = {
    "dns1": ("Knot (primary), Unbound (resolver)", "the organisation's and the Internet's DNS"),
    "dns2": ("Knot (secondary)", "the organisation's second name server"),
    "legacy1": ("Prosody, Kamailio and a small bridge", "the old XMPP gateway (stands in for Microsoft's)"),
    "pool-legacy": ("Kamailio with a homing table", "the old SIP platform (stands in for Microsoft's)"),
    "pool-target": ("Kamailio with a homing table", "the new SIP platform (stands in for Microsoft's)"),
    "edge1": ("our edge", "itself, as it would be installed anywhere"),
    "edge2": ("our edge", "itself, as it would be installed anywhere"),
    "fe1": ("our front end", "itself, as it would be installed anywhere"),
    "fe2": ("our front end", "itself, as it would be installed anywhere"),
    "fw1": ("nftables", "the firewalls between Internet, perimeter and inside"),
    "partner1": ("Prosody", "a partner that takes our certificate"),
    "partner2": ("ejabberd", "a partner that wants dialback"),
    "users": ("slixmpp clients and a Kamailio", "people on both sides"),
}
"""Each lab host: what really runs there, and what it stands for. Moving a lab user is not Move-CsUser."""


@dataclass(frozen=True)
class RecordSet:
    """One answer of one server."""

    server: str
    name: str
    type: str
    ttl: int
    records: tuple[str, ...]


@dataclass(frozen=True)
class Certificate:
    """The public part of one certificate, where it was found."""

    host: str
    place: str
    subject: str
    names: tuple[str, ...]
    issuer: str
    not_after: str
    usages: tuple[str, ...]
    sha256: str


@dataclass(frozen=True)
class Service:
    """One of our daemons as systemd sees it; memory in bytes."""

    host: str
    unit: str
    state: str
    memory_bytes: int


@dataclass(frozen=True)
class Host:
    """One machine of the environment."""

    name: str
    addresses: tuple[str, ...]
    groups: tuple[str, ...]
    runs: str
    stands_for: str


@dataclass(frozen=True)
class Observation:
    """Everything seen at one moment."""

    dns: tuple[RecordSet, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    services: tuple[Service, ...] = ()


@dataclass(frozen=True)
class CertificateChange:
    """What stood at one place before and what stands there after; None where there was nothing."""

    host: str
    place: str
    before: Certificate | None
    after: Certificate | None

    @property
    def changed(self) -> bool:
        """Whether another certificate, or one at all, is there now."""
        return (self.before.sha256 if self.before else "") != (self.after.sha256 if self.after else "")


def compare_certificates(before: Observation, after: Observation) -> tuple[CertificateChange, ...]:
    """Put the certificates of both moments side by side, sorted by host and place."""
    first = {(c.host, c.place): c for c in before.certificates}
    second = {(c.host, c.place): c for c in after.certificates}
    return tuple(CertificateChange(*key, first.get(key), second.get(key)) for key in sorted(first | second))


def read_certificate(pem: bytes, host: str, place: str) -> Certificate:
    """Read the first certificate of a PEM text; raises ValueError if there is none."""
    certificate = x509.load_pem_x509_certificates(pem)[0]
    return Certificate(
        host=host,
        place=place,
        subject=_common_name(certificate.subject),
        names=_names(certificate),
        issuer=_common_name(certificate.issuer),
        not_after=certificate.not_valid_after_utc.strftime("%Y-%m-%d"),
        usages=_usages(certificate),
        sha256=certificate.fingerprint(hashes.SHA256()).hex(),
    )


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else name.rfc4514_string()


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    except x509.ExtensionNotFound:
        return ()
    assert isinstance(extension.value, x509.SubjectAlternativeName)
    return tuple(sorted(extension.value.get_values_for_type(x509.DNSName)))


def _usages(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = certificate.extensions.get_extension_for_oid(ExtensionOID.EXTENDED_KEY_USAGE)
    except x509.ExtensionNotFound:
        return ()
    assert isinstance(extension.value, x509.ExtendedKeyUsage)
    known = {ExtendedKeyUsageOID.SERVER_AUTH: "server", ExtendedKeyUsageOID.CLIENT_AUTH: "client"}
    return tuple(sorted(known.get(usage, usage.dotted_string) for usage in extension.value))
