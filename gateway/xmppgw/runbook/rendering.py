"""Renders the runbook: a federation document in, files out. Called by `xmppgw runbook` and by the playbooks.

Nothing is written here and nothing is run. A value that cannot be shown as what it is (QuotingProblem) stops all of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

import jinja2

from xmppgw.federation import CertificateRequirement, Document, certificates
from xmppgw.federation.certificates import authority_file
from xmppgw.federation.model import SIP_TLS_PORT, Federation, Product
from xmppgw.runbook import quoting
from xmppgw.runbook.products import PRODUCTS, Facts

APPLICATION: Final = "xmppgw"
"""Id of the trusted application."""
PROXY_SERVICE: Final = "*XMPP Translating Gateway Proxy"
"""Display name of the legacy Edge's XMPP proxy: `Lync Server ...` in 2013; a later release puts its own name before."""
SITE_ROUTE: Final = (
    "in Topology Builder, for every site with an XMPP federation route: Edit Properties, Federation route, "
    "clear XMPP federation; then publish the topology"
)
"""No cmdlet's page says how to clear that route (Set-CsSite has a parameter that sets one), so no script does it."""
BYTE_ORDER_MARK: Final = "\ufeff"
"""Windows PowerShell takes a script without it for the machine's old code page, in which other bytes are quotes."""
# Their platform policy has the switch since its gateway exists, and keeps it although 2019 has no gateway.
_WITH_XMPP_POLICY: Final = (Product.LYNC2013, Product.SFB2015, Product.SFB2019, Product.SFBSE)


class Attachment(StrEnum):
    """How the platform reaches our pool."""

    TRUSTED_APPLICATION = "trusted-application"
    """inside, by static routes; the platform's federation policy may not apply there"""
    ALLOWED_DOMAIN = "allowed-domain"
    """through the Access Edge, as a SIP federation partner"""


class RunbookProblem(ValueError):  # noqa: N818 - the house calls what is wrong with an input a problem
    """A part that this document cannot have. The text says what is missing."""


@dataclass(frozen=True, slots=True)
class Move:
    """One user's move, for a wave's script."""

    user: str
    """address without `sip:`"""
    source: str
    """FQDN of the pool on which the user is now; empty: as the script finds it, which it keeps for its `-Undo`"""


@dataclass(frozen=True, slots=True)
class Part:
    """One script of the runbook."""

    number: int
    name: str
    title: str
    when: str
    """the step of the migration before or in which it is run"""
    undo: str
    facts: Callable[[Federation, Attachment], dict[str, object]]
    lacking: Callable[[Federation, Attachment], str]
    """why this document has no such part; empty if it has"""

    @property
    def file(self) -> str:
        """Name of its script."""
        return f"{self.number}-{self.name}.ps1"


def parts_of(document: Document, attachment: Attachment) -> list[tuple[Part, str]]:
    """Every part with why the document lacks it, in the order in which they are run."""
    return [(part, part.lacking(document.federation, attachment)) for part in PARTS]


def render(
    document: Document, source: str, *, attachment: Attachment, parts: Iterable[str] | None = None
) -> dict[str, bytes]:
    """The runbook's files by name: RUNBOOK.md and the scripts of `parts` (default: all that the document has).

    `source` is shown as where this comes from. Raises RunbookProblem, QuotingProblem.
    """
    federation = document.federation
    found = parts_of(document, attachment)
    chosen = set(parts) if parts is not None else {part.name for part, lacking in found if not lacking}
    files: dict[str, bytes] = {}
    for part, lacking in found:
        if part.name not in chosen:
            continue
        if lacking:
            raise RunbookProblem(f"part {part.name}: {lacking}")
        facts = {**_common(federation, source, part.title), **part.facts(federation, attachment)}
        files[part.file] = script(f"{part.name}.ps1.j2", facts)
    files["RUNBOOK.md"] = _prose(document, source, attachment, found)
    return files


def wave_script(document: Document, source: str, wave: str, moves: Iterable[Move]) -> bytes:
    """The script that moves one wave of users, and with -Undo moves it back."""
    federation = document.federation
    facts = {**_common(federation, source, f"Move {wave}"), **_wave(federation, wave, moves)}
    return script("users.ps1.j2", facts)


def route_script(document: Document, source: str, attachment: Attachment = Attachment.TRUSTED_APPLICATION) -> bytes:
    """The script that moves the SIP routes of partners (all, or the one that -Partner names), and back with -Undo."""
    federation = document.federation
    facts = {**_common(federation, source, "Move the SIP routes of the partners"), **_routes(federation, attachment)}
    return script("routes.ps1.j2", facts)


