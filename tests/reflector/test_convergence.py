from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from heliograph.contract.names import ClusterId
from heliograph.imports.evidence import StaleEpoch
from heliograph.kube.objects import (
    ENDPOINT_SLICES,
    ENDPOINTS,
    SERVICES,
    Endpoint,
    EndpointSlice,
    Port,
)
from heliograph.marks import MANAGED_BY_LABEL, is_ours
from services.reflector.table import ServiceKey
from tests.support.exporter import ExporterModel, Published
from tests.support.mirrors import (
    EAST,
    GRPC,
    HEADLESS,
    HTTP,
    IP,
    IP6,
    NEW,
    OLD,
    PODS,
    SOUTH,
    WEB,
    WEST,
    but,
    endpoints,
    foreign,
    leftover,
    pods,
    with_labels,
)
from tests.support.model import ApiServerModel, shape_of
from tests.support.world import World

KEYS = [ServiceKey("shop", name) for name in ("cart", "web")]
CLUSTERS = [EAST, SOUTH, WEST]
FAMILIES = ("IPv4", "IPv6")

keys, clusters = st.sampled_from(KEYS), st.sampled_from(CLUSTERS)
services = st.builds(
    but,
    st.sampled_from(
        [
            *(WEB, PODS, HEADLESS, but(WEB, ports=(HTTP, GRPC)), but(WEB, session_affinity_s=9)),
            but(WEB, ip_families=FAMILIES, cluster_ips=(IP, IP6)),
            but(WEB, ip_families=("IPv6",), cluster_ips=(IP6,)),
            but(WEB, cluster_ips=("10.99.0.1",)),
        ]
    ),
    exported_at=st.sampled_from([OLD, NEW]),
    ready=st.booleans(),
    importers=st.sampled_from([None, None, ("here",), ("west",)]),
)

SERVICE_DRIFT: list[dict[str, Any]] = [
    {"selector": {"app": "cart"}},
    {"ports": (Port(name="http", port=81),)},
    {"type": "NodePort"},
    {"session_affinity": "ClientIP"},
]
SLICE_DRIFT: list[Callable[[EndpointSlice], EndpointSlice]] = [
    lambda item: but(item, endpoints=(Endpoint(addresses=("10.9.9.9",)),)),
    lambda item: with_labels(item, {MANAGED_BY_LABEL: None}),
    lambda item: with_labels(item, {"endpointslice.kubernetes.io/managed-by": "somebody"}),
    lambda item: with_labels(item, {"multicluster.kubernetes.io/source-cluster": None}),
    lambda item: with_labels(item, {"kubernetes.io/service-name": None}),
]


