"""The edge as a whole: started, reloaded, drained, stopped.

Called by `edge.main` and by tests, which run it inside their own event loop. Wires the parts together; every decision
is theirs.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from xmppgw.edge.arrival import accept
from xmppgw.edge.commands import Commands, until
from xmppgw.edge.context import EdgeContext
from xmppgw.edge.dialback import DialbackChecker
from xmppgw.edge.dialing import Dialer
from xmppgw.edge.driver import PublicTls
from xmppgw.edge.inbound import InboundStream
from xmppgw.edge.links import LinkHub
from xmppgw.edge.outbound import OutboundStreams
from xmppgw.edge.partners import PartnerTable
from xmppgw.edge.phases import PhaseTable
from xmppgw.edge.relay import VerifyRelay
from xmppgw.edge.resolver import Resolver
from xmppgw.edge.settings import EdgeSettings
from xmppgw.edge.splice import Splices
from xmppgw.telemetry.control import ControlServer
from xmppgw.telemetry.http import TelemetryServer
from xmppgw.telemetry.log import Log
from xmppgw.telemetry.metrics import Metrics
from xmppgw.telemetry.settings import SettingsProblem
from xmppgw.tls.context import mutual_context, s2s_context
from xmppgw.tls.identity import read_file
from xmppgw.tls.reload import ReloadableContext
from xmppgw.tls.verify import TrustStore

#: Connections that the kernel queues while we are busy or being restarted.
BACKLOG = 512
#: While draining, a joined connection is ended when nothing has passed either way for this long: what was sent is then
#: most likely answered. Who leaves no such pause in the first seconds has to make do with a short one.
QUIET_SECONDS = 0.5
SHORT_QUIET_SECONDS = 0.06
PATIENT_SECONDS = 3.0
#: How often a draining edge looks for joined connections in which nothing passes.
QUIET_POLL_SECONDS = 0.01
#: A shared secret shorter than this could be found by trying.
MINIMUM_SECRET_CHARACTERS = 32


class Edge:
    """One edge. `sockets`: listening sockets for S2S that systemd passed; without any, `settings.listen` is used."""

    def __init__(
        self,
        settings: EdgeSettings,
        log: Log,
        *,
        sockets: Sequence[socket.socket] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.metrics = Metrics("edge")
        self.context = EdgeContext(settings, log, self.metrics, clock)
        self._log = log
        self._sockets = list(sockets)
        self._servers: list[asyncio.Server] = []
        self._telemetry = TelemetryServer(self.metrics.exposition, self._health)
        self._control = ControlServer(Commands(self.context, self.drain).table())
        self._link_context: ReloadableContext | None = None
        self._draining: asyncio.Task[bool] | None = None
        self._listening: asyncio.Task[None] | None = None
        self.link_port = 0
        self.metrics_port = 0
        self.ports: list[int] = []

    async def start(self) -> None:
        """Load certificates and open every listener. Raises SettingsProblem, CertificateProblem or OSError."""
        context = self.context
        settings = context.settings
        self._load_public()
        self._link_context = link_context(settings)
        context.hub = LinkHub(context, self._link_context)
        context.outbound = OutboundStreams(context, self._dialer())
        context.dialback = DialbackChecker(context)
        context.splices = Splices(context)
        context.relay = VerifyRelay(context)
        self._declare()
        self.link_port = await context.hub.start(settings.link.listen_address, settings.link.port)
        self.metrics_port = await self._telemetry.start(settings.metrics.address, settings.metrics.port)
        await self._control.start(settings.control_socket)
        await self._listen()
        self._log.info(
            "started",
            federation_enabled=settings.federation_enabled,
            partners=len(settings.partners),
            link_port=self.link_port,
            inherited_sockets=len(self._sockets),
        )

    def reload(self, settings: EdgeSettings) -> None:
        """Take new settings and certificates; streams that keep their permission go on.

        Raises SettingsProblem or CertificateProblem, and then nothing has changed.
        """
        context = self.context
        earlier = context.settings
        if (settings.link.listen_address, settings.link.port) != (earlier.link.listen_address, earlier.link.port):
            raise SettingsProblem("settings-restart", "link.listen_address and link.port change by a restart only")
        partners = PartnerTable(settings)
        public = load_public(settings)
        link = link_context(settings)
        phases = PhaseTable(settings)
        context.settings, context.partners, context.phases = settings, partners, phases
        context.tls, context.dialback_secret = public
        context.admission.per_address = settings.limits.preauthentication_per_address
        context.admission.total = settings.limits.preauthentication_total
        context.hub.use_context(link)
        context.outbound.dialer = self._dialer()
        context.counters.partners.configure(partners.labels())
        closed = 0
        for stream in context.registry:
            if isinstance(stream, InboundStream) and (not settings.federation_enabled or stream.lost_permission()):
                stream.close("policy-violation", "this federation is no longer permitted")
                closed += 1
        if not settings.federation_enabled:
            context.splices.close_all("federation is not enabled any more")
        context.outbound.reconcile()
        context.hub.reconcile()
        if not self._sockets and settings.federation_enabled != earlier.federation_enabled:
            self._listening = asyncio.get_running_loop().create_task(self._listen_again())
        self._log.info(
            "reloaded",
            federation_enabled=settings.federation_enabled,
            partners=len(settings.partners),
            inbound_streams_closed=closed,
        )

    async def drain(self) -> bool:
        """Take nothing new, finish what is in flight, close every stream gracefully; whether all of it went well.

        Listening sockets of systemd stay open: who connects meanwhile waits for our successor.
        """
        if self._draining is None:
            self._draining = asyncio.get_running_loop().create_task(self._drain())
        return await asyncio.shield(self._draining)

    async def stop(self) -> None:
        """Drain, then close everything."""
        await self.drain()
        context = self.context
        context.dialback.stop()
        context.relay.stop()
        context.hub.stop()
        await self._control.stop()
        await self._telemetry.stop()
        for listener in self._sockets:
            listener.close()
        # One turn for the goodbyes to be written.
        await asyncio.sleep(0)
        self._log.info("stopped")

    async def failure(self) -> str:
        """Wait until the daemon cannot go on: an edge always can."""
        await asyncio.get_running_loop().create_future()
        return ""

    # Draining.

    async def _drain(self) -> bool:
        context = self.context
        limits = context.settings.limits
        context.draining = True
        for server in self._servers:
            server.close()
        self._log.info(
            "draining",
            streams=len(context.registry),
            spliced=len(context.splices),
            unacknowledged=context.hub.unacknowledged,
        )
        for stream in context.registry:
            if isinstance(stream, InboundStream):
                stream.close_quietly("the edge is shutting down")
        context.outbound.close_all()
        deadline = time.monotonic() + limits.drain_seconds
        complete = await until(lambda: len(context.registry) == 0, deadline)
        complete &= await self._end_splices(deadline)
        # What the partners sent until they closed has to be in the front end's store before we may go.
        complete &= await until(lambda: context.hub.unacknowledged == 0, deadline)
        write = self._log.info if complete else self._log.warning
        write("drained", complete=complete, unacknowledged=context.hub.unacknowledged, streams=len(context.registry))
        return complete

    async def _end_splices(self, deadline: float) -> bool:
        """End each joined connection at a moment in which nothing passes; whether none was cut in mid-sentence.

        Nobody here can close the stream inside: it is encrypted end to end. Whoever sends without a pause until the
        deadline loses what is under way, and reconnects to our successor.
        """
        splices = self.context.splices
        patient_until = time.monotonic() + PATIENT_SECONDS
        while len(splices) and time.monotonic() < deadline:
            splices.close_quiet(QUIET_SECONDS if time.monotonic() < patient_until else SHORT_QUIET_SECONDS)
            await asyncio.sleep(QUIET_POLL_SECONDS)
        cut = len(splices)
        splices.close_all("the edge is shutting down")
        if cut:
            self._log.warning("splices-cut", number=cut, reason="they were never silent while the edge was draining")
        return cut == 0

    # Parts.

    def _load_public(self) -> None:
        context = self.context
        context.tls, context.dialback_secret = load_public(context.settings)
        context.counters.partners.configure(context.partners.labels())

    def _dialer(self) -> Dialer:
        settings = self.context.settings
        limits = settings.limits
        resolver = (
            Resolver(
                settings.resolver,
                settings.resolver_port,
                seconds=limits.resolve_seconds,
                entries=limits.dns_cache_entries,
                maximum_ttl=limits.dns_maximum_ttl_seconds,
            )
            if settings.resolver
            else None
        )
        return Dialer(resolver, connect_seconds=limits.connect_seconds, delay_seconds=limits.attempt_delay_seconds)

    async def _listen_again(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()
        try:
            await self._listen()
        except OSError as error:
            self._log.failure("listen-failed", reason=str(error))

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        make = lambda: accept(self.context)  # noqa: E731 - a factory in the form that asyncio wants
        if self._sockets:
            for listener in self._sockets:
                # A copy: closing the server must not close what belongs to systemd.
                server = await loop.create_server(make, sock=listener.dup(), backlog=BACKLOG)
                self._servers.append(server)
        elif self.context.settings.federation_enabled:
            for endpoint in self.context.settings.listen:
                server = await loop.create_server(make, endpoint.address, endpoint.port, backlog=BACKLOG)
                self._servers.append(server)
        self.ports = [int(each.getsockname()[1]) for server in self._servers for each in server.sockets]

    def _declare(self) -> None:
        context = self.context
        observed = self.metrics.observed
        observed("streams", "Streams that are open or opening", lambda: float(len(context.registry)))
        observed("unauthenticated", "Connections not authenticated yet", lambda: float(context.admission.waiting))
        observed("unacknowledged", "Stanzas the front end has not committed", lambda: float(context.hub.unacknowledged))
        observed("waiting", "Stanzas waiting for a partner", lambda: float(context.outbound.waiting()))
        observed("spliced", "Connections joined to the legacy gateway", lambda: float(len(context.splices)))
        observed("front_ends", "Front ends connected", lambda: float(context.hub.connected))
        observed("link_certificate_expiry", "Unix time at which the link's certificate ends", self._link_expiry)
        observed("certificate_expiry", "Unix time at which the public certificate expires", self._expiry)

    def _expiry(self) -> float:
        tls = self.context.tls
        return tls.context.identity.not_after.timestamp() if tls is not None else 0.0

    def _link_expiry(self) -> float:
        return self.context.hub.context.identity.not_after.timestamp()

    def _health(self) -> dict[str, bool]:
        context = self.context
        return {
            "front_end_connected": context.hub.connected,
            "certificate_valid": context.tls is None or self._expiry() > time.time(),
            "taking_work": not context.draining,
        }


def load_public(settings: EdgeSettings) -> tuple[PublicTls | None, str]:
    """Load certificate, trust and dialback secret. Raises SettingsProblem or CertificateProblem."""
    if not settings.federation_enabled or settings.tls is None:
        return None, ""
    now = datetime.now(UTC)
    files = settings.tls
    context = ReloadableContext(s2s_context, Path(files.certificate), Path(files.key), now)
    trust = TrustStore.from_files(*map(Path, files.trust))
    own = sorted({partner.authority for partner in settings.partners if partner.authority is not None})
    authorities = {file: TrustStore.from_files(Path(file)) for file in own}
    secret = ""
    if settings.dialback_secret_file is not None:
        try:
            secret = read_file(Path(settings.dialback_secret_file)).decode("ascii").strip()
        except UnicodeDecodeError:
            raise SettingsProblem("settings-secret", f"{settings.dialback_secret_file} is not ASCII text") from None
        if len(secret) < MINIMUM_SECRET_CHARACTERS:
            raise SettingsProblem(
                "settings-secret",
                f"{settings.dialback_secret_file} holds {len(secret)} characters; "
                f"at least {MINIMUM_SECRET_CHARACTERS} are needed",
            )
    return PublicTls(context, trust, authorities), secret


def link_context(settings: EdgeSettings) -> ReloadableContext:
    """Load what the link needs. Raises CertificateProblem."""
    link = settings.link
    authorities = read_file(Path(link.ca))

    return ReloadableContext(
        lambda identity: mutual_context(identity, authorities),
        Path(link.certificate),
        Path(link.key),
        datetime.now(UTC),
    )


def check(settings: EdgeSettings) -> None:
    """Do all that a start would do with files, and nothing else. Raises SettingsProblem or CertificateProblem."""
    PartnerTable(settings)
    PhaseTable(settings)
    load_public(settings)
    link_context(settings)
