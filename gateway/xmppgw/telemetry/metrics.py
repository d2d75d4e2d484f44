"""Prometheus metrics of one daemon, with labels whose number is bounded by the configuration.

Called by both daemons. A remote domain becomes a label only if it is a configured partner; all others are `other`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.process_collector import ProcessCollector

#: Above this many partners, each further one is counted under `other` (three hundred series each would hurt a scraper).
MAXIMUM_PARTNER_LABELS = 1_000
#: Seconds from first byte to hand-over; the lab's goal is far below one second.
LATENCY_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 30, 300, 3600)


class PartnerLabels:
    """Maps a domain to the label of its partner."""

    def __init__(self) -> None:
        self._labels: dict[str, str] = {}

    def configure(self, partners: Iterable[tuple[str, Iterable[str]]]) -> None:
        """Replace all labels. `partners`: main domain and its additional domains."""
        labels: dict[str, str] = {}
        for number, (domain, additional) in enumerate(partners):
            label = domain if number < MAXIMUM_PARTNER_LABELS else "other"
            for each in (domain, *additional):
                labels[each] = label
        self._labels = labels

    def label(self, domain: str) -> str:
        """Return the partner's label, `other` for a domain that is not configured."""
        return self._labels.get(domain, "other")


class Metrics:
    """The registry of one daemon; metrics are declared where they are counted."""

    def __init__(self, daemon: str) -> None:
        self.registry = CollectorRegistry()
        self.partners = PartnerLabels()
        self._prefix = f"xmppgw_{daemon}_"
        ProcessCollector(registry=self.registry)

    def counter(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
        """Declare a counter `xmppgw_<daemon>_<name>_total`."""
        return Counter(self._prefix + name, text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
        """Declare a gauge `xmppgw_<daemon>_<name>`."""
        return Gauge(self._prefix + name, text, labels, registry=self.registry)

    def observed(self, name: str, text: str, function: Callable[[], float]) -> None:
        """Declare a gauge whose value is asked for at each scrape."""
        self.gauge(name, text).set_function(function)

    def histogram(self, name: str, text: str) -> Histogram:
        """Declare a histogram of seconds."""
        return Histogram(self._prefix + name, text, buckets=LATENCY_BUCKETS, registry=self.registry)

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)
