"""A real Kamailio as a SIP platform, for interop tests and benchmarks: mutual TLS, a handful of users.

It runs on a stage, on the stage's own loopback, and says what it understood of every request.
"""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tests.interop.authorities import Authorities
from tests.interop.stage import Stage

HOST = "127.0.0.1"
TLS_PORT, RPC_PORT, GATEWAY_PORT = 5061, 8090, 5062
PLATFORM = "pool-target.corp.example"
GATEWAY = "fe1.corp.example"

# What Kamailio understood of a request is logged, each value in hexadecimal.
FIELDS = {
    "method": "$rm",
    "uri": "$ru",
    "from": "$fu",
    "to": "$tu",
    "call_id": "$ci",
    "subject": "$hdr(Subject)",
    "language": "$hdr(Content-Language)",
    "in_reply_to": "$hdr(In-Reply-To)",
    "type": "$cT",
    "body": "$rb",
}
LOGGED = ",".join(f'\\"{name}\\":\\"$({value[1:]}{{s.encode.hexa}})\\"' for name, value in FIELDS.items())

CONFIGURATION = """#!KAMAILIO
debug=2
log_stderror=yes
fork=yes
children={workers}
disable_tcp=no
enable_tls=yes
auto_aliases=no
dns=no
rev_dns=no
tcp_connection_lifetime=600
tcp_max_connections=64
tls_max_connections=64
tcp_children={workers}
listen=tls:127.0.0.1:{tls_port}
listen=tcp:127.0.0.1:{rpc_port}
alias="corp.example"
loadmodule "tls.so"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "xlog.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "maxfwd.so"
loadmodule "xhttp.so"
loadmodule "jsonrpcs.so"
loadmodule "sanity.so"
modparam("tls", "config", "/etc/interop/tls.cfg")
modparam("jsonrpcs", "transport", 1)
modparam("tm", "fr_timer", 5000)
modparam("tm", "auto_inv_100", 0)
modparam("xlog", "prefix", "")

request_route {{
    if (!sanity_check("17895", "7")) {{ exit; }}
    if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if ($rU =~ "^sink") {{ sl_send_reply("202", "Accepted"); exit; }}
    xlog("L_ERR", "GOT {{ {fields} }}\\n");
    if ($rd != "corp.example") {{
        $du = "sip:127.0.0.1:{gateway_port};transport=tls";
        if (!t_relay()) {{ sl_send_reply("500", "Not relayed"); }}
        exit;
    }}
    if (is_method("OPTIONS")) {{ sl_send_reply("200", "OK"); exit; }}
    if ($rU == "alice") {{ sl_send_reply("200", "OK"); exit; }}
    if ($rU == "bob") {{ sl_send_reply("202", "Accepted"); exit; }}
    if ($rU == "busy") {{ sl_send_reply("486", "Busy Here"); exit; }}
    if ($rU == "blocked") {{ sl_send_reply("603", "Decline"); exit; }}
    if ($rU == "full") {{ sl_send_reply("503", "Overloaded"); exit; }}
    if ($rU == "slow") {{ t_newtran(); t_reply("100", "Trying"); t_reply("200", "OK"); exit; }}
    if ($rU == "silent") {{ exit; }}
    sl_send_reply("404", "User does not exist");
}}

event_route[xhttp:request] {{ jsonrpc_dispatch(); }}
"""
TLS_SIDE = """[{side}:default]
method = TLSv1.2+
verify_certificate = yes
require_certificate = yes
certificate = /etc/interop/server.crt
private_key = /etc/interop/server.key
ca_list = /etc/interop/ca.pem
"""


@dataclass(frozen=True)
class Kamailio:
    """A running Kamailio.

    It takes SIP at `HOST:TLS_PORT` and sends whatever is not for corp.example to `HOST:GATEWAY_PORT`.

    Attributes:
        stage: where it runs.
        directory: holds `ca.pem`, `gateway.crt` and `gateway.key` for whoever is the gateway.
    """

    stage: Stage
    directory: Path

    def received(self) -> list[dict[str, str]]:
        """The requests it understood, in order."""
        lines = (self.stage.directory / "kamailio.log").read_text(errors="replace").splitlines()
        found = [json.loads(line[line.index("GOT {") + 4 :]) for line in lines if "GOT {" in line]
        return [{name: bytes.fromhex(value).decode() for name, value in entry.items()} for entry in found]

    def start_message(self, uri: str, sender: str, body: str, call_id: str, *, headers: str = "") -> int:
        """Have Kamailio itself send a MESSAGE through the gateway; returns the final status. Blocks."""
        lines = f"From: <{sender}>\r\nTo: <{uri}>\r\nCall-ID: {call_id}\r\nContent-Type: text/plain\r\n{headers}"
        next_hop = f"sip:{HOST}:{GATEWAY_PORT};transport=tls"
        parameters = ["MESSAGE", uri, next_hop, ".", lines, body]
        call = {"jsonrpc": "2.0", "id": 1, "method": "tm.t_uac_wait", "params": parameters}
        request = urllib.request.Request(
            f"http://{HOST}:{RPC_PORT}/RPC",
            data=json.dumps(call).encode(),
            headers={"Content-Type": "application/json"},
        )
        with self.stage.inside(), urllib.request.urlopen(request, timeout=60) as answer:
            reply = json.load(answer)
        return int(reply["result"][0])


def start_kamailio(stage: Stage, authorities: Authorities, *, workers: int = 1) -> Kamailio:
    """Start it on the stage and wait until it takes connections."""
    root = stage.root("kamailio")
    inside = root / "etc/interop"
    inside.mkdir()
    certificate, key = authorities.issue(PLATFORM, client=True)
    configuration = CONFIGURATION.format(
        workers=workers, tls_port=TLS_PORT, rpc_port=RPC_PORT, gateway_port=GATEWAY_PORT, fields=LOGGED
    )
    for name, content in (
        ("server.crt", certificate),
        ("server.key", key),
        ("ca.pem", authorities.pem),
        ("tls.cfg", "\n".join(TLS_SIDE.format(side=side) for side in ("server", "client")).encode()),
        ("kamailio.cfg", configuration.encode()),
    ):
        (inside / name).write_bytes(content)
    directory = stage.directory / "gateway"
    directory.mkdir()
    certificate, key = authorities.issue(GATEWAY, client=True)
    (directory / "gateway.crt").write_bytes(certificate)
    (directory / "gateway.key").write_bytes(key)
    (directory / "ca.pem").write_bytes(authorities.pem)
    arguments = ("-f", "/etc/interop/kamailio.cfg", "-DD", "-E", "-Y", "/run", "-m", "32", "-M", "8")
    stage.start("kamailio", "kamailio", *arguments)
    for port in (TLS_PORT, RPC_PORT):
        stage.wait_for_port("kamailio", HOST, port)
    return Kamailio(stage, directory)
