"""Metrics in Prometheus' form; the only importer of prometheus-client.

Each program has a registry of its own, so that several live in one process. Names and units follow
Prometheus' conventions; labels have few values (clusters, kinds, verbs, outcomes).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override

_LATENCY_BUCKETS = (
    *(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    *(1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0),
)


class Refused(Protocol):
    """Why something of a cluster is not taken, as far as it is counted."""

    @property
    def exporting(self) -> str:
        """The cluster concerned."""

    @property
    def reason(self) -> str:
        """One CamelCase word."""


class Carrying(Protocol):
    """A tunnel to a node of another cluster, as far as it is measured."""

    @property
    def exporting(self) -> str:
        """The cluster at the other end."""

    @property
    def peer(self) -> str:
        """The node at the other end."""

    @property
    def handshake_age_s(self) -> float | None:
        """Seconds since the latest handshake; None if there was none."""

    @property
    def received_bytes(self) -> int:
        """Received from it, since the peer stands."""

    @property
    def sent_bytes(self) -> int:
        """Sent to it."""


class _Tunnels(Collector):
    """Reads tunnels when they are asked for: those that are gone have no series any more."""

    _LABELS: Final = ("exporting", "node")

    def __init__(self, tunnels: Callable[[], Iterable[Carrying]]) -> None:
        self._tunnels = tunnels

    @override
    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        age = GaugeMetricFamily(
            "heliograph_tunnel_handshake_age_seconds",
            "Since the latest handshake with a node of another cluster; +Inf if there was none.",
            labels=self._LABELS,
        )
        received = CounterMetricFamily(
            "heliograph_tunnel_received_bytes_total",
            "Received from a node of another cluster, since the peer stands.",
            labels=self._LABELS,
        )
        sent = CounterMetricFamily(
            "heliograph_tunnel_sent_bytes_total",
            "Sent to a node of another cluster, since the peer stands.",
            labels=self._LABELS,
        )
        for one in self._tunnels():
            labels = (one.exporting, one.peer)
            age.add_metric(labels, math.inf if one.handshake_age_s is None else one.handshake_age_s)
            received.add_metric(labels, one.received_bytes)
            sent.add_metric(labels, one.sent_bytes)
        yield from (age, received, sent)


class Metrics:
    """The metrics of one program of one cluster.

    Attributes:
        program: Name of the program.
        registry: Holds them all, for exposition.
        propagation: Seconds from a change seen in the exporting cluster to its last write here;
            compares two machines' clocks.
        round_trip: Seconds from a publication to an importing cluster's feedback; one clock.
        writes: Requests to this cluster's API server that change something, by outcome.
        publications: Messages that the stream acknowledged.
        refusals: Things not taken or not exported right now, by reason.
        rejected: Messages that were not understood, or not trusted.
        resyncs: Replays of a stream after a doubt.
        table: Sizes of tables.
        retries: Things that failed and wait for another attempt right now.
        held: Removals of mirrors that are held back right now, by exporting cluster.
        silent: Whether an exporting cluster is silent right now: 1 or 0.
    """

    def __init__(self, program: str, cluster: str) -> None:
        self.program = program
        self.registry = CollectorRegistry()
        self._gauge("program_info", "Always 1.", "program", "cluster").labels(program, cluster).set(
            1
        )
        self.propagation = self._histogram(
            "propagation_seconds",
            "From a change seen in the exporting cluster to its last write in the importing one.",
            *("exporting", "importing", "kind"),
        )
        self.round_trip = self._histogram(
            "round_trip_seconds",
            "From a publication to the importing cluster's word that it carried it out.",
            *("importing", "kind"),
        )
        self.writes = self._counter(
            "api_writes_total",
            "Requests that change something in this cluster's API server.",
            *("verb", "resource", "outcome"),
        )
        self.publications = self._counter(
            "publications_total", "Messages that the stream acknowledged.", "kind"
        )
        self.refusals = self._gauge(
            "refusals",
            "Things that are not taken, or not exported, right now.",
            *("exporting", "reason"),
        )
        self.rejected = self._counter(
            "messages_rejected_total",
            "Messages that were not understood, or not trusted.",
            *("exporting", "reason"),
        )
        self.resyncs = self._counter(
            "resyncs_total",
            "Replays of a stream, after a doubt about what was consumed.",
            "exporting",
        )
        self.table = self._gauge("table_entries", "Entries in a table.", "table")
        self.retries = self._gauge(
            "retries", "Things that failed and wait for another attempt right now."
        )
        self._add_clusters()

    def _add_clusters(self) -> None:
        """Add what is told of each exporting cluster as a whole."""
        self.held = self._gauge(
            "held_removals",
            "Removals of mirrors that are held back right now, since most would go at once.",
            "exporting",
        )

        self.silent = self._gauge(
            "silent_clusters",
            "Whether a cluster is neither heard of nor answering, so that its addresses are not "
            "ready: 1 or 0.",
            "exporting",
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"heliograph_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"heliograph_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        buckets = _LATENCY_BUCKETS
        name = f"heliograph_{name}"
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)

    def measure_tunnels(self, tunnels: Callable[[], Iterable[Carrying]]) -> None:
        """Tell of tunnels from now on, as they are whenever somebody scrapes."""
        self.registry.register(_Tunnels(tunnels))

    def count_refusals(self, before: Iterable[Refused], now: Iterable[Refused]) -> None:
        """Take that some refusals stand in the place of others."""
        for refused in before:
            self.refusals.labels(refused.exporting, refused.reason).dec()
        for refused in now:
            self.refusals.labels(refused.exporting, refused.reason).inc()

    def exposition(self) -> bytes:
        """Return the text that Prometheus scrapes (exposition format 0.0.4)."""
        return generate_latest(self.registry)