def native_script(document: Document, source: str) -> bytes:
    """The script that removes the partners from the platform's own XMPP gateway, at decommission.

    Raises RunbookProblem where the document has no such part.
    """
    part = next(each for each in PARTS if each.name == "native")
    lacking = part.lacking(document.federation, Attachment.TRUSTED_APPLICATION)
    if lacking:
        raise RunbookProblem(f"part {part.name}: {lacking}")
    facts = part.facts(document.federation, Attachment.TRUSTED_APPLICATION)
    return script("native.ps1.j2", {**_common(document.federation, source, part.title), **facts})


def drain_script(document: Document, source: str) -> bytes:
    """The script that restarts the legacy Edge's XMPP proxy in the quiet minute, so that partners connect anew.

    Raises RunbookProblem where the legacy product has no such proxy or the document names no minute.
    """
    federation = document.federation
    if federation.legacy is None or not PRODUCTS[federation.legacy.product].native_gateway:
        raise RunbookProblem("the legacy product has no XMPP proxy on its Edge Server")
    if federation.drain.quiet_minute is None:
        raise RunbookProblem("the document names no drain.quiet_minute")
    facts = {
        **_common(federation, source, "Restart the legacy XMPP proxy in the quiet minute"),
        "facts": PRODUCTS[federation.legacy.product],
        "quiet_minute": federation.drain.quiet_minute,
        "service": PROXY_SERVICE,
        "gateway": federation.legacy.gateway.fqdn,
        "listening": f":{federation.legacy.gateway.port} ",
    }
    return script("drain.ps1.j2", facts)


def script(template: str, facts: dict[str, object]) -> bytes:
    """A script as Windows PowerShell reads it: UTF-8 with its mark, lines ended as on Windows."""
    rendered = _environment().get_template(template).render(facts)
    return (BYTE_ORDER_MARK + rendered.replace("\n", "\r\n")).encode()


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("xmppgw.runbook", "."),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - PowerShell and Markdown; `finalize` refuses what no filter made safe
        finalize=quoting.guarded,
    )
    for name in ("literal", "literals", "number", "boolean", "comment", "text", "code", "codes"):
        environment.filters[name] = getattr(quoting, name)
    return environment


def _common(federation: Federation, source: str, title: str) -> dict[str, object]:
    return {"title": title, "source": source, "facts": _platform(federation), "port": SIP_TLS_PORT}


def _platform(federation: Federation) -> Facts:
    return PRODUCTS[federation.target.product]


def _pool(federation: Federation) -> str:
    return federation.pools[0].fqdn


def _no_shell(federation: Federation, _attachment: Attachment) -> str:
    facts = _platform(federation)
    return "" if facts.cmdlets else f"{facts.name} has no management shell: do it in its console, as RUNBOOK.md says"


def _first_act_lacks(federation: Federation, attachment: Attachment) -> str:
    if attachment is Attachment.ALLOWED_DOMAIN:
        return "with allowed domains there is no static route to prove"
    if not federation.pilot.users or federation.pilot.partner is None:
        return "the document names no pilot.users and pilot.partner"
    return _no_shell(federation, attachment)


def _attach_lacks(federation: Federation, attachment: Attachment) -> str:
    if attachment is Attachment.ALLOWED_DOMAIN:
        return "an allowed domain needs no trusted application; part routes makes it"
    return _no_shell(federation, attachment)


def _routes_lack(federation: Federation, attachment: Attachment) -> str:
    return _no_shell(federation, attachment) or ("" if federation.partners else "the document has no partners")


def _users_lack(federation: Federation, attachment: Attachment) -> str:
    if federation.legacy is None or federation.legacy.pool == federation.target.pool:
        return "nobody moves"
    if not _pilots(federation):
        return "the document names no pilot users; the playbooks write one script for each wave"
    return _no_shell(federation, attachment)


def _native_lacks(federation: Federation, attachment: Attachment) -> str:
    if federation.legacy is None or not PRODUCTS[federation.legacy.product].native_gateway:
        return "the legacy product has no XMPP cmdlets: its gateway is a product of its own"
    return _no_shell(federation, attachment) or ("" if federation.partners else "the document has no partners")


def _first_act(federation: Federation, _attachment: Attachment) -> dict[str, object]:
    legacy = federation.legacy
    return {
        "partner": federation.pilot.partner,
        "user": federation.pilot.users[0],
        "pool": _pool(federation),
        "native": legacy is not None and PRODUCTS[legacy.product].native_gateway,
    }


def _trust(federation: Federation, _attachment: Attachment) -> dict[str, object]:
    return {"authority_file": f"{federation.certificates.internal.authority}.pem"}


