"""A real Kamailio as a SIP platform on loopback, for interop tests and benchmarks: mutual TLS, a handful of users.

It is taken from the lab's server image where that has been baked (in a mount namespace of its own, which dies with the
process), else from the machine. Tests are skipped where neither is there.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

IMAGES = Path(__file__).resolve().parents[2] / ".cache" / "images"
START_SECONDS = 20.0
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
mpath="{modules}"
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
modparam("tls", "config", "{directory}/tls.cfg")
modparam("jsonrpcs", "transport", 1)
modparam("tm", "fr_timer", 5000)
modparam("tm", "auto_inv_100", 0)
modparam("xlog", "prefix", "")

request_route {{
    if (!sanity_check("17895", "7")) {{ exit; }}
    if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if ($rU == "sink") {{ sl_send_reply("200", "OK"); exit; }}
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
certificate = {directory}/platform.crt
private_key = {directory}/platform.key
ca_list = {directory}/ca.crt
"""


def free_port() -> int:
    """A TCP port on loopback that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_certificates(
    directory: Path, names: tuple[str, ...] = (f"platform:{PLATFORM}", f"gateway:{GATEWAY}")
) -> None:
    """A private CA and one certificate per `file:fqdn`, fit for both ends of mutual TLS."""
    now = datetime.now(UTC)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "private CA of a test")])

    def builder(subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        start = x509.CertificateBuilder().subject_name(subject).issuer_name(authority).public_key(key.public_key())
        start = start.serial_number(x509.random_serial_number())
        return start.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=1))

    root = builder(authority, authority_key).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    (directory / "ca.crt").write_bytes(
        root.sign(authority_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )
    for entry in names:
        file, fqdn = entry.split(":", 1)
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, fqdn)]), key)
        alternative = x509.SubjectAlternativeName([x509.DNSName(fqdn), x509.IPAddress(ip_address("127.0.0.1"))])
        usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        signed = (
            leaf.add_extension(alternative, critical=False)
            .add_extension(usages, critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .sign(authority_key, hashes.SHA256())
        )
        (directory / f"{file}.crt").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (directory / f"{file}.key").write_bytes(private)


@dataclass(frozen=True)
class Server:
    """How to run a program of a stand-in: a command prefix, and its modules' directory inside."""

    prefix: tuple[str, ...]
    modules: str


def find_server(directory: Path) -> Server:
    """Kamailio from the lab's server image, else from this machine; skips the test where there is neither."""
    modules = "/usr/lib/*/kamailio/modules"
    layers = [IMAGES / f"current-{name}" for name in ("servers", "plain")]
    if os.geteuid() == 0 and all(layer.exists() for layer in layers):
        found = sorted(layers[0].resolve().glob(modules[1:]))
        if found:
            inside = "/" + str(found[0].relative_to(layers[0].resolve()))
            lower = ":".join(str(layer.resolve()) for layer in layers)
            # A tmpfs takes the writes, so it does not matter what the test's directory lies on. All mounts are the
            # child's own and end with it.
            script = (
                f"set -e; d={directory}; mkdir -p $d/.root; mount -t tmpfs tmpfs $d/.root; "
                "mkdir $d/.root/upper $d/.root/work $d/.root/merged; "
                f"mount -t overlay overlay -o lowerdir={lower},upperdir=$d/.root/upper,workdir=$d/.root/work "
                "$d/.root/merged; "
                "m=$d/.root/merged; mkdir -p $m$d; mount --bind $d $m$d; mount -t proc proc $m/proc; "
                "mount --rbind /dev $m/dev; "
                'exec chroot $m "$@"'
            )
            return Server(("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"), inside)
    if shutil.which("kamailio"):
        found = sorted(Path("/").glob(modules[1:]))
        if found:
            return Server((), str(found[0]))
    pytest.skip("no Kamailio: neither in the lab's server image (needs root) nor on this machine")


@dataclass
class Kamailio:
    """A running Kamailio.

    Attributes:
        tls_port: where it takes SIP over TLS.
        gateway_port: where it sends everything that is not for corp.example.
        directory: holds `ca.crt`, `gateway.crt`, `gateway.key` for whoever talks to it, and `log`.
    """

    tls_port: int
    rpc_port: int
    gateway_port: int
    directory: Path
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> Path:
        """What it wrote to its standard error."""
        return self.directory / "log"

    def received(self) -> list[dict[str, str]]:
        """The requests it understood, in order."""
        lines = self.log.read_text(errors="replace").splitlines()
        found = [json.loads(line[line.index("GOT {") + 4 :]) for line in lines if "GOT {" in line]
        return [{name: bytes.fromhex(value).decode() for name, value in entry.items()} for entry in found]

    def start_message(self, uri: str, sender: str, body: str, call_id: str, *, headers: str = "") -> int:
        """Have Kamailio itself send a MESSAGE through the gateway; returns the final status. Blocks."""
        lines = f"From: <{sender}>\r\nTo: <{uri}>\r\nCall-ID: {call_id}\r\nContent-Type: text/plain\r\n{headers}"
        next_hop = f"sip:127.0.0.1:{self.gateway_port};transport=tls"
        call = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tm.t_uac_wait",
            "params": ["MESSAGE", uri, next_hop, ".", lines, body],
        }
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.rpc_port}/RPC",
            data=json.dumps(call).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            reply = json.load(answer)
        return int(reply["result"][0])


@contextmanager
def running_kamailio(directory: Path, *, workers: int = 1) -> Iterator[Kamailio]:
    """Start Kamailio, wait until it takes connections, end it with everything it started."""
    server = find_server(directory)
    write_certificates(directory)
    tls_port, rpc_port, gateway_port = free_port(), free_port(), free_port()
    text = CONFIGURATION.format(
        workers=workers,
        tls_port=tls_port,
        rpc_port=rpc_port,
        gateway_port=gateway_port,
        modules=server.modules,
        directory=directory,
        fields=LOGGED,
    )
    (directory / "kamailio.cfg").write_text(text)
    sides = (TLS_SIDE.format(side=side, directory=directory) for side in ("server", "client"))
    (directory / "tls.cfg").write_text("\n".join(sides))
    arguments = ["-f", f"{directory}/kamailio.cfg", "-DD", "-E", "-Y", str(directory), "-m", "32", "-M", "8"]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [*server.prefix, "kamailio", *arguments], stdout=log, stderr=log, start_new_session=True
        )
    kamailio = Kamailio(tls_port, rpc_port, gateway_port, directory, process)
    try:
        _wait_until_listening(kamailio)
        yield kamailio
    finally:
        # The session is ours alone: the daemon and its workers.
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_until_listening(kamailio: Kamailio) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if kamailio.process.poll() is not None:
            break
        try:
            for port in (kamailio.tls_port, kamailio.rpc_port):
                socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
            continue
        return
    raise AssertionError(f"Kamailio did not start:\n{kamailio.log.read_text(errors='replace')[-4000:]}")
