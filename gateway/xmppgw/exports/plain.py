"""The plain CSV form, for OCS 2007 R2 and Lync 2010, whose XMPP gateway has no cmdlets: one file, written by hand.

Each row becomes what a cmdlet of Lync 2013 would have exported, so that everything behind reads one language. The
columns are documented in docs/import.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pydantic_core import PydanticCustomError

from xmppgw.exports import cmdlets
from xmppgw.exports.records import Reader, Record, Value
from xmppgw.federation.names import address, domain_name

PRODUCTS: Final = ("ocs2007r2", "lync2010", "lync2013", "sfb2015", "sfb2019", "sfbse")
#: Column of a row -> column of the cmdlet's export.
_PARTNER: Final = {
    "name": "Domain",
    "additionaldomains": "AdditionalDomains",
    "description": "Description",
    "type": "PartnerType",
    "tls": "TlsNegotiation",
    "sasl": "SaslNegotiation",
    "dialback": "SupportDialbackNegotiation",
    "keepalive": "EnableKeepAlive",
    "connectionlimit": "ConnectionLimit",
    "server": "ProxyFqdn",
}
_POLICY: Final = {"name": "Identity", "federation": "EnableFederationAccess", "xmpp": "EnableXmppAccess"}
_USER: Final = {"name": "SipAddress", "pool": "RegistrarPool", "policy": "ExternalAccessPolicy", "enabled": "Enabled"}
_ROWS: Final = {
    "sip-domain": (cmdlets.SIP_DOMAIN, {"name": "Name"}),
    "partner": (cmdlets.PARTNER, _PARTNER),
    "policy": (cmdlets.POLICY, _POLICY),
    "pool": (cmdlets.POOL, {"name": "Fqdn", "site": "Site"}),
    "user": (cmdlets.USER, _USER),
}
KINDS: Final = ("product", "gateway", *_ROWS)


@dataclass(slots=True)
class PlainFacts:
    """What only this form can say."""

    product: str = ""
    gateway_fqdn: str = ""
    gateway_addresses: tuple[str, ...] = ()


def translate(row: Record, facts: PlainFacts, reader: Reader) -> Record | None:
    """The row as an exported object; None for a row that goes into `facts`, or that is refused."""
    kind = reader.text(row, "Record").strip().casefold()
    if kind == "product":
        product = reader.text(row, "Name").strip().casefold()
        if product not in PRODUCTS or facts.product not in ("", product):
            reader.wrong(row, "Name", f"one product of {', '.join(PRODUCTS)}")
        facts.product = product
        return None
    if kind == "gateway":
        _gateway(row, facts, reader)
        return None
    if kind not in _ROWS:
        reader.wrong(row, "Record", ", ".join(KINDS))
        return None
    cmdlet, columns = _ROWS[kind]
    # A column that the form lets out is empty, not missing: what holds then is documented.
    values: dict[str, Value] = {theirs: row.get(ours) or "" for ours, theirs in columns.items()}
    if kind == "pool":
        branch = reader.text(row, "Type").strip().casefold()
        if branch not in ("", "branch"):
            reader.wrong(row, "Type", "branch, or nothing")
        values["Services"] = ["Registrar:x", "MediationServer:x" if branch else "UserServer:x"]
    if kind == "sip-domain":
        values["IsDefault"] = "False"
    translated = Record.of(row.file, row.line, (), values)
    translated.cmdlet, translated.translated = cmdlet, True
    return translated


def _gateway(row: Record, facts: PlainFacts, reader: Reader) -> None:
    written = reader.text(row, "Name")
    try:
        fqdn = domain_name(written)
        addresses = tuple(address(each) for each in re.split(r"[\s;,]+", reader.text(row, "Addresses").strip()) if each)
    except PydanticCustomError as error:
        reader.wrong(row, "Name", f"a name, and addresses beside it ({error.message()})")
        return
    if facts.gateway_fqdn and (facts.gateway_fqdn, facts.gateway_addresses) != (fqdn, addresses):
        reader.wrong(row, "Name", f"one gateway only; the first is {facts.gateway_fqdn}")
        return
    facts.gateway_fqdn, facts.gateway_addresses = fqdn, addresses
