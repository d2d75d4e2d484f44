"""Who may exchange messages with whom: own domains, partners, and the global access policy.

Called for every stanza and every SIP request, in both directions, whatever the edge or the platform has checked before.
Replaced as a whole on reload.
"""

from __future__ import annotations

from dataclasses import dataclass

from xmppgw.frontend.settings import FrontEndSettings
from xmppgw.telemetry.settings import SettingsProblem
from xmppgw.translate.neutral import Failure
from xmppgw.xmpp.address import JID, AddressError, prepare_domain


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an exchange is not allowed: a word for the counter, and what the sender is told."""

    code: str
    failure: Failure


class AccessRules:
    """Constant-time answers from one configuration. Raises SettingsProblem for a domain that is none."""

    def __init__(self, settings: FrontEndSettings) -> None:
        self.own_domains = frozenset(_domain(each) for each in settings.own_domains)
        self._partners: dict[str, str] = {}
        for each in settings.partners:
            main = _domain(each.domain)
            for domain in (main, *map(_domain, each.additional_domains)):
                if domain in self._partners or domain in self.own_domains:
                    raise SettingsProblem("settings-conflict", f"domain {domain} is listed twice")
                self._partners[domain] = main
        everyone = settings.access_policy.everyone
        self._allowed = everyone.enable_federation_access and everyone.enable_xmpp_access

    def partner(self, domain: str) -> str | None:
        """Return the main domain of the partner that a normalised `domain` belongs to."""
        return self._partners.get(domain)

    def labels(self) -> list[tuple[str, tuple[str, ...]]]:
        """Return main domain and additional domains of every partner."""
        found: dict[str, list[str]] = {}
        for domain, main in self._partners.items():
            found.setdefault(main, [])
            if domain != main:
                found[main].append(domain)
        return [(main, tuple(additional)) for main, additional in found.items()]

    def refuse(self, own: JID, remote: JID) -> Refusal | None:
        """Say why the SIP user `own` and the XMPP user `remote` may not exchange messages, or return None."""
        if own.domain not in self.own_domains:
            return Refusal("foreign-domain", Failure("item-not-found", "the domain is not served here"))
        if remote.domain not in self._partners:
            return Refusal(
                "not-a-partner", Failure("remote-server-not-found", "the domain is not a federation partner")
            )
        if not self._allowed:
            # The scope is global: the answer says nothing about one user.
            return Refusal("policy", Failure("forbidden", "federation with XMPP is not allowed by policy"))
        return None


def _domain(text: str) -> str:
    try:
        return prepare_domain(text)
    except AddressError as error:
        raise SettingsProblem("settings-value", f"{text!r} is not a domain: {error}") from None
