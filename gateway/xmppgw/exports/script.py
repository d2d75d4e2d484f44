"""The PowerShell script that an administrator runs on the old platform: read-only, with just the columns that are read.

Printed by `xmppgw import-legacy --script`. It runs in the management shell of Lync Server 2010 to Skype for Business
Server (PowerShell 3.0 suffices), writes CLIXML, which keeps types, and JSON beside it, and a list of hashes.
"""

from __future__ import annotations

from typing import Final

import jinja2

from xmppgw.exports import cmdlets
from xmppgw.exports.files import HASHES

#: Lists of objects within objects (static routes) are the deepest thing that is read.
DEPTH: Final = 6
#: Cmdlet -> columns. What is not here is not exported: a dialback passphrase, telephone numbers, certificates.
COLUMNS: Final = {
    cmdlets.PARTNER: (
        *("Identity", "Domain", "AdditionalDomains", "Description", "PartnerType", "TlsNegotiation", "SaslNegotiation"),
        *("SupportDialbackNegotiation", "EnableKeepAlive", "ConnectionLimit", "ProxyFqdn"),
    ),
    cmdlets.GATEWAY: (
        *("Identity", "ConnectionLimit", "PartnerConnectionLimit", "KeepAliveInterval", "StreamEstablishmentTimeout"),
        *("StreamInactivityTimeout", "SubscriptionRefreshInterval", "EnableLoggingAllMessageBodies"),
    ),
    cmdlets.POLICY: ("Identity", "EnableFederationAccess", "EnableXmppAccess"),
    cmdlets.USER: (
        *("SipAddress", "RegistrarPool", "ExternalAccessPolicy", "Enabled", "HostingProvider"),
        *("Name", "DisplayName", "SamAccountName"),
    ),
    cmdlets.SIP_DOMAIN: ("Identity", "Name", "IsDefault"),
    cmdlets.POOL: ("Identity", "Fqdn", "Site", "Services", "Computers"),
    cmdlets.SITE: ("Identity", "SiteId", "DisplayName", "Pools", "XmppExternalFederationRoute"),
    cmdlets.ALLOWED_DOMAIN: ("Identity", "Domain", "ProxyFqdn", "VerificationLevel", "MarkForMonitoring"),
    cmdlets.ACCESS_EDGE: ("Identity", "AllowFederatedUsers", "EnablePartnerDiscovery"),
    cmdlets.STATIC_ROUTES: ("Identity", "Route"),
}
#: ConvertTo-Json keeps everything in memory, and turns objects within objects into texts.
WITHOUT_JSON: Final = (cmdlets.USER, cmdlets.STATIC_ROUTES)


def export_script() -> str:
    """The script's text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("xmppgw.exports", "."),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - PowerShell, not HTML; every value is a constant of ours
    )
    return environment.get_template("export_script.ps1.j2").render(
        columns=COLUMNS, depth=DEPTH, hashes=HASHES, without_json=WITHOUT_JSON
    )
