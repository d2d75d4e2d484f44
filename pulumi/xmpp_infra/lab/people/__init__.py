"""What host `users` carries for its people: the agent, its settings and its unit.

The lab program merges this with what the stand-in servers need on the same host (their Kamailio). The agent itself is
`agent.py` beside this file; it is copied as it is and imports nothing of the project.
"""

from __future__ import annotations

import json
from pathlib import Path

from xmpp_infra.lab.content import FileSpec, HostContent, secret

AGENT = "/usr/local/lib/people/agent.py"
SETTINGS = "/etc/people/people.json"

PAIRS = (("alice@corp.example", "juliet@partner1.example"), ("bob@corp.example", "romeo@partner2.example"))
"""Who talks to whom across the gateways, SIP address first."""

CONTROL = ("nurse@partner1.example", "friar@partner2.example")
"""They talk past the gateways: what they suffer, the lab suffers."""

SERVERS = {"partner1.example": "203.0.113.11", "partner2.example": "203.0.113.12"}

OUTBOUND_PROXY = "sip:pool-target.corp.example:5061;transport=tls"
"""The pools relay by their homing tables, so either would do."""

UNIT = f"""\
[Unit]
Description=People who chat across the federation
After=network-online.target kamailio.service
Wants=network-online.target

[Service]
ExecStart=/usr/bin/python3 {AGENT} serve --config %d/people.json
LoadCredential=people.json:{SETTINGS}
DynamicUser=yes
StateDirectory=people
RuntimeDirectory=people
Restart=always
RestartSec=1
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes

[Install]
WantedBy=multi-user.target
"""


def content() -> HostContent:
    """Files and unit of the people on host `users`; passwords are place-holders for the lab's secrets."""
    accounts = sorted({xmpp for _, xmpp in PAIRS} | set(CONTROL))
    settings = {
        "listen": {"address": "127.0.0.1", "port": 8088},
        "rpc": {"address": "127.0.0.1", "port": 8090, "path": "/RPC"},
        "outbound_proxy": OUTBOUND_PROXY,
        "sip_domain": "corp.example",
        "trust": "/etc/ssl/lab/public-ca.pem",
        "servers": {domain: {"address": address, "port": 5222} for domain, address in SERVERS.items()},
        "passwords": {account: secret(f"xmpp/{account}") for account in accounts},
        "pairs": [{"sip": sip, "xmpp": xmpp} for sip, xmpp in PAIRS],
        "control": list(CONTROL),
    }
    return HostContent(
        files={
            AGENT: FileSpec(Path(__file__).with_name("agent.py").read_text(encoding="utf-8")),
            SETTINGS: FileSpec(json.dumps(settings, indent=2, sort_keys=True) + "\n", mode=0o600),
            "/etc/systemd/system/people.service": FileSpec(UNIT),
        },
        units=("people.service",),
    )
