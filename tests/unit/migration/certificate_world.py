"""Authorities, keys, requests and chains for tests, good ones and every kind of bad one."""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
NAMES = ("edge1.corp.example", "corp.example")
WANTED = {
    "subject": NAMES[0],
    "names": list(NAMES),
    "usages": ["serverAuth"],
    "issuer": "import",
    "authority": "public",
}


def key():
    return ec.generate_private_key(ec.SECP256R1())


def subject(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def private_pem(secret):
    return secret.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def request(secret, names=NAMES):
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject(names[0]))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
    return builder.sign(secret, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


class Authority:
    """A certificate authority; `above` signs it, or it signs itself."""

    def __init__(self, name, above=None, now=NOW, is_authority=True):
        self.key, self.name = key(), subject(name)
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(above.name if above else self.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + 3650 * DAY)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .sign(above.key if above else self.key, hashes.SHA256())
        )

    def sign(
        self,
        public_key,
        *,
        names=NAMES,
        start=-DAY,
        end=90 * DAY,
        usage=ExtendedKeyUsageOID.SERVER_AUTH,
        ca=False,
        now=NOW,
    ):
        return (
            x509.CertificateBuilder()
            .subject_name(subject(names[0]))
            .issuer_name(self.name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + start)
            .not_valid_after(now + end)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .sign(self.key, hashes.SHA256())
        )

    def write(self, folder):
        """Put ca.pem and key.pem where the issuer `private_ca` reads them."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "ca.pem").write_text(pem(self.certificate))
        (folder / "key.pem").write_text(private_pem(self.key))
        return folder
