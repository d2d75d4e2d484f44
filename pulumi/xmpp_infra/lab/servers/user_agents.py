"""Configuration of host `users`, SIP side: one Kamailio that is the SIP user agent of all the lab's SIP users.

Called by `xmpp_infra.lab.servers.content`. What it receives it posts to the agent of `xmpp_infra.lab.people`; what the
agent wants sent it asks for by JSON-RPC (`tm.t_uac_wait`). The XMPP users are the agent's own and need no server here.
"""

from __future__ import annotations

from xmpp_infra.lab.content import CertificateSpec, HostContent

from . import kamailio
from .site import AGENT_PORT, Site


def user_agents(site: Site) -> HostContent:
    """The SIP user agents: MESSAGE from a pool is answered 200 when the agent took it, else 480."""
    content = kamailio.content(
        "kamailio-end.cfg.j2",
        purpose="User agent of the lab's SIP users.",
        fqdn=site.users_fqdn,
        address=site.users_address,
        certificate="users",
        peers={pool.fqdn: "pool" for pool in site.pools},
        deliver_urls={"": f"http://127.0.0.1:{AGENT_PORT}/sip"},
        accepted=("200", "OK"),
        final_response_ms=kamailio.FINAL_RESPONSE_MS["origin"],
    )
    return content.merged_with(HostContent(certificates=(CertificateSpec("users", "private", (site.users_fqdn,)),)))
