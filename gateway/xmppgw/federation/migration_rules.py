"""Rules across fields about the migration: owners, window, people, pilot, presets, issuers, products.

Part of the table in `rules.py`, under the same conditions: a rule uses nothing but the sections that it names.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from xmppgw.federation.findings import Finding, Path, Rule, rule
from xmppgw.federation.model import (
    ExceptionReason,
    Federation,
    NamedAccessPolicy,
    Owner,
    Platform,
    Requirement,
    Scenario,
    Serves,
)
from xmppgw.federation.outcome import Method, partner_outcome


def _owners_fit_the_scenario(federation: Federation) -> Iterator[Finding]:
    owners = {domain.owner for domain in federation.sip_domains}
    reads: tuple[Path, ...] = (("scenario",), ("sip_domains",))
    if federation.scenario is Scenario.COEXIST:
        for owner, whose in ((Owner.GATEWAY, "our gateway"), (Owner.LEGACY, "the legacy gateway")):
            if owner not in owners:
                found = f"found no SIP domain that {whose} owns (`owner: {owner}`); coexist needs one of each"
                yield Finding("domain-owner", ("sip_domains",), found, reads=reads)
        return
    for index, domain in enumerate(federation.sip_domains):
        if domain.owner is Owner.LEGACY:
            found = f"found owner legacy for {domain.name} in the scenario {federation.scenario}"
            path: Path = ("sip_domains", index, "owner")
            yield Finding("domain-owner", path, found, "use `scenario: coexist`, or remove `owner`", (*reads, path))


def _window_ends_after_it_starts(federation: Federation) -> Iterator[Finding]:
    window = federation.maintenance_window
    if window is not None and window.closes <= window.opens:
        found = f"found {window.end}, expected a moment after {window.start}"
        reads: tuple[Path, ...] = (("maintenance_window", "start"), ("maintenance_window", "end"))
        yield Finding("maintenance-window", ("maintenance_window", "end"), found, reads=reads)


def _named_users(federation: Federation) -> Iterator[tuple[str, str, Path]]:
    """Every user that the document names: list, address, path."""
    for index, exception in enumerate(federation.users.exceptions):
        yield "users.exceptions", exception.user, ("users", "exceptions", index, "user")
    for index, user in enumerate(federation.users.waves.pilot):
        yield "users.waves.pilot", user, ("users", "waves", "pilot", index)
    for index, user in enumerate(federation.pilot.users):
        yield "pilot.users", user, ("pilot", "users", index)


def _users_are_ours(federation: Federation) -> Iterator[Finding]:
    own = {domain.name for domain in federation.sip_domains}
    seen: set[tuple[str, str]] = set()
    for where, user, path in _named_users(federation):
        if user.rpartition("@")[2] not in own:
            found = f"found {user}, expected a user of {', '.join(sorted(own)[:5])}"
            yield Finding("foreign-user", path, found, reads=(("sip_domains",), path))
        elif (where, user) in seen:
            yield Finding("duplicate-user", path, f"found {user} again in {where}")
        seen.add((where, user))


def _interruptions_are_accepted(federation: Federation) -> Iterator[Finding]:
    for index, exception in enumerate(federation.users.exceptions):
        if exception.reason is ExceptionReason.INTERRUPTION:
            missing = [key for key, value in (("by", exception.by), ("minutes", exception.minutes)) if value is None]
            if missing:
                path: Path = ("users", "exceptions", index)
                found = f"found an interruption for {exception.user} without {' and '.join(missing)}"
                yield Finding("interruption", path, found, reads=tuple((*path, key) for key in ("reason", *missing)))


def _pilot_is_known(federation: Federation) -> Iterator[Finding]:
    domain, partner = federation.pilot.sip_domain, federation.pilot.partner
    own = federation.own_domains
    if domain is not None and domain not in own:
        path: Path = ("pilot", "sip_domain")
        found = f"found {domain}, expected a SIP domain of our gateway: {', '.join(sorted(own)[:5])}"
        yield Finding("pilot-unknown", path, found, reads=(path, ("sip_domains",)))
    if partner is not None and not any(partner in candidate.domains for candidate in federation.partners):
        path = ("pilot", "partner")
        yield Finding("pilot-unknown", path, f"found {partner}, which is no partner's", reads=(path, ("partners",)))


def _policies_differ(federation: Federation) -> Iterator[Finding]:
    policies = federation.access_policies
    scopes: tuple[tuple[str, tuple[NamedAccessPolicy, ...]], ...] = (
        ("sites", policies.sites),
        ("users", policies.users),
    )
    for scope, named in scopes:
        seen: set[str] = set()
        for index, policy in enumerate(named):
            if policy.name.casefold() in seen:
                path: Path = ("access_policies", scope, index, "name")
                yield Finding("duplicate-policy", path, f"found {policy.name} again in access_policies.{scope}")
            seen.add(policy.name.casefold())


def _policies_have_their_users(federation: Federation) -> Iterator[Finding]:
    policies = federation.access_policies
    scope = "sites" if policies.sites else "users" if policies.users else None
    if scope is not None and federation.users.export is None:
        found = f"found access_policies.{scope} without users.export: nothing says whom they concern"
        reads: tuple[Path, ...] = (("access_policies", scope), ("users", "export"))
        yield Finding("policy-users", ("access_policies", scope), found, reads=reads)


# `L/lync-server-2013-example-xmpp-configuration-...-google-talk`: the only recipe Microsoft tested. Google ended it.
_GOOGLE_TALK: Final = {
    "tls": Requirement.NOT_SUPPORTED,
    "sasl": Requirement.NOT_SUPPORTED,
    "dialback": True,
    "keep_alive": False,
}


def _presets_are_kept(federation: Federation) -> Iterator[Finding]:
    for index, partner in enumerate(federation.partners):
        if partner.preset is None:
            continue
        path: Path = ("partners", index)
        differing = [key for key, value in _GOOGLE_TALK.items() if getattr(partner, key) != value]
        for key in differing:
            found, wanted = (str(value).lower() for value in (getattr(partner, key), _GOOGLE_TALK[key]))
            message = f"found {key} {found} for {partner.domain}; {partner.preset} is documented with {wanted}"
            yield Finding("preset", (*path, "preset"), message, reads=((*path, "preset"), (*path, key)))
        if not differing:
            found = f"found {partner.preset} for {partner.domain}: Google ended XMPP federation"
            yield Finding("preset-obsolete", (*path, "preset"), found)


def _pins_can_hold(federation: Federation) -> Iterator[Finding]:
    for index, partner in enumerate(federation.partners):
        key = "pins" if partner.pins else "authority" if partner.authority else None
        if key is None:
            continue
        path: Path = ("partners", index, key)
        if partner.pins and partner.authority:
            found = f"found pins and authority for {partner.domain}: one of them decides"
            yield Finding("partner-pins", path, found, "keep one of them", (path, ("partners", index, "authority")))
        allowed = partner_outcome(partner.tls, partner.sasl, partner.dialback).allowed
        if Method.DIALBACK_OVER_TCP in allowed:
            found = f"found {key} for {partner.domain}, which may use dialback over plain TCP (tls {partner.tls})"
            yield Finding("partner-pins", path, found, reads=(path, ("partners", index, "tls")))


def _issuer_is_complete(federation: Federation) -> Iterator[Finding]:
    public = federation.certificates.public
    path: Path = ("certificates", "public")
    needed = {"acme": ("directory",), "import": ("authority",), "private_ca": ("authority",)}[public.issuer]
    for key in needed:
        if getattr(public, key) is None:
            found = f"found no {key}; the issuer {public.issuer} needs it"
            yield Finding("issuer-incomplete", path, found, f"add `{key}`", ((*path, "issuer"), (*path, key)))
    if public.issuer != "acme":
        for key in ("directory", "directory_authority", "email"):
            if getattr(public, key) is not None:
                found = f"found {key} with the issuer {public.issuer}; only acme has it"
                yield Finding("issuer-settings", (*path, key), found, reads=((*path, "issuer"), (*path, key)))

    for where in ("internal", "link"):
        internal = getattr(federation.certificates, where)
        if internal is None:
            continue
        inner: Path = ("certificates", where)
        reads = ((*inner, "issuer"), (*inner, "key"))
        if internal.issuer == "key_vault" and internal.key is None:
            found = "found no key; the issuer key_vault needs it"
            yield Finding("issuer-incomplete", inner, found, "add `key`", reads)
        elif internal.issuer != "key_vault" and internal.key is not None:
            found = f"found key with the issuer {internal.issuer}; only key_vault has it"
            yield Finding("issuer-settings", (*inner, "key"), found, reads=reads)


def _issuer_can_prove_names(federation: Federation) -> Iterator[Finding]:
    provider = federation.dns.provider
    if federation.certificates.public.issuer == "acme" and provider == "manual":
        found = f"found acme with dns.provider {provider}"
        path: Path = ("certificates", "public", "issuer")
        yield Finding("issuer-dns", path, found, reads=(path, ("dns", "provider")))


def _partners_can_believe_us(federation: Federation) -> Iterator[Finding]:
    """The lab is known by its providers: nothing else has them."""
    in_lab = "lab" in {federation.homing.provider, federation.routes.provider, federation.drain.provider}
    if federation.certificates.public.issuer != "private_ca" or in_lab:
        return
    believers = [partner for partner in federation.partners if partner.pins_our_certificate]
    if len(believers) < max(1, len(federation.partners)):
        others = sorted(partner.domain for partner in federation.partners if not partner.pins_our_certificate)
        whom = f"not confirmed by {', '.join(others[:5])}{' and more' * (len(others) > 5)}" if others else "no partners"
        path: Path = ("certificates", "public", "issuer")
        yield Finding("public-private-ca", path, f"found private_ca: {whom}", reads=(path, ("partners",)))


def _drain_has_its_minute(federation: Federation) -> Iterator[Finding]:
    drain = federation.drain
    if drain.provider == "powershell" and drain.quiet_minute is None:
        reads: tuple[Path, ...] = (("drain", "provider"), ("drain", "quiet_minute"))
        yield Finding("drain-quiet-minute", ("drain",), "found powershell without quiet_minute", reads=reads)


def _platform_takes_text_only(federation: Federation) -> Iterator[Finding]:
    hop = federation.sip.next_hop
    if hop.platform is Platform.MICROSOFT:
        found = f"found the Microsoft platform {hop.fqdn}: presence and contacts stop working at the switch"
        yield Finding("text-only", ("sip", "next_hop"), found)


def _moved_users_stay_served(federation: Federation) -> Iterator[Finding]:
    if federation.scenario is not Scenario.REPLACE or federation.legacy_serves is not Serves.LEGACY_POOL:
        return
    accepted = any(exception.reason is ExceptionReason.INTERRUPTION for exception in federation.users.exceptions)
    if not federation.pilot.users and not accepted and federation.legacy is not None:
        found = (
            f"from {federation.legacy.product} to {federation.target.product} a moved user is no longer served by the "
            "legacy gateway; found neither pilot.users nor an accepted interruption"
        )
        reads: tuple[Path, ...] = (("legacy",), ("target",), ("pilot",), ("users",))
        yield Finding("moved-users-unserved", ("legacy", "gateway"), found, reads=reads)


def _edge_names_are_known(federation: Federation) -> Iterator[Finding]:
    legacy = federation.legacy
    if legacy is None or legacy.decommissioned or legacy.single_edge_fqdn is not None or legacy.edge is not None:
        return
    found = f"found neither single_edge_fqdn nor edge for the legacy edge ({legacy.product})"
    yield Finding("migration-r7-unknown", ("legacy",), found)


def _federation_is_allowed(federation: Federation) -> Iterator[Finding]:
    if federation.legacy is not None and federation.legacy.allow_federated_users is False:
        yield Finding("federation-forbidden", ("legacy", "allow_federated_users"), "found allow_federated_users: false")


MIGRATION_RULES: Final[tuple[Rule, ...]] = (
    rule(_owners_fit_the_scenario, "scenario", "sip_domains"),
    rule(_window_ends_after_it_starts, "maintenance_window"),
    rule(_users_are_ours, "sip_domains", "users", "pilot"),
    rule(_interruptions_are_accepted, "users"),
    rule(_pilot_is_known, "pilot", "sip_domains", "partners"),
    rule(_policies_differ, "access_policies"),
    rule(_policies_have_their_users, "access_policies", "users"),
    rule(_presets_are_kept, "partners"),
    rule(_pins_can_hold, "partners"),
    rule(_issuer_is_complete, "certificates"),
    rule(_issuer_can_prove_names, "certificates", "dns"),
    rule(_partners_can_believe_us, "certificates", "homing", "routes", "drain", "partners"),
    rule(_drain_has_its_minute, "drain"),
    rule(_platform_takes_text_only, "sip"),
    rule(_moved_users_stay_served, "scenario", "legacy", "target", "pilot", "users"),
    rule(_edge_names_are_known, "legacy"),
    rule(_federation_is_allowed, "legacy"),
)
