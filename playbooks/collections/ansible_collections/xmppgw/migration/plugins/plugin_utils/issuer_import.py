"""Hands requests out as files and takes chains in as files, possibly days later: for authorities that people talk to.

Called by `issuing.obtain`. A request goes to `<folder>/<host>.csr`, the chain is expected as `<host>.pem` (or .crt,
.cer, .p7b) beside it; certificates other than the public one carry their name: `<host>-link.csr`. What comes in is
examined, and every wrong thing is named.
"""

from __future__ import annotations

from pathlib import Path

from ansible_collections.xmppgw.migration.plugins.plugin_utils import certificate_judging as judging
from ansible_collections.xmppgw.migration.plugins.plugin_utils.issuing import IssuingError, Outcome, read_request
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

SUFFIXES = (".pem", ".crt", ".cer", ".p7b")
"""Under these names authorities hand chains out."""
LARGEST_FILE = 256 * 1024
"""Octets of a chain file: a chain of ten large certificates has a tenth of it."""


def stem(order):
    """Return the file name of an order without its suffix."""
    return order.host if order.name == "public" else f"{order.host}-{order.name}"


def obtain(orders, surroundings, now):
    """Return an Outcome: chains that came and are good; for the others what is awaited. Raises for what is wrong."""
    folder = Path(surroundings.folder)
    folder.mkdir(parents=True, exist_ok=True)
    outcome, wrong = Outcome(), []
    for order in orders:
        request = read_request(order.request)
        out = folder / f"{stem(order)}.csr"
        if not out.exists() or out.read_text(encoding="ascii") != order.request:
            out.write_text(order.request, encoding="ascii")
        came = [path for suffix in SUFFIXES if (path := folder / f"{stem(order)}{suffix}").exists()]
        if not came:
            outcome.awaited[order.name] = (
                f"{order.host}: have {out} signed for {', '.join(order.wanted['names'])} and put the chain, leaf "
                f"first, at {folder / (stem(order) + '.pem')}"
            )
            continue
        chain = read_file(came[0])
        findings = judging.examine(chain, order.wanted, order.roots, now, public_key=judging.public_half(request))
        wrong += [f"{came[0]}: [{finding.code}] {finding.text}" for finding in findings]
        outcome.chains[order.name] = chain
    if wrong:
        raise IssuingError(
            "What came in cannot be used; nothing of it was put on a host:\n    "
            + "\n    ".join(wrong)
            + "\n    now:   put the right chain there and run again",
            "migration-certificate-refused",
        )
    return outcome


def read_file(path):
    """Return a chain file as PEM, whatever of PEM, DER and PKCS #7 it is; raise IssuingError."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise IssuingError(f"{path} is larger than {LARGEST_FILE} octets", "migration-certificate-refused")
        data = path.read_bytes()
    except OSError as error:
        raise IssuingError(f"{path}: {error}", "migration-certificate-refused") from error
    if b"-----BEGIN PKCS7-----" in data:
        return _pem(path, lambda: pkcs7.load_pem_pkcs7_certificates(data), sort=True)
    if b"-----BEGIN " in data:
        return data.decode("ascii", errors="replace").replace("\r\n", "\n")
    if path.suffix == ".p7b":
        return _pem(path, lambda: pkcs7.load_der_pkcs7_certificates(data), sort=True)
    return _pem(path, lambda: [x509.load_der_x509_certificate(data)], sort=False)


def _pem(path, load, *, sort):
    try:
        certificates = load()
    except ValueError as error:
        raise IssuingError(
            f"{path}: [certificate-unreadable] neither PEM, DER nor PKCS #7: {error}", "migration-certificate-refused"
        ) from error
    # PKCS #7 is a set without an order, so order is not the sender's mistake there.
    ordered = _leaf_first(certificates) if sort else certificates
    return "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in ordered)


def _leaf_first(certificates):
    issuers = {certificate.issuer for certificate in certificates}
    chain = [next((item for item in certificates if item.subject not in issuers), certificates[0])]
    while len(chain) < len(certificates):
        above = next((item for item in certificates if item not in chain and judging.issued_by(chain[-1], item)), None)
        if above is None:
            break
        chain.append(above)
    return chain + [item for item in certificates if item not in chain]