class Mirroring(RuleBasedStateMachine):
    """Everything that can happen, in any order; in the end all is as after a fresh start."""

    def __init__(self) -> None:
        super().__init__()
        self.server = ApiServerModel(families=FAMILIES)
        self.world = World(*map(ExporterModel, CLUSTERS), server=self.server)
        self.on_the_way: dict[ClusterId, list[Published]] = {name: [] for name in CLUSTERS}

    def send(self, cluster: ClusterId, *messages: Published) -> None:
        """Put messages on their way to us."""
        self.on_the_way[cluster] += messages

    def fold(self, message: Published) -> None:
        """Let the table take a message; it may pass it over, and may want a replay."""
        table = self.world.picture.exports[message.subject.cluster]
        with suppress(StaleEpoch):
            message.fold_into(table)
        if table.doubtful:
            self.lose(message.subject.cluster)

    @rule(cluster=clusters, key=keys, service=services)
    def export(self, cluster: ClusterId, key: ServiceKey, service: Any) -> None:  # noqa: ANN401
        """A cluster exports a Service, or changes it."""
        exporter = self.world.exporters[cluster]
        if not exporter.left:
            self.send(cluster, exporter.export(service, key))

    @rule(cluster=clusters, key=keys, count=st.integers(0, 3), ready=st.booleans())
    def change_pods(self, cluster: ClusterId, key: ServiceKey, count: int, *, ready: bool) -> None:
        """A Service has so many pods now."""
        backends = [pods(f"10.42.0.{n}").addresses[0] for n in range(1, count + 1)]
        item = pods(*(but(b, ready=ready) for b in backends), service=key.name)
        if self.world.exporters[cluster].left:
            return
        self.send(cluster, self.world.exporters[cluster].put_slice(item, f"{key.name}-1"))

    @rule(cluster=clusters, key=keys)
    def withdraw(self, cluster: ClusterId, key: ServiceKey) -> None:
        """A cluster exports a Service no more."""
        exporter = self.world.exporters[cluster]
        self.send(cluster, exporter.withdraw(key), exporter.drop_slice(f"{key.name}-1"))

    @rule(cluster=clusters)
    def leave_or_come_back(self, cluster: ClusterId) -> None:
        """A cluster leaves the ClusterSet, or takes part again."""
        exporter = self.world.exporters[cluster]
        self.send(cluster, *([exporter.come_back()] if exporter.left else exporter.leave()))

    @rule(cluster=clusters)
    def renew_lease(self, cluster: ClusterId) -> None:
        """A cluster says what its stream adds up to."""
        self.send(cluster, self.world.exporters[cluster].lease())

    @rule(cluster=clusters, again=st.booleans())
    def deliver(self, cluster: ClusterId, *, again: bool) -> None:
        """Deliver the next message; perhaps twice."""
        if self.on_the_way[cluster]:
            message = self.on_the_way[cluster].pop(0)
            for _ in range(1 + again):
                self.fold(message)

    @rule(cluster=clusters)
    def lose(self, cluster: ClusterId) -> None:
        """Lose what is on its way: the sequence shows a gap, so a replay begins."""
        self.on_the_way[cluster].clear()
        self.world.picture.exports[cluster].begin_replay()

    @rule(cluster=clusters, limit=st.integers(0, 8))
    def interrupt_a_replay(self, cluster: ClusterId, limit: int) -> None:
        """A replay brings the beginning of a stream only."""
        self.on_the_way[cluster].clear()
        exporter = self.world.exporters[cluster]
        exporter.replay_into(self.world.picture.exports[cluster], limit)

    @rule(cluster=clusters)
    def replay(self, cluster: ClusterId) -> None:
        """A cluster is heard whole."""
        self.on_the_way[cluster].clear()
        self.world.hear(cluster)

    @rule()
    def restart(self) -> None:
        """A new process knows the listing of its own cluster, and nothing else."""
        for waiting in self.on_the_way.values():
            waiting.clear()
        self.world.restart()

    @rule()
    def relist(self) -> None:
        """The own cluster is listed again, as after 410 Gone."""
        self.world.relist()

    @rule(count=st.integers(1, 5))
    def watch(self, count: int) -> None:
        """Some news of the own cluster come."""
        self.world.watch(count)

    @rule(key=keys, faster=st.integers(0, 3))
    def reconcile(self, key: ServiceKey, faster: int) -> None:
        """Work on one mirror; the watch may be faster than some answers."""
        self.world.client.before_answer = lambda: self.world.watch(faster)
        self.world.reconcile(key)

    @rule(key=keys)
    def somebody_takes_the_name(self, key: ServiceKey) -> None:
        """A foreign Service is created where a mirror should be."""
        if self.world.service(key) is None:
            self.server.put(SERVICES, foreign(key))

    @rule(key=keys)
    def somebody_deletes_the_service(self, key: ServiceKey) -> None:
        """A mirror, or a foreign Service, is deleted."""
        if self.world.service(key) is not None:
            self.server.remove(SERVICES, key.namespace, key.name)

    @rule(key=keys, drift=st.sampled_from(SERVICE_DRIFT))
    def somebody_changes_the_mirror(self, key: ServiceKey, drift: dict[str, Any]) -> None:
        """A mirror drifts."""
        service = self.world.service(key)
        if service is not None and is_ours(service) and service.spec.cluster_ip != "None":
            self.world.change_service(key, **drift)

    @rule(data=st.data(), drift=st.sampled_from([None, *SLICE_DRIFT]))
    def somebody_changes_a_slice(
        self, data: st.DataObject, drift: Callable[[EndpointSlice], EndpointSlice] | None
    ) -> None:
        """A slice of ours drifts, or (None) is deleted."""
        slices = [item for item in self.server.all(ENDPOINT_SLICES) if is_ours(item)]
        if not slices:
            return
        item = data.draw(st.sampled_from(slices))
        if drift is None:
            self.server.remove(ENDPOINT_SLICES, "shop", item.metadata.name)
        else:
            self.server.put(ENDPOINT_SLICES, drift(item))

    @rule(key=keys)
    def a_controller_leaves_something(self, key: ServiceKey) -> None:
        """A mirror had a selector for a moment."""
        service = self.world.service(key)
        if service is not None and is_ours(service):
            self.server.put(ENDPOINT_SLICES, leftover(f"{key.name}-left", key))
            self.server.put(ENDPOINTS, endpoints(key))

    @precondition(lambda self: self.world.server.writes)
    @rule()
    def all_is_heard_and_seen(self) -> None:
        """Everything settles as it would have from a fresh start, and then nothing is written."""
        self.world.client.before_answer = lambda: None
        for waiting in self.on_the_way.values():
            waiting.clear()
        self.world.settle()

        assert shape_of(self.server) == shape_of(self._fresh())
        assert self.world.no_foreign_service_has_our_slices()
        writes = self.server.writes
        self.world.restart()
        self.world.settle()
        assert self.server.writes == writes

    @invariant()
    def plans_of_what_is_known_come_to_an_end(self) -> None:
        """No plan makes another object of one name twice."""
        for key in KEYS:
            named = [repr(operation) for operation in self.world.plan(key).operations]
            assert len(named) == len(set(named))

    def teardown(self) -> None:
        """In the end, all is heard and seen."""
        self.all_is_heard_and_seen()

    def _fresh(self) -> ApiServerModel:
        """Return a server on which the same exports were mirrored from the beginning."""
        server = ApiServerModel(families=FAMILIES)
        for service in self.server.all(SERVICES):
            if not is_ours(service):
                server.put(SERVICES, service)
        world = World(*self.world.exporters.values(), server=server)
        world.settle()
        return server


