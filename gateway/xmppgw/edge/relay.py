"""Dialback keys that the legacy gateway made and partners ask us about, because DNS names us by now: passed on to it.

Called by inbound streams for keys that are not ours, and by the control command `relay_check`. Asks in the partner's
name, on an unauthenticated stream without a certificate that carries one `db:verify` and nothing else. Only for pairs
of our domains and listed partners that may use dialback, a bounded number at once and per minute: a question can be
forged by anyone who can reach us.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from OpenSSL import SSL

from xmppgw.edge.context import EdgeContext
from xmppgw.edge.dialback import Answer, Question, ask
from xmppgw.edge.driver import PublicTls
from xmppgw.tls.context import s2s_context
from xmppgw.xmpp.stream import DialbackOutcome, DialbackRequest, PeerPolicy

#: How to meet the legacy gateway: TLS where it offers it. Its certificate proves nothing that matters here (its answer
#: goes to a partner that asked *us*), and we have none for the partner's name.
_POLICY = PeerPolicy(sasl_over_tls=False, dialback_over_tls=True, dialback_over_tcp=True, verified_tls=False)


class PerMinute:
    """At most `limit` per key and minute. Holds one entry per key that was used within the last two minutes."""

    def __init__(self) -> None:
        self._minute = -1
        self._counts: dict[str, int] = {}

    def take(self, key: str, limit: int, now: float) -> bool:
        """Whether one more is allowed."""
        minute = int(now // 60)
        if minute != self._minute:
            self._minute = minute
            self._counts.clear()
        count = self._counts.get(key, 0)
        if count >= limit:
            return False
        self._counts[key] = count + 1
        return True


class WithoutCertificate(PublicTls):
    """TLS in which we do not say who we are."""

    def __init__(self, own: PublicTls) -> None:
        super().__init__(own.context, own.trust)
        self._anonymous = s2s_context(None)

    @property
    def endpoint(self) -> SSL.Context:
        """What a handshake is made with: shows nothing."""
        return self._anonymous


class VerifyRelay:
    """Passes questions on to the legacy gateway."""

    def __init__(self, edge: EdgeContext) -> None:
        self._edge = edge
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked = PerMinute()

    def possible(self, own: str, asker: str) -> bool:
        """Whether a key of `own` that is not ours may be the legacy gateway's, and `asker` one that uses dialback."""
        policy = self._edge.partners.policy(own, asker)
        dialback = policy is not None and (policy.dialback_over_tls or policy.dialback_over_tcp)
        return self._edge.settings.legacy is not None and dialback

    def pass_on(
        self, request: DialbackRequest, answer: Callable[[DialbackRequest, DialbackOutcome, str], None]
    ) -> None:
        """Ask the legacy gateway about `request` and call `answer` once."""
        limits = self._edge.settings.limits
        partner = self._edge.partners.find(request.receiving)
        now = asyncio.get_running_loop().time()
        if partner is None or not self._asked.take(partner.domain, limits.relays_per_minute, now):
            self._edge.log.warning(
                "relay-refused",
                remote=request.receiving,
                local=request.originating,
                reason=f"{limits.relays_per_minute} questions of this partner within a minute already",
            )
            self._edge.counters.relayed.labels("refused").inc()
            answer(request, DialbackOutcome.ERROR, "resource-constraint")
            return
        if len(self._tasks) >= limits.relays_at_once:
            self._edge.counters.relayed.labels("refused").inc()
            answer(request, DialbackOutcome.ERROR, "resource-constraint")
            return
        task = asyncio.get_running_loop().create_task(self._pass_on(request, answer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def ask(self, request: DialbackRequest) -> Answer:
        """Ask the legacy gateway about one key of one of our domains, in the name of `request.receiving`."""
        edge = self._edge
        if edge.settings.legacy is None or edge.tls is None:
            return Answer(DialbackOutcome.ERROR, "remote-connection-failed", "no legacy gateway is configured")
        addresses = edge.outbound.dialer.configured(edge.settings.legacy.addresses)
        found = await ask(edge, Question(request, addresses, _POLICY), WithoutCertificate(edge.tls), None)
        edge.counters.relayed.labels(found.outcome.value).inc()
        edge.log.info(
            "dialback-relayed",
            remote=request.receiving,
            local=request.originating,
            outcome=found.outcome.value,
            reason=found.text,
        )
        return found

    def stop(self) -> None:
        """Give up all questions."""
        for task in self._tasks:
            task.cancel()

    async def _pass_on(
        self, request: DialbackRequest, answer: Callable[[DialbackRequest, DialbackOutcome, str], None]
    ) -> None:
        found = await self.ask(request)
        answer(request, found.outcome, found.condition)
