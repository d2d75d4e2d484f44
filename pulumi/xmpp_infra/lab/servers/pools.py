"""Configuration of pool-legacy and pool-target: the two SIP platforms, each a Kamailio with a homing and a route table.

Called by `xmpp_infra.lab.servers.content`. The tables are changed by JSON-RPC (`htable.sets`) on the host's loopback
and kept in SQLite; what stands here is only what they begin with.
"""

from __future__ import annotations

from xmpp_infra.lab.content import CertificateSpec, FileSpec, HostContent

from . import kamailio
from .render import render
from .site import Pool, Site

DATABASE = "/var/lib/kamailio/tables.sqlite"
_TABLES = "/etc/kamailio/tables.sql"


def pool(site: Site, here: Pool, *, legacy_serves_all: bool = True) -> HostContent:
    """One SIP platform. At first every SIP user is homed on the first pool, every partner reached through legacy.

    Where the legacy gateway does not serve all, only users of the first pool have XMPP through it (from Lync 2013 on).
    """
    other = next(candidate for candidate in site.pools if candidate is not here)
    peers = {other.fqdn: "pool", site.legacy_fqdn: "legacy", site.users_fqdn: "users"}
    peers |= dict.fromkeys(site.gateway_names, "gateway")
    tables = render(
        "pool-tables.sql.j2",
        homing={user.partition("@")[0]: site.pools[0].host for user in site.sip_users},
        route=dict.fromkeys(site.partner_domains, "legacy"),
    )
    content = kamailio.content(
        "kamailio-pool.cfg.j2",
        purpose=f"SIP platform {here.fqdn}: users homed here, routes of XMPP partners' domains.",
        fqdn=here.fqdn,
        address=here.address,
        certificate=here.host,
        peers=peers,
        prepare=f"/bin/sh -c 'test -s {DATABASE} || sqlite3 -batch -bail {DATABASE} < {_TABLES}'",
        extra={_TABLES: FileSpec(tables)},
        final_response_ms=kamailio.FINAL_RESPONSE_MS["near"],
        other_pool_ms=kamailio.FINAL_RESPONSE_MS["other_pool"],
        database=DATABASE,
        sip_domains=site.sip_domains,
        legacy_serves_all=legacy_serves_all,
        legacy_serves_here=legacy_serves_all or here is site.pools[0],
        host=here.host,
        other=other,
        users_address=site.users_address,
        legacy_address=site.legacy_address,
        gateway_pool=site.gateway_pool,
    )
    return content.merged_with(HostContent(certificates=(CertificateSpec(here.host, "private", (here.fqdn,)),)))
