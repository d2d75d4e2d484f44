"""Every gate that one message between a SIP user and an XMPP partner has to pass, and how each stands.

Called by `xmppgw policy explain`. The gates are those of the platform (facts about access policies, partner types and
negotiation) with our gateway in the place of the legacy one. What nobody has looked at is `unknown`, never `open`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from xmppgw.federation.model import Federation, Partner, PartnerType
from xmppgw.federation.outcome import partner_outcome
from xmppgw.policy.document import policies_of
from xmppgw.policy.effective import Effective, effective, not_in_table
from xmppgw.policy.users import User


class State(StrEnum):
    """How a gate stands."""

    OPEN = "open"
    CLOSED = "closed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate: what was found, and what to change if it is not open."""

    name: str
    state: State
    found: str
    change: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What holds for one user."""

    user: str
    effective: Effective
    gates: tuple[Gate, ...]

    @property
    def allowed(self) -> bool:
        """Whether no gate is closed."""
        return self.closed is None

    @property
    def closed(self) -> Gate | None:
        """The first gate that is closed: what decides."""
        return next((gate for gate in self.gates if gate.state is State.CLOSED), None)


def explain(
    federation: Federation, address: str, user: User | None, *, table: bool, partner: str | None = None
) -> Explanation:
    """How the gates stand for the SIP user `address`.

    `table`: whether there is a users' table; `user`: what it says. `partner`: an XMPP domain, for the gates that depend
    on it.
    """
    policies = policies_of(federation)
    found = effective(policies, user, address) if user is not None or not table else not_in_table(address)
    gates = [_organisation(federation), _domain(federation, address), *_of_user(found, user, table)]
    if partner is not None:
        gates += _of_partner(federation, partner)
    return Explanation(address, found, tuple(gates))


def _organisation(federation: Federation) -> Gate:
    allowed = federation.legacy.allow_federated_users if federation.legacy else None
    if allowed is None:
        change = "Get-CsAccessEdgeConfiguration, and legacy.allow_federated_users in the document"
        return Gate("AllowFederatedUsers", State.UNKNOWN, "nobody has looked whether the platform allows it", change)
    change = "" if allowed else "Set-CsAccessEdgeConfiguration -AllowFederatedUsers $true; it opens SIP federation too"
    state = State.OPEN if allowed else State.CLOSED
    return Gate("AllowFederatedUsers", state, f"{allowed} on the platform", change)


def _domain(federation: Federation, address: str) -> Gate:
    domain = address.rpartition("@")[2]
    if domain in federation.own_domains:
        return Gate("XMPP route", State.OPEN, f"{domain} is served by our gateway")
    if domain in federation.legacy_domains:
        return Gate(
            "XMPP route",
            State.UNKNOWN,
            f"{domain} is owned by the legacy gateway, whose route is Set-CsSite -XmppExternalFederationRoute",
            "look at the site's route there",
        )
    change = "add it to sip_domains, if it is one of yours"
    return Gate("XMPP route", State.CLOSED, f"{domain} is none of the document's SIP domains", change)


def _of_user(found: Effective, user: User | None, table: bool) -> list[Gate]:
    policy = [each for each in found.obstacles if each.code.startswith("policy")]
    others = [each for each in found.obstacles if not each.code.startswith("policy")]
    gates = [Gate(f"user ({each.code})", State.CLOSED, each.found, each.remedy) for each in others]
    if not table:
        gates.append(
            Gate(
                "user",
                State.UNKNOWN,
                "no users' table: a policy of a site or of the user, a branch appliance or the cloud would not be seen",
                "xmppgw user sync, and users.export in the document",
            )
        )
    elif user is not None and not others:
        gates.append(Gate("user", State.OPEN, f"homed on {user.pool or 'a pool that is not named'}, enabled"))
    if policy:
        gates += [Gate(f"access policy {found.policy}", State.CLOSED, each.found, each.remedy) for each in policy]
    elif found.switches.open:
        gates.append(
            Gate(f"access policy {found.policy}", State.OPEN, "EnableFederationAccess and EnableXmppAccess are on")
        )
    return gates


def _of_partner(federation: Federation, domain: str) -> list[Gate]:
    partner = next((each for each in federation.partners if domain in each.domains), None)
    if partner is None:
        parent = next((each.domain for each in federation.partners if domain.endswith(f".{each.domain}")), None)
        hint = f"; subdomains of {parent} are not implied" if parent else ""
        change = f"add it to partners{', or to the additional_domains of ' + parent if parent else ''}"
        return [Gate("allowed partner", State.CLOSED, f"{domain} is not listed{hint}", change)]
    return [
        Gate("allowed partner", State.OPEN, f"{domain} is listed, type {partner.type}"),
        _contact(partner),
        _negotiation(partner),
    ]


def _contact(partner: Partner) -> Gate:
    if partner.type is PartnerType.PUBLIC_UNVERIFIED:
        found = (
            "public_unverified: its users reach ours only after ours have added them as contacts (the platform's rule)"
        )
        return Gate("contact", State.UNKNOWN, found, "type: federated or public_verified, if the partner is trusted")
    return Gate("contact", State.OPEN, f"{partner.type}: either side may write first")


def _negotiation(partner: Partner) -> Gate:
    outcome = partner_outcome(partner.tls, partner.sasl, partner.dialback)
    if not outcome.valid:
        return Gate("negotiation", State.CLOSED, outcome.rationale, "allow dialback, or TLS together with SASL")
    allowed = ", ".join(sorted(method.value for method in outcome.allowed))
    return Gate(
        "negotiation", State.UNKNOWN, f"allowed: {allowed}; a try from the edge shows the outcome", "xmppgw plan"
    )
