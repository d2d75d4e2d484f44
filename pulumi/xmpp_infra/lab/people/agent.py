"""The agent that stands for people: it runs on lab host `users` and writes down what its people send and see.

XMPP people are slixmpp clients of the partners' servers; SIP people speak through the Kamailio on the same host
(JSON-RPC out, HTTP in). Both are parts that are not ours, so our own stacks never vouch for themselves. The probe
(`xmppgw.probe`) starts and stops it through its control socket and collects its event lines. This file runs with
Debian 12's python3 and python3-slixmpp alone; it must never import the project, judge what it saw, or forget a line it
has written.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any, Protocol, cast

HTTP_HEAD_LIMIT = 16 * 1024
HTTP_BODY_LIMIT = 256 * 1024
CONTROL_LINE_LIMIT = 64 * 1024
ORDERS = "current.json"
RUNS_KEPT = 5
"""Event files of earlier runs that stay on the host."""
CALLS_IN_FLIGHT = 256
"""Unanswered calls to Kamailio; above it the SIP senders pause, as a person would who sees no tick."""
FINAL_REPLY_WAIT_S = 45.0
"""Kamailio gives up after 15 to 32 s by itself; this only frees the connection."""
RECONNECT_PAUSE_S = 0.5
LOGIN_WAIT_S = 15.0
RESOURCE = "people"
"""Fixed, so that a restarted agent replaces its own former session instead of receiving everything twice."""
NOBODY = "nobody"
NOTICE = "Message not delivered"
REFERENCE = re.compile(r"\(reference ([^)\s]+)\)\s*$")

log = logging.getLogger("people")


class Stanza(Protocol):
    """The little of a slixmpp stanza that is used: its interfaces by name."""

    def __getitem__(self, name: str, /) -> Any:  # noqa: ANN401 - a stanza interface is a string or another stanza
        ...

    def __setitem__(self, name: str, value: str, /) -> None: ...


class Client(Protocol):
    """The little of slixmpp.ClientXMPP that is used, as in Debian 12's 1.8.3."""

    transport: object

    def add_event_handler(self, name: str, pointer: Callable[[Any], object]) -> object:
        """Call back on an event."""

    def connect(self, address: tuple[str, int]) -> object:
        """Connect to this very address, asking no DNS."""

    def make_message(self, mto: str, mbody: str, *, mtype: str) -> Stanza:
        """Build a message."""

    def send_raw(self, data: str) -> object:
        """Write to the transport at once."""

    def send_presence(self) -> object:
        """Say that messages may come."""

    def cancel_connection_attempt(self) -> object:
        """Give up connecting."""

    def abort(self) -> object:
        """Close without ceremony."""


@dataclass(frozen=True)
class Flow:
    """One pair in one direction and kind, with the two addresses used."""

    partner: str
    pair: str
    direction: str
    kind: str
    sender: str
    recipient: str

    @property
    def label(self) -> str:
        """The name under which status lists it."""
        return f"{self.pair} {self.direction}"

    @property
    def own(self) -> str:
        """The SIP domain whose user has a part in it."""
        return domain_of(self.sender if self.direction == "sip_to_xmpp" else self.recipient)


@dataclass(frozen=True)
class Server:
    """An XMPP server of people here: where it is, and the file of the authority that vouches for it."""

    address: str
    port: int
    trust: str


@dataclass(frozen=True)
class Settings:
    """What /etc/people/people.json says."""

    listen: tuple[str, int]
    rpc: tuple[str, int, str]
    outbound_proxy: str
    servers: dict[str, Server]
    passwords: dict[str, str]
    pairs: tuple[tuple[str, str], ...]
    unreachable: tuple[tuple[str, str], ...]
    control: tuple[str, str]

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """Read the settings; raises KeyError or ValueError naming what is missing."""
        raw = json.loads(text)
        return cls(
            listen=(raw["listen"]["address"], int(raw["listen"]["port"])),
            rpc=(raw["rpc"]["address"], int(raw["rpc"]["port"]), raw["rpc"]["path"]),
            outbound_proxy=raw["outbound_proxy"],
            servers={
                domain: Server(server["address"], int(server["port"]), server["trust"])
                for domain, server in raw["servers"].items()
            },
            passwords=dict(raw["passwords"]),
            pairs=tuple((pair["sip"], pair["xmpp"]) for pair in raw["pairs"]),
            unreachable=tuple((pair["sip"], pair["xmpp"]) for pair in raw["unreachable"]),
            control=(raw["control"][0], raw["control"][1]),
        )


