"""What the parts of one edge share: settings, partners, certificate, registry, log, counters, and each other.

Made by `edge.daemon`; a reload replaces `settings`, `partners` and what hangs on them in place, so that every stream
sees the new ones at its next question.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from xmppgw.edge.driver import PublicTls
from xmppgw.edge.partners import PartnerTable
from xmppgw.edge.phases import PhaseTable
from xmppgw.edge.pings import Pings
from xmppgw.edge.settings import EdgeSettings
from xmppgw.edge.streams import Admission, StreamRegistry
from xmppgw.telemetry.correlation import Correlations
from xmppgw.telemetry.log import Log
from xmppgw.telemetry.metrics import Metrics
from xmppgw.xmpp.parser import StanzaReader
from xmppgw.xmpp.stream import HANDED_OVER, StreamLimits

if TYPE_CHECKING:
    from xmppgw.edge.dialback import DialbackChecker
    from xmppgw.edge.links import LinkHub
    from xmppgw.edge.outbound import OutboundStreams
    from xmppgw.edge.relay import VerifyRelay
    from xmppgw.edge.splice import Splices


class EdgeMetrics:
    """Everything the edge counts."""

    def __init__(self, metrics: Metrics) -> None:
        self.registry = metrics
        self.partners = metrics.partners
        self.refused = metrics.counter("connections_refused", "Connections and streams refused", ("reason",))
        self.authorised = metrics.counter(
            "pairs_authorised", "Pairs of domains authenticated", ("direction", "method", "partner")
        )
        self.stanzas_in = metrics.counter("stanzas_received", "Stanzas taken from partners", ("partner", "kind"))
        self.stanzas_out = metrics.counter("stanzas_delivered", "Stanzas written to partners", ("partner",))
        self.failed = metrics.counter("deliveries_failed", "Deliveries not written", ("partner", "state"))
        self.remarks = metrics.counter("peer_faults", "Things that peers did and should not", ("code",))
        self.spliced = metrics.counter("splices", "Connections joined to the legacy gateway, or not", ("result",))
        self.spliced_bytes = metrics.counter(
            "splice_octets", "Octets passed through joined connections", ("direction",)
        )
        self.relayed = metrics.counter("dialback_relayed", "Dialback questions passed to legacy", ("outcome",))
        self.closed = metrics.counter("streams_closed", "Streams ended", ("direction", "origin", "condition"))


class EdgeContext:
    """Shared by all parts of one edge."""

    def __init__(self, settings: EdgeSettings, log: Log, metrics: Metrics, clock: Callable[[], float]) -> None:
        self.settings = settings
        self.partners = PartnerTable(settings)
        self.phases = PhaseTable(settings)
        self.log = log
        self.counters = EdgeMetrics(metrics)
        self.clock = clock
        self.correlations = Correlations()
        self.registry = StreamRegistry()
        #: Reads back what is to be handed over, as the front end will.
        self.reader = StanzaReader(HANDED_OVER)
        self.pings = Pings()
        self.admission = Admission(
            settings.limits.preauthentication_per_address, settings.limits.preauthentication_total
        )
        self.dialback_secret = ""
        self.tls: PublicTls | None = None
        self.draining = False
        self.hub: LinkHub
        self.outbound: OutboundStreams
        self.dialback: DialbackChecker
        self.splices: Splices
        self.relay: VerifyRelay

    def stream_limits(self) -> StreamLimits:
        """Return the bounds of one stream."""
        limits = self.settings.limits
        return StreamLimits(
            stanza_bytes=limits.stanza_bytes,
            stanza_elements=limits.stanza_elements,
            depth=limits.stanza_depth,
            attributes=limits.stanza_attributes,
            negotiation_seconds=limits.negotiation_seconds,
            verify_seconds=limits.negotiation_seconds,
            close_seconds=limits.close_seconds,
            keepalive_seconds=limits.keepalive_seconds,
        )


def monotonic_to_epoch(moment: float) -> float:
    """Return the wall-clock time of a moment on the event loop's clock."""
    return time.time() - (time.monotonic() - moment)
