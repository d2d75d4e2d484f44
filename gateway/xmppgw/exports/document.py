"""From a gathered deployment to a federation document, its gaps, and what is not in it.

What an export says is written as it stands there; what no export can say (new hosts, addresses, zones, authorities) is
a gap that `xmppgw check` refuses by name until a person fills it in. Nothing is invented.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from xmppgw.exports import cmdlets
from xmppgw.exports.deployment import Deployment, Found, Policy, XmppPartner
from xmppgw.exports.findings import Findings, Origin
from xmppgw.exports.yaml_form import Gap, Node, Noted, lines_of
from xmppgw.federation.model import Partner, Requirement
from xmppgw.federation.outcome import partner_outcome

_WORDS: Final = {
    "Required": "required",
    "Optional": "optional",
    "NotSupported": "not_supported",
    "Federated": "federated",
    "PublicVerified": "public_verified",
    "PublicUnverified": "public_unverified",
}
#: Limits of the document's model; the platform documents none.
_LONGEST_DESCRIPTION: Final = 1000
_MOST_CONNECTIONS: Final = 1000
_GOOGLE: Final = ("gmail.com", "googlemail.com")
_HEAD: Final = (
    "# Written by `xmppgw import-legacy` from exports of the old platform. docs/federation.md describes every key.",
    '# "FILL IN" marks what no export can tell; `xmppgw check --document FILE` names each until it is filled in.',
)


@dataclass(frozen=True, slots=True)
class Imported:
    """The document's text, and the path of every gap in it with what belongs there."""

    text: str
    gaps: tuple[tuple[str, str], ...]


def document_of(deployment: Deployment, findings: Findings) -> Imported:
    """The document of a deployment. Losses go to `findings`."""
    writer = _Writer(deployment, findings)
    root: Mapping[str, Node] = {"federation": writer.federation()}
    text = "\n".join((*_HEAD, *lines_of(root))) + "\n"
    return Imported(text, tuple(_gaps(root, "")) + tuple(writer.decisions))


def _gaps(node: Node, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, Noted):
        yield from _gaps(node.value, path)
    elif isinstance(node, Gap):
        yield path, node.wanted
    elif isinstance(node, Mapping):
        for key, value in node.items():
            yield from _gaps(value, f"{path}.{key}" if path else key)
    elif not isinstance(node, str | bool | int):
        for index, value in enumerate(node):
            yield from _gaps(value, f"{path}[{index}]")