def domain_of(address: str) -> str:
    """The part behind the @ of user@domain."""
    return address.partition("@")[2]


def user_of(address: str) -> str:
    """The part before the @ of user@domain."""
    return address.partition("@")[0]


def flows_of(settings: Settings) -> list[Flow]:
    """Every stream of messages that a run consists of."""
    flows = []
    for sip, xmpp in settings.pairs:
        partner, pair = domain_of(xmpp), f"{user_of(sip)}/{user_of(xmpp)}"
        flows.append(Flow(partner, pair, "sip_to_xmpp", "normal", sip, xmpp))
        flows.append(Flow(partner, pair, "xmpp_to_sip", "normal", xmpp, sip))
    first, second = settings.control
    for sender, recipient in ((first, second), (second, first)):
        flows.append(Flow("", f"{user_of(sender)}/{user_of(recipient)}", "control", "normal", sender, recipient))
    for sip, xmpp in settings.pairs:
        partner = domain_of(xmpp)
        nobody_there, nobody_here = f"{NOBODY}@{partner}", f"{NOBODY}@{domain_of(sip)}"
        there, here = f"{user_of(sip)}/{NOBODY}", f"{NOBODY}/{user_of(xmpp)}"
        flows.append(Flow(partner, there, "sip_to_xmpp", "unknown_user", sip, nobody_there))
        flows.append(Flow(partner, here, "xmpp_to_sip", "unknown_user", xmpp, nobody_here))
    for sip, xmpp in settings.unreachable:
        partner, pair = domain_of(xmpp), f"{user_of(sip)}/{user_of(xmpp)}"
        flows.append(Flow(partner, pair, "sip_to_xmpp", "unreachable", sip, xmpp))
    return flows


@dataclass
class Counts:
    """Running counts of one flow, for the live line only; the ledger counts from the event lines."""

    sent: int = 0
    received: int = 0
    returned: int = 0
    settled: set[int] = field(default_factory=set)
    last_received: float = 0.0
    via: dict[str, list[float]] = field(default_factory=dict)

    def note_received(self, n: int, t: float, via: str) -> None:
        """Message `n` arrived at `t`; `via` is empty where there is none."""
        if n not in self.settled:
            self.received += 1
            self.settled.add(n)
        self.last_received = t
        if via:
            seen = self.via.setdefault(via, [0, 0.0])
            seen[0] += 1
            seen[1] = t

    def note_returned(self, n: int | None) -> None:
        """Message `n`, or one that nobody can name, came back."""
        if n is None or n not in self.settled:
            self.returned += 1
        if n is not None:
            self.settled.add(n)


