"""Metrics in Prometheus' form; the only importer of prometheus-client.

Each program has a registry of its own, so that several live in one process. Names and units follow
Prometheus' conventions; labels have few values (clusters, kinds, verbs, outcomes).
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_LATENCY_BUCKETS = (
    *(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    *(1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0),
)


class Metrics:
    """The metrics of one program of one cluster.

    Attributes:
        registry: Holds them all, for exposition.
        propagation: Seconds from a change seen in the exporting cluster to its last write here;
            compares two machines' clocks.
        writes: Requests to this cluster's API server that change something, by outcome.
        publications: Messages that the stream acknowledged.
        refusals: Things not taken or not exported right now, by reason.
        rejected: Messages that were not understood, or not trusted.
        resyncs: Replays of a stream after a doubt.
        table: Sizes of tables.
        retries: Things that failed and wait for another attempt right now.
    """

    def __init__(self, program: str, cluster: str) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        build = Gauge(
            "heliograph_program_info",
            "Which program this is, of which cluster; always 1.",
            ["program", "cluster"],
            registry=registry,
        )
        build.labels(program, cluster).set(1)
        self.propagation = Histogram(
            "heliograph_propagation_seconds",
            "From a change seen in the exporting cluster to its last write in the importing one.",
            ["exporting", "importing", "kind"],
            buckets=_LATENCY_BUCKETS,
            registry=registry,
        )
        self.writes = Counter(
            "heliograph_api_writes_total",
            "Requests that change something in this cluster's API server.",
            ["verb", "resource", "outcome"],
            registry=registry,
        )
        self.publications = Counter(
            "heliograph_publications_total",
            "Messages that the stream acknowledged.",
            ["kind"],
            registry=registry,
        )
        self.refusals = Gauge(
            "heliograph_refusals",
            "Things that are not taken, or not exported, right now.",
            ["exporting", "reason"],
            registry=registry,
        )
        self.rejected = Counter(
            "heliograph_messages_rejected_total",
            "Messages that were not understood, or not trusted.",
            ["exporting", "reason"],
            registry=registry,
        )
        self.resyncs = Counter(
            "heliograph_resyncs_total",
            "Replays of a stream, after a doubt about what was consumed.",
            ["exporting"],
            registry=registry,
        )
        self.table = Gauge(
            "heliograph_table_entries",
            "Entries in a table.",
            ["table"],
            registry=registry,
        )
        self.retries = Gauge(
            "heliograph_retries",
            "Things that failed and wait for another attempt right now.",
            registry=registry,
        )

    def exposition(self) -> bytes:
        """Return the text that Prometheus scrapes (exposition format 0.0.4)."""
        return generate_latest(self.registry)