Mirroring.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestMirroring = Mirroring.TestCase


@given(
    exported=st.dictionaries(st.tuples(clusters, keys), services, min_size=1),
    cut=st.integers(0, 8),
    cluster=clusters,
)
@settings(max_examples=60, deadline=None)
def test_an_interrupted_replay_deletes_nothing(
    exported: dict[tuple[ClusterId, ServiceKey], Any], cut: int, cluster: ClusterId
) -> None:
    """However much of its stream a cluster has lost, nothing goes before it has spoken whole."""
    exporters = {name: ExporterModel(name) for name in CLUSTERS}
    for (name, key), service in exported.items():
        exporters[name].export(service, key)
    server = ApiServerModel(families=FAMILIES)
    world = World(*exporters.values(), server=server)
    world.settle()
    before = shape_of(server)

    exporters[cluster].lose()
    world.restart()
    for name, exporter in exporters.items():
        limit = cut if name == cluster else None
        exporter.replay_into(world.picture.exports[name], limit)
    for key in KEYS:
        world.reconcile(key)

    assert shape_of(server) == before


@given(exported=st.dictionaries(st.tuples(clusters, keys), services))
@settings(max_examples=100, deadline=None)
def test_a_plan_leaves_nothing_to_do(
    exported: dict[tuple[ClusterId, ServiceKey], Any],
) -> None:
    """Carried out on a model of the API server, a plan leads to a state that needs no plan."""
    exporters = {name: ExporterModel(name) for name in CLUSTERS}
    for (name, key), service in exported.items():
        exporters[name].export(service, key)
    world = World(*exporters.values(), server=ApiServerModel(families=FAMILIES))
    world.hear()

    for key in KEYS:
        world.apply(*world.plan(key).operations)
        assert world.plan(key).operations == ()
