"""Messages per second from a partner's S2S stream through edge, link and front end to a Kamailio that takes them, and
beside it the same messages through Prosody to a component, in the same run and from the same sender.

Everything runs on a stage (a network namespace of its own) on the loopback of one machine. Each daemon has one core:
the edge the first, the front end the last; Prosody the first. The sender writes ready-made bytes and is not the
bottleneck, but it shares the machine's cores with all, so the processor time per message is reported beside the rate.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks.measure import Measurement, family, pin, processor_seconds, resident_mebibytes
from tests.interop import stage as stages
from tests.interop.authorities import Authorities
from tests.interop.kamailio_process import (
    GATEWAY,
    GATEWAY_PORT,
    HOST,
    PLATFORM,
    RPC_PORT,
    TLS_PORT,
    Kamailio,
    start_kamailio,
)
from tests.interop.small_edge import Session, SmallEdge
from tests.interop.stage import EDGE, OURS, PROSODY, PROSODY_DOMAIN, SECOND_EDGE, Stage

from xmppgw.tls.identity import Identity
from xmppgw.tls.verify import TrustStore
from xmppgw.xmpp.element import NS_STREAM
from xmppgw.xmpp.stream import Authorised, PeerPolicy

SENDERS, RECIPIENTS = 40, 200
"""XMPP users that write and SIP users written to. One MESSAGE per recipient is on its way at a time (RFC 3428 8)."""
BATCH = 20
"""Stanzas per write of the sender: one TLS record of about 8 KiB."""
WINDOW = 4_000
"""Messages on their way at most. Beyond 10,000 waiting for one partner the front end refuses, as it should."""
POLL_SECONDS = 0.05
COMPONENT_PORT = 5347
START_SECONDS = 20.0
STALLED_SECONDS = 20.0
"""Without a single message arriving for this long, the run is over."""
COMMAND = Path(sys.executable).with_name("xmppgw")
NODE = "edge1.corp.example"
GROUP = "XMPP partner to platform, one core per daemon"
IDLE = "Resident memory, idle"

PROSODY_CONFIGURATION = """
interfaces = {{ "{address}" }}
component_interfaces = {{ "{address}" }}
component_ports = {{ {component_port} }}
modules_enabled = {{ "saslauth"; "tls"; "dialback"; "posix" }}
pidfile = "/run/prosody.pid"
s2s_secure_auth = true
s2s_require_encryption = true
authentication = "internal_plain"
log = {{ {{ levels = {{ min = "warn" }}; to = "console" }} }}
ssl = {{ certificate = "/etc/interop/server.crt"; key = "/etc/interop/server.key"; cafile = "/etc/interop/ca.pem" }}
VirtualHost "unused.example"
Component "{domain}"
    component_secret = "sink"
    ssl = {{ certificate = "/etc/interop/server.crt"; key = "/etc/interop/server.key"; cafile = "/etc/interop/ca.pem" }}