@dataclass
class Run:
    """One measured run: its senders, its event file and what it has seen so far."""

    name: str
    path: Path
    file: IO[bytes]
    interval: float
    unknown_interval: float
    limit: int
    until: float
    flows: list[Flow]
    counts: dict[Flow, Counts] = field(default_factory=dict)
    by_id: dict[str, tuple[Flow, int]] = field(default_factory=dict)
    by_body: dict[tuple[str, str], Flow] = field(default_factory=dict)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    sending: bool = True
    next_number: dict[Flow, int] = field(default_factory=dict)
    resumed: int = 0

    @classmethod
    def from_orders(cls, orders: dict[str, Any], state: Path, flows: list[Flow], mode: str) -> Run:
        """A run as its orders say; `mode` opens its event file. Raises OSError, KeyError, ValueError."""
        path = state / f"{orders['run']}.jsonl"
        return cls(
            name=orders["run"],
            path=path,
            file=cast("IO[bytes]", path.open(mode)),
            interval=float(orders["interval"]),
            unknown_interval=float(orders["unknown_interval"]),
            limit=int(orders["limit"]),
            until=float(orders["until"]),
            flows=flows,
            by_body={(flow.pair, flow.direction): flow for flow in flows},
            sending=bool(orders["sending"]),
        )

    def replay(self) -> float:
        """Learn from the event file what a former life of this agent saw; return when it saw something last."""
        known = {(flow.pair, flow.direction, flow.kind): flow for flow in self.flows}
        last = 0.0
        data = self.path.read_bytes()
        if data and not data.endswith(b"\n"):
            # The line that was being written when the agent died; it is counted as unreadable, not guessed at.
            self.file.write(b"\n")
        for raw in data.splitlines():
            try:
                line = json.loads(raw)
                last = max(last, float(line["t"]))
            except (ValueError, KeyError, TypeError):
                continue
            self.resumed += line["e"] == "resumed"
            flow = known.get((line.get("pair"), line.get("direction"), line.get("kind")))
            if flow is not None:
                self._learn(flow, line)
        return last

    def _learn(self, flow: Flow, line: dict[str, Any]) -> None:
        counts, n = self.count(flow), line.get("n")
        if n is None:
            if line["e"] == "returned":
                counts.note_returned(None)
        elif line["e"] == "sent":
            self.by_id[line["id"]] = (flow, n)
            self.next_number[flow] = max(self.next_number.get(flow, 0), n + 1)
            counts.sent += 1
        elif line["e"] == "received":
            self.by_id.setdefault(line["id"], (flow, n))
            counts.note_received(n, line["t"], line.get("via", ""))
        elif line["e"] in ("returned", "refused"):
            counts.note_returned(n)

    def write(
        self, e: str, flow: Flow | None = None, n: int | None = None, t: float | None = None, **more: str
    ) -> None:
        """Append one event line and hand it to the kernel at once; `t` is now unless it is given."""
        line: dict[str, object] = {"t": round(time.time() if t is None else t, 6), "e": e}
        if flow is not None:
            line.update(partner=flow.partner, pair=flow.pair, direction=flow.direction, kind=flow.kind)
        if n is not None:
            line["n"] = n
        line.update(more)
        self.file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        self.file.flush()

    def count(self, flow: Flow) -> Counts:
        """The running counts of one flow."""
        return self.counts.setdefault(flow, Counts())

    def sent(self, flow: Flow, n: int, identifier: str) -> None:
        """A message leaves its sender now."""
        self.by_id[identifier] = (flow, n)
        self.count(flow).sent += 1
        self.write("sent", flow, n, id=identifier)

    def received(self, body: str, identifier: str, via: str = "") -> bool:
        """A message reached its recipient; False if it is not one of this run."""
        words = body.split()
        if len(words) != 5 or words[0] != "probe" or words[1] != self.name or not words[4].isdigit():
            return False
        flow = self.by_body.get((words[2], words[3]))
        if flow is None:
            return False
        n = int(words[4])
        self.count(flow).note_received(n, time.time(), via)
        # A notice may quote the stanza id of the receiving side; remember whose it was.
        self.by_id.setdefault(identifier, (flow, n))
        self.write("received", flow, n, id=identifier, via=via)
        return True

    def came_back(self, e: str, flow: Flow, n: int | None, identifier: str, *, code: str, via: str = "") -> None:
        """The sender was told that a message did not arrive."""
        self.count(flow).note_returned(n)
        self.write(e, flow, n, id=identifier, code=code, via=via)

    def outstanding(self) -> int:
        """Messages that have neither arrived nor come back."""
        return sum(counts.sent - counts.received - counts.returned for counts in self.counts.values())

    def status(self) -> dict[str, object]:
        """What the live line needs, as JSON-ready values."""
        flows = []
        for flow in self.flows:
            counts = self.count(flow)
            flows.append(
                {
                    "partner": flow.partner,
                    "pair": flow.pair,
                    "own": flow.own,
                    "direction": flow.direction,
                    "kind": flow.kind,
                    "sent": counts.sent,
                    "received": counts.received,
                    "returned": counts.returned,
                    "last_received": counts.last_received,
                    "via": {host: {"count": int(n), "last": last} for host, (n, last) in sorted(counts.via.items())},
                }
            )
        return {
            "run": self.name,
            "sending": self.sending,
            "events": str(self.path),
            "outstanding": max(0, self.outstanding()),
            "resumed": self.resumed,
            "flows": flows,
        }


