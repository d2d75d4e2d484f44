"""What can be asked of a running edge over its control socket, and what it answers.

Called by the operator's command line, the playbooks and tests, one JSON object per line; see docs/architecture.md. A
command that cannot be done is refused in words (ControlRefusal) and has then changed nothing.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict

from xmppgw.edge.context import EdgeContext
from xmppgw.edge.inbound import MAXIMUM_WAIT_FOR_QUIET_SECONDS
from xmppgw.edge.outbound import CarrierStream
from xmppgw.edge.phases import PHASES
from xmppgw.edge.pings import TooManyPings
from xmppgw.edge.streams import StreamFacts
from xmppgw.telemetry.control import Command, ControlRefusal, Json, Request
from xmppgw.xmpp.address import AddressError, prepare_domain
from xmppgw.xmpp.stream import DialbackRequest, Pair

#: How long a partner's server may take to open its own stream and answer.
PING_SECONDS = 20.0
#: On top of the time in which a peer has to close: waiting for a quiet moment, and for the loop.
CLOSE_MARGIN_SECONDS = MAXIMUM_WAIT_FOR_QUIET_SECONDS + 1.0


class Commands:
    """The commands of one edge. `drain`: starts draining, or joins it, and says whether it was complete."""

    def __init__(self, edge: EdgeContext, drain: Callable[[], Awaitable[bool]]) -> None:
        self._edge = edge
        self._drain_all = drain

    def table(self) -> dict[str, Command]:
        """Return the commands by name."""
        return {
            "status": self._status,
            "streams": self._streams,
            "connect": self._connect,
            "ping": self._ping,
            "close": self._close,
            "phases": self._phases,
            "phase": self._phase,
            "relay_check": self._relay_check,
            "drain": self._drain,
        }

    async def _status(self, request: Request) -> dict[str, Json]:
        context = self._edge
        settings = context.settings
        facts = context.registry.facts()
        links: list[Json] = [*context.hub.describe()]
        return {
            "daemon": "edge",
            "node": settings.node,
            "federation_enabled": settings.federation_enabled,
            "draining": context.draining,
            "partners": len(settings.partners),
            "links": links,
            "streams": {
                "in": sum(each.direction == "in" for each in facts),
                "out": sum(each.direction == "out" for each in facts),
                "unauthenticated": context.admission.waiting,
                "spliced": len(context.splices),
            },
            "unacknowledged": context.hub.unacknowledged,
            "waiting": context.outbound.waiting(),
            "reading_paused": context.hub.holding,
            "certificate": (
                {
                    "fingerprint": context.tls.context.identity.fingerprint,
                    "not_after": context.tls.context.identity.not_after.isoformat(),
                }
                if context.tls is not None
                else None
            ),
        }

    async def _streams(self, request: Request) -> dict[str, Json]:
        """Streams that we answer, and connections that are joined to the legacy gateway (method `spliced`)."""
        context = self._edge
        return {"streams": [asdict(each) for each in (*context.registry.facts(), *context.splices.facts())]}

    async def _phases(self, request: Request) -> dict[str, Json]:
        """Which gateway answers each partner; `since` is null for one that has never been switched."""
        context = self._edge
        found: dict[str, Json] = {}
        for domain, _ in sorted(context.partners.labels()):
            known = context.phases.of(domain)
            found[domain] = {"phase": context.phases.phase(domain), "since": known.since if known else None}
        return {"default": context.phases.default, "phases": found}

    async def _phase(self, request: Request) -> dict[str, Json]:
        """Switch a partner or take it back. Connections that are open stay where they are."""
        context = self._edge
        domain = _domain(request, "partner", None)
        phase = PHASES.get(str(request.get("phase")))
        if phase is None:
            raise ControlRefusal("phase is legacy or gateway")
        partner = context.partners.find(domain)
        if partner is None:
            raise ControlRefusal(f"{domain} is not a partner, or federation is not enabled", {"code": "phase-partner"})
        if context.settings.legacy is None and phase == "legacy":
            raise ControlRefusal("no legacy gateway is configured", {"code": "phase-no-legacy"})
        try:
            changed = context.phases.set(partner.domain, phase, context.clock(), context.partners)
        except OSError as error:
            facts: dict[str, Json] = {"code": "phases-unwritable"}
            raise ControlRefusal(f"the phases cannot be kept: {error}", facts) from None
        if changed:
            self._edge.log.info("phase-changed", remote=partner.domain, phase=phase)
        return {"changed": changed}

    async def _relay_check(self, request: Request) -> dict[str, Json]:
        """Ask the legacy gateway about a key that nobody made: it has to say `invalid`, or dialback stops with it."""
        context = self._edge
        remote = _domain(request, "partner", None)
        local = _domain(request, "local", min(context.partners.own_domains))
        if context.settings.legacy is None:
            raise ControlRefusal("no legacy gateway is configured", {"code": "phase-no-legacy"})
        if not context.relay.possible(local, remote):
            raise ControlRefusal(f"{remote} is not a partner of {local} that may use dialback", {"code": "relay-pair"})
        wrong = DialbackRequest(remote, local, secrets.token_urlsafe(24), secrets.token_hex(32))
        answer = await context.relay.ask(wrong)
        return {"answer": answer.outcome.value, "reason": answer.text, "condition": answer.condition}

    async def _connect(self, request: Request) -> dict[str, Json]:
        local, remote = self._pair(request)
        carrier = await self._carrier(local, remote)
        stream = carrier.stream
        method = stream.method.value
        outcome = "S" if method == "external" else "T" if stream.encrypted else "C"
        return {
            "outcome": outcome,
            "reason": f"{method} over {'TLS' if stream.encrypted else 'TCP'}",
            "method": method,
            "encrypted": stream.encrypted,
            "address": carrier.connection.peer_address,
            "local": local,
            "remote": remote,
        }

    async def _ping(self, request: Request) -> dict[str, Json]:
        """Ping a partner on our stream; the answer has to come in on a stream of its own that ends here."""
        context = self._edge
        local, remote = self._pair(request)
        await self._carrier(local, remote)
        try:
            ping, answer = context.pings.begin(local, remote)
        except TooManyPings as problem:
            raise ControlRefusal(str(problem), {"stage": "policy"}) from None
        began = time.monotonic()
        context.outbound.send_reply(Pair(local, remote), ping)
        try:
            async with asyncio.timeout(PING_SECONDS):
                kind = await answer
        except TimeoutError:
            raise ControlRefusal(f"no answer came in here within {PING_SECONDS:g} s", {"stage": "answer"}) from None
        return {"answer": kind, "seconds": round(time.monotonic() - began, 3), "local": local, "remote": remote}

    def _pair(self, request: Request) -> tuple[str, str]:
        """Our domain and the partner's; without `local` the first of ours."""
        partners = self._edge.partners
        remote = _domain(request, "partner", None)
        local = _domain(request, "local", min(partners.own_domains))
        if partners.policy(local, remote) is None:
            reason = f"{remote} is not a partner of {local}, or federation is not enabled"
            raise ControlRefusal(reason, {"stage": "policy"})
        return local, remote

    async def _carrier(self, local: str, remote: str) -> CarrierStream:
        """The authenticated stream of a pair, opened if there is none."""
        attempt = await self._edge.outbound.connect(local, remote)
        if attempt.stream is None:
            facts: dict[str, Json] = {"stage": attempt.stage, "condition": attempt.condition}
            raise ControlRefusal(f"{attempt.condition}: {attempt.text}", facts)
        return attempt.stream

    async def _close(self, request: Request) -> dict[str, Json]:
        """Close a partner's streams gracefully, those of one of our domains (`local`) or of all."""
        context = self._edge
        remote = _domain(request, "partner", None)
        direction = request.get("direction", "both")
        if direction not in {"in", "out", "both"}:
            raise ControlRefusal("direction is in, out or both")
        partner = context.partners.find(remote)
        domains = partner.domains if partner is not None else (remote,)
        local = _domain(request, "local", None) if "local" in request else None

        def meant(facts: StreamFacts) -> bool:
            pair = facts.remote in domains and local in {None, facts.local}
            return pair and direction in {facts.direction, "both"}

        streams = [stream for stream in context.registry if any(map(meant, stream.describe()))]
        for stream in streams:
            stream.close_quietly("closed by the operator")
        deadline = time.monotonic() + context.settings.limits.close_seconds + CLOSE_MARGIN_SECONDS
        gone = await until(lambda: all(stream.closed is not None for stream in streams), deadline)
        return {"closed": len(streams), "complete": gone}

    async def _drain(self, request: Request) -> dict[str, Json]:
        return {"complete": await self._drain_all()}


def _domain(request: Request, name: str, default: str | None) -> str:
    value = request.get(name, default)
    if not isinstance(value, str):
        raise ControlRefusal(f"{name} is missing")
    try:
        return prepare_domain(value)
    except AddressError as error:
        raise ControlRefusal(f"{name}: {value!r} is not a domain: {error}") from None


async def until(condition: Callable[[], bool], deadline: float) -> bool:
    """Wait for `condition`, looking every 20 ms: it depends on many parts, and only a drain waits for it."""
    while not condition():
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(0.02)
    return True
