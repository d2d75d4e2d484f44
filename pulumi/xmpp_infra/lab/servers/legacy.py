"""Configuration of legacy1: Prosody (all XMPP), Kamailio (all SIP) and the bridge between them.

Called by `xmpp_infra.lab.servers.content`. Together they stand in for the XMPP gateway that a migration leaves behind.
"""

from __future__ import annotations

import json

from xmpp_infra.lab.content import CertificateSpec, FileSpec, HostContent, secret

from . import kamailio, prosody
from .render import program, render
from .site import BRIDGE_PORT, COMPONENT_PORT, PUBLIC_CA, RPC_PORT, SIP_PORT, Site

BRIDGE_UNIT = "xmpp-sip-bridge.service"
_BRIDGE = "/usr/local/lib/legacy-gateway/bridge.py"
_SETTINGS = "/etc/legacy-gateway/bridge.json"
_COMPONENT_SECRET = "component/legacy1"  # noqa: S105  (a name, not a value)


def gateway(site: Site) -> HostContent:
    """legacy1. Its public certificate carries both uses, as such did then; the SIP side's is from the private CA."""
    ports = {domain: BRIDGE_PORT + number for number, domain in enumerate(site.sip_domains)}
    xmpp = prosody.content(
        "prosody-legacy.cfg.lua.j2",
        domains=site.sip_domains,
        host="legacy1",
        fqdn=site.legacy_fqdn,
        public_ca=PUBLIC_CA,
        component_port=COMPONENT_PORT,
        component_secret=secret(_COMPONENT_SECRET),
    )
    sip = kamailio.content(
        "kamailio-end.cfg.j2",
        purpose="SIP half of the legacy gateway.",
        fqdn=site.legacy_fqdn,
        address=site.legacy_address,
        certificate="legacy1-sip",
        peers={pool.fqdn: "pool" for pool in site.pools},
        deliver_urls={domain: f"http://127.0.0.1:{port}/sip" for domain, port in ports.items()},
        accepted=("202", "Accepted"),
        final_response_ms=kamailio.FINAL_RESPONSE_MS["origin"],
    )
    settings = {
        "domains": ports,
        "secret": secret(_COMPONENT_SECRET),
        "component_port": COMPONENT_PORT,
        "rpc_port": RPC_PORT,
        # By address: a message towards SIP must not wait for a resolver.
        "next_hop": f"sip:{site.pools[0].address.ipv4}:{SIP_PORT};transport=tls",
    }
    bridge = HostContent(
        files={
            _BRIDGE: FileSpec(program("bridge.py")),
            _SETTINGS: FileSpec(json.dumps(settings, indent=2) + "\n", mode=0o640),
            f"/etc/systemd/system/{BRIDGE_UNIT}": FileSpec(
                render(
                    "bridge.service.j2",
                    program=_BRIDGE,
                    settings=_SETTINGS,
                    prosody=prosody.UNIT,
                    kamailio=kamailio.UNIT,
                )
            ),
        },
        units=(BRIDGE_UNIT,),
        certificates=(
            CertificateSpec("legacy1", "public", (*site.sip_domains, site.legacy_fqdn)),
            CertificateSpec("legacy1-sip", "private", (site.legacy_fqdn,)),
        ),
    )
    return xmpp.merged_with(sip).merged_with(bridge)
