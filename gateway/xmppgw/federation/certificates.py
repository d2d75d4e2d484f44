"""The certificate table: which certificates the gateway's hosts need, with which names, from whom.

`xmppgw plan`, the role that makes keys and signing requests, and the daemons' settings read it. Keys are made on their
hosts and never leave them. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from xmppgw.federation.model import Document, InternalIssuer, PublicIssuer

TLS_DIRECTORY: Final = "/etc/xmppgw/tls"
AUTHORITY_DIRECTORY: Final = "/etc/xmppgw/ca"
# Where Debian keeps the certificates of public authorities.
SYSTEM_TRUST: Final = "/etc/ssl/certs/ca-certificates.crt"


class Usage(StrEnum):
    """Extended key usages (RFC 5280 4.2.1.12)."""

    SERVER = "serverAuth"
    CLIENT = "clientAuth"


@dataclass(frozen=True, slots=True)
class CertificateRequirement:
    """One certificate that one host needs."""

    name: str
    """`public`, `link` or `sip`: also the stem of its files on the host"""
    host: str
    """inventory name of the only host that has the key"""
    subject: str
    """common name; never used for matching, kept because people look at it"""
    names: tuple[str, ...]
    """dNSName entries of the subject alternative name, the subject first"""
    usages: tuple[Usage, ...]
    issuer: str
    authority: str
    """name of the authority; empty where the issuer brings a public one"""
    step: int
    """step of the migration in which it is made"""
    used_for: str

    @property
    def certificate_file(self) -> str:
        """Path of the certificate chain on its host, leaf first."""
        return f"{TLS_DIRECTORY}/{self.name}.crt"

    @property
    def key_file(self) -> str:
        """Path of the private key on its host."""
        return f"{TLS_DIRECTORY}/{self.name}.key"

    @property
    def request_file(self) -> str:
        """Path of the signing request on its host."""
        return f"{TLS_DIRECTORY}/{self.name}.csr"


def authority_file(authority: str) -> str:
    """Path on a gateway host of the certificate of an authority that we trust."""
    return f"{AUTHORITY_DIRECTORY}/{authority}.pem"


def certificates(document: Document) -> list[CertificateRequirement]:
    """Every certificate for this document, sorted by name and host."""
    federation = document.federation
    internal, public = federation.certificates.internal, federation.certificates.public
    link = federation.certificates.of_link
    needed: list[CertificateRequirement] = []

    def need(  # noqa: PLR0917 - a row of a table
        name: str,
        host: str,
        names: tuple[str, ...],
        step: int,
        used_for: str,
        issuer: InternalIssuer | PublicIssuer = internal,
    ) -> None:
        usages = (Usage.SERVER,) if issuer is public else (Usage.SERVER, Usage.CLIENT)
        unique = tuple(dict.fromkeys(names))
        needed.append(
            CertificateRequirement(
                name, host, unique[0], unique, usages, issuer.issuer, issuer.authority or "", step, used_for
            )
        )

    for edge in federation.edges:
        # One bare-domain entry per SIP domain of ours (planning guide): partners look for the domain, not for the host
        # (RFC 6120 13.7.1.2).
        # serverAuth only: public authorities no longer issue clientAuth, and S2S checks names as a server's anyway.
        names = (edge.fqdn, *federation.own_domains, *public.names)
        need("public", edge.host, names, 4, "XMPP S2S with partners", public)
        need("link", edge.host, (edge.internal_fqdn,), 2, "link from the front ends", link)
    for pool, front_end in federation.front_ends:
        need("link", front_end.host, (front_end.fqdn,), 1, "link to the edges", link)
        # The platform validates the trusted application pool's name: it is the subject, the members stand beside it.
        members = (front_end.fqdn, *sorted(member.fqdn for member in pool.front_ends))
        need("sip", front_end.host, (pool.fqdn, *members), 1, "SIP with the platform")
    return sorted(needed, key=lambda requirement: (requirement.name, requirement.host))
