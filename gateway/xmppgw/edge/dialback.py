"""Dialback questions that we ask: on a stream of its own for each, which carries nothing else.

Called by inbound streams for keys that partners present, and by `edge.relay` for keys that only the legacy gateway can
judge. Learns whether a key is somebody's own and nothing more; what follows from it is the asking stream's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from xmppgw.edge.context import EdgeContext
from xmppgw.edge.dialing import Address, CannotConnect
from xmppgw.edge.driver import Event, PublicTls, StreamDriver
from xmppgw.edge.partners import Partner
from xmppgw.link.connection import Connection
from xmppgw.xmpp.outgoing import OutgoingSettings, OutgoingStream
from xmppgw.xmpp.stream import (
    Closed,
    DialbackChecked,
    DialbackOutcome,
    DialbackRequest,
    PeerPolicy,
    Remarked,
)

#: Verify-only streams at once; each ends by itself within the negotiation time.
MAXIMUM_DIALBACK_CHECKS = 64


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a question. `condition`: the dialback error where the outcome is ERROR."""

    outcome: DialbackOutcome
    condition: str
    text: str


class DialbackChecker:
    """Asks authoritative servers whether a key is theirs."""

    def __init__(self, edge: EdgeContext) -> None:
        self._edge = edge
        self._tasks: set[asyncio.Task[None]] = set()

    def check(self, request: DialbackRequest, answer: Callable[[DialbackRequest, DialbackOutcome, str], None]) -> None:
        """Find out about `request` and call `answer` once."""
        if len(self._tasks) >= MAXIMUM_DIALBACK_CHECKS:
            answer(request, DialbackOutcome.ERROR, "resource-constraint")
            return
        task = asyncio.get_running_loop().create_task(self._check(request, answer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        """Give up all checks."""
        for task in self._tasks:
            task.cancel()

    async def _check(
        self, request: DialbackRequest, answer: Callable[[DialbackRequest, DialbackOutcome, str], None]
    ) -> None:
        edge = self._edge
        partner = edge.partners.find(request.originating)
        if partner is None or edge.tls is None:
            answer(request, DialbackOutcome.ERROR, "not-authorized")
            return
        question = Question(request, edge.outbound.dialer.addresses(partner, request.originating), partner.policy)
        found = await ask(edge, question, edge.tls, partner)
        answer(request, found.outcome, found.condition)


@dataclass(frozen=True, slots=True)
class Question:
    """One question, whom to ask it, and how well the connection has to be protected."""

    request: DialbackRequest
    addresses: AsyncIterator[Address]
    policy: PeerPolicy


async def ask(edge: EdgeContext, question: Question, tls: PublicTls, partner: Partner | None) -> Answer:
    """Ask, on the first of the addresses that answers. `partner`: whose pins count, if it is a partner."""
    dialer, asked = edge.outbound.dialer, question.request.originating
    stream: VerifyStream | None = None
    try:
        async with asyncio.timeout(edge.settings.limits.negotiation_seconds):
            connection = await dialer.connect(question.addresses, Connection)
            stream = VerifyStream(edge, question, connection, tls, partner)
            stream.start()
            return await asyncio.shield(stream.answer)
    except CannotConnect as problem:
        edge.log.warning("dialback-unreachable", remote=asked, reason=str(problem))
        found = "remote-server-not-found" if not problem.temporary else "remote-connection-failed"
        return Answer(DialbackOutcome.ERROR, found, str(problem))
    except TimeoutError:
        return Answer(DialbackOutcome.ERROR, "remote-server-timeout", f"no answer from the server of {asked} in time")
    finally:
        if stream is not None:
            stream.close(None, "given up")


class VerifyStream(StreamDriver):
    """One connection that asks one question."""

    def __init__(
        self, edge: EdgeContext, question: Question, connection: Connection, tls: PublicTls, partner: Partner | None
    ) -> None:
        request = question.request
        self._stream = OutgoingStream(
            OutgoingSettings(
                local=request.receiving,
                remote=request.originating,
                policy=question.policy,
                dialback_secret=edge.dialback_secret,
                limits=edge.stream_limits(),
            ),
            verify_only=True,
        )
        super().__init__(self._stream, connection, tls)
        self._edge = edge
        self._partner = partner
        self._request = request
        self.answer: asyncio.Future[Answer] = self._loop.create_future()

    def start(self) -> None:
        """Put the question first; it is sent when policy allows."""
        self._stream.verify(self._request, self._loop.time())
        super().start()

    def partner_of(self, domain: str) -> Partner | None:
        """Find the partner."""
        return self._partner

    def happened(self, event: Event) -> None:
        """Act on what the stream produced."""
        if isinstance(event, DialbackChecked):
            self._edge.log.info(
                "dialback-asked",
                remote=self._request.originating,
                local=self._request.receiving,
                outcome=event.outcome.value,
                reason=event.text,
                address=self.connection.peer_address,
            )
            if not self.answer.done():
                self.answer.set_result(Answer(event.outcome, event.condition, event.text))
        elif isinstance(event, Remarked):
            self._edge.counters.remarks.labels(event.code).inc()
            self._edge.log.warning("peer-fault", code=event.code, reason=event.text, remote=self._request.originating)

    def over(self, closed: Closed) -> None:
        """Count it."""
        self._edge.counters.closed.labels("verify", closed.origin.value, closed.condition or "none").inc()
