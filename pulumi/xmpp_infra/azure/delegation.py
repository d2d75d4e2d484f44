"""Whether the Internet asks Azure for our zones: what is written into a zone delegated elsewhere reaches nobody.

Called by the stack before anything is registered, when it is applied and not previewed: a preview asks nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import dns.exception
import dns.resolver

from xmpp_infra.azure.config import DnsZone

# Azure DNS hands out four of these to each zone, such as ns1-01.azure-dns.com.
AZURE: Final = (".azure-dns.com", ".azure-dns.net", ".azure-dns.org", ".azure-dns.info")
SECONDS: Final = 10.0

Ask = Callable[[str], frozenset[str]]


def delegation_problems(zones: Mapping[str, DnsZone], ask: Ask) -> list[str]:
    """Return a sentence for each zone that name servers outside Azure answer for, and what to do about it.

    `ask`: a zone's name servers, none where nobody has delegated it yet (then a zone may be made and delegated); nobody
    is asked about a zone whose delegation is to follow. Raises DelegationUnknownError if nobody answers.
    """
    problems = []
    for zone, wanted in sorted(zones.items()):
        if wanted.delegation == "later":
            continue
        strangers = sorted(server for server in ask(zone) if not server.endswith(AZURE))
        if not strangers:
            continue
        remedy = (
            "set mode: adopt and its resource group if it is in Azure already, have the parent zone delegate to Azure, "
            "or say delegation: later if that is to follow"
            if wanted.mode == "create"
            else "manage it where it is served (dns.provider of the federation document), or say delegation: later"
        )
        problems.append(
            f"dns.zones.{zone}: delegated to {', '.join(strangers)}, expected Azure's name servers: nobody would ask "
            f"for what is written there; {remedy}"
        )
    return problems


def name_servers(zone: str) -> frozenset[str]:
    """Return a zone's name servers as this machine's resolver knows them, in lower case; none where it has no zone."""
    try:
        answer = dns.resolver.resolve(zone, "NS", lifetime=SECONDS)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return frozenset()
    except dns.exception.DNSException as problem:
        raise DelegationUnknownError(
            f"dns.zones.{zone}: nobody answers for its name servers ({problem}): run where public DNS can be asked, or "
            "say delegation: later"
        ) from problem
    return frozenset(str(record.target).rstrip(".").lower() for record in answer)


class DelegationUnknownError(Exception):
    """The resolver cannot be asked."""