class _Writer:
    def __init__(self, deployment: Deployment, findings: Findings) -> None:
        self.deployment = deployment
        self.findings = findings
        #: What is written as the platform has it, and refused by `check` all the same: path and why.
        self.decisions: list[tuple[str, str]] = []

    def federation(self) -> Mapping[str, Node]:
        deployment = self.deployment
        self._lose_gateway_settings()
        self._lose_sip_federation()
        self._lose_routes()
        domains: list[Node] = [
            {"name": name}
            for name in sorted(deployment.sip_domains, key=lambda name: (name != deployment.default_domain, name))
        ]
        partners = sorted(deployment.partners.items())
        return {
            "version": 1,
            "scenario": Noted("replace", "or coexist, where XMPP users and the legacy edge stay"),
            "sip_domains": domains or [{"name": Gap("a SIP domain of yours")}],
            "legacy": self._legacy(),
            "target": {
                "product": Gap("the platform on which users will live: lync2013, sfb2015, sfb2019 or sfbse"),
                "pool": Gap("FQDN of the pool on which they will be homed"),
            },
            "pools": [
                {
                    "fqdn": Gap("FQDN of our new pool of front ends"),
                    "front_ends": [
                        {
                            "host": Gap("inventory name of the first front end"),
                            "fqdn": Gap("its FQDN"),
                            "addresses": [Gap("where it listens for SIP")],
                        }
                    ],
                }
            ],
            "edges": [
                {
                    "host": Gap("inventory name of the first edge"),
                    "fqdn": Gap("its external FQDN, another one than the legacy gateway's"),
                    "external_addresses": [Gap("where it listens for partners")],
                    "internal_fqdn": Gap("its internal FQDN"),
                    "internal_addresses": [Gap("where front ends dial it")],
                }
            ],
            "sip": {
                "next_hop": {"fqdn": Gap("FQDN of the pool that gets our SIP requests; one of the peers")},
                "peers": [{"fqdn": Gap("FQDN of a pool that may send us requests"), "addresses": [Gap("its address")]}],
            },
            "partners": [self._partner(index, found) for index, (_, found) in enumerate(partners)],
            "access_policies": self._policies(),
            **self._users(),
            "homing": Noted({"provider": "manual"}, "powershell, once the runbook has been read"),
            "routes": {"provider": "manual"},
            "drain": {"provider": "wait"},
            "certificates": {
                "public": {"issuer": Gap("acme or import; `check` says what else it needs")},
                "internal": {"issuer": "private_ca", "authority": Gap("a name for your private authority")},
            },
            "dns": {
                "provider": Noted("manual", "rfc2136, where the zone takes signed updates"),
                "authoritative": [Gap("address of a name server of the zones, each of them")],
                "resolvers": [Gap("address of a resolver that the edges ask")],
                "zones": [Gap("the zone in which the SRV records live; one for each, if there are more")],
            },
        }  # fmt: skip

    def _legacy(self) -> Mapping[str, Node]:
        deployment, facts = self.deployment, self.deployment.legacy
        section: dict[str, Node] = {
            "product": facts.product or Gap("ocs2007r2, lync2010, lync2013 or sfb2015"),
            "gateway": {
                "host": Gap("inventory name of the legacy gateway or edge"),
                "fqdn": facts.gateway_fqdn or self._route() or Gap("what the _xmpp-server._tcp SRV record names today"),
                "addresses": list(facts.gateway_addresses) or [Gap("its addresses, as partners see them")],
            },
            "pool": self._legacy_pool(),
        }
        for found in deployment.edge.values():
            section["allow_federated_users"] = found.item.allow_federated_users
            if not found.item.allow_federated_users:
                why = "AllowFederatedUsers is off: nobody's policy lets anything through, and a migration is refused"
                self.decisions.append(("federation.legacy.allow_federated_users", why))
            if found.item.partner_discovery:
                self._lose("lost-no-counterpart", cmdlets.ACCESS_EDGE, found.origin, "EnablePartnerDiscovery",
                           "the gateway admits listed partners only", "")  # fmt: skip
        branches = self._branch_pools()
        if branches:
            section["survivable_branch_pools"] = branches
        return section

    def _route(self) -> Node | None:
        """The edge of the site's XMPP route, as a gap: the export has its internal name, DNS its external one."""
        routes = sorted({found.item.xmpp_route for found in self.deployment.sites.values() if found.item.xmpp_route})
        if not routes:
            return None
        return Gap(f"what the SRV record names today; the sites' XMPP route goes to the edge pool {', '.join(routes)}")

    def _legacy_pool(self) -> Node:
        pools = self.deployment.pools
        full = {
            name: count
            for name, count in self.deployment.users.pools.items()
            if name not in pools or not pools[name].item.survivable_branch
        }
        if len(full) == 1:
            return next(iter(full))
        if not full:
            return Gap("FQDN of the pool on which users are homed today")
        most = sorted(full.items(), key=lambda item: (-item[1], item[0]))[:5]
        shown = ", ".join(f"{name} ({count} users)" for name, count in most)
        return Gap(f"the pool on which users are homed today; found {len(full)}: {shown}")

    def _branch_pools(self) -> list[Node]:
        users = self.deployment.users.pools
        return [
            name
            for name, found in sorted(self.deployment.pools.items())
            if found.item.survivable_branch and (not found.item.director or name in users)
        ]

    # Partners.

    def _partner(self, index: int, found: Found[XmppPartner]) -> Node:
        partner, origin = found.item, found.origin
        section: dict[str, Node] = {"domain": partner.domain}
        if partner.additional_domains:
            section["additional_domains"] = list(partner.additional_domains)
        if partner.description:
            self._description(section, partner, origin)
        section["type"] = _WORDS[partner.type]
        section["tls"], section["sasl"] = _WORDS[partner.tls], _WORDS[partner.sasl]
        section["dialback"] = partner.dialback
        if not partner.keep_alive:
            section["keep_alive"] = False
        limit = self._connection_limit(partner, origin)
        if limit is not None:
            section["connection_limit"] = limit
        if partner.proxy_fqdn:
            section["servers"] = [{"host": partner.proxy_fqdn}]
        if _is_google_talk(partner):
            section["preset"] = "google_talk"
            self._lose("lost-obsolete", cmdlets.PARTNER, origin, "",
                       "Google Talk's federation, the one recipe that Microsoft documented, has ended",
                       "remove the partner, unless somebody answers there")  # fmt: skip
        return self._remarked(index, section, partner)

    def _remarked(self, index: int, section: Mapping[str, Node], partner: XmppPartner) -> Node:
        outcome = partner_outcome(Requirement(_WORDS[partner.tls]), Requirement(_WORDS[partner.sasl]), partner.dialback)
        if not outcome.valid:
            why = f"the platform's own settings leave no way to authenticate: {outcome.rationale}"
            self.decisions.append((f"federation.partners[{index}]", why))
            return Noted(section, f"FILL IN other settings: {why}")
        if partner.domain in self.deployment.sip_domains:
            why = f"{partner.domain} is one of your own SIP domains"
            self.decisions.append((f"federation.partners[{index}].domain", why))
            return Noted(section, f"FILL IN: {why}; remove the partner or the domain")
        if partner.additional_domains is None:
            return Noted(section, "additional_domains: not in the export, which has only the list's type")
        return section

    def _description(self, section: dict[str, Node], partner: XmppPartner, origin: Origin) -> None:
        text = partner.description
        if len(text) > _LONGEST_DESCRIPTION or "{{" in text or "{%" in text:
            why = f"longer than {_LONGEST_DESCRIPTION} characters, or with {{{{ in it, which Ansible would expand"
            self._lose("lost-range", cmdlets.PARTNER, origin, "Description", why, "")
        else:
            section["description"] = text

    def _connection_limit(self, partner: XmppPartner, origin: Origin) -> int | None:
        limit, column, cmdlet = partner.connection_limit, "ConnectionLimit", cmdlets.PARTNER
        for found in self.deployment.gateway.values():
            if limit is None:
                limit = dict(found.item.values).get("PartnerConnectionLimit")
                column, cmdlet = "PartnerConnectionLimit", cmdlets.GATEWAY
        if limit is None or limit == Partner.model_fields["connection_limit"].default:
            return None
        if not 1 <= limit <= _MOST_CONNECTIONS:
            why = f"found {limit}; the document takes 1 to {_MOST_CONNECTIONS}, and its default was left"
            self._lose("lost-range", cmdlet, origin, column, why, "")
            return None
        return limit

    # Policies and users.

    def _policies(self) -> Mapping[str, Node]:
        found = [each.item for _, each in sorted(self.deployment.policies.items())]
        everyone = next((policy for policy in found if policy.scope == "global"), None)
        section: dict[str, Node] = {}
        if everyone is not None:
            section["global"] = _switches(everyone)
        else:
            section["global"] = Noted(
                {"enable_federation_access": False, "enable_xmpp_access": False},
                "no export of Get-CsExternalAccessPolicy with the global policy: closed, the platform's default",
            )
        for scope, key in (("site", "sites"), ("user", "users")):
            named = [policy for policy in found if policy.scope == scope]
            if named:
                section[key] = [{"name": policy.name, **_switches(policy)} for policy in named]
        return section

    def _users(self) -> Mapping[str, Node]:
        counts, policies = self.deployment.users, self.deployment.policies
        scoped = any(found.item.scope != "global" for found in policies.values())
        if not counts.total and not scoped:
            return {}
        self._lose("lost-elsewhere", cmdlets.USER, Origin(""), "", f"{counts.total} users are not part of the document",
                   "xmppgw user sync EXPORT... --users users.table --apply")  # fmt: skip
        known = {found.item.name.casefold() for found in policies.values() if found.item.scope == "user"}
        for name in sorted(counts.policies):
            if name and policies and name.casefold() not in known:
                self._lose("lost-no-counterpart", cmdlets.USER, Origin("", 0, name), "ExternalAccessPolicy",
                           f"granted to {counts.policies[name]} users, and not among the exported policies",
                           "export Get-CsExternalAccessPolicy again; until then they have no XMPP")  # fmt: skip
        return {"users": Noted({"export": "users.table"}, "beside this file; `xmppgw user sync` writes it")}

    # What has no place.

    def _lose_gateway_settings(self) -> None:
        for found in self.deployment.gateway.values():
            for column, value in found.item.values:
                if column != "PartnerConnectionLimit":
                    self._lose("lost-no-counterpart", cmdlets.GATEWAY, found.origin, column,
                               f"found {value}; the gateway has limits of its own", "")  # fmt: skip
            if found.item.has_passphrase:
                self._lose("lost-secret", cmdlets.GATEWAY, found.origin, "DialbackPassphrase",
                           "a secret, which no document may hold; the gateway makes one of its own",
                           "delete the export when it is no longer needed")  # fmt: skip
            if found.item.logs_bodies:
                self._lose("lost-no-counterpart", cmdlets.GATEWAY, found.origin, "EnableLoggingAllMessageBodies",
                           "the gateway writes no bodies into its log", "")  # fmt: skip

    def _lose_sip_federation(self) -> None:
        for domain, found in sorted(self.deployment.allowed_domains.items()):
            listed = any(
                domain in (key, *(each.item.additional_domains or ())) for key, each in self.deployment.partners.items()
            )
            why = (
                "allowed for SIP federation, and an XMPP partner too"
                if listed
                else "SIP federation stays on the platform"
            )
            todo = "a domain cannot be both: see which of the two is in use" if listed else ""
            self._lose("lost-no-counterpart", cmdlets.ALLOWED_DOMAIN, found.origin, "", why, todo)

    def _lose_routes(self) -> None:
        for _, found in sorted(self.deployment.routes.items()):
            target = f" to {found.item.target}" if found.item.target else ""
            self._lose("lost-no-counterpart", cmdlets.STATIC_ROUTES, found.origin, "Route",
                       f"the platform routes {found.item.match}{target} already; routes stay on the platform",
                       "see whether it is in the way of a partner's new route")  # fmt: skip

    def _lose(self, code: str, cmdlet: str, origin: Origin, column: str, why: str, todo: str) -> None:  # noqa: PLR0917
        self.findings.lose(code, cmdlet, origin, column, why, todo)


def _switches(policy: Policy) -> Mapping[str, Node]:
    return {
        "enable_federation_access": policy.enable_federation_access,
        "enable_xmpp_access": policy.enable_xmpp_access,
    }


def _is_google_talk(partner: XmppPartner) -> bool:
    recipe = ("NotSupported", "NotSupported", True, False)
    domains: Sequence[str] = (partner.domain, *(partner.additional_domains or ()))
    return (partner.tls, partner.sasl, partner.dialback, partner.keep_alive) == recipe and any(
        domain in _GOOGLE for domain in domains
    )
