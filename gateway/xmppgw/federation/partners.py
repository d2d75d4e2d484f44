"""Partners of the document: a remote XMPP domain, how far it is trusted, how it is reached and how it is switched.

Part of the model. Defaults are those of `New-CsXmppAllowedPartner`, else the closed choice. What the settings allow is
in `outcome.py`, what the plan says about a partner's software in `support.py`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from xmppgw.federation.names import DomainName, DomainNameOrAddress
from xmppgw.federation.parts import S2S_PORT, Contact, Part, Pin, Port, SecretName
from xmppgw.federation.texts import GroupName, Line


class Requirement(StrEnum):
    """How much a partner's TLS or SASL is asked for (`TlsNegotiation`, `SaslNegotiation`)."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    NOT_SUPPORTED = "not_supported"


class PartnerType(StrEnum):
    """How far a partner's users are trusted (`PartnerType`)."""

    FEDERATED = "federated"
    PUBLIC_VERIFIED = "public_verified"
    PUBLIC_UNVERIFIED = "public_unverified"


class Switch(StrEnum):
    """When a partner's SIP route moves, relative to the SRV record."""

    WITH_DNS = "with_dns"
    BEFORE_DNS = "before_dns"


class Server(Part):
    """A fixed server of a partner, instead of what DNS says (`ProxyFqdn`)."""

    host: DomainNameOrAddress
    port: Port = S2S_PORT


class ProofException(Part):
    """Why a partner may be enabled without a dry authentication from every edge, and who answers for that."""

    reason: Line
    by: Line


class Partner(Part):
    """A remote XMPP domain and its policy (`New-CsXmppAllowedPartner`)."""

    domain: DomainName
    additional_domains: tuple[DomainName, ...] = ()
    """further domains; subdomains are not implied"""
    description: Annotated[str, StringConstraints(max_length=1000)] = ""
    type: PartnerType = PartnerType.PUBLIC_UNVERIFIED
    tls: Requirement = Requirement.REQUIRED
    sasl: Requirement = Requirement.REQUIRED
    dialback: bool = True
    keep_alive: bool = True
    """the partner is expected to send keep-alives"""
    connection_limit: Annotated[int, Field(ge=1, le=1000)] = 20
    """simultaneous streams"""
    servers: Annotated[tuple[Server, ...], Field(max_length=16)] = ()
    """fixed servers, instead of what DNS says"""
    pins: Annotated[tuple[Pin, ...], Field(max_length=16)] = ()
    """when given, only leaf certificates with one of these SHA-256 fingerprints are accepted"""
    authority: SecretName | None = None
    """the partner's own authority: its certificates are judged by that one alone, not by the system's"""
    pins_our_certificate: bool = False
    """the partner has confirmed that it pins our public certificate or trusts our own authority"""
    switch: Switch = Switch.WITH_DNS
    group: GroupName | None = None
    """switched together, such as `canary`, which goes first"""
    preset: Literal["google_talk"] | None = None
    """a documented recipe whose settings this partner has (obsolete since Google ended federation)"""
    software: Line | None = None
    """the partner's XMPP server, such as Prosody"""
    version: Line | None = None
    """its version"""
    vendor_contact: Line | None = None
    """whom to ask about that software"""
    contact: Contact | None = None
    """who runs the partner's server: the addressee of its letter"""
    proof_exception: ProofException | None = None
    """enabled without a dry authentication"""

    @property
    def domains(self) -> tuple[str, ...]:
        """The primary domain and the additional ones."""
        return (self.domain, *self.additional_domains)
