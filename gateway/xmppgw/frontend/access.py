"""Who may exchange messages with whom: own domains, partners, and the access policy of the SIP user.

Called for every stanza and every SIP request, in both directions, whatever the edge or the platform has checked before.
Replaced as a whole on reload. Where users are told apart, each is looked up in an indexed file: neither start nor
message cost anything that grows with the number of users.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xmppgw.frontend.settings import AccessPolicies, FrontEndSettings, PolicyFlags
from xmppgw.policy.effective import Effective, Policies, Switches, effective, not_in_table
from xmppgw.policy.index import IndexProblem, UserIndex
from xmppgw.telemetry.settings import SettingsProblem
from xmppgw.translate.neutral import Failure
from xmppgw.xmpp.address import JID, AddressError, prepare_domain


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an exchange is not allowed: a word for the counter, and what the sender is told.

    `detail` says what an administrator can change. It may name policies and users, so it goes to our own users and into
    the log, never to a partner.
    """

    code: str
    failure: Failure
    detail: str = ""

    @property
    def of_policy(self) -> bool:
        """Whether it is the SIP user's policy or state that stands in the way: the sender is told then."""
        return self.code not in ("foreign-domain", "not-a-partner")


class AccessRules:
    """Answers from one configuration. Raises SettingsProblem for a domain that is none, or without its users' table."""

    def __init__(self, settings: FrontEndSettings) -> None:
        self.own_domains = frozenset(_domain(each) for each in settings.own_domains)
        self._partners: dict[str, str] = {}
        for each in settings.partners:
            main = _domain(each.domain)
            for domain in (main, *map(_domain, each.additional_domains)):
                if domain in self._partners or domain in self.own_domains:
                    raise SettingsProblem("settings-conflict", f"domain {domain} is listed twice")
                self._partners[domain] = main
        self._policies = _policies(settings.access_policy)
        self._users = _table(settings.access_policy.users_table)

    def close(self) -> None:
        """Close the users' table; nothing may be asked afterwards."""
        if self._users is not None:
            self._users.close()

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
        return self._refuse_user(own)

    def effective(self, own: JID) -> Effective:
        """What holds for the SIP user `own`. Raises IndexProblem if the users' table is damaged."""
        address = str(own.bare)
        if self._users is None:
            return effective(self._policies, None, address)
        user = self._users.find(address)
        return not_in_table(address) if user is None else effective(self._policies, user, address)

    def _refuse_user(self, own: JID) -> Refusal | None:
        try:
            found = self.effective(own)
        except IndexProblem as problem:
            return Refusal(
                "users-unreadable",
                Failure("forbidden", "federation with XMPP is not allowed at the moment"),
                f"the users' table cannot be read ({problem}): build it again with `xmppgw user index`",
            )
        if found.allowed:
            return None
        first = found.obstacles[0]
        detail = "; ".join(f"{each.found}: {each.remedy}" for each in found.obstacles)
        # A partner learns nothing of one user that it would not learn of all.
        return Refusal(first.code, Failure("forbidden", "federation with XMPP is not allowed by policy"), detail)


def _policies(settings: AccessPolicies) -> Policies:
    return Policies(
        _switches(settings.everyone),
        {name: _switches(flags) for name, flags in settings.sites.items()},
        {name: _switches(flags) for name, flags in settings.users.items()},
        settings.survivable_branch,
    )


def _switches(flags: PolicyFlags) -> Switches:
    return Switches(flags.enable_federation_access, flags.enable_xmpp_access)


def _table(path: str | None) -> UserIndex | None:
    try:
        return None if path is None else UserIndex(Path(path))
    except IndexProblem as problem:
        raise SettingsProblem("settings-users", str(problem)) from None


def _domain(text: str) -> str:
    try:
        return prepare_domain(text)
    except AddressError as error:
        raise SettingsProblem("settings-value", f"{text!r} is not a domain: {error}") from None
