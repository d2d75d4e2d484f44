"""What the four Kamailios of the lab have in common: files, TLS, the unit's additions.

Called by the builders of the legacy gateway, the pools and the people's user agent.
"""

from __future__ import annotations

from collections.abc import Mapping

from xmpp_infra.lab.content import FileSpec, HostContent

from .render import render
from .site import PRIVATE_CA, RPC_PORT, SIP_PORT, Address

UNIT = "kamailio.service"
_DROP_IN = "/etc/systemd/system/kamailio.service.d/lab.conf"

FINAL_RESPONSE_MS = {"near": 6_000, "other_pool": 9_000, "origin": 12_000}
"""How long a next hop may stay silent: a gateway or the people; the other pool; the pool, for who starts a message."""


def content(
    template: str,
    *,
    purpose: str,
    fqdn: str,
    address: Address,
    certificate: str,
    peers: Mapping[str, str],
    workers: int = 4,
    prepare: str = "",
    extra: Mapping[str, FileSpec] | None = None,
    **values: object,
) -> HostContent:
    """A Kamailio with TLS on `address`, speaking only with `peers` (DNS name in the certificate to role).

    `prepare` is a command line that its unit runs before the daemon, as the daemon's user; `values` go to the template.
    """
    configuration = render(
        template,
        purpose=purpose,
        fqdn=fqdn,
        address=address,
        peers=peers,
        workers=workers,
        sip_port=SIP_PORT,
        rpc_port=RPC_PORT,
        **values,
    )
    tls = render("kamailio-tls.cfg.j2", certificate=certificate, ca=PRIVATE_CA)
    unit = render("kamailio-unit.conf.j2", fqdn=fqdn, address=address, prepare=prepare)
    files = {
        "/etc/kamailio/kamailio.cfg": FileSpec(configuration, mode=0o640, group="kamailio"),
        "/etc/kamailio/tls.cfg": FileSpec(tls, mode=0o640, group="kamailio"),
        _DROP_IN: FileSpec(unit),
    }
    return HostContent(files={**files, **(extra or {})}, units=(UNIT,))
