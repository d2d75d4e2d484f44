"""A whole TLS handshake with the SIP next hop, as our front end would do it, and one OPTIONS through it.

Used by the module `host_state` on the front ends. With TLS 1.3 a server refuses a client's certificate only after the
handshake, so an answer has to be read before it is known that ours was accepted. It judges nothing else; private keys
stay on the host.
"""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import uuid
from pathlib import Path

from ansible_collections.xmppgw.migration.plugins.module_utils.served_certificates import first_that_answers

TIMEOUT = 5.0
"""Seconds for connecting, for the handshake and for the answer, each."""
ANSWER_LIMIT = 16 * 1024
"""Octets of an answer; that to OPTIONS has a few hundred."""


def seen_from_here(settings_path, server):
    """Return what `shake` does; before a front end has its certificate also `served`: what the next hop shows somebody
    who shows none, or {untried} where this host cannot look. `server`: as `first_that_answers` takes it."""
    found = shake(settings_path)
    if found["stage"] != "none":
        return found
    if shutil.which("openssl") is None:
        return {**found, "served": {"untried": "there is no openssl on this host"}}
    return {**found, "served": first_that_answers(server)}


def shake(settings_path):
    """Return {stage, problem, version, certificate (PEM), answer, where}, from the front end's own configuration.

    `stage` is how far it came: `none` (no certificate of ours yet), `connect`, `tls`, `mutual` (they refused ours),
    `answer`, or `done`.
    """
    try:
        settings = json.loads(Path(settings_path).read_text(encoding="utf-8"))
        sip, node = settings["sip"], settings["node"]
        hop = sip["next_hop"]
    except (OSError, ValueError, KeyError):
        return {"stage": "none", "problem": "no configuration yet"}
    if not all(Path(sip[name]).exists() for name in ("certificate", "key", "ca")):
        return {"stage": "none", "problem": "no certificate yet"}
    found = {"where": f"{hop['host']}:{hop['port']}", "version": "", "certificate": "", "answer": ""}
    try:
        connection = socket.create_connection((hop["host"], int(hop["port"])), timeout=TIMEOUT)
    except OSError as error:
        return {**found, "stage": "connect", "problem": str(error)}
    with connection:
        return {**found, **_speak(connection, sip, hop, node)}


def _speak(connection, sip, hop, node):
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_verify_locations(sip["ca"])
        context.load_cert_chain(sip["certificate"], sip["key"])
        secured = context.wrap_socket(connection, server_hostname=hop["server_name"])
    except ssl.SSLCertVerificationError as error:
        return {"stage": "tls", "problem": error.verify_message, "certificate": _shown(hop)}
    except (OSError, ValueError) as error:
        return {"stage": "tls", "problem": str(error)}
    with secured:
        leaf = ssl.DER_cert_to_PEM_cert(secured.getpeercert(binary_form=True))
        found = {"version": secured.version() or "", "certificate": leaf}
        try:
            secured.sendall(options(hop["host"], node).encode())
            answer = _answer(secured)
        except ssl.SSLError as error:
            return {**found, "stage": "mutual", "problem": error.reason or str(error)}
        except OSError as error:
            return {**found, "stage": "answer", "problem": str(error)}
    line = answer.partition(b"\r\n")[0].decode("ascii", "replace")
    if not line.startswith("SIP/2.0 "):
        return {**found, "stage": "answer", "problem": f"it said {line[:60]!r}" if line else "it closed the connection"}
    return {**found, "stage": "done", "problem": "", "answer": line}


def _answer(secured):
    received = bytearray()
    while b"\r\n\r\n" not in received and len(received) < ANSWER_LIMIT:
        part = secured.recv(4096)
        if not part:
            break
        received += part
    return bytes(received)


def _shown(hop):
    """Return the certificate that was not accepted, as PEM, so that a person can be told what is in it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((hop["host"], int(hop["port"])), timeout=TIMEOUT) as connection,
            context.wrap_socket(connection, server_hostname=hop["server_name"]) as secured,
        ):
            return ssl.DER_cert_to_PEM_cert(secured.getpeercert(binary_form=True))
    except (OSError, ValueError):
        return ""


def options(host, node):
    """Return an OPTIONS request (RFC 3261 section 11) from this node to the next hop."""
    call = uuid.uuid4().hex
    lines = (
        f"OPTIONS sip:{host} SIP/2.0",
        f"Via: SIP/2.0/TLS {node};branch=z9hG4bK{call}",
        "Max-Forwards: 70",
        f"From: <sip:{node}>;tag={call[:8]}",
        f"To: <sip:{host}>",
        f"Call-ID: {call}@{node}",
        "CSeq: 1 OPTIONS",
        "Content-Length: 0",
    )
    return "\r\n".join(lines) + "\r\n\r\n"
