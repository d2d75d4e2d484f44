"""Signs requests with a private authority whose key lies in Azure Key Vault; its certificate lies on the controller.

For the link and the SIP leg, as `private_ca`, whose certificates these are in every other respect. Called by
`issuing.obtain`; `make_authority` is called once, by the action `authority_certificate`.
"""

from __future__ import annotations

import datetime
import os
from pathlib import Path

from ansible_collections.xmppgw.migration.plugins.plugin_utils import certificate_judging as judging
from ansible_collections.xmppgw.migration.plugins.plugin_utils.issuer_private_ca import issue, signing_only
from ansible_collections.xmppgw.migration.plugins.plugin_utils.issuing import IssuingError, Outcome
from ansible_collections.xmppgw.migration.plugins.plugin_utils.key_vault import CODE, VaultKey
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

LIFETIME = datetime.timedelta(days=3650)
"""Of the authority's own certificate."""


def obtain(orders, surroundings, now):
    """Return an Outcome with every order signed in the vault."""
    outcome, authorities = Outcome(), {}
    for order in orders:
        name = order.wanted["authority"]
        if name not in authorities:
            authorities[name] = load_authority(name, surroundings)
        _certificate, key = authorities[name]
        outcome.chains[order.name] = issue(order.request, order.wanted, authorities[name], now, key.digest)
    return outcome


def load_authority(name, surroundings):
    """Return (certificate, key) of a named authority; raise IssuingError."""
    folder, url = surroundings.authorities.get(name), surroundings.vault_keys.get(name)
    if folder is None or url is None:
        raise IssuingError(f"no folder or no key is configured for the certificate authority {name!r}", CODE)
    try:
        certificate = judging.read_chain((Path(folder) / "ca.pem").read_text(encoding="ascii"))[0]
    except (OSError, ValueError) as error:
        raise IssuingError(
            f"certificate authority in {folder}: {error}; playbooks/authority.yml makes its certificate", CODE
        ) from error
    key = VaultKey(surroundings.azure(), url)
    if certificate.public_key() != key.public_key():
        raise IssuingError(f"certificate authority in {folder}: ca.pem is not the certificate of {url}", CODE)
    return certificate, key


def make_authority(name, folder, key, now):
    """Have a key in the vault sign its own certificate, and keep it as <folder>/ca.pem. Never replaces one."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"xmppgw {name}")])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(signing_only(authority=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, key.digest)
    )
    folder = Path(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    half = folder / f".ca.pem.{os.getpid()}"
    half.write_bytes(certificate.public_bytes(Encoding.PEM))
    try:
        os.link(half, folder / "ca.pem")
    except FileExistsError as error:
        raise IssuingError(f"{folder}/ca.pem is there already; nothing was replaced", CODE) from error
    finally:
        half.unlink()
    return certificate
