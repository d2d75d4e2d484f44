"""Who may speak with us and how: the partner list as the edge asks it, by domain and in constant time.

Called on every stream header, dialback request and delivery. Replaced as a whole on reload; open streams ask anew.
"""

from __future__ import annotations

from dataclasses import dataclass

from xmppgw.edge.settings import EdgeSettings, PartnerSettings
from xmppgw.telemetry.settings import SettingsProblem
from xmppgw.xmpp.address import AddressError, prepare_domain
from xmppgw.xmpp.stream import PeerPolicy


@dataclass(frozen=True, slots=True)
class Partner:
    """One partner with its domains normalised."""

    domain: str
    domains: tuple[str, ...]
    settings: PartnerSettings
    policy: PeerPolicy


class PartnerTable:
    """All partners and our own domains. Raises SettingsProblem `settings-value` for a domain that is none."""

    def __init__(self, settings: EdgeSettings) -> None:
        self.own_domains = frozenset(_domain(each) for each in settings.own_domains)
        self._partners: dict[str, Partner] = {}
        if not settings.federation_enabled:
            return
        for each in settings.partners:
            domains = tuple(_domain(domain) for domain in (each.domain, *each.additional_domains))
            partner = Partner(domains[0], domains, each, policy_of(each))
            for domain in domains:
                if domain in self._partners or domain in self.own_domains:
                    raise SettingsProblem("settings-conflict", f"domain {domain} is listed twice")
                self._partners[domain] = partner

    def find(self, domain: str) -> Partner | None:
        """Return the partner that a normalised `domain` belongs to."""
        return self._partners.get(domain)

    def policy(self, own: str, remote: str) -> PeerPolicy | None:
        """Return how `remote` may authenticate towards `own`; None if it may not at all."""
        partner = self._partners.get(remote)
        return partner.policy if partner is not None and own in self.own_domains else None

    def labels(self) -> list[tuple[str, tuple[str, ...]]]:
        """Return main domain and additional domains of every partner, in the order of the list."""
        unique = {partner.domain: partner for partner in self._partners.values()}
        return [(partner.domain, partner.domains[1:]) for partner in unique.values()]


def policy_of(partner: PartnerSettings) -> PeerPolicy:
    """Return what `partner`'s settings allow: the closed form of the product's 18 combinations.

    S = TLS != NS and SASL != NS; T = DB and TLS != NS and not (TLS = Req and SASL = Req); C = DB and TLS != Req.
    """
    tls, sasl, dialback = partner.tls, partner.sasl, partner.dialback
    return PeerPolicy(
        sasl_over_tls=tls != "not_supported" and sasl != "not_supported",
        dialback_over_tls=dialback and tls != "not_supported" and not (tls == "required" and sasl == "required"),
        dialback_over_tcp=dialback and tls != "required",
        # Where an unencrypted stream would do, an encrypted one with a bad certificate is no worse.
        verified_tls=tls == "required",
    )


def _domain(text: str) -> str:
    try:
        return prepare_domain(text)
    except AddressError as error:
        raise SettingsProblem("settings-value", f"{text!r} is not a domain: {error}") from None
