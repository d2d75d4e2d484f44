"""What the parts of one front end share: settings, access rules, store, log, counters, and each other.

Made by `frontend.daemon`; a reload replaces settings and rules in place.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from xmppgw.frontend.access import AccessRules
from xmppgw.frontend.load import Load
from xmppgw.frontend.settings import FrontEndSettings
from xmppgw.store.interface import Item, Operation, Store, StoreProblem
from xmppgw.telemetry.correlation import Correlations
from xmppgw.telemetry.log import Log
from xmppgw.telemetry.metrics import Metrics
from xmppgw.translate.neutral import Failure
from xmppgw.xmpp.parser import StanzaReader
from xmppgw.xmpp.stream import HANDED_OVER

if TYPE_CHECKING:
    from xmppgw.frontend.links import Links
    from xmppgw.frontend.sip_lanes import SipLanes
    from xmppgw.frontend.sip_leg import SipLeg
    from xmppgw.frontend.xmpp_lanes import XmppLanes

#: What is done when a transaction is durable; its results come with it.
Committed = Callable[[tuple[bool, ...]], None]

FULL = Failure("resource-constraint", "too many messages are waiting")


class FrontEndMetrics:
    """Everything the front end counts."""

    def __init__(self, metrics: Metrics) -> None:
        self.registry = metrics
        self.partners = metrics.partners
        self.accepted = metrics.counter("messages_accepted", "Messages committed", ("direction", "partner"))
        self.delivered = metrics.counter("messages_delivered", "Messages delivered onward", ("direction", "partner"))
        self.returned = metrics.counter(
            "messages_returned", "Messages returned to their senders", ("direction", "partner", "condition")
        )
        self.refused = metrics.counter("messages_refused", "Messages and requests refused", ("direction", "reason"))
        self.repeated = metrics.counter("messages_repeated", "Repetitions recognised", ("direction",))
        self.ignored = metrics.counter("stanzas_ignored", "Stanzas with nothing to carry over", ("reason",))
        self.retried = metrics.counter("messages_deferred", "Delivery attempts put off", ("direction", "partner"))
        self.faults = metrics.counter("peer_faults", "Things that peers did and should not", ("code",))
        self.latency = metrics.histogram("delivery_seconds", "From acceptance to delivery onward")


class FrontEndContext:
    """Shared by all parts of one front end."""

    def __init__(
        self, settings: FrontEndSettings, store: Store, log: Log, metrics: Metrics, clock: Callable[[], float]
    ) -> None:
        self.settings = settings
        self.rules = AccessRules(settings)
        self.store = store
        self.log = log
        self.counters = FrontEndMetrics(metrics)
        self.counters.partners.configure(self.rules.labels())
        self.clock = clock
        self.correlations = Correlations()
        #: One parser for all stanzas that are read one by one; making one costs more than using it.
        self.reader = StanzaReader(HANDED_OVER)
        self.draining = False
        #: Set when the store fails: the daemon has to stop.
        self.failed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        #: Items in the store, and items whose commit is under way.
        self.queued = Load()
        self.uncommitted = 0
        self._last_id = 0
        self.links: Links
        self.sip: SipLeg
        self.sip_lanes: SipLanes
        self.xmpp_lanes: XmppLanes

    def begin_ids(self, last: int) -> None:
        """Continue after the last id in the store."""
        self._last_id = last

    def next_id(self) -> int:
        """Draw an id for an item."""
        self._last_id += 1
        return self._last_id

    def delivery_name(self, item: int) -> str:
        """Return the name of an item outside of this store; never used for another one."""
        return f"{self.store.identity}-{item}"

    def token(self) -> str:
        """Draw a random token for SIP branches, tags and Call-IDs."""
        return secrets.token_hex(12)

    def commit(self, operations: Sequence[Operation], then: Committed | None = None) -> None:
        """Make `operations` durable, then call `then`. Calls happen in the order of submission."""
        self.uncommitted += 1
        future = self.store.submit(operations)

        def done(finished: asyncio.Future[tuple[bool, ...]]) -> None:
            self.uncommitted -= 1
            problem = finished.exception()
            if problem is not None:
                self.fail(problem)
            elif then is not None:
                then(finished.result())

        future.add_done_callback(done)

    def fail(self, problem: BaseException) -> None:
        """Stop: without a store nothing may be accepted. What was not acknowledged comes again."""
        if not self.failed.done():
            reason = str(problem) if isinstance(problem, StoreProblem) else repr(problem)
            self.log.failure("store-failed", reason=reason)
            self.failed.set_result(reason)

    def full(self, partner: str) -> bool:
        """Whether a partner's queue, or all together, are full: by number or by octets."""
        limits = self.settings.limits
        messages, octets = self.queued.of(partner)
        return (
            messages >= limits.queue_per_partner
            or octets >= limits.queue_per_partner_bytes
            or self.queued.messages >= limits.queue_total
            or self.queued.octets >= limits.queue_total_bytes
        )

    @property
    def overfull(self) -> bool:
        """Whether there is no room for errors and replies either, which may have as much again as messages."""
        limits = self.settings.limits
        return self.queued.messages >= 2 * limits.queue_total or self.queued.octets >= 2 * limits.queue_total_bytes

    def entered(self, item: Item) -> None:
        """Count an item that is in the store, or whose commit is about to begin."""
        self.queued.add(item.partner, len(item.payload))

    def left(self, item: Item) -> None:
        """Count it no more."""
        self.queued.remove(item.partner, len(item.payload))

    def backoff(self, attempts: int) -> float:
        """Return the pause in seconds before attempt number `attempts` + 1."""
        limits = self.settings.limits
        return float(min(limits.retry_maximum_seconds, limits.retry_seconds * 2 ** min(attempts, 16)))
