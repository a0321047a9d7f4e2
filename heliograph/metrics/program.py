"""The metrics of one program of one cluster."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client import PlatformCollector, ProcessCollector, generate_latest

from heliograph.measured import Carrying, Followed, Judged, Reached, Read, Refused
from heliograph.metrics.families import Families, Samples
from heliograph.version import VERSION

_LATENCY_BUCKETS: Final = (
    *(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    *(1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0),
)
_PLAN_BUCKETS: Final = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)

_WATCHER: Final = frozenset({"watcher"})
_REFLECTOR: Final = frozenset({"reflector"})
_PEERER: Final = frozenset({"peerer"})
_AGENT: Final = frozenset({"agent"})
_WRITING: Final = _REFLECTOR | _PEERER
_IMPORTING: Final = _WRITING | _AGENT
_PEERING: Final = _PEERER | _AGENT

PROGRAMS: Final = ("watcher", "reflector", "peerer", "agent")
"""Those that serve metrics; an agent is the peerer of one node."""

CONFLICTS: Final = frozenset(
    {
        "AddressTaken",
        "DuplicateKey",
        "FamilyConflict",
        "ForeignObject",
        "ForeignPeer",
        "KeyInUse",
        "RangeOverlap",
        "RangeTaken",
        "TypeConflict",
    }
)
"""Reasons of refusals that mean: two want the same, and people must decide."""


class Metrics:
    """The metrics of one program of one cluster.

    Attributes:
        program: Name of the program.
        registry: Holds those that the program exposes.
        known: The same, documented, by name.
        propagation: Seconds from a change seen in the exporting cluster to its last write here;
            compares two machines' clocks.
        round_trip: Seconds from a publication to an importing cluster's feedback; one clock.
        writes: Requests to this cluster's API server that change something, by outcome.
        publications: Messages that the stream acknowledged.
        rejected: Messages that were not understood, or not trusted.
        resyncs: Replays of a stream after a doubt.
        retries: Things that failed and wait for another attempt right now.
        held: Removals of mirrors that are held back right now, by exporting cluster.
        silent: Whether an exporting cluster is silent right now: 1 or 0.
        tables: Sizes of tables.
        queue: Things that wait to be looked at.
        pending: Publications on their way.
    """

    def __init__(self, program: str, cluster: str) -> None:
        self.program = program
        families = Families(program)
        self.registry, self.known = families.registry, families.known
        self._add_program(families, cluster)
        self._add_changes(families)
        self._add_refusals(families)
        self._add_lag(families)
        self._add_tunnels(families)

    def _add_program(self, families: Families, cluster: str) -> None:
        """Add what every program tells of itself."""
        every = families.of(frozenset(PROGRAMS))
        labels = {"program": self.program, "cluster": cluster, "version": VERSION}
        text = "Always 1; says which program of which cluster this is, and its version."
        every.gauge("program_info", text, *labels).labels(**labels).set(1)
        self._conditions = every.scraped(
            "ready_condition",
            "Whether a condition of readiness is met: 1 or 0. The program is ready when all are.",
            "condition",
        )
        self._bus = every.scraped(
            "bus_connected", "Whether the connection to a bus is up: 1 or 0.", "bus"
        )
        self._events = every.counter(
            "events_total",
            "Kubernetes Events by what became of them: written, failed, or dropped since too many "
            "came at once.",
            "outcome",
        )
        self.publications = every.counter(
            "publications_total", "Messages that the stream acknowledged.", "kind"
        )
        self.tables = every.scraped(
            "table_entries",
            "Entries in a table of what a cluster has; no exporting cluster where it is of all.",
            *("table", "exporting"),
        )
        for collector in (ProcessCollector, PlatformCollector):
            collector(registry=self.registry)

    def _add_changes(self, families: Families) -> None:
        """Add what happens to a change on its way."""
        watcher, importing = families.of(_WATCHER), families.of(_IMPORTING)
        self.propagation = importing.histogram(
            "propagation_seconds",
            "From a change seen in the exporting cluster to its last write in the importing one.",
            *("exporting", "importing", "kind"),
            buckets=_LATENCY_BUCKETS,
        )
        self.round_trip = watcher.histogram(
            "round_trip_seconds",
            "From a publication to the importing cluster's word that it carried it out.",
            *("importing", "kind"),
            buckets=_LATENCY_BUCKETS,
        )
        self._plan = importing.histogram(
            "plan_seconds",
            "How long it took to plan; one plan is made for a Service, for a cluster's Peers, or "
            "for a node's tunnels.",
            buckets=_PLAN_BUCKETS,
        )
        self._operations = importing.counter(
            "operations_planned_total", "Operations in these plans, by what they do.", "operation"
        )
        self.writes = families.of(_WRITING).counter(
            "api_writes_total",
            "Requests that change something in this cluster's API server.",
            *("verb", "resource", "outcome"),
        )
        self.retries = importing.gauge(
            "retries", "Things that failed and wait for another attempt right now."
        )

    def _add_refusals(self, families: Families) -> None:
        """Add what is not taken, and what is held back."""
        every, reflector = families.of(frozenset(PROGRAMS)), families.of(_REFLECTOR)
        self._refusals = every.gauge(
            "refusals",
            "Things that are not taken, or not exported, right now.",
            *("exporting", "reason"),
        )
        self._conflicts = families.of(_IMPORTING).gauge(
            "conflicts",
            "Those of the refusals that mean that two want the same, and people must decide.",
            *("exporting", "reason"),
        )
        self.held = reflector.gauge(
            "held_removals",
            "Removals of mirrors that are held back right now, since most would go at once.",
            "exporting",
        )
        self.silent = reflector.gauge(
            "silent_clusters",
            "Whether a cluster is neither heard of nor answering, so that its addresses are not "
            "ready: 1 or 0.",
            "exporting",
        )

    def _add_lag(self, families: Families) -> None:
        """Add how far this program is behind its cluster and the streams."""
        every, importing = families.of(frozenset(PROGRAMS)), families.of(_IMPORTING)
        self._watch_alive = every.scraped(
            "watch_alive", "Whether the watch of a kind is open: 1 or 0.", "resource"
        )
        self._watch_age = every.scraped(
            "watch_silence_seconds",
            "Since the watch of a kind brought a line or a bookmark; +Inf if it never has.",
            "resource",
        )
        self._complete = importing.scraped(
            "import_complete",
            "Whether all that an exporting cluster says was heard, and a digest confirmed it: 1 or "
            "0.",
            "exporting",
        )
        self._silence = importing.scraped(
            "import_silence_seconds",
            "Since the stream of an exporting cluster brought a message or a heartbeat; +Inf if it "
            "never has.",
            "exporting",
        )
        self._unread = importing.scraped(
            "import_pending_messages",
            "Messages that the stream of an exporting cluster holds for this program still.",
            "exporting",
        )
        self._add_lease(families)
        self.rejected = importing.counter(
            "messages_rejected_total",
            "Messages that were not understood, or not trusted.",
            *("exporting", "reason"),
        )
        self.resyncs = importing.counter(
            "resyncs_total",
            "Replays of a stream, after a doubt about what was consumed.",
            "exporting",
        )
        self.queue = families.of(_WRITING).scraped(
            "queue_entries", "Services, or clusters, that wait to be looked at or are in hand."
        )
        self.pending = families.of(_WATCHER).scraped(
            "publications_pending", "Publications that the stream has not acknowledged yet."
        )

    def _add_lease(self, families: Families) -> None:
        every = families.of(frozenset(PROGRAMS))
        self._lease_age = every.scraped(
            "lease_age_seconds",
            "Since an exporting cluster renewed its lease; of the watcher, its own.",
            "exporting",
        )
        self._lease_lasts = every.scraped(
            "lease_duration_seconds",
            "How long the lease of an exporting cluster lasts.",
            "exporting",
        )

    def _add_tunnels(self, families: Families) -> None:
        """Add what is told of peers."""
        self._peers = families.of(_PEERING).scraped(
            "peers",
            "Peers of an exporting cluster by state: of Kilo's, set or refused; of an agent's "
            "tunnels, whether the node answers.",
            *("exporting", "state"),
        )
        agent, labels = families.of(_AGENT), ("exporting", "node")
        self._handshakes = agent.scraped(
            "tunnel_handshake_age_seconds",
            "Since the latest handshake with a node of another cluster; +Inf if there was none.",
            *labels,
        )
        self._received = agent.scraped(
            "tunnel_received_bytes_total",
            "Received from a node of another cluster, since the peer stands.",
            *labels,
            type="counter",
        )
        self._sent = agent.scraped(
            "tunnel_sent_bytes_total",
            "Sent to a node of another cluster, since the peer stands.",
            *labels,
            type="counter",
        )

    def measure_conditions(self, conditions: Callable[[], Iterable[Judged]]) -> None:
        """Tell of the conditions of readiness from now on."""
        self._conditions.read(lambda: (((one.name,), one.holds) for one in conditions()))

    def measure_buses(self, *buses: Reached) -> None:
        """Tell of connections from now on; of several to one server, whether all are up."""

        def samples() -> Iterator[tuple[tuple[str, ...], float]]:
            for url in dict.fromkeys(bus.shown_url for bus in buses):
                yield (url,), all(bus.connected for bus in buses if bus.shown_url == url)

        self._bus.read(samples)

    def measure_watches(self, watches: Iterable[Followed]) -> None:
        """Tell of watches from now on, but for kinds that the API server does not know."""
        given = tuple(watches)
        self._watch_alive.read(
            lambda: (((one.plural,), one.alive) for one in given if not one.absent)
        )
        self._watch_age.read(
            lambda: (
                ((one.plural,), _age_s(one.spoke_at_s, time.monotonic()))
                for one in given
                if not one.absent
            )
        )

    def measure_import(self, table: str, one: Read) -> None:
        """Tell of an import from now on; `table` is what it is read into."""
        who = (one.cluster,)
        self.tables.read(lambda: [((table, one.cluster), one.size)])
        self._complete.read(lambda: [(who, one.complete)])
        self._silence.read(
            lambda: [(who, _age_s(one.heard_at_s, time.monotonic()))]  # what loops count too
        )
        self._unread.read(lambda: [] if one.pending is None else [(who, one.pending)])
        self.measure_lease(one.cluster, lambda: one.lease)

    def measure_lease(
        self, exporting: str, lease: Callable[[], tuple[float, float] | None]
    ) -> None:
        """Tell of a lease from now on: when it was renewed (loop's clock), for how many seconds."""

        def samples(*, age: bool) -> Iterator[tuple[tuple[str, ...], float]]:
            if (found := lease()) is not None:
                renewed_at_s, lasts_s = found
                yield (exporting,), _age_s(renewed_at_s, time.monotonic()) if age else lasts_s

        self._lease_age.read(lambda: samples(age=True))
        self._lease_lasts.read(lambda: samples(age=False))

    def measure_peers(self, peers: Callable[[], Iterable[tuple[str, str]]]) -> None:
        """Tell of peers from now on: exporting cluster and state of each."""
        self._peers.read(lambda: Counter(peers()).items())

    def measure_tunnels(self, tunnels: Callable[[], Iterable[Carrying]]) -> None:
        """Tell of tunnels from now on, as they are whenever somebody scrapes."""

        def read(value: Callable[[Carrying], float]) -> Samples:
            return lambda: (((one.exporting, one.peer), value(one)) for one in tunnels())

        self._handshakes.read(read(_handshake_age_s))
        self._received.read(read(lambda one: one.received_bytes))
        self._sent.read(read(lambda one: one.sent_bytes))
        self.measure_peers(lambda: ((one.exporting, one.state) for one in tunnels()))

    def planned(self, begun_s: float, operations: Iterable[object]) -> None:
        """Take that a plan was made, since `begun_s` (time.perf_counter())."""
        self._plan.observe(time.perf_counter() - begun_s)
        for operation in operations:
            self._operations.labels(type(operation).__name__).inc()

    def count_event(self, outcome: str) -> None:
        """Take what became of a Kubernetes Event."""
        self._events.labels(outcome).inc()

    def count_refusals(self, before: Iterable[Refused], now: Iterable[Refused]) -> None:
        """Take that some refusals stand in the place of others."""
        for refused in before:
            self._refuse(refused.exporting, refused.reason, -1)
        for refused in now:
            self._refuse(refused.exporting, refused.reason, 1)

    def count_refusal(self, exporting: str, reason: str, *, stands: bool) -> None:
        """Take that one more thing is refused, or one fewer."""
        self._refuse(exporting, reason, 1 if stands else -1)

    def _refuse(self, exporting: str, reason: str, change: int) -> None:
        self._refusals.labels(exporting, reason).inc(change)
        if reason in CONFLICTS:
            self._conflicts.labels(exporting, reason).inc(change)

    def exposition(self) -> bytes:
        """Return the text that Prometheus scrapes (exposition format 0.0.4)."""
        return generate_latest(self.registry)


def _age_s(at_s: float | None, now_s: float) -> float:
    return math.inf if at_s is None else max(0.0, now_s - at_s)


def _handshake_age_s(tunnel: Carrying) -> float:
    return math.inf if tunnel.handshake_age_s is None else tunnel.handshake_age_s