class People:
    """Everybody on host `users`: logged in all the time, talking while a run is on."""

    def __init__(self, settings: Settings, state: Path) -> None:
        self.settings = settings
        self.state = state
        self.run: Run | None = None
        self.online: dict[str, Client] = {}
        self.calls = asyncio.Semaphore(CALLS_IN_FLIGHT)
        self.foreign = 0
        self.kamailio_silent = False
        self.background: set[asyncio.Task[None]] = set()

    # -- XMPP people ---------------------------------------------------------------------------------------------

    async def stay_online(self, address: str, make_client: Callable[[str, str, str], Client]) -> None:
        """Log one XMPP user in and keep them so, with a fresh client after every disconnection."""
        while True:
            server = self.settings.servers[domain_of(address)]
            client = make_client(f"{address}/{RESOURCE}", self.settings.passwords[address], server.trust)
            started, ended = asyncio.Event(), asyncio.Event()
            client.add_event_handler("session_start", partial(_happened, started))
            for name in ("disconnected", "connection_failed", "failed_auth", "ssl_invalid_chain"):
                client.add_event_handler(name, partial(_happened, ended))
            client.add_event_handler("message", self.on_message)
            client.add_event_handler("message_error", self.on_error)
            client.connect((server.address, server.port))
            try:
                await asyncio.wait_for(_first(started, ended), LOGIN_WAIT_S)
            except TimeoutError:
                log.warning("%s: no session within %s s", address, LOGIN_WAIT_S)
                ended.set()
            if started.is_set() and not ended.is_set():
                client.send_presence()
                self.online[address] = client
                self.note("online", address)
                await ended.wait()
                self.online.pop(address, None)
                self.note("offline", address)
            client.cancel_connection_attempt()
            client.abort()
            await asyncio.sleep(RECONNECT_PAUSE_S)

    def note(self, e: str, address: str) -> None:
        """Somebody came online or went offline: a pause in sending has this as its reason."""
        log.info("%s is %s", address, e)
        if self.run is not None:
            self.run.write(e, id=address)

    def on_message(self, message: Stanza) -> None:
        """An XMPP user reads a message."""
        if message["type"] == "error":
            return
        if self.run is None or not self.run.received(message["body"], message["id"]):
            self.foreign += 1

    def on_error(self, message: Stanza) -> None:
        """An XMPP user is told that a message did not arrive."""
        found = self.run.by_id.get(message["id"]) if self.run is not None else None
        if self.run is None or found is None:
            self.foreign += 1
            return
        self.run.came_back("returned", found[0], found[1], message["id"], code=message["error"]["condition"])

    def say_by_xmpp(self, run: Run, flow: Flow, n: int) -> bool:
        """One XMPP user sends one message; False if they are not online, then nothing was sent."""
        client = self.online.get(flow.sender)
        if client is None or client.transport is None:
            return False
        message = client.make_message(mto=flow.recipient, mbody=body_of(run, flow, n), mtype="chat")
        message["id"] = f"x-{run.name}-{flow.pair.replace('/', '-')}-{n}"
        run.sent(flow, n, message["id"])
        # Straight to the transport: a message in the library's own queue would be dropped at a disconnection.
        client.send_raw(str(message))
        return True

    # -- SIP people ----------------------------------------------------------------------------------------------

    async def say_by_sip(self, run: Run, flow: Flow, n: int) -> None:
        """One SIP user sends one message and waits for its final reply."""
        call_id = f"s-{run.name}-{flow.pair.replace('/', '-')}-{n}"
        call = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tm.t_uac_wait",
            "params": [
                "MESSAGE",
                f"sip:{flow.recipient}",
                self.settings.outbound_proxy,
                ".",
                f"From: <sip:{flow.sender}>\r\nTo: <sip:{flow.recipient}>\r\nCall-ID: {call_id}\r\n"
                "Content-Type: text/plain\r\n",
                body_of(run, flow, n),
            ],
        }
        async with self.calls:
            # A connection of its own for each call: on a kept one that turns out closed, nobody could tell whether the
            # message had gone out, and saying it again would double it.
            try:
                reader, writer = await asyncio.open_connection(*self.settings.rpc[:2])
            except OSError as error:
                if not self.kamailio_silent:
                    log.warning("kamailio does not answer: %s", error)
                self.kamailio_silent = True
                return
            self.kamailio_silent = False
            try:
                run.sent(flow, n, call_id)
                writer.write(http_post(self.settings.rpc, json.dumps(call).encode()))
                answer = await asyncio.wait_for(read_http_answer(reader), FINAL_REPLY_WAIT_S)
            except (OSError, asyncio.IncompleteReadError, ValueError) as error:
                log.warning("no final reply for %s: %r", call_id, error)
                return
            finally:
                writer.close()
        self.on_final_reply(run, flow, n, call_id, answer)

    def on_final_reply(self, run: Run, flow: Flow, n: int, call_id: str, answer: dict[str, Any]) -> None:
        """The sender's own server said how it went: accepted, or refused with a status."""
        result = answer.get("result")
        if not isinstance(result, list) or not result:
            run.came_back("refused", flow, n, call_id, code=f"rpc {answer.get('error')}"[:200])
            return
        status = int(result[0])
        if 200 <= status < 300:
            run.write("accepted", flow, n, id=call_id, code=str(status))
        else:
            run.came_back("refused", flow, n, call_id, code=str(status))

    def on_sip(self, request: dict[str, str]) -> None:
        """A SIP user reads a message, which may be the notice that one of theirs did not arrive."""
        run = self.run
        body = request.get("body", "")
        if run is None:
            self.foreign += 1
        elif body.startswith(NOTICE):
            self.on_notice(run, request, body)
        elif not run.received(body, request.get("call_id", ""), request.get("through", "")):
            self.foreign += 1

    def on_notice(self, run: Run, request: dict[str, str], body: str) -> None:
        """Find the message that a notice speaks of: by In-Reply-To, by reference, else only by the addresses."""
        quoted = REFERENCE.search(body)
        reference = quoted.group(1) if quoted else ""
        code, via = body[len(NOTICE) :].strip(" :.")[:120], request.get("through", "")
        for identifier in (request.get("in_reply_to", ""), reference):
            found = run.by_id.get(identifier)
            if found is not None:
                run.came_back("returned", found[0], found[1], identifier, code=code, via=via)
                return
        sender, recipient = bare(request.get("to", "")), bare(request.get("from", ""))
        for flow in run.flows:
            if flow.direction == "sip_to_xmpp" and (flow.sender, flow.recipient) == (sender, recipient):
                run.came_back("returned", flow, None, reference, code=code, via=via)
                return
        self.foreign += 1

    async def serve_http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take what Kamailio posts; 200 makes it answer 200 to the SIP sender."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            while True:
                status = 400
                head = await reader.readuntil(b"\r\n\r\n")
                headers = http_headers(head)
                length = int(headers.get("content-length", "0") or "0")
                if length > HTTP_BODY_LIMIT:
                    break
                if headers.get("expect", "").lower() == "100-continue":
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                body = await reader.readexactly(length)
                with contextlib.suppress(ValueError, AttributeError):
                    # strict=False: a body with a raw line feed is still a body.
                    self.on_sip(json.loads(body.decode("utf-8", "replace"), strict=False))
                    status = 200
                writer.write(
                    f"HTTP/1.1 {status} {'OK' if status == 200 else 'Bad'}\r\nContent-Length: 0\r\n\r\n".encode()
                )
                await writer.drain()
                if headers.get("connection", "").lower() == "close":
                    break
        writer.close()

    # -- a run ---------------------------------------------------------------------------------------------------

    async def send(self, run: Run, flow: Flow, offset: float) -> None:
        """Send one flow's messages on the beat until told to stop; beats on which nobody is online are skipped."""
        interval = run.interval if flow.kind == "normal" else run.unknown_interval
        begin = time.monotonic() + offset
        n, beat = run.next_number.get(flow, 0), 0
        while run.sending and n < run.limit and time.time() < run.until:
            await asyncio.sleep(max(0.0, begin + beat * interval - time.monotonic()))
            # After a stall of this host, go on from now instead of bursting through what was missed.
            beat = max(beat + 1, int((time.monotonic() - begin) / interval))
            if not run.sending:
                break
            if flow.direction == "sip_to_xmpp":
                if self.calls.locked():
                    continue
                task = asyncio.create_task(self.say_by_sip(run, flow, n))
                self.background.add(task)
                task.add_done_callback(self.background.discard)
                n += 1
            elif self.say_by_xmpp(run, flow, n):
                n += 1

    async def start(self, request: dict[str, Any]) -> dict[str, object]:
        """Begin a run; one that is still on is ended first."""
        if self.run is not None:
            self.stop()
        name = str(request["run"])
        if not re.fullmatch(r"[A-Za-z0-9]{4,32}", name):
            raise ValueError("run: 4 to 32 letters or digits")
        self.forget_old_runs()
        orders = {
            "run": name,
            "interval": float(request.get("interval", 0.1)),
            "unknown_interval": float(request.get("unknown_interval", 2.0)),
            "limit": int(request.get("limit", 50_000)),
            "until": time.time() + float(request.get("seconds", 3600.0)),
            "sending": True,
        }
        self.run = Run.from_orders(orders, self.state, flows_of(self.settings), "xb")
        self.remember(orders)
        self.run.write("started", id=name)
        self.send_all(self.run)
        return self.status()

    def send_all(self, run: Run) -> None:
        """Let every flow beat, spread over the interval, so that they do not all beat at once."""
        for index, flow in enumerate(run.flows):
            offset = (run.interval if flow.kind == "normal" else run.unknown_interval) * index / len(run.flows)
            run.tasks.append(asyncio.create_task(self.send(run, flow, offset)))

    def remember(self, orders: dict[str, Any]) -> None:
        """Keep a run's orders: an agent that dies finds them again when it comes back."""
        half = self.state / f"{ORDERS}.new"
        half.write_text(json.dumps(orders))
        half.replace(self.state / ORDERS)

    def resume(self) -> None:
        """Go on with the run that a former life of this agent was in the middle of, and say so in its event file."""
        try:
            orders = json.loads((self.state / ORDERS).read_text())
            run = Run.from_orders(orders, self.state, flows_of(self.settings), "r+b")
            run.file.seek(0, os.SEEK_END)
            last = run.replay()
        except (OSError, ValueError, KeyError, TypeError) as problem:
            log.info("no run to go on with: %r", problem)
            return
        run.resumed += 1
        run.write("died", t=last)
        run.write("resumed", id=run.name)
        self.run = run
        if run.sending:
            self.send_all(run)

    def stop(self) -> dict[str, object]:
        """Stop sending; what is under way is still awaited and written down."""
        if self.run is not None and self.run.sending:
            self.run.sending = False
            for task in self.run.tasks:
                task.cancel()
            self.run.write("stopped", id=self.run.name)
            self.remember({**json.loads((self.state / ORDERS).read_text()), "sending": False})
        return self.status()

    def status(self) -> dict[str, object]:
        """Who is online and how the run goes."""
        return {
            "ok": True,
            "time": time.time(),
            "online": sorted(self.online),
            "expected": sorted(self.settings.passwords),
            "foreign": self.foreign,
            "run": self.run.status() if self.run is not None else None,
        }

    def forget_old_runs(self) -> None:
        """Keep the disk of a lab host small."""
        old = sorted(self.state.glob("*.jsonl"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in old[RUNS_KEPT - 1 :]:
            path.unlink()

    async def serve_control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One JSON line in, one out."""
        with contextlib.suppress(OSError, asyncio.LimitOverrunError):
            line = await reader.readline()
            try:
                request = json.loads(line)
                command = request["command"]
                if command == "start":
                    answer = await self.start(request)
                elif command == "stop":
                    answer = self.stop()
                elif command == "status":
                    answer = self.status()
                else:
                    answer = {"ok": False, "reason": f"unknown command {command!r}; start, stop and status are known"}
            except (ValueError, KeyError, TypeError, OSError) as error:
                answer = {"ok": False, "reason": f"{type(error).__name__}: {error}"}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()


def body_of(run: Run, flow: Flow, n: int) -> str:
    """What a message says: enough to know it again at the other end."""
    return f"probe {run.name} {flow.pair} {flow.direction} {n}"


def bare(uri: str) -> str:
    """user@domain of a SIP URI or a name-addr."""
    return re.sub(r"^.*?<|>.*$", "", uri).removeprefix("sip:").removeprefix("sips:").partition(";")[0].partition(":")[0]


def http_headers(head: bytes) -> dict[str, str]:
    """Header fields of an HTTP/1.1 head by lower-case name."""
    fields = (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:])
    return {name.strip().lower(): value.strip() for name, colon, value in fields if colon}


def http_post(target: tuple[str, int, str], body: bytes) -> bytes:
    """One HTTP request with a JSON body."""
    address, port, path = target
    return (
        f"POST {path} HTTP/1.1\r\nHost: {address}:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode() + body


async def read_http_answer(reader: asyncio.StreamReader) -> dict[str, Any]:
    """The JSON object in an HTTP answer; raises ValueError if it is none."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(http_headers(head).get("content-length", "0"))
    if length > HTTP_BODY_LIMIT:
        raise ValueError(f"answer of {length} bytes")
    answer = json.loads(await reader.readexactly(length))
    if not isinstance(answer, dict):
        raise TypeError("not a JSON object")
    return answer


def _happened(event: asyncio.Event, _: object) -> None:
    event.set()


async def _first(*events: asyncio.Event) -> None:
    """Wait until one of several events is set."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


def make_client(jid: str, password: str, trust: str) -> Client:
    """A slixmpp client that trusts one authority and nothing else."""
    import slixmpp  # noqa: PLC0415 - the control command must not pay for loading it

    client = slixmpp.ClientXMPP(jid, password)
    client.ca_certs = Path(trust)
    return cast("Client", client)


async def serve(settings: Settings, state: Path, control: Path) -> None:
    """Bring everybody online and answer the control socket until SIGTERM."""
    state.mkdir(parents=True, exist_ok=True)
    control.parent.mkdir(parents=True, exist_ok=True)
    control.unlink(missing_ok=True)
    people = People(settings, state)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await asyncio.start_server(people.serve_http, *settings.listen, limit=HTTP_HEAD_LIMIT)
    await asyncio.start_unix_server(people.serve_control, control, limit=CONTROL_LINE_LIMIT)
    tasks = [asyncio.create_task(people.stay_online(address, make_client)) for address in sorted(settings.passwords)]
    people.resume()
    await stop.wait()
    # A run that is on stays on: whoever restarts this agent finds it going on.
    for task in tasks:
        task.cancel()
    control.unlink(missing_ok=True)


def ask(control: Path, request: dict[str, object]) -> dict[str, Any]:
    """Send one command to the running agent and return its answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(10.0)
        connection.connect(str(control))
        connection.sendall(json.dumps(request).encode() + b"\n")
        with connection.makefile("rb") as answer:
            reply = json.loads(answer.readline())
    if not isinstance(reply, dict):
        raise TypeError("not a JSON object")
    return reply


def main(arguments: list[str]) -> int:
    """`serve` is what the unit runs; `control JSON` is what the probe types. Exit 0, 1 refused, 2 not running."""
    parser = argparse.ArgumentParser(prog="people", description=__doc__.splitlines()[0])
    parser.add_argument("--socket", type=Path, default=Path("/run/people/control.sock"))
    commands = parser.add_subparsers(dest="verb", required=True)
    server = commands.add_parser("serve")
    server.add_argument("--config", type=Path, required=True)
    server.add_argument("--state", type=Path, default=Path("/var/lib/people"))
    controller = commands.add_parser("control")
    controller.add_argument("request", type=json.loads)
    options = parser.parse_args(arguments)
    if options.verb == "serve":
        logging.basicConfig(level=logging.INFO, format="%(name)s %(levelname)s %(message)s")
        logging.getLogger("slixmpp").setLevel(logging.ERROR)
        os.umask(0o077)
        asyncio.run(serve(Settings.from_json(options.config.read_text()), options.state, options.socket))
        return 0
    try:
        reply = ask(options.socket, options.request)
    except OSError as error:
        sys.stderr.write(f"people: {options.socket}: {error}\n")
        return 2
    sys.stdout.write(json.dumps(reply) + "\n")
    return 0 if reply.get("ok") else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
