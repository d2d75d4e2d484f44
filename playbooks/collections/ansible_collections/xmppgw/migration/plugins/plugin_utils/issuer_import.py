"""Hands requests out as files and takes chains in as files, possibly days later: for authorities that people talk to.

Called by `issuing.obtain`. A request goes to `<folder>/<host>.csr`, the chain is expected as `<host>.pem` (or .crt,
.cer, .p7b) beside it; certificates other than the public one carry their name: `<host>-link.csr`. What comes in is
examined, and every wrong thing is named.

The chain of last time still lies there when the next one is due. What stands on the host already, or has only grown
old, was not delivered now: it is no mistake of anybody's, and the new one is awaited.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ansible_collections.xmppgw.migration.plugins.plugin_utils import certificate_judging as judging
from ansible_collections.xmppgw.migration.plugins.plugin_utils.issuing import IssuingError, Outcome, read_request
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

SUFFIXES = (".pem", ".crt", ".cer", ".p7b")
"""Under these names authorities hand chains out."""
LARGEST_FILE = 256 * 1024
"""Octets of a chain file: a chain of ten large certificates has a tenth of it."""


@dataclass(frozen=True)
class Delivery:
    """One file that lies where a chain is expected."""

    path: Path
    chain: str
    leaf: x509.Certificate | None
    """None where the file cannot be read"""
    wrong: tuple[str, ...]
    """What is wrong with it, each with the path; empty if the chain may be used"""
    old: str
    """Why it is none that is delivered now: it stands on the host, or only ends too soon; else empty"""


def stem(order):
    """Return the file name of an order without its suffix."""
    return order.host if order.name == "public" else f"{order.host}-{order.name}"


def obtain(orders, surroundings, now):
    """Return an Outcome: chains that came and are good; for the others what is awaited. Raises for what is wrong."""
    folder = Path(surroundings.folder)
    folder.mkdir(parents=True, exist_ok=True)
    outcome, wrong = Outcome(), []
    for order in orders:
        half = judging.public_half(read_request(order.request))
        out = folder / f"{stem(order)}.csr"
        if not out.exists() or out.read_text(encoding="ascii") != order.request:
            out.write_text(order.request, encoding="ascii")
        paths = [path for suffix in SUFFIXES if (path := folder / f"{stem(order)}{suffix}").exists()]
        came = [_delivery(path, order, half, now) for path in paths]
        best = max((each for each in came if not each.wrong), key=_issued, default=None)
        to_go = _to_go(order, folder, half, now)
        if best is not None and not (best.old and to_go):
            outcome.chains[order.name] = best.chain
            continue
        found = [text for each in came if not each.old for text in each.wrong]
        wrong += found
        if not found:
            outcome.awaited[order.name] = _awaited(order, out, folder, came)
    if wrong:
        raise IssuingError(
            "What came in cannot be used; nothing of it was put on a host:\n    "
            + "\n    ".join(wrong)
            + "\n    now:   put the right chain there and run again",
            "migration-certificate-refused",
        )
    return outcome


def marker(order, folder):
    """Return the file that says which certificate was good when its renewal was asked for."""
    return Path(folder) / f"{order.host}-{order.name}.renewing"


def _to_go(order, folder, half, now):
    """Return True if the host has a good certificate, which is the one that was asked to be renewed.

    Hosts are renewed one after another, each when its chain has come: the same command must find those done that were
    done before. Whoever ends the renewal of all hosts removes the markers. What is not good may be made good by another
    chain of the same leaf.
    """
    if not order.standing or judging.examine(order.standing, order.wanted, order.roots, now, public_key=half):
        return False
    stands, begun = judging.fingerprint(judging.read_chain(order.standing)[0]), marker(order, folder)
    if not begun.exists():
        begun.write_text(f"{stands}\n", encoding="ascii")
    return begun.read_text(encoding="ascii").strip() == stands


def _delivery(path, order, half, now):
    try:
        chain = read_file(path)
    except IssuingError as error:
        return Delivery(path, "", None, (str(error),), "")
    findings = judging.examine(chain, order.wanted, order.roots, now, public_key=half)
    wrong = tuple(f"{path}: [{finding.code}] {finding.text}" for finding in findings)
    leaf, old = _leaf(chain), ""
    if leaf is not None and leaf == _leaf(order.standing):
        old = "stands on the host already"
    elif [finding.code for finding in findings] == ["certificate-due"]:
        old = f"{findings[0].text}, too soon"
    return Delivery(path, chain, leaf, wrong, old)


def _leaf(pem):
    try:
        return judging.read_chain(pem)[0]
    except ValueError:
        return None


def _issued(delivery):
    """What was signed last comes last; an authority that shortens the life of certificates ends it earlier."""
    return delivery.leaf.not_valid_before_utc, delivery.leaf.not_valid_after_utc


def _awaited(order, out, folder, came):
    lies = "".join(f" (what lies at {each.path} {each.old})" for each in came if each.old)
    return (
        f"{order.host}: have {out} signed for {', '.join(order.wanted['names'])} and put the chain, leaf first, at "
        f"{folder / (stem(order) + '.pem')}{lies}"
    )


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
