"""What the optional host `acme` carries: pebble, an ACME authority that proves names by DNS-01 at the lab's resolver.

Called by `hosts.content`. Its own HTTPS certificate is from the lab's public CA; the root with which it signs is drawn
anew each time it starts and can be had from its management port (`/roots/0`).
"""

from __future__ import annotations

import json

from xmpp_infra.config import StackConfig
from xmpp_infra.lab.content import CertificateSpec, FileSpec, HostContent

DIRECTORY_PORT, MANAGEMENT_PORT = 14000, 15000
NAME = "acme.corp.example"
_SETTINGS = "/etc/pebble.json"


def content(config: StackConfig, host: str) -> HostContent:
    """Settings, unit and certificate of the authority."""
    settings = {
        "pebble": {
            "listenAddress": f"0.0.0.0:{DIRECTORY_PORT}",
            "managementListenAddress": f"0.0.0.0:{MANAGEMENT_PORT}",
            "certificate": f"/etc/ssl/lab/{host}.crt",
            "privateKey": f"/etc/ssl/lab/{host}.key",
            "httpPort": 80,
            "tlsPort": 443,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": False,
        }
    }
    resolver = f"-dnsserver {config.dns.resolver}:53" if config.dns is not None else ""
    unit = f"""\
[Unit]
Description=ACME authority (pebble)
After=network.target
StartLimitIntervalSec=0

[Service]
# Names are looked up at once, and no nonce is refused for practice: what is tried here is the client's way to DNS.
Environment=PEBBLE_VA_NOSLEEP=1 PEBBLE_WFE_NONCEREJECT=0
ExecStart=/usr/bin/pebble -config {_SETTINGS} -strict {resolver}
DynamicUser=yes
SupplementaryGroups=ssl-cert
Restart=always
RestartSec=200ms

[Install]
WantedBy=multi-user.target
"""
    return HostContent(
        files={
            _SETTINGS: FileSpec(json.dumps(settings, indent=2) + "\n"),
            "/etc/systemd/system/pebble.service": FileSpec(unit),
        },
        units=("pebble.service",),
        certificates=(CertificateSpec(host, "public", (NAME,), client_auth=False),),
    )