"""


def reason_to_skip() -> str | None:
    """Why this part cannot run here, or None."""
    return stages.reason_to_skip()


def run(messages: int) -> list[Measurement]:
    """Idle memory, then both paths one after the other."""
    with tempfile.TemporaryDirectory(prefix="xmppgw-bench-") as name:
        authorities = Authorities()
        stage = Stage(Path(name))
        try:
            return _measure(stage, authorities, messages)
        finally:
            stage.stop()


def _measure(stage: Stage, authorities: Authorities, messages: int) -> list[Measurement]:
    kamailio = start_kamailio(stage, authorities)
    _start_prosody(stage, authorities)
    prosody = family(stage._processes["prosody"].pid)
    pin(prosody, 0)
    with _daemons(stage, authorities, kamailio) as (edge, front_end):
        pin([edge], 0)
        pin([front_end], (os.cpu_count() or 1) - 1)
        found = [
            Measurement(IDLE, "edge", resident_mebibytes(edge), "MiB", note="goal: below 60"),
            Measurement(IDLE, "front end", resident_mebibytes(front_end), "MiB", note="goal: below 60"),
        ]
        with stage.inside():
            ours = asyncio.run(_through_the_gateway(authorities, messages, {"edge": [edge], "front end": [front_end]}))
            theirs = asyncio.run(_through_prosody(authorities, messages, {"Prosody": prosody}))
        found += [
            Measurement(IDLE, "edge, after the run", resident_mebibytes(edge), "MiB"),
            Measurement(IDLE, "front end, after the run", resident_mebibytes(front_end), "MiB"),
        ]
    found += ours + theirs
    same = "same run, same sender"
    found.append(
        Measurement(GROUP, "gateway / Prosody, messages per second", ours[0].value / theirs[0].value, "", note=same)
    )
    busiest = max(row.value for row in ours[1:]) / theirs[1].value
    found.append(Measurement(GROUP, "busiest daemon / Prosody, processor time", busiest, "", note=same))
    return found


# ---------------------------------------------------------------------------------------------------- senders


def _stanzas(count: int) -> Iterator[bytes]:
    """Distinct messages of a common size, from many users to many users, in batches as they are written."""
    text = "Wherefore art thou, Romeo? Deny thy father and refuse thy name; or, if thou wilt not, be but sworn my love"
    batch: list[bytes] = []
    run_id = secrets.token_hex(4)
    for number in range(count):
        batch.append(
            f"<message from='user{number % SENDERS}@{PROSODY_DOMAIN}/client' "
            f"to='sink{number % RECIPIENTS}@{OURS}' id='{run_id}-{number}' type='chat'>"
            f"<body>{text} {number}</body></message>".encode()
        )
        if len(batch) == BATCH:
            yield b"".join(batch)
            batch.clear()
    if batch:
        yield b"".join(batch)


async def _connect(authorities: Authorities, address: str) -> Session:
    """An authenticated S2S stream from the partner to our domain."""
    pair = authorities.issue(PROSODY_DOMAIN, client=True)
    sender = SmallEdge(
        domain=PROSODY_DOMAIN,
        identity=Identity.from_pem(*pair, datetime.now(UTC)),
        trust=TrustStore.from_pem(authorities.pem),
        hosts={OURS: address},
        policies={OURS: PeerPolicy.from_letters(frozenset("S"))},
        door=socket.socket(),  # it never listens
    )
    session = await sender.connect(OURS)
    await sender.wait(Authorised, by=session)
    return session


async def _send(session: Session, messages: int, arrived: Callable[[], int]) -> None:
    assert session.tls is not None
    assert session.transport is not None
    for number, batch in enumerate(_stanzas(messages)):
        while number * BATCH - arrived() > WINDOW or session.transport.get_write_buffer_size():
            await asyncio.sleep(POLL_SECONDS / 10)
        session.tls.write(batch)
        session.transport.write(session.tls.data_to_send())
        await asyncio.sleep(0)


async def _run(
    name: str, session: Session, messages: int, arrived: Callable[[], int], processes: dict[str, list[int]]
) -> list[Measurement]:
    """Send, wait until all have arrived, and say how long it took and what it cost each process."""
    before = {label: processor_seconds(pids) for label, pids in processes.items()}
    base, start = arrived(), time.perf_counter()
    seen, changed = 0, start
    sending = asyncio.ensure_future(_send(session, messages, lambda: seen))
    while seen < messages:
        await asyncio.sleep(POLL_SECONDS)
        now = arrived() - base
        if now > seen:
            seen, changed = now, time.perf_counter()
        elif time.perf_counter() - changed > STALLED_SECONDS:
            break
    seconds = max(changed - start, 1e-3)
    sending.cancel()
    note = f"{seen:,} of {messages:,} messages in {seconds:.1f} s" + ("" if seen == messages else ": INCOMPLETE")
    rows = [Measurement(GROUP, f"{name}, messages per second", seen / seconds, "1/s", note=note)]
    for label, pids in processes.items():
        used = (processor_seconds(pids) - before[label]) / max(1, seen) * 1e6
        rows.append(
            Measurement(
                GROUP, f"{label}, processor time per message", used, "us", note=f"{1e6 / used:,.0f} per second and core"
            )
        )
    session.close()
    return rows


# ------------------------------------------------------------------------------------------ edge and front end


async def _through_the_gateway(
    authorities: Authorities, messages: int, processes: dict[str, list[int]]
) -> list[Measurement]:
    session = await _connect(authorities, EDGE)
    return await _run("edge, link, front end to Kamailio", session, messages, _answered_by_kamailio, processes)


def _answered_by_kamailio() -> int:
    """How many messages Kamailio has taken so far, by its own count of 202: a 200 also answers this very question."""
    call = {"jsonrpc": "2.0", "id": 1, "method": "sl.stats", "params": []}
    request = urllib.request.Request(
        f"http://{HOST}:{RPC_PORT}/RPC", json.dumps(call).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return int(json.load(answer)["result"]["202"])


@contextmanager
def _daemons(stage: Stage, authorities: Authorities, kamailio: Kamailio) -> Iterator[tuple[int, int]]:
    """Both daemons as commands, as systemd would start them but for its sandbox."""
    directory = stage.directory / "daemons"
    directory.mkdir()
    files = _credentials(directory, authorities)
    (directory / "edge.json").write_text(json.dumps(_edge_settings(directory, files)))
    (directory / "frontend.json").write_text(json.dumps(_front_end_settings(directory, files)))
    started: list[subprocess.Popen[bytes]] = []
    try:
        for name in ("edge", "frontend"):
            with (directory / f"{name}.log").open("wb") as log:
                command = [str(COMMAND), name, "--config", str(directory / f"{name}.json")]
                entered = ["nsenter", f"--target={stage.pid}", "--net", *command]
                started.append(subprocess.Popen(entered, stdout=log, stderr=log, stdin=subprocess.DEVNULL))
        _wait_until_ready(directory, started)
        yield started[0].pid, started[1].pid
    finally:
        for process in started:
            process.terminate()
        for process in started:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _credentials(directory: Path, authorities: Authorities) -> dict[str, str]:
    """One file per certificate, key and CA; by name."""
    (directory / "ca.pem").write_bytes(authorities.pem)
    (directory / "dialback").write_text(secrets.token_hex(32))
    files = {"ca": str(directory / "ca.pem"), "dialback": str(directory / "dialback")}
    for name, names, client in (
        ("public", (NODE, OURS), False),
        ("edge", ("edge1-int.corp.example",), True),
        ("fe", (GATEWAY, "fe-pool.corp.example"), True),
    ):
        certificate, key = authorities.issue(*names, client=client)
        (directory / f"{name}.crt").write_bytes(certificate)
        (directory / f"{name}.key").write_bytes(key)
        files |= {f"{name}.crt": str(directory / f"{name}.crt"), f"{name}.key": str(directory / f"{name}.key")}
    return files


def _edge_settings(directory: Path, files: dict[str, str]) -> dict[str, object]:
    return {
        "node": NODE,
        "own_domains": [OURS],
        "listen": [{"address": EDGE, "port": 5269}],
        "link": {
            "listen_address": SECOND_EDGE,
            "certificate": files["edge.crt"],
            "key": files["edge.key"],
            "ca": files["ca"],
            "peers": [GATEWAY],
        },
        "tls": {"certificate": files["public.crt"], "key": files["public.key"], "trust": [files["ca"]]},
        "dialback_secret_file": files["dialback"],
        "partners": [
            {
                "domain": PROSODY_DOMAIN,
                "tls": "required",
                "sasl": "required",
                "dialback": False,
                "addresses": [{"host": PROSODY, "port": 5269}],
            }
        ],
        "federation_enabled": True,
        "control_socket": str(directory / "edge.sock"),
    }


def _front_end_settings(directory: Path, files: dict[str, str]) -> dict[str, object]:
    private = {"certificate": files["fe.crt"], "key": files["fe.key"], "ca": files["ca"]}
    return {
        "node": GATEWAY,
        "pool_fqdn": "fe-pool.corp.example",
        "own_domains": [OURS],
        "tls": private,
        "sip": {
            **private,
            "next_hop": {"host": HOST, "port": TLS_PORT, "server_name": PLATFORM},
            "peers": [PLATFORM],
            "listen": [{"address": HOST, "port": GATEWAY_PORT}],
            "dialect": "simple",
        },
        "store": str(directory / "store.sqlite"),
        "control_socket": str(directory / "frontend.sock"),
        "links": [{"server_name": "edge1-int.corp.example", "addresses": [SECOND_EDGE], "port": 23456}],
        "partners": [{"domain": PROSODY_DOMAIN, "type": "federated"}],
        "access_policy": {"global": {"enable_federation_access": True, "enable_xmpp_access": True}},
    }


def _wait_until_ready(directory: Path, processes: list[subprocess.Popen[bytes]]) -> None:
    """Until the front end says that its link and its connection to the platform are up."""
    deadline = time.monotonic() + START_SECONDS
    answer = ""
    while time.monotonic() < deadline and all(process.poll() is None for process in processes):
        command = [str(COMMAND), "status", "--socket", str(directory / "frontend.sock"), "--format", "json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        answer = done.stdout or done.stderr
        if done.returncode == 0:
            status = json.loads(answer)
            if all(leg["state"] == "up" for leg in (status["sip"], *status["links"])):
                return
        time.sleep(0.1)
    logs = "\n".join((directory / f"{name}.log").read_text()[-2000:] for name in ("edge", "frontend"))
    raise RuntimeError(f"the daemons did not come up; last status: {answer}\n{logs}")


# ----------------------------------------------------------------------------------------------------- Prosody


def _start_prosody(stage: Stage, authorities: Authorities) -> None:
    """Prosody that relays our domain to a component, as the legacy gateway's does."""
    root = stage.root("prosody")
    text = PROSODY_CONFIGURATION.format(address=PROSODY, domain=OURS, component_port=COMPONENT_PORT)
    (root / "etc/prosody/prosody.cfg.lua").write_text(text)
    directory = root / "etc/interop"
    directory.mkdir()
    certificate, key = authorities.issue(OURS, client=True)
    (directory / "server.crt").write_bytes(certificate)
    (directory / "server.key").write_bytes(key)
    (directory / "ca.pem").write_bytes(authorities.pem)
    stage.run("chroot", "/mnt/prosody/root", "chown", "-R", "prosody:prosody", "/var/lib/prosody", "/etc/interop")
    stage.run("chmod", "1777", "/mnt/prosody/root/run")
    stage.start("prosody", "prosody", "-F", user="prosody")
    for port in (5269, COMPONENT_PORT):
        stage.wait_for_port("prosody", PROSODY, port)


async def _through_prosody(
    authorities: Authorities, messages: int, processes: dict[str, list[int]]
) -> list[Measurement]:
    reader, writer = await asyncio.open_connection(PROSODY, COMPONENT_PORT)
    opening = f"<stream:stream xmlns='jabber:component:accept' xmlns:stream='{NS_STREAM}' to='{OURS}'>"
    writer.write(opening.encode())
    header = await reader.readuntil(b">")
    while b"<stream:stream" not in header:
        header = await reader.readuntil(b">")
    found = re.search(rb"id=['\"]([^'\"]+)['\"]", header)
    assert found is not None, header
    digest = hashlib.sha1(found[1] + b"sink").hexdigest()
    writer.write(f"<handshake>{digest}</handshake>".encode())
    await reader.readuntil(b"<handshake/>")
    count = 0

    async def sink() -> None:
        nonlocal count
        rest = b""
        while data := await reader.read(262_144):
            rest += data
            count += rest.count(b"</message>")
            rest = rest[-9:]

    sinking = asyncio.ensure_future(sink())
    session = await _connect(authorities, PROSODY)
    rows = await _run("Prosody S2S to a component", session, messages, lambda: count, processes)
    sinking.cancel()
    writer.close()
    return rows
