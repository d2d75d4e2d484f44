"""How an SRV RRset is changed: the interface, and who implements it.

Used by the action `dns_rrset`, which looks before and reads back after; a provider only brings the change about. One
that can write TXT records as well (`texts`, `servers`) serves the issuer `acme`, too. To add one, write a class in a
file of its own and list it in PROVIDERS (docs/dns-providers.md).
"""

from __future__ import annotations

from ansible_collections.xmppgw.migration.plugins.plugin_utils import (
    dns_azure,
    dns_manual,
    dns_rfc2136,
)

PROVIDERS = {"azure": dns_azure.AzureDns, "rfc2136": dns_rfc2136.Rfc2136, "manual": dns_manual.Manual}
"""Value of `dns.provider` in the federation document to the class. It is made with (dns, world)."""


class ProviderError(Exception):
    """The document names a provider that this version does not have."""

    code = "migration-dns-provider"


def provider_of(dns, world):
    """Return the provider that the document names; raise ProviderError.

    `dns` is the document's part; `world` is a dns_world.World.
    """
    return _known(dns)(dns, world)


def how_of(dns):
    """Return how the provider that the document names makes a change, for the plan; raise ProviderError."""
    return _known(dns).how(dns)


def _known(dns):
    known = PROVIDERS.get(dns.provider)
    if known is None:
        raise ProviderError(
            f"this version has no DNS provider {dns.provider!r}; it has {', '.join(sorted(PROVIDERS))}. With `manual` "
            f"the records are printed for you to set."
        )
    return known
