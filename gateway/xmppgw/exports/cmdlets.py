"""Which cmdlet an exported object comes from: told by its type name, else by its columns; a file name is only a hint.

One row per cmdlet that is read. The last row is our own CSV form, for products that have no such cmdlets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

PARTNER: Final = "Get-CsXmppAllowedPartner"
GATEWAY: Final = "Get-CsXmppGatewayConfiguration"
POLICY: Final = "Get-CsExternalAccessPolicy"
USER: Final = "Get-CsUser"
SIP_DOMAIN: Final = "Get-CsSipDomain"
POOL: Final = "Get-CsPool"
SITE: Final = "Get-CsSite"
ALLOWED_DOMAIN: Final = "Get-CsAllowedDomain"
ACCESS_EDGE: Final = "Get-CsAccessEdgeConfiguration"
STATIC_ROUTES: Final = "Get-CsStaticRoutingConfiguration"
#: For OCS 2007 R2 and Lync 2010: docs/import.md.
PLAIN: Final = "the plain CSV form"


@dataclass(frozen=True, slots=True)
class _Signs:
    """How the objects of one cmdlet are told from others. Columns in lower case."""

    cmdlet: str
    #: Last part of the type name, without `#Decorated`.
    types: frozenset[str]
    #: One column of each group must be there.
    needs: tuple[frozenset[str], ...]
    #: None of these may be there.
    lacks: frozenset[str] = frozenset()


def _one_of(*columns: str) -> frozenset[str]:
    return frozenset(columns)


_SIGNS: Final = (
    _Signs(
        PARTNER,
        _one_of("xmppallowedpartner", "displayxmppallowedpartner"),
        (
            _one_of("domain", "identity"),
            _one_of("tlsnegotiation", "saslnegotiation", "supportdialbacknegotiation", "partnertype"),
        ),
    ),
    _Signs(
        GATEWAY,
        _one_of("xmppgatewayconfiguration", "xmppgatewaysettings"),
        (
            _one_of(
                *("partnerconnectionlimit", "streamestablishmenttimeout", "streaminactivitytimeout"),
                *("subscriptionrefreshinterval", "dialbackpassphrase", "enableloggingallmessagebodies"),
            ),
        ),
    ),
    _Signs(
        POLICY,
        _one_of("externalaccesspolicy"),
        (_one_of("identity"), _one_of("enablefederationaccess", "enablexmppaccess")),
    ),
    _Signs(USER, _one_of("ocsaduser", "ocsuser", "aduser"), (_one_of("sipaddress"),)),
    _Signs(SIP_DOMAIN, _one_of("sipdomain", "displaysipdomain"), (_one_of("isdefault"), _one_of("name", "identity"))),
    _Signs(
        POOL,
        _one_of("displaypool", "pool", "cluster"),
        (_one_of("services", "computers"), _one_of("identity", "fqdn"), _one_of("site", "computers")),
        _one_of("pools"),
    ),
    _Signs(
        SITE,
        _one_of("displaysite", "site", "displaycentralsite", "displayremotesite"),
        (_one_of("identity", "siteid"), _one_of("pools", "xmppexternalfederationroute", "xmppfederationroute")),
    ),
    _Signs(
        ALLOWED_DOMAIN,
        _one_of("alloweddomain", "displayalloweddomain"),
        (_one_of("domain", "identity"), _one_of("verificationlevel", "markformonitoring")),
        _one_of("hostsocsusers", "tlsnegotiation"),
    ),
    _Signs(
        ACCESS_EDGE,
        _one_of("accessedgesettings", "accessedgeconfiguration", "displayaccessedgeconfiguration"),
        (_one_of("allowfederatedusers"),),
    ),
    _Signs(STATIC_ROUTES, _one_of("staticroutingsettings", "staticroutingconfiguration"), (_one_of("route"),)),
    _Signs(PLAIN, frozenset(), (_one_of("record"), _one_of("name"))),
)


def cmdlet_of_type(types: Iterable[str]) -> str | None:
    """The cmdlet whose objects have one of the type names, or None."""
    for name in types:
        last = name.strip().rpartition(".")[2].partition("#")[0].casefold()
        for signs in _SIGNS:
            if last in signs.types:
                return signs.cmdlet
    return None


def cmdlet_of_columns(columns: Mapping[str, object]) -> str | None:
    """The cmdlet whose objects have these columns (in lower case), or None where none or more than one has."""
    found = [
        signs.cmdlet
        for signs in _SIGNS
        if all(any(column in columns for column in group) for group in signs.needs)
        and not any(column in columns for column in signs.lacks)
    ]
    return found[0] if len(found) == 1 else None


def lacking_columns(cmdlet: str, columns: Mapping[str, object]) -> str:
    """Which columns an object of `cmdlet` lacks without which it says nothing; empty if it has them."""
    signs = next(each for each in _SIGNS if each.cmdlet == cmdlet)
    groups = [group for group in signs.needs if not any(column in columns for column in group)]
    return "; ".join(" or ".join(sorted(group)) for group in groups)


def cmdlet_of_file_name(name: str) -> str | None:
    """The cmdlet that a file name speaks of. Only a hint: it decides nothing but what an empty list is a list of."""
    folded = name.casefold().replace("get-", "")
    for signs in sorted(_SIGNS, key=lambda each: -len(each.cmdlet)):
        word = signs.cmdlet.casefold().removeprefix("get-")
        if word in folded:
            return signs.cmdlet
    return None
