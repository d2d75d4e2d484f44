"""What host `users` carries for its people: the agent, its settings and its unit.

The lab program merges this with what the stand-in servers need on the same host (their Kamailio). The agent itself is
`agent.py` beside this file; it is copied as it is and imports nothing of the project.
"""

from __future__ import annotations

import json
from pathlib import Path

from xmpp_infra.lab.content import FileSpec, HostContent, secret
from xmpp_infra.lab.servers.site import AHEAD, C2S_PORT, LAB, Site

AGENT = "/usr/local/lib/people/agent.py"
SETTINGS = "/etc/people/people.json"

PAIRS = (
    ("alice@corp.example", "juliet@partner1.example"),
    ("bob@corp.example", "romeo@partner2.example"),
    ("carol@corp.example", "rosaline@dialback.example"),
    ("dave@corp.example", "tybalt@pinned.example"),
    ("erin@corp.example", "benvolio@backup.example"),
    ("frank@corp.example", "mercutio@static.example"),
    ("grace@branch.example", "paris@partner1.example"),
)
"""Who talks to whom across the gateways, SIP address first: every partner, and every SIP domain."""

UNREACHABLE = (("alice@corp.example", "montague@away.example"),)
"""Who writes to somebody who is away: each of these must be told so."""

CONTROL = ("nurse@partner1.example", "friar@partner2.example")
"""They talk past the gateways: what they suffer, the lab suffers."""

OUTBOUND_PROXY = "sip:pool-target.corp.example:5061;transport=tls"
"""The pools relay by their homing tables, so either would do."""

UNIT = f"""\
[Unit]
Description=People who chat across the federation
After=network-online.target kamailio.service
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart=/usr/bin/python3 {AGENT} serve --config %d/people.json
{AHEAD}LoadCredential=people.json:{SETTINGS}
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


def content(site: Site = LAB) -> HostContent:
    """Files and unit of the people on host `users`; passwords are place-holders for the lab's secrets."""
    accounts = sorted({xmpp for _, xmpp in PAIRS} | set(CONTROL))
    servers = {
        partner.domain: {
            "address": partner.address.ipv4,
            "port": C2S_PORT,
            # Their own users know who signed their server's certificate, whoever else does.
            "trust": f"/etc/ssl/lab/{partner.authority}-ca.pem",
        }
        for partner in site.partners
    }
    settings = {
        "listen": {"address": "127.0.0.1", "port": 8088},
        "rpc": {"address": "127.0.0.1", "port": 8090, "path": "/RPC"},
        "outbound_proxy": OUTBOUND_PROXY,
        "servers": servers,
        "passwords": {account: secret(f"xmpp/{account}") for account in accounts},
        "pairs": [{"sip": sip, "xmpp": xmpp} for sip, xmpp in PAIRS],
        "unreachable": [{"sip": sip, "xmpp": xmpp} for sip, xmpp in UNREACHABLE],
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
