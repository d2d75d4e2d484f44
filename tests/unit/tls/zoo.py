"""Certificates of every kind a peer may show up with, made on the spot (P-256: fast).

Times are relative to the machine's clock: on mutual legs OpenSSL itself judges validity.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from xmppgw.tls.identity import Identity

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
SERVER = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
SRV_ID = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.7")
XMPP_ADDR = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.5")


def dns(*names: str) -> list[x509.GeneralName]:
    return [x509.DNSName(name) for name in names]


def srv_id(name: str) -> x509.GeneralName:
    return x509.OtherName(SRV_ID, bytes([0x16, len(name)]) + name.encode())


def xmpp_addr(name: str) -> x509.GeneralName:
    data = name.encode()
    return x509.OtherName(XMPP_ADDR, bytes([0x0C, len(data)]) + data)


class Authority:
    """A root with its key; issues whatever is asked for."""

    def __init__(self, name: str = "Zoo Root", issuer: Authority | None = None) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.issuer = issuer
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(issuer.name if issuer else self.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - 3650 * DAY)
            .not_valid_after(NOW + 3650 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .sign(issuer.key if issuer else self.key, hashes.SHA256())
        )

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def issue(
        self,
        names: list[x509.GeneralName],
        *,
        usages: list[x509.ObjectIdentifier] | None = None,
        common_name: str = "somebody",
        start: datetime = NOW - 30 * DAY,
        end: datetime = NOW + 60 * DAY,
        key: ec.EllipticCurvePrivateKey | None = None,
        self_signed: bool = False,
        digest: hashes.HashAlgorithm | None = None,
    ) -> Identity:
        key = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if self_signed else self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        if usages is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        leaf = builder.sign(key if self_signed else self.key, digest or hashes.SHA256())
        chain = (leaf,) if self.issuer is None or self_signed else (leaf, self.certificate)
        return Identity(chain, key)


def der_chain(identity: Identity) -> list[bytes]:
    return [certificate.public_bytes(Encoding.DER) for certificate in identity.chain]


def certificate_pem(identity: Identity) -> bytes:
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in identity.chain)


def key_pem(identity: Identity) -> bytes:
    return identity.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@cache
def root() -> Authority:
    return Authority()


@cache
def other_root() -> Authority:
    return Authority("Somebody Else's Root")


@cache
def partner(kind: str) -> Identity:
    """The zoo: one certificate for `partner.example` (or nearly) per kind."""
    make = root().issue
    names = dns("partner.example")
    kinds = {
        "server only": lambda: make(names, usages=[SERVER]),
        "server and client": lambda: make(names, usages=[SERVER, CLIENT]),
        "no usage": lambda: make(names),
        "client only": lambda: make(names, usages=[CLIENT]),
        "self-signed": lambda: make(names, usages=[SERVER], self_signed=True),
        "expired": lambda: make(names, usages=[SERVER], end=NOW - DAY),
        "not valid yet": lambda: make(names, usages=[SERVER], start=NOW + DAY),
        "unknown issuer": lambda: other_root().issue(names, usages=[SERVER]),
        "wrong name": lambda: make(dns("elsewhere.example"), usages=[SERVER]),
        "common name only": lambda: make([], usages=[SERVER], common_name="partner.example"),
        "SRV-ID only": lambda: make([srv_id("_xmpp-server.partner.example")], usages=[SERVER]),
        "SRV-ID of clients": lambda: make([srv_id("_xmpp-client.partner.example")], usages=[SERVER]),
        "XmppAddr only": lambda: make([xmpp_addr("partner.example")], usages=[SERVER]),
        "XmppAddr of a user": lambda: make([xmpp_addr("a@partner.example")], usages=[SERVER]),
        "wildcard above": lambda: make(dns("*.example"), usages=[SERVER]),
        "weak hash": lambda: make(names, usages=[SERVER], digest=hashes.SHA224()),
        "through an intermediate": lambda: Authority("Intermediate", root()).issue(names, usages=[SERVER]),
        "intermediate missing": lambda: Authority("Intermediate", root()).issue(names, usages=[SERVER]),
    }
    identity = kinds[kind]()
    if kind == "intermediate missing":
        return Identity(identity.chain[:1], identity.key)
    return identity
