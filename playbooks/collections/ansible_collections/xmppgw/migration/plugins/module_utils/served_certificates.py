"""What a server really serves: connects from this host, plainly or by STARTTLS, and hands back chain and OCSP.

Used by the modules `served_certificates` and `host_state`. `openssl s_client` does the handshake, because the hosts'
own Python shows neither chain nor stapled OCSP; XMPP's preamble is spoken here, as a stream header needs a `from` where
partners in different phases get different servers (DESIGN 7.3). It judges nothing and reads no key into its answer.
"""

from __future__ import annotations

import html
import re
import socket
import subprocess
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

TIMEOUT = 10.0
"""Seconds for one look: connection, preamble and handshake."""
PREAMBLE_LIMIT = 8 * 1024
"""Octets before TLS: a stream header with its features has a few hundred."""

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL)
_PROTOCOL = re.compile(r"^(?:New, (\S+), Cipher is (\S+)|\s+Protocol\s*: (\S+))", re.MULTILINE)


class LookError(Exception):
    """The server could not be looked at; the text says at which point."""


def look(wanted):
    """Return {chain, protocol, cipher, ocsp} or {error} for one server.

    `wanted`: address, port, server_name; kind `tls` or `xmpp` (then `to`, and `from` if there is one); certificate and
    key (paths) where the server asks for one; `fetch_ocsp`.
    """
    try:
        with socket.create_connection((wanted["address"], int(wanted["port"])), timeout=TIMEOUT) as connection:
            if wanted["kind"] == "xmpp":
                start_tls(connection, wanted["to"], wanted.get("from") or "")
            text = _handshake(connection, wanted)
    except OSError as error:
        return {"error": f"{wanted['address']}:{wanted['port']}: {error}"}
    except LookError as error:
        return {"error": f"{wanted['address']}:{wanted['port']}: {error}"}
    return read_output(text, wanted, fetch=bool(wanted.get("fetch_ocsp")))


def first_that_answers(wanted):
    """Look at the first of its `addresses` that answers; all errors if none does. `wanted` has a name, too."""
    errors = []
    for address in wanted["addresses"]:
        found = look({**wanted, "address": address})
        if "error" not in found:
            return {"name": wanted["name"], **found}
        errors.append(found["error"])
    return {"name": wanted["name"], "error": "; ".join(errors) or "no address"}


def start_tls(connection, to, sender):
    """Speak XMPP up to <proceed/> (RFC 6120 section 5.4.2). Raises LookError."""
    named = f" from='{html.escape(sender)}'" if sender else ""
    header = (
        "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
        f"xmlns:db='jabber:server:dialback' to='{html.escape(to)}'{named} version='1.0'>"
    )
    connection.sendall(header.encode())
    features = _receive_until(connection, (b"</stream:features>", b"</stream:stream>", b"<stream:features/>"))
    if b"urn:ietf:params:xml:ns:xmpp-tls" not in features:
        reason = re.search(rb"<([a-z-]+) xmlns=.urn:ietf:params:xml:ns:xmpp-streams", features)
        raise LookError(f"it offers no TLS{': ' + reason[1].decode() if reason else ''}")
    connection.sendall(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    answer = _receive_until(connection, (b"<proceed", b"<failure", b"</stream:stream>"))
    if b"<proceed" not in answer:
        raise LookError("it refused to start TLS")


def _receive_until(connection, ends):
    received = bytearray()
    while not any(end in received for end in ends):
        part = connection.recv(4096)
        if not part:
            raise LookError(f"it closed the connection after {bytes(received[-80:])!r}")
        received += part
        if len(received) > PREAMBLE_LIMIT:
            raise LookError(f"it said more than {PREAMBLE_LIMIT} octets before TLS")
    # <proceed/> may come in two parts; nothing follows it before our first TLS octet.
    while received.rstrip()[-1:] != b">":
        received += connection.recv(4096) or b">"
    return bytes(received)


def _handshake(connection, wanted):
    """Run s_client against a port of ours whose other side is `connection`."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
        relay = threading.Thread(target=_relay, args=(door, connection), daemon=True)
        relay.start()
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-showcerts", "-status", "-no_ign_eof"]
        command += ["-servername", wanted["server_name"]] if wanted.get("server_name") else ["-noservername"]
        if wanted.get("certificate") and Path(wanted["key"]).exists():
            command += ["-cert", wanted["certificate"], "-key", wanted["key"]]
        try:
            done = subprocess.run(
                command, input="", capture_output=True, text=True, errors="replace", timeout=TIMEOUT, check=False
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise LookError(f"no TLS handshake: {error}") from error
        finally:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
    if not _CERTIFICATE.search(done.stdout):
        last = [line for line in done.stderr.splitlines() if "error" in line.lower()]
        raise LookError(f"no TLS handshake: {(last or ['it showed no certificate'])[0][-200:]}")
    return done.stdout


def _relay(door, connection):
    with suppress(OSError):
        inner, _peer = door.accept()
        with inner:
            back = threading.Thread(target=_copy, args=(connection, inner), daemon=True)
            back.start()
            _copy(inner, connection)
            back.join(TIMEOUT)


def _copy(source, target):
    with suppress(OSError):
        while data := source.recv(16384):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def read_output(text, wanted, *, fetch):
    """Return what s_client's output says."""
    chain = _CERTIFICATE.findall(text)
    protocol, cipher = "", ""
    for match in _PROTOCOL.finditer(text):
        protocol, cipher = match[3] or match[1] or protocol, match[2] or cipher
    if "OCSP Response Status: successful" in text:
        found = re.search(r"Cert Status: (\w+)", text)
        ocsp = {"how": "stapled", "status": found[1] if found else "unknown"}
    else:
        ocsp = fetched_ocsp(chain) if fetch else {"how": "none", "status": "nothing stapled"}
    return {"chain": "".join(chain), "protocol": protocol, "cipher": cipher, "ocsp": ocsp}


def fetched_ocsp(chain):
    """Ask the responder that the leaf names, if it names one and this host may reach it."""
    if len(chain) < 2:
        return {"how": "none", "status": "nothing stapled, and no issuer to ask about"}
    with tempfile.TemporaryDirectory(prefix="xmppgw-ocsp-") as folder:
        leaf, issuer = Path(folder) / "leaf.pem", Path(folder) / "issuer.pem"
        leaf.write_text(chain[0], encoding="ascii")
        issuer.write_text(chain[1], encoding="ascii")
        try:
            responder = _openssl("x509", "-in", str(leaf), "-noout", "-ocsp_uri").strip()
            if not responder:
                return {"how": "none", "status": "nothing stapled, no responder named"}
            answer = _openssl(
                "ocsp", "-issuer", str(issuer), "-cert", str(leaf), "-url", responder, "-timeout", "5", "-noverify"
            )
        except LookError:
            return {"how": "none", "status": "nothing stapled, responder not reachable"}
    found = re.search(r": (good|revoked|unknown)", answer)
    return {"how": "fetched", "status": found[1] if found else "unknown"}


def _openssl(*arguments):
    try:
        done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise LookError(str(error)) from error
    if done.returncode:
        raise LookError(done.stderr.strip()[-200:])
    return done.stdout
