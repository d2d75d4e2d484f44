"""Replaces a private authority by its successor in three phases, each of which may be killed and begun again.

Used on the controller by the action `authority_rollover`. The folder itself says how far it is: `next/` holds a
successor that is trusted but does not sign yet, `previous/` one that is still trusted but signs no more. What hosts
must trust follows from the folder (`wanted.authority_certificate`), so planner and drift see the same.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from ansible_collections.xmppgw.migration.plugins.plugin_utils.issuer_private_ca import load_authority, signing_only
from ansible_collections.xmppgw.migration.plugins.plugin_utils.issuing import IssuingError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

FILES = ("key.pem", "ca.pem")
"""Of an authority, in the order in which they are written: a certificate without its key would look complete."""
PHASES = {
    (False, False): "settled",
    (True, False): "both trusted",
    (True, True): "switching",
    (False, True): "successor signs",
}
"""(there is a successor that does not sign yet, there is an old one that is still trusted) to the phase."""


def phase_of(folder):
    """Return where the roll-over of the authority in `folder` stands."""
    folder = Path(folder)
    has_next = all((folder / "next" / name).exists() for name in FILES)
    has_previous = all((folder / "previous" / name).exists() for name in FILES)
    return PHASES[has_next, has_previous]


def begin(folder, now):
    """Make the successor, to be trusted beside the present one. Returns whether anything was changed."""
    folder = Path(folder)
    if phase_of(folder) != "settled":
        return False
    present, _key = load_authority(folder)
    certificate, key = successor(present, now)
    _put(folder / "next", {"key.pem": key, "ca.pem": certificate})
    return True


def switch(folder):
    """Let the successor sign; the present one stays trusted. Returns whether anything was changed."""
    folder = Path(folder)
    phase = phase_of(folder)
    if phase in ("successor signs", "settled"):
        return False
    if phase == "both trusted":
        _put(folder / "previous", {name: (folder / name).read_bytes() for name in FILES})
    _put(folder, {name: (folder / "next" / name).read_bytes() for name in FILES})
    load_authority(folder)
    shutil.rmtree(folder / "next")
    return True


def finish(folder):
    """Trust the successor alone. Returns whether anything was changed."""
    folder = Path(folder)
    if phase_of(folder) != "successor signs":
        return False
    shutil.rmtree(folder / "previous")
    return True


def successor(present, now):
    """Return (certificate, key) as PEM of an authority like `present`, with a number behind its name."""
    names = present.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    name = str(names[0].value) if names else "authority"
    counted = re.fullmatch(r"(.*) #(\d+)", name)
    name = f"{counted[1]} #{int(counted[2]) + 1}" if counted else f"{name} #2"
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    life = present.not_valid_after_utc - present.not_valid_before_utc
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + life)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(signing_only(authority=True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private


def _put(folder, files):
    """Write files readable by their owner only, each of them whole or not at all."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        for name in FILES:
            half = folder / f".{name}.{os.getpid()}"
            with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(files[name])
                file.flush()
                os.fsync(file.fileno())
            half.replace(folder / name)
    except OSError as error:
        raise IssuingError(f"authority in {folder}: {error}") from error
