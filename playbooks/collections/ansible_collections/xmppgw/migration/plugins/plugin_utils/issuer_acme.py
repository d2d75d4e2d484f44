"""Certificates from a public authority by ACME with DNS-01, through the same DNS provider that the migration uses.

Called by `issuing.obtain`. The account's key is made here, on the controller, once per directory; requests to the
authority leave from the DNS writer, and so do the updates. Every record that is published is withdrawn, whatever
happens.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

from ansible_collections.xmppgw.migration.plugins.plugin_utils import acme_protocol as acme
from ansible_collections.xmppgw.migration.plugins.plugin_utils import certificate_judging as judging
from ansible_collections.xmppgw.migration.plugins.plugin_utils.issuing import IssuingError, Outcome, read_request
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

CODE = "migration-acme"


def obtain(orders, surroundings, now):
    """Return an Outcome with a chain for every order; raise IssuingError with what the authority said."""
    outcome = Outcome()
    for order in orders:
        settings = surroundings.settings
        directory = str(settings.get("directory") or "")
        if not directory.startswith("https://"):
            raise IssuingError("the document names no https directory for the ACME authority", CODE)
        try:
            chain = _converse(order, directory, str(settings.get("email") or ""), surroundings)
        except acme.AcmeError as error:
            raise IssuingError(f"{directory}: {error}", CODE) from error
        request = read_request(order.request)
        findings = judging.examine(chain, order.wanted, order.roots, now, public_key=judging.public_half(request))
        if findings:
            texts = "; ".join(f"[{finding.code}] {finding.text}" for finding in findings)
            raise IssuingError(f"{directory} issued a chain that cannot be used: {texts}", CODE)
        outcome.chains[order.name] = chain
    return outcome


def _converse(order, directory, email, surroundings):
    request = read_request(order.request).public_bytes(serialization.Encoding.DER)
    key = acme.AccountKey(account_key(surroundings.account_folder, directory))
    talk = acme.order_certificate(key, directory, order.wanted["names"], request, email=email)
    published, answer = {}, None
    try:
        while True:
            wish = talk.send(answer)
            answer = None
            if isinstance(wish, acme.Send):
                answer = surroundings.carry_https(wish)
            elif isinstance(wish, acme.Publish):
                published = wish.records
                surroundings.publish_txt(published)
            else:
                time.sleep(wish.seconds)
    except StopIteration as done:
        return done.value
    finally:
        talk.close()
        if published:
            surroundings.withdraw_txt(published)


def account_key(folder, directory):
    """Return the account's key for a directory; it is made on first use, readable by its owner only."""
    path = Path(folder) / f"acme-{hashlib.sha256(directory.encode()).hexdigest()[:16]}.pem"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    try:
        # Whoever comes first makes it: edges are served side by side.
        half = path.with_name(f".{path.name}.{os.getpid()}")
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(pem)
        try:
            os.link(half, path)
        except FileExistsError:
            pass
        finally:
            half.unlink()
        found = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise IssuingError(f"account key {path}: {error}", CODE) from error
    if not isinstance(found, ec.EllipticCurvePrivateKey) or found.key_size != 256:
        raise IssuingError(f"account key {path} is not a P-256 key", CODE)
    return found
