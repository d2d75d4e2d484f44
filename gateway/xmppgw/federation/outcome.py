"""What a partner's TLS, SASL and dialback settings allow: the published table of 18 combinations as a closed form.

The rules and `xmppgw plan` call `partner_outcome`. Source: Microsoft's "negotiation settings for XMPP federated
partners", complete matrix. Its "common" table credits required/optional/dialback with dialback over plain TCP too; the
complete matrix does not, and it is the one that makes sense: who requires TLS talks to nobody without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import Final

from xmppgw.federation.model import Requirement

REQUIRED, OPTIONAL, NOT_SUPPORTED = Requirement.REQUIRED, Requirement.OPTIONAL, Requirement.NOT_SUPPORTED


class Method(StrEnum):
    """How two servers may come to trust each other, best first."""

    SASL_OVER_TLS = "S"
    DIALBACK_OVER_TLS = "T"
    DIALBACK_OVER_TCP = "C"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one combination of settings allows, and why. `allowed` is empty where nothing can work."""

    allowed: frozenset[Method]
    warnings: tuple[str, ...]
    rationale: str

    @property
    def valid(self) -> bool:
        """Whether any way to authenticate is left."""
        return bool(self.allowed)

    @property
    def expected(self) -> Method | None:
        """The best of the allowed methods: what both sides settle on if the partner can do it."""
        return next((method for method in Method if method in self.allowed), None)

    @property
    def letters(self) -> str:
        """The allowed methods as in the published table, `S,T,C`; `invalid` where there is none."""
        return ",".join(method.value for method in Method if method in self.allowed) or "invalid"


DIALBACK_INERT: Final = "dialback is switched on but never used: TLS and SASL are both required"
SASL_NEEDS_TLS: Final = (
    "SASL needs TLS: where TLS does not come about, SASL cannot either, and the negotiation may fail"
)

# (TLS, SASL, dialback) -> the reason in words, in the order of the published table.
RATIONALE: Final[Mapping[tuple[Requirement, Requirement, bool], str]] = MappingProxyType(
    {
        (
            REQUIRED,
            REQUIRED,
            True,
        ): "TLS and a certificate that names the domain are both required; nothing is left for dialback to do",
        (REQUIRED, REQUIRED, False): "TLS and a certificate that names the domain are both required",
        (
            REQUIRED,
            OPTIONAL,
            True,
        ): "TLS is required; a certificate that names the domain authenticates, and dialback does where there is none",
        (
            REQUIRED,
            OPTIONAL,
            False,
        ): "TLS is required and dialback is off, so only a certificate that names the domain authenticates",
        (
            REQUIRED,
            NOT_SUPPORTED,
            True,
        ): "TLS is required and certificates are not used, so dialback authenticates inside TLS",
        (REQUIRED, NOT_SUPPORTED, False): "neither certificates nor dialback may be used, so nothing can authenticate",
        (
            OPTIONAL,
            REQUIRED,
            True,
        ): "with TLS a certificate or dialback authenticates; without TLS there is no SASL and dialback remains",
        (OPTIONAL, REQUIRED, False): "only a certificate authenticates, which needs TLS: a stream without TLS fails",
        (OPTIONAL, OPTIONAL, True): "with TLS a certificate or dialback authenticates; without TLS dialback does",
        (
            OPTIONAL,
            OPTIONAL,
            False,
        ): "dialback is off, so only a certificate authenticates, which needs TLS: a stream without TLS fails",
        (
            OPTIONAL,
            NOT_SUPPORTED,
            True,
        ): "certificates are not used, so dialback authenticates, inside TLS where the partner offers it",
        (OPTIONAL, NOT_SUPPORTED, False): "neither certificates nor dialback may be used, so nothing can authenticate",
        (
            NOT_SUPPORTED,
            REQUIRED,
            True,
        ): "there is no TLS, so there is no SASL whatever is required, and dialback authenticates in the clear",
        (
            NOT_SUPPORTED,
            REQUIRED,
            False,
        ): "SASL needs TLS, which is off, and dialback is off too, so nothing can authenticate",
        (
            NOT_SUPPORTED,
            OPTIONAL,
            True,
        ): "there is no TLS, so there is no SASL, and dialback authenticates in the clear",
        (
            NOT_SUPPORTED,
            OPTIONAL,
            False,
        ): "SASL needs TLS, which is off, and dialback is off too, so nothing can authenticate",
        (NOT_SUPPORTED, NOT_SUPPORTED, True): "there is neither TLS nor SASL, so dialback authenticates in the clear",
        (NOT_SUPPORTED, NOT_SUPPORTED, False): "TLS, SASL and dialback are all off, so nothing can authenticate",
    }
)


@cache
def partner_outcome(tls: Requirement, sasl: Requirement, dialback: bool) -> Outcome:
    """What a partner with these settings may do, by the closed form of the published table."""
    allowed: set[Method] = set()
    if tls is not NOT_SUPPORTED and sasl is not NOT_SUPPORTED:
        allowed.add(Method.SASL_OVER_TLS)
    if dialback and tls is not NOT_SUPPORTED and not (tls is REQUIRED and sasl is REQUIRED):
        allowed.add(Method.DIALBACK_OVER_TLS)
    if dialback and tls is not REQUIRED:
        allowed.add(Method.DIALBACK_OVER_TCP)
    warnings: list[str] = []
    if dialback and tls is REQUIRED and sasl is REQUIRED:
        warnings.append(DIALBACK_INERT)
    if allowed and tls is not REQUIRED and sasl is not NOT_SUPPORTED:
        warnings.append(SASL_NEEDS_TLS)
    return Outcome(frozenset(allowed), tuple(warnings), RATIONALE[tls, sasl, dialback])