def _attach(federation: Federation, _attachment: Attachment) -> dict[str, object]:
    pools = [
        {"fqdn": pool.fqdn, "members": sorted(front_end.fqdn for front_end in pool.front_ends)}
        for pool in federation.pools
    ]
    return {"pools": pools, "registrar": federation.target.pool, "application": APPLICATION}


def _settings(federation: Federation, _attachment: Attachment) -> dict[str, object]:
    policies = federation.access_policies
    named = [("Global", policies.global_)]
    named += [(f"Site:{each.name}", each) for each in policies.sites]
    named += [(f"Tag:{each.name}", each) for each in policies.users]
    return {
        "policies": [
            {
                "identity": identity,
                "kept": _kept(identity),
                "federation": policy.enable_federation_access,
                "xmpp": policy.enable_xmpp_access,
            }
            for identity, policy in named
        ],
        "xmpp_policy": federation.target.product in _WITH_XMPP_POLICY,
    }


def _kept(identity: str) -> str:
    """Name under which what stood before is kept: the same for the same policy, whatever else the document has.

    A policy's name may have any printable character, a file's must not; and the platform minds no case.
    """
    scope = identity.partition(":")[0].lower()
    return f"policy-{scope}-{hashlib.sha256(identity.casefold().encode()).hexdigest()[:16]}"


def _wave(federation: Federation, wave: str, moves: Iterable[Move]) -> dict[str, object]:
    source = PRODUCTS[federation.legacy.product] if federation.legacy else _platform(federation)
    return {
        "wave": wave,
        "target": federation.target.pool,
        "moves": list(moves),
        "user_data": source.user_data,
        "legacy": not source.moves_back,
    }


def _users(federation: Federation, _attachment: Attachment) -> dict[str, object]:
    return _wave(federation, "the pilot", [Move(user, "") for user in _pilots(federation)])


def _pilots(federation: Federation) -> list[str]:
    return sorted({*federation.users.waves.pilot, *federation.pilot.users})


def _routes(federation: Federation, attachment: Attachment) -> dict[str, object]:
    return {"partners": list(federation.partners), "pool": _pool(federation), "attachment": attachment.value}


def _native(federation: Federation, _attachment: Attachment) -> dict[str, object]:
    return {"domains": [partner.domain for partner in federation.partners], "site_route": SITE_ROUTE}


PARTS: Final = (
    Part(
        1,
        "trust",
        "Trust our authority, TLS 1.2, revocation",
        "before step 1, on every server",
        "removes the root unless it was there before, and restores what turned TLS 1.2 off",
        _trust,
        lambda *_: "",
    ),
    Part(
        2,
        "attach",
        "Attach our pool as a trusted application",
        "before step 1, once",
        "removes the trusted application pool unless it was there before",
        _attach,
        _attach_lacks,
    ),
    Part(
        3,
        "first-act",
        "Prove that a static route wins over the allowed partner",
        "before step 5, with the pilot user and the pilot partner",
        "removes the route",
        _first_act,
        _first_act_lacks,
    ),
    Part(
        4,
        "users",
        "Move the pilot users",
        "in step 3; the playbooks write one such script for each wave",
        "moves each user back to the pool of before",
        _users,
        _users_lack,
    ),
    Part(
        5,
        "settings",
        "Set Access Edge and external access policies",
        "in step 4",
        "restores every value that was changed and removes every policy that was made",
        _settings,
        _no_shell,
    ),
    Part(
        6,
        "routes",
        "Move the SIP routes of the partners",
        "in step 6, partner by partner, when the playbook asks for it",
        "removes only what leads to our pool",
        _routes,
        _routes_lack,
    ),
    Part(
        7,
        "native",
        "Remove the native partners",
        "when decommission.yml asks for it or runs it: the point of no return",
        "makes the partners again as they were",
        _native,
        _native_lacks,
    ),
)
"""The scripts in the order in which they are run."""


def _prose(document: Document, source: str, attachment: Attachment, found: list[tuple[Part, str]]) -> bytes:
    federation = document.federation
    legacy = federation.legacy
    facts = {
        "source": source,
        "facts": _platform(federation),
        "legacy": PRODUCTS[legacy.product] if legacy else None,
        "legacy_pool": legacy.pool if legacy else None,
        "target_pool": federation.target.pool,
        "attachment": attachment.value,
        "parts": [(part, lacking) for part, lacking in found],
        "pools": federation.pools,
        "partners": federation.partners,
        "port": SIP_TLS_PORT,
        "sip_certificates": _sip_certificates(document),
        "authority": authority_file(federation.certificates.internal.authority),
        "pilot": federation.pilot,
    }
    return _environment().get_template("runbook.md.j2").render(facts).encode()


def _sip_certificates(document: Document) -> list[CertificateRequirement]:
    return [needed for needed in certificates(document) if needed.name == "sip"]
