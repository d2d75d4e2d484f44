"""Certificate files that a person names: PEM chains, public parts only, judged before anything is said about them.

Called by `letters`. Refuses what must not be sent around (a private key) and what is no chain of one edge of ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes

from xmppgw.federation import Document, certificates
from xmppgw.federation.letter import IssuedCertificate

# A chain of five RSA-4096 certificates is some 12 KiB.
LARGEST_FILE: Final = 256 * 1024
LONGEST_CHAIN: Final = 10


class CertificateFileError(Exception):
    """A file that cannot stand in a letter; the text says why."""


def read_chain(path: Path, document: Document, now: datetime) -> tuple[IssuedCertificate, ...]:
    """The chain in the file, leaf first.

    Raises CertificateFileError unless the leaf carries the names of one of the document's edges and is valid `now`, and
    each certificate is issued by the one after it.
    """
    chain = _parse(_read(path), path)
    for below, above in pairwise(chain):
        try:
            below.verify_directly_issued_by(above)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            raise _wrong(path, f"{_subject(below)} is not issued by {_subject(above)}, which follows it") from None
    leaf = chain[0]
    _require_our_names(path, _names(leaf), document)
    if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
        raise _wrong(path, f"valid only from {_day(leaf.not_valid_before_utc)} to {_day(leaf.not_valid_after_utc)}")
    return tuple(_issued(one) for one in chain)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise _wrong(path, error.strerror or "cannot be read") from None
    if len(data) > LARGEST_FILE:
        raise _wrong(path, f"larger than {LARGEST_FILE} bytes, expected a certificate chain")
    if b"PRIVATE KEY" in data:
        raise _wrong(path, "holds a private key; name the certificate file, which may be sent around")
    return data


def _parse(data: bytes, path: Path) -> Sequence[x509.Certificate]:
    try:
        chain = x509.load_pem_x509_certificates(data)
    except ValueError:
        raise _wrong(path, "found no PEM certificates") from None
    if len(chain) > LONGEST_CHAIN:
        raise _wrong(path, f"found {len(chain)} certificates, expected one chain of at most {LONGEST_CHAIN}")
    return chain


def _require_our_names(path: Path, names: tuple[str, ...], document: Document) -> None:
    edges = {edge.host: edge.fqdn for edge in document.federation.edges}
    wanted = {edges[needed.host]: needed.names for needed in certificates(document) if needed.name == "public"}
    edge = next((name for name in names if name in wanted), None)
    if edge is None:
        found = ", ".join(names[:5]) or "no names"
        raise _wrong(path, f"found {found}, expected the external name of an edge: {', '.join(sorted(wanted)[:5])}")
    missing = [name for name in wanted[edge] if name not in names]
    if missing:
        raise _wrong(path, f"the certificate of {edge} does not name {', '.join(missing[:5])}")


def _issued(certificate: x509.Certificate) -> IssuedCertificate:
    return IssuedCertificate(
        subject=_subject(certificate),
        issuer=_printable(certificate.issuer.rfc4514_string()),
        names=_names(certificate),
        not_before=_day(certificate.not_valid_before_utc),
        not_after=_day(certificate.not_valid_after_utc),
        sha256=certificate.fingerprint(hashes.SHA256()).hex(),
    )


def _subject(certificate: x509.Certificate) -> str:
    return _printable(certificate.subject.rfc4514_string()) or "a certificate without subject"


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return ()
    return tuple(_printable(name).lower() for name in extension.value.get_values_for_type(x509.DNSName))


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d")


def _wrong(path: Path, reason: str) -> CertificateFileError:
    return CertificateFileError(f"{path}: {reason}")
