"""The front end as a whole: started, reloaded, drained, stopped, and what the control socket can ask of it.

Called by `frontend.main` and by tests, which run it inside their own event loop. Wires the parts together; every
decision is theirs.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from xmppgw.frontend.access import AccessRules
from xmppgw.frontend.context import FrontEndContext
from xmppgw.frontend.intake import Intake
from xmppgw.frontend.links import Links
from xmppgw.frontend.recovery import recover
from xmppgw.frontend.settings import FrontEndSettings
from xmppgw.frontend.sip_lanes import SipLanes
from xmppgw.frontend.sip_leg import SipLeg
from xmppgw.frontend.xmpp_lanes import XmppLanes
from xmppgw.store.interface import Forget, Store, StoreProblem
from xmppgw.store.sqlite import SqliteStore
from xmppgw.telemetry.control import ControlServer, Json, Request
from xmppgw.telemetry.http import TelemetryServer
from xmppgw.telemetry.log import Log
from xmppgw.telemetry.metrics import Metrics
from xmppgw.telemetry.settings import SettingsProblem
from xmppgw.tls.context import mutual_context
from xmppgw.tls.identity import read_file
from xmppgw.tls.reload import ReloadableContext

BACKLOG = 128
#: How often lanes are looked through for messages that waited too long, and the store for what may be forgotten.
SWEEP_SECONDS = 1.0
FORGET_SECONDS = 60.0
#: While more is left: the shortest pause between two clean-ups, and how many times as long as the last one took it is,
#: so that messages have three quarters of the store's time however slow its disk is.
FORGET_AGAIN_SECONDS = 0.05
FORGET_PAUSES = 3.0


class FrontEnd:
    """One front end. `sockets`: listening sockets for SIP that systemd passed; without any, `sip.listen` is used."""

    def __init__(
        self,
        settings: FrontEndSettings,
        log: Log,
        *,
        sockets: Sequence[socket.socket] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._log = log
        self._sockets = list(sockets)
        self._clock = clock
        self._metrics = Metrics("frontend")
        self._servers: list[asyncio.Server] = []
        self._telemetry = TelemetryServer(self._metrics.exposition, self._health)
        self._control = ControlServer(
            {"status": self._status, "drain": self._drain_command, "backup": self._backup_command}
        )
        self._store: Store | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._forgetting: asyncio.TimerHandle | None = None
        self._draining: asyncio.Task[bool] | None = None
        self.context: FrontEndContext
        self.metrics_port = 0
        self.ports: list[int] = []

    async def start(self) -> None:
        """Open the store and every connection.

        Raises SettingsProblem, CertificateProblem, StoreProblem or OSError.
        """
        settings = self._settings
        sip_tls, link_tls = contexts(settings)
        store = await SqliteStore.open(settings.store)
        self._store = store
        gateway = self.context = FrontEndContext(settings, store, self._log, self._metrics, self._clock)
        gateway.begin_ids(await store.last_id())
        positions = await store.positions()
        intake = Intake(gateway)
        gateway.sip_lanes = SipLanes(gateway)
        gateway.xmpp_lanes = XmppLanes(gateway)
        gateway.links = Links(gateway, link_tls, intake)
        gateway.sip = SipLeg(gateway, sip_tls, intake)
        unfinished = await recover(gateway)
        self._declare()
        self.metrics_port = await self._telemetry.start(settings.metrics.address, settings.metrics.port)
        await self._control.start(settings.control_socket)
        gateway.links.start(positions)
        gateway.sip.start()
        await self._listen()
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep())
        self._forget()
        self._log.info(
            "started",
            partners=len(settings.partners),
            links=len(settings.links),
            unfinished=unfinished,
            inherited_sockets=len(self._sockets),
        )

    def reload(self, settings: FrontEndSettings) -> None:
        """Take new settings and certificates; connections that are up stay up.

        Raises SettingsProblem or CertificateProblem, and then nothing has changed.
        """
        gateway = self.context
        earlier = gateway.settings
        for name in ("store", "node", "pool_fqdn", "control_socket"):
            if getattr(settings, name) != getattr(earlier, name):
                raise SettingsProblem("settings-restart", f"{name} changes by a restart only")
        sip_tls, link_tls = contexts(settings)
        rules = AccessRules(settings)
        gateway.rules.close()
        gateway.settings, gateway.rules = settings, rules
        self._settings = settings
        gateway.counters.partners.configure(rules.labels())
        gateway.sip.context, gateway.links.context = sip_tls, link_tls
        gateway.links.reconcile()
        if settings.sip.next_hop != earlier.sip.next_hop:
            gateway.sip.reconnect()
        self._log.info("reloaded", partners=len(settings.partners), links=len(settings.links))

    async def drain(self) -> bool:
        """Send nothing new, wait for what is under way; whether all of it ended. What waits stays in the store."""
        if self._draining is None:
            self._draining = asyncio.get_running_loop().create_task(self._drain())
        return await asyncio.shield(self._draining)

    async def stop(self) -> None:
        """Drain, then close everything."""
        await self.drain()
        gateway = self.context
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._forgetting is not None:
            self._forgetting.cancel()
        gateway.links.stop()
        gateway.sip.close()
        await self._control.stop()
        await self._telemetry.stop()
        for listener in self._sockets:
            listener.close()
        await _until(lambda: gateway.uncommitted == 0, time.monotonic() + 5)
        if self._store is not None:
            await self._store.close()
        gateway.rules.close()
        await asyncio.sleep(0)
        self._log.info("stopped")

    async def failure(self) -> str:
        """Wait until the daemon cannot go on; the reason."""
        return await asyncio.shield(self.context.failed)

    # Inside.

    async def _drain(self) -> bool:
        gateway = self.context
        gateway.draining = True
        for server in self._servers:
            server.close()
        self._log.info("draining", outstanding=gateway.sip_lanes.outstanding, held=gateway.xmpp_lanes.held)
        deadline = time.monotonic() + gateway.settings.limits.drain_seconds
        complete = await _until(
            lambda: (
                gateway.failed.done()
                or (gateway.sip_lanes.outstanding == 0 and gateway.sip.unanswered == 0 and gateway.uncommitted == 0)
            ),
            deadline,
        )
        write = self._log.info if complete else self._log.warning
        write(
            "drained",
            complete=complete,
            outstanding=gateway.sip_lanes.outstanding,
            kept=gateway.sip_lanes.depth + gateway.xmpp_lanes.depth,
        )
        return complete

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        accept = self.context.sip.accept
        if self._sockets:
            for listener in self._sockets:
                # A copy: closing the server must not close what belongs to systemd.
                self._servers.append(await loop.create_server(accept, sock=listener.dup(), backlog=BACKLOG))
        else:
            for endpoint in self._settings.sip.listen:
                server = await loop.create_server(accept, endpoint.address, endpoint.port, backlog=BACKLOG)
                self._servers.append(server)
        self.ports = [int(each.getsockname()[1]) for server in self._servers for each in server.sockets]

    async def _sweep(self) -> None:
        gateway = self.context
        while True:
            now = gateway.clock()
            gateway.sip_lanes.expire(now)
            gateway.xmpp_lanes.expire(now)
            await asyncio.sleep(SWEEP_SECONDS)

    def _forget(self) -> None:
        """Forget a bounded number of what is old enough; soon again if more is left, else after a while."""
        gateway = self.context
        if gateway.draining:
            return
        now = gateway.clock()
        limits = gateway.settings.limits
        loop = asyncio.get_running_loop()
        begun = loop.time()

        def done(results: tuple[bool, ...]) -> None:
            soon = max(FORGET_AGAIN_SECONDS, FORGET_PAUSES * (loop.time() - begun))
            self._forgetting = loop.call_later(soon if results[0] else FORGET_SECONDS, self._forget)

        gateway.commit([Forget(now - limits.deduplication_seconds, now - limits.sent_memory_seconds)], done)

    def _declare(self) -> None:
        gateway = self.context
        observed = self._metrics.observed
        observed("waiting_for_sip", "Messages waiting for the platform", lambda: float(gateway.sip_lanes.depth))
        observed("waiting_for_xmpp", "Messages waiting for partners", lambda: float(gateway.xmpp_lanes.depth))
        observed("waiting_bytes", "Octets of all that waits", lambda: float(gateway.queued.octets))
        observed("sip_outstanding", "Requests waiting for a response", lambda: float(gateway.sip_lanes.outstanding))
        observed("next_hop_up", "Whether the next hop is connected", lambda: float(gateway.sip.ready))
        observed("links_up", "Whether every edge is connected", lambda: float(gateway.links.connected))
        observed("oldest_waiting_seconds", "How long the oldest message has been waiting", self._oldest_waiting)
        observed("certificate_expiry", "Unix time at which the first of the daemon's certificates ends", self._expiry)
        observed("uncommitted", "Transactions not durable yet", lambda: float(gateway.uncommitted))

    def _oldest_waiting(self) -> float:
        gateway = self.context
        since = [oldest for oldest in (gateway.sip_lanes.oldest, gateway.xmpp_lanes.oldest) if oldest is not None]
        return max(self._clock() - min(since), 0.0) if since else 0.0

    def _expiry(self) -> float:
        used = (self.context.sip.context, self.context.links.context)
        return min(each.identity.not_after.timestamp() for each in used)

    def _health(self) -> dict[str, bool]:
        gateway = self.context
        return {
            "store": not gateway.failed.done(),
            "edges_connected": gateway.links.connected,
            "next_hop_connected": gateway.sip.ready,
            "taking_work": not gateway.draining,
        }

    async def _status(self, request: Request) -> dict[str, Json]:
        gateway = self.context
        links: list[Json] = [*gateway.links.describe()]
        queues: dict[str, Json] = {**gateway.queued.partners()}
        return {
            "daemon": "frontend",
            "node": gateway.settings.node,
            "draining": gateway.draining,
            "partners": len(gateway.settings.partners),
            "links": links,
            "queues": queues,
            "sip": gateway.sip.describe(),
            "uncommitted": gateway.uncommitted,
            "access_policy": {
                "enable_federation_access": gateway.settings.access_policy.everyone.enable_federation_access,
                "enable_xmpp_access": gateway.settings.access_policy.everyone.enable_xmpp_access,
            },
            "policies": {
                "sites": len(gateway.settings.access_policy.sites),
                "users": len(gateway.settings.access_policy.users),
            },
        }

    async def _backup_command(self, request: Request) -> dict[str, Json]:
        if self._store is None:
            return {"ok": False, "reason": "the store is not open"}
        try:
            return {"path": await self._store.copy(), "waiting": self.context.queued.messages}
        except StoreProblem as problem:
            return {"ok": False, "reason": str(problem)}

    async def _drain_command(self, request: Request) -> dict[str, Json]:
        return {"complete": await self.drain()}


def contexts(settings: FrontEndSettings) -> tuple[ReloadableContext, ReloadableContext]:
    """Load certificates of the SIP and the link leg. Raises CertificateProblem."""
    now = datetime.now(UTC)
    sip, link = settings.sip, settings.tls
    sip_authorities, link_authorities = read_file(Path(sip.ca)), read_file(Path(link.ca))
    return (
        ReloadableContext(
            lambda identity: mutual_context(identity, sip_authorities), Path(sip.certificate), Path(sip.key), now
        ),
        ReloadableContext(
            lambda identity: mutual_context(identity, link_authorities), Path(link.certificate), Path(link.key), now
        ),
    )


def check(settings: FrontEndSettings) -> None:
    """Do all that a start would do with configuration and certificates. Raises SettingsProblem, CertificateProblem."""
    AccessRules(settings).close()
    contexts(settings)


async def _until(condition: Callable[[], bool], deadline: float) -> bool:
    """Wait for `condition`, looking every 20 ms: it depends on many parts, and only a drain waits for it."""
    while not condition():
        if time.monotonic() >= deadline:
            return False
        with contextlib.suppress(TimeoutError):
            await asyncio.sleep(0.02)
    return True
