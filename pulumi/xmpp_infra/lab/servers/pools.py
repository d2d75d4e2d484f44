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


def pool(site: Site, here: Pool) -> HostContent:
    """One SIP platform. At first every SIP user is homed on the first pool, every partner reached through legacy."""
    other = next(candidate for candidate in site.pools if candidate is not here)
    peers = {other.fqdn: "pool", site.legacy_fqdn: "gateway", site.users_fqdn: "users"}
    peers |= dict.fromkeys(site.gateway_names, "gateway")
    tables = render(
        "pool-tables.sql.j2",
        homing=dict.fromkeys(site.sip_users, site.pools[0].host),
        route={partner.domain: "legacy" for partner in site.partners},
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
        sip_domain=site.sip_domain,
        host=here.host,
        other=other,
        users_address=site.users_address,
        legacy_address=site.legacy_address,
        gateway_pool=site.gateway_pool,
    )
    return content.merged_with(HostContent(certificates=(CertificateSpec(here.host, "private", (here.fqdn,)),)))
