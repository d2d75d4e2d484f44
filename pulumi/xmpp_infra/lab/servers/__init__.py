"""Configuration of every lab host that stands in for a server which is not ours.

`content(host)` is what the lab program asks; each module builds one kind of host from `site.py` and `templates/`.
Nothing here starts, writes or reads anything on a host, and no secret's value passes through it (only place-holders).
"""

from __future__ import annotations

from xmpp_infra.lab.content import HostContent

from .dns import primary, secondary
from .legacy import gateway
from .partners import crowded_host, ejabberd_partner, prosody_host
from .pools import pool
from .site import LAB, Site
from .user_agents import user_agents

__all__ = ["HOSTS", "LAB", "Site", "content"]

HOSTS = ("dns1", "dns2", "legacy1", "partner1", "partner2", "partner3", "pool-legacy", "pool-target", "users")
"""The hosts that have content of this package."""


def content(host: str, site: Site = LAB, *, legacy_serves_all: bool = True) -> HostContent:
    """What `host` carries of this package: files, units, certificates. Empty for a host that is none of `HOSTS`."""
    match host:
        case "dns1":
            return primary(site)
        case "dns2":
            return secondary(site, f"dns2.{site.sip_domain}")
        case "legacy1":
            return gateway(site)
        case "partner1":
            return prosody_host(site, host)
        case "partner2":
            return ejabberd_partner(*site.on_host(host))
        case "partner3":
            return crowded_host(site, host)
        case "users":
            return user_agents(site)
        case _:
            here = next((candidate for candidate in site.pools if candidate.host == host), None)
            return pool(site, here, legacy_serves_all=legacy_serves_all) if here else HostContent()
