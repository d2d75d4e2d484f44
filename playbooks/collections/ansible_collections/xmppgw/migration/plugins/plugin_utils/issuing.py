"""Certificates from whoever issues them: one interface, four issuers, and the verdict on what stands on a host.

Used on the controller only, by the actions `certificate_issue`, `plan` and what shows the state (it needs
cryptography). Names and usages come from the federation document; of a request only the public key is taken, after its
own signature was checked. What an issuer returns was examined: it may be put beside its key as it is.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field

from ansible_collections.xmppgw.migration.plugins.plugin_utils import certificate_judging as judging
from cryptography import x509

ISSUERS = {
    "private_ca": "issuer_private_ca",
    "key_vault": "issuer_key_vault",
    "import": "issuer_import",
    "acme": "issuer_acme",
}
"""Issuer of the document to its module here, which has `obtain(orders, surroundings, now) -> Outcome`."""

OUR_OWN = ("private_ca", "key_vault")
"""Issuers that give exactly what was asked for, with an authority of our own."""


class IssuingError(Exception):
    """A request that is not signed, an authority that cannot sign."""

    def __init__(self, text, code="migration-certificate"):
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class Order:
    """One certificate to be obtained."""

    host: str
    name: str
    """`public`, `link` or `sip`"""
    wanted: dict
    """subject, names, usages, issuer, authority of the certificate table"""
    request: str
    """signing request, PEM"""
    roots: str
    """PEM of the roots that a chain must end at"""
    standing: str = ""
    """PEM of the chain that the host has now; empty if it has none"""


@dataclass
class Surroundings:
    """What issuers work with. Each uses what it needs."""

    authorities: dict = field(default_factory=dict)
    """authority to the folder with its ca.pem and key.pem"""
    folder: str = ""
    """where requests go out and chains come in"""
    settings: dict = field(default_factory=dict)
    """the document's entry on the issuer of the public certificate (directory, email)"""
    account_folder: str = ""
    """where ACME account keys are kept, readable by their owner only"""
    carry_https: object = None
    """sends one HTTPS request from the DNS writer: {method, url, ...} -> {status, headers, body}"""
    publish_txt: object = None
    """puts TXT records into the zones and waits until every authoritative server serves them"""
    withdraw_txt: object = None
    """takes them out again"""
    vault_keys: dict = field(default_factory=dict)
    """authority to the address of its key in Key Vault"""
    azure: object = None
    """returns the AzureRest of this run"""


@dataclass
class Outcome:
    """Chains (PEM) that came, and for what is still awaited a sentence: what the operator has to do."""

    chains: dict = field(default_factory=dict)
    awaited: dict = field(default_factory=dict)


def read_request(pem):
    """Return a signing request after its own signature was checked; raise IssuingError."""
    try:
        request = x509.load_pem_x509_csr(pem.encode())
    except (ValueError, UnicodeEncodeError) as error:
        raise IssuingError(f"not a certificate request: {error}") from error
    if not request.is_signature_valid:
        raise IssuingError("the request is not signed with its own key")
    return request


def obtain(orders, surroundings, now):
    """Return the Outcome of all `orders`, each from the issuer that the document names for it. `now`: UTC datetime."""
    everything = Outcome()
    for issuer, module in ISSUERS.items():
        mine = [order for order in orders if order.wanted["issuer"] == issuer]
        if mine:
            found = importlib.import_module(f"{__package__}.{module}").obtain(mine, surroundings, now)
            everything.chains.update(found.chains)
            everything.awaited.update(found.awaited)
    unknown = sorted({order.wanted["issuer"] for order in orders} - set(ISSUERS))
    if unknown:
        raise IssuingError(f"there is no issuer {', '.join(unknown)}", "migration-issuer")
    return everything


def problem_of(seen, wanted, authority_pem, now):
    """Return what is wrong with the certificate that was seen on a host, in a few words, or None if it is good.

    `seen`: {pem, public_key (SHA-256 of the key's public half)}; `wanted`: names, usages, issuer.
    """
    if not seen or not seen.get("pem"):
        return "absent"
    if not seen.get("public_key"):
        return "its key is absent"
    ours = wanted.get("issuer", "private_ca") in OUR_OWN
    if ours and not _signed_by_the_first(seen["pem"], authority_pem):
        return "not signed by the configured authority"
    findings = judging.examine(seen["pem"], wanted, authority_pem, now, public_key=seen["public_key"], exact=ours)
    return findings[0].text if findings else None


def _signed_by_the_first(pem, authority_pem):
    """Our own authority signs; one that it replaces may stand behind it in the file and is only still trusted."""
    try:
        leaf, authority = judging.read_chain(pem)[0], judging.read_chain(authority_pem)[0]
    except ValueError:
        return True  # the examination names what is unreadable
    return judging.issued_by(leaf, authority)
