"""The stream follows the cluster: through changes, restarts, and losses on either side."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from heliograph import telemetry
from heliograph.admission.spans import contains, span_of_text, spans_of
from heliograph.bus import Connection, EmbeddedServer, StreamMissing, delete_stream, stream_info
from heliograph.bus import Message as RawMessage
from heliograph.bus.background import alongside
from heliograph.bus.errors import JetStreamError
from heliograph.contract.messages import (
    ClusterAnnounced,
    EndpointsExported,
    Message,
    NodeAnnounced,
    NodeWithdrawn,
    ServiceExported,
    ServiceWithdrawn,
    decode,
)
from heliograph.contract.subjects import Kind, parse_subject, stream_name
from heliograph.kube.objects import ENDPOINT_SLICES
from heliograph.lab.memory import MemoryCluster
from heliograph.metrics import Metrics
from services.watcher.settings import WatcherSettings
from services.watcher.watcher import Watcher
from tests.bus.support import connected, eventually, reading
from tests.support.announcing import make_stream
from tests.support.builders import (
    EAST,
    KEY,
    annotated,
    as_json,
    backend,
    endpoint_slice,
    kilo_node,
    node,
    service,
    service_cidr,
    subject,
)
from tests.support.clusters import client_of, node_json, service_json

pytestmark = pytest.mark.nats

CART = subject(Kind.SERVICE, "cart")
NODE = subject(Kind.NODE, "n1")
SLICE = subject(Kind.ENDPOINTS, "cart-x1")
CLUSTER = subject(Kind.CLUSTER, EAST)
PODS = {"heliograph.io/endpoints": "pods"}
FRESH = subject(Kind.SERVICE, "fresh")


class Watching:
    """A watcher at work, and the stream as an importer sees it."""

    def __init__(self, watcher: Watcher, metrics: Metrics, stream: dict[str, bytes]) -> None:
        self.watcher, self.metrics, self._stream = watcher, metrics, stream

    def said(self, where: object) -> Message | None:
        """Return the last message under a subject."""
        payload = self._stream.get(str(where))
        return None if payload is None else decode(parse_subject(str(where)), payload)

    @property
    def vouched(self) -> bool:
        """Whether the last lease says what the stream holds, or that the cluster has left."""
        message = self.said(CLUSTER)
        announced = isinstance(message, ClusterAnnounced)
        return message.digests is not None if announced else message is not None

    @property
    def cluster(self) -> ClusterAnnounced:
        """Return the last lease."""
        message = self.said(CLUSTER)
        assert isinstance(message, ClusterAnnounced)
        return message

    def is_ready(self, where: object) -> bool | None:
        """Tell whether a Service or node is ready; None if there is none."""
        message = self.said(where)
        return message.ready if isinstance(message, ServiceExported | NodeAnnounced) else None

    def address(self, where: object) -> str | None:
        """Return what the name of a node's endpoint resolves to."""
        message = self.said(where)
        return message.endpoint_ip if isinstance(message, NodeAnnounced) else None

    def count(self, name: str, **labels: str) -> float:
        """Return a metric; 0 if there is none yet."""
        return self.metrics.registry.get_sample_value(f"heliograph_{name}", labels) or 0


class World:
    """One cluster and one bus, for as many watchers as a test wants, one after another."""

    def __init__(self, cluster: MemoryCluster, server: EmbeddedServer, folder: Path) -> None:
        self.cluster, self.server, self.folder = cluster, server, folder

    @contextlib.asynccontextmanager
    async def watching(self, **settings: Any) -> AsyncIterator[Watching]:  # noqa: ANN401
        """Run a watcher until it has caught up, and on."""
        async with connected(self.server.url) as bus, self.running(bus, **settings) as watching:
            await watching.watcher.caught_up()
            await eventually(lambda: watching.vouched)  # the reader may be behind the watcher
            yield watching

    @contextlib.asynccontextmanager
    async def running(self, bus: Connection, **settings: Any) -> AsyncIterator[Watching]:  # noqa: ANN401
        """Run a watcher from its first moment."""
        given = WatcherSettings(cluster=EAST, lease_period_s=0.05, **settings)
        metrics = Metrics("watcher", EAST)
        whole = f"heliograph.v1.{EAST}.>"
        async with (
            client_of(self.cluster.access, self.folder) as client,
            reading(bus, whole, stream=stream_name(EAST)) as reader,
        ):
            watcher = Watcher(given, client, bus, telemetry=telemetry.disabled(), metrics=metrics)
            async with alongside(watcher.run()):
                yield Watching(watcher, metrics, Live(reader))

    def export(self, **fields: Any) -> None:  # noqa: ANN401 - of a Service
        """Apply the Service cart."""
        self.cluster.apply(service_json(service(**fields)))

    def back(self, *backends: Any) -> None:  # noqa: ANN401 - Endpoints
        """Apply cart's slice."""
        self.cluster.apply(as_json(ENDPOINT_SLICES, endpoint_slice(*backends)))


class Live(dict[str, bytes]):
    """The table of a reader, which is a new one after every replay."""

    def __init__(self, reader: Any) -> None:  # noqa: ANN401 - Reading
        super().__init__()
        self._reader = reader

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ANN401 - as of a dict
        """Look into the present table."""
        return self._reader.table.get(key, default)


@pytest.fixture
def world(cluster: MemoryCluster, server: EmbeddedServer, tmp_path: Path) -> World:
    """Return a cluster with a bus."""
    return World(cluster, server, tmp_path)


async def test_what_is_there_at_the_start_is_announced(world: World) -> None:
    """Services, slices, nodes and ranges, with digests once all of it is stored."""
    world.cluster.apply(service_json(annotated(PODS)))
    world.back(backend("10.42.0.5"))
    world.cluster.apply(node_json(kilo_node(seen_s=time.time())))
    async with world.watching() as watching:
        assert watching.is_ready(CART)
        assert isinstance(watching.said(SLICE), EndpointsExported)
        assert isinstance(watching.said(NODE), NodeAnnounced)
        assert watching.cluster.service_cidrs == ("10.96.0.0/16",)
        assert watching.cluster.pod_cidrs == ("10.42.0.0/24",)
        assert watching.cluster.tunnel_cidrs == ("10.4.0.0/16",)
        assert watching.cluster.peering == "kilo"
        assert watching.cluster.digests is not None
        assert {k: d.count for k, d in watching.cluster.digests.items()} == {
            "node": 1,
            "service": 1,
            "endpoints": 1,
        }
        assert watching.watcher.ready


async def test_changes_are_announced(world: World) -> None:
    """A Service comes, becomes ready, loses its label, and is withdrawn."""
    async with world.watching() as watching:
        world.export()
        await eventually(lambda: watching.is_ready(CART) is False)
        world.back(backend("10.42.0.5", ready=True))
        await eventually(lambda: watching.is_ready(CART) is True)
        world.cluster.delete("EndpointSlice", "shop", "cart-x1")
        await eventually(lambda: watching.is_ready(CART) is False)
        world.export(meta={"labels": {}})
        await eventually(lambda: watching.said(CART) == ServiceWithdrawn())


async def test_nodes_come_change_and_leave(world: World) -> None:
    """A node is a peer from when Kilo says enough of it until its Node is gone."""
    async with world.watching() as watching:
        world.cluster.apply(node_json(node()))
        world.cluster.apply(node_json(kilo_node(seen_s=time.time(), leader="yes")))
        await eventually(lambda: isinstance(watching.said(NODE), NodeAnnounced))
        assert watching.said(NODE) == NodeAnnounced(
            public_key=KEY,
            endpoint="203.0.113.10:51820",
            pod_cidrs=("10.42.0.0/24",),
            private_ip="10.0.0.4",
            tunnel_ip="10.4.0.1/16",
            leader=True,
            granularity="location",
        )
        world.cluster.delete("Node", "", "n1")
        await eventually(lambda: watching.said(NODE) == NodeWithdrawn())
        await eventually(lambda: watching.cluster.peering == "none")


class Clock:
    """The watcher's clocks, some seconds ahead of what they say."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead_s = self.unheard_s = 0.0
        self.looked = 0
        monkeypatch.setattr("services.watcher.watch.time", self)

    def time(self) -> float:
        """Return the wall clock."""
        return time.time() + self.ahead_s

    def time_ns(self) -> int:
        """Return the same in nanoseconds."""
        return int(self.time() * 1e9)

    def monotonic(self) -> float:
        """Return the other clock, ahead by how long nothing was heard."""
        self.looked += 1
        return time.monotonic() + self.unheard_s


async def test_a_node_that_falls_silent_is_withdrawn(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No event says so: a timer does, first that it is not ready, then that it is gone."""
    clock = Clock(monkeypatch)
    world.cluster.apply(node_json(kilo_node(seen_s=time.time())))
    async with world.watching(node_grace_s=120) as watching:
        assert watching.is_ready(NODE) is True
        clock.ahead_s = 61
        await eventually(lambda: watching.is_ready(NODE) is False)
        world.cluster.apply(node_json(kilo_node(seen_s=clock.time())))
        await eventually(lambda: watching.is_ready(NODE) is True)
        clock.ahead_s += 181
        await eventually(lambda: watching.said(NODE) == NodeWithdrawn())
        await eventually(lambda: watching.cluster.tunnel_cidrs == ())


async def test_a_watch_that_brings_nothing_says_nothing_of_nodes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as nothing is heard at all, it is not the nodes that are silent."""
    clock = Clock(monkeypatch)
    monkeypatch.setattr("services.watcher.watcher._EXPIRE_S", 0.01)
    world.cluster.apply(node_json(kilo_node(seen_s=time.time())))
    async with world.watching(node_grace_s=0) as watching:
        clock.unheard_s = 46
        clock.ahead_s = 3600
        looked = clock.looked
        await eventually(lambda: clock.looked >= looked + 2)
        assert watching.is_ready(NODE) is True
        clock.unheard_s = 0
        await eventually(lambda: watching.said(NODE) == NodeWithdrawn())


async def test_a_rollout_of_kilo_publishes_nothing(world: World) -> None:
    """Annotations vanish and return, and nobody hears of it."""
    world.cluster.apply(node_json(kilo_node(seen_s=time.time())))
    async with world.watching() as watching:
        world.cluster.apply(node_json(node()))
        world.cluster.apply(node_json(kilo_node(seen_s=time.time() + 1)))
        world.cluster.apply(node_json(node()))
        world.export(name="fresh")
        await eventually(lambda: watching.said(FRESH))
        assert watching.is_ready(NODE) is True
        assert watching.count("publications_total", kind="node") == 1


async def test_the_name_of_an_endpoint_is_resolved(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its address follows, and a restart during which it does not resolve is heard by nobody."""
    found: list[str] = ["203.0.113.9"]

    async def look_up(host: str) -> tuple[str, ...]:
        return tuple(found) if host == "gw.example.com" else ()

    monkeypatch.setattr("heliograph.resolve.system_look_up", look_up)
    named = kilo_node(endpoint="gw.example.com:51820", seen_s=time.time())
    async with world.watching() as watching:
        world.cluster.apply(node_json(named))
        await eventually(lambda: watching.address(NODE) == "203.0.113.9")
    found.clear()
    async with world.watching() as watching:
        assert watching.address(NODE) == "203.0.113.9"
        assert watching.count("publications_total", kind="node") == 0


async def test_a_restart_during_a_rollout_of_kilo_withdraws_nothing(world: World) -> None:
    """Annotations that are away while the watcher starts are waited for, as at any other time."""
    world.cluster.apply(node_json(kilo_node(seen_s=time.time())))
    async with world.watching():
        pass
    world.cluster.apply(node_json(node()))
    async with world.watching() as watching:
        assert isinstance(watching.said(NODE), NodeAnnounced)
        assert watching.count("publications_total", kind="node") == 0


async def test_heartbeats_cost_no_message(world: World) -> None:
    """A node's heartbeat every 30 seconds is nobody else's business."""
    world.cluster.apply(node_json(kilo_node(seen_s=time.time())))
    async with world.watching() as watching:
        for later_s in range(1, 6):
            world.cluster.apply(node_json(kilo_node(seen_s=time.time() + later_s)))
        world.export(name="fresh")
        await eventually(lambda: watching.said(FRESH))
        assert watching.count("publications_total", kind="node") == 1


async def test_ranges_follow_the_cluster(world: World) -> None:
    """A new ServiceCIDR is in the lease, joined with its neighbour."""
    async with world.watching() as watching:
        cidr = service_cidr("more", "10.97.0.0/16")
        made = {"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR"}
        spec = {"spec": {"cidrs": list(cidr.spec.cidrs)}, "metadata": {"name": "more"}}
        world.cluster.apply(made | spec)
        await eventually(lambda: watching.cluster.service_cidrs == ("10.96.0.0/15",))
        world.cluster.delete("ServiceCIDR", "", "more")
        await eventually(lambda: watching.cluster.service_cidrs == ("10.96.0.0/16",))


async def test_the_tunnels_ranges_follow_the_nodes(world: World) -> None:
    """A change of Kilo's subnet is in the lease as soon as an agent states it."""
    world.cluster.apply(node_json(kilo_node(seen_s=time.time())))
    async with world.watching() as watching:
        moved = kilo_node("n2", wireguard_ip="10.6.0.1/16", seen_s=time.time())
        world.cluster.apply(node_json(moved))
        both = ("10.4.0.0/16", "10.6.0.0/16")
        await eventually(lambda: watching.cluster.tunnel_cidrs == both)


async def test_ranges_grow_before_and_shrink_after_what_is_in_them(world: World) -> None:
    """No reader ever sees a node with pods that its cluster does not declare."""
    async with all_said(world) as said, world.watching() as watching:
        for number in (0, 1, 2, 3, 3, 2, 1, 0) * 3:  # neighbours: their ranges are joined
            await come_or_go(world, watching, number)
    assert_declared_first(said)


async def test_ranges_that_grew_unseen_are_declared_first(world: World) -> None:
    """Of a node that came while no watcher ran, the ranges are said before the node."""
    async with all_said(world) as said:
        async with world.watching() as watching:
            await come_or_go(world, watching, 0)
        for number in range(1, 60):
            put_node(world, number)
        async with world.watching() as watching:
            await eventually(lambda: watching.said(subject(Kind.NODE, "n59")))
    assert_declared_first(said)


async def test_a_node_waits_for_the_lease_that_declares_it(world: World) -> None:
    """While leases are not stored, a node that needs new ranges is not announced either."""
    async with world.watching() as watching:
        await come_or_go(world, watching, 0)
        with refusing_leases(watching):
            put_node(world, 1)
            world.export()  # seen later than the node
            await eventually(lambda: watching.said(CART))
            assert watching.said(subject(Kind.NODE, "n1")) is None
        await eventually(lambda: watching.said(subject(Kind.NODE, "n1")))
        assert watching.cluster.pod_cidrs == ("10.42.0.0/23",)


@contextlib.asynccontextmanager
async def all_said(world: World) -> AsyncIterator[list[tuple[str, Message]]]:
    """Give all that is published, in order."""
    said: list[tuple[str, Message]] = []

    def hear(message: RawMessage) -> None:
        if message.payload and message.subject.startswith("heliograph.v1."):
            said.append((message.subject, decode(parse_subject(message.subject), message.payload)))

    async with connected(world.server.url) as bus:
        await bus.subscribe(f"heliograph.v1.{EAST}.>", hear)
        yield said


def assert_declared_first(said: list[tuple[str, Message]]) -> None:
    """Assert that no node's pods are ever outside of what the last lease declares."""
    declared, nodes = (), dict[str, Message]()
    for where, message in said:
        if isinstance(message, ClusterAnnounced):
            declared = spans_of(message.pod_cidrs)
        else:
            nodes[where] = message
        announced = [m for m in nodes.values() if isinstance(m, NodeAnnounced)]
        assert all(contains(declared, span_of_text(m.pod_cidrs[0])) for m in announced), said
    assert nodes


@contextlib.contextmanager
def refusing_leases(watching: Watching) -> Iterator[None]:
    """Let no lease be stored, as by a server that denies it."""
    announcer = watching.watcher._announcer  # noqa: SLF001
    assert announcer is not None
    with pytest.MonkeyPatch.context() as patch:

        async def deny(*_: object, **__: object) -> bool:
            raise JetStreamError("renewing", 10059, "denied")

        patch.setattr(announcer, "renew_lease", deny)
        yield


def put_node(world: World, number: int) -> None:
    """Let a node come."""
    annotations = kilo_node(seen_s=time.time()).metadata.annotations
    made = node(f"n{number}", annotations=annotations, pod_cidrs=(f"10.42.{number}.0/24",))
    world.cluster.apply(node_json(made))


async def come_or_go(world: World, watching: Watching, number: int) -> None:
    """Let a node go if it is there, or come; wait until that is published."""
    name = f"n{number}"
    here = subject(Kind.NODE, name)
    if world.cluster.get("Node", "", name):
        world.cluster.delete("Node", "", name)
        await eventually(lambda: watching.said(here) == NodeWithdrawn())
        return
    put_node(world, number)
    await eventually(lambda: isinstance(watching.said(here), NodeAnnounced))


async def test_what_can_be_set(world: World) -> None:
    """Settings go before what the cluster says."""
    ranges = {
        "service_cidrs": ("10.1.0.0/16",),
        "pod_cidrs": ("10.2.0.0/16",),
        "tunnel_cidrs": ("10.3.0.0/17", "10.3.128.0/17"),
    }
    world.cluster.apply(node_json(kilo_node(seen_s=time.time())))
    async with world.watching(**ranges, kilo_granularity="full") as watching:
        assert watching.cluster.service_cidrs == ("10.1.0.0/16",)
        assert watching.cluster.pod_cidrs == ("10.2.0.0/16",)
        assert watching.cluster.tunnel_cidrs == ("10.3.0.0/16",)
        announced = watching.said(NODE)
        assert isinstance(announced, NodeAnnounced)
        assert announced.granularity == "full"


async def test_what_cannot_be_exported_is_said_where_it_stands(world: World) -> None:
    """A Kubernetes Event and a metric tell of it, until it is mended."""
    alias = service(type="ExternalName", external_name="example.com", ports=())
    labels = {"exporting": EAST, "reason": "InvalidServiceType"}
    async with world.watching() as watching:
        for mode in ("a", "b"):
            broken = service_json(alias)
            broken["metadata"]["annotations"] = {"example.com/mode": mode}
            world.cluster.apply(broken)
        await eventually(lambda: watching.count("refusals", **labels) == 1)
        await eventually(lambda: world.cluster.list("Event"))
        assert watching.said(CART) is None

        world.cluster.delete("Service", "shop", "cart")
        await eventually(lambda: watching.count("refusals", **labels) == 0)
        world.export()
        await eventually(lambda: watching.is_ready(CART) is False)
        assert len(world.cluster.list("Event")) == 1


async def test_a_mistake_that_returns_is_told_again(world: World) -> None:
    """A warning is written once for each time that an annotation is broken."""
    async with world.watching():
        for round_ in (1, 2):
            world.cluster.apply(service_json(annotated({"heliograph.io/endpoints": "pod"})))
            await eventually(lambda: len(world.cluster.list("Event")) == round_)  # noqa: B023
            world.cluster.apply(service_json(annotated(PODS)))


async def test_a_restart_publishes_nothing_anew(world: World) -> None:
    """What happened meanwhile is made good; the rest stands."""
    world.export()
    world.export(name="old")
    async with world.watching():
        pass
    world.cluster.delete("Service", "shop", "old")
    world.export(name="fresh")
    async with world.watching() as watching:
        assert watching.said(subject(Kind.SERVICE, "old")) == ServiceWithdrawn()
        assert watching.is_ready(FRESH) is False
        assert watching.count("publications_total", kind="service") == 2


async def test_a_bus_that_lost_everything_is_filled_again(world: World) -> None:
    """After a crash with an empty disk the stream is made and filled anew."""
    world.export()
    async with world.watching() as watching:
        created = watching.cluster.version
        world.server.kill()
        world.server.lose_store()
        world.server.start()
        await eventually(lambda: watching.is_ready(CART) is False and watching.cluster.digests)
        assert watching.cluster.version == created


async def test_a_stream_that_is_deleted_comes_back(world: World) -> None:
    """Nobody reconnects, but the next publication finds nobody listening."""
    world.export()
    async with world.watching() as watching, connected(world.server.url) as other:
        await delete_stream(other, stream_name(EAST))
        world.export(name="fresh")
        await eventually(lambda: watching.is_ready(CART) is False)
        await eventually(lambda: watching.is_ready(FRESH) is False)


async def test_no_lease_vouches_for_a_stream_that_is_being_filled(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who trusted the digest of an empty stream would take everything for withdrawn."""
    leases: list[ClusterAnnounced] = []

    def hear(message: RawMessage) -> None:
        said = decode(parse_subject(message.subject), message.payload)
        leases.extend([said] if isinstance(said, ClusterAnnounced) and said.digests else [])

    @contextlib.asynccontextmanager
    async def slowly(work: Any) -> AsyncIterator[None]:  # noqa: ANN401 - a coroutine
        async with alongside(work):
            yield
        await asyncio.sleep(0.3)  # a busy machine: several leases are due meanwhile

    monkeypatch.setattr("services.watcher.stream.alongside", slowly)
    world.export()
    async with world.watching() as watching, connected(world.server.url) as other:
        await other.subscribe(str(CLUSTER), hear)
        await delete_stream(other, stream_name(EAST))
        world.export(name="fresh")
        await eventually(lambda: watching.is_ready(FRESH) is False)
        await eventually(lambda: leases)
    assert all(lease.digests["service"].count for lease in leases if lease.digests)


async def test_differences_are_found_from_time_to_time(world: World) -> None:
    """Without any doubt, cluster and stream are compared on a period."""
    world.export()
    async with world.watching(compare_s=0.1) as watching, connected(world.server.url) as other:
        await other.publish(str(CART), b"nonsense", {})
        await eventually(lambda: watching.is_ready(CART) is False)


async def test_on_a_shared_bus_the_stream_is_waited_for(world: World) -> None:
    """A member that may not create streams leaves that to the administrator."""
    world.export()
    async with (
        connected(world.server.url) as bus,
        world.running(bus, create_stream=False) as watching,
    ):
        await eventually(lambda: world.cluster.requests["watch", "services"])
        with pytest.raises(StreamMissing):
            await stream_info(bus, stream_name(EAST))
        assert not watching.watcher.ready

        await make_stream(bus)
        await watching.watcher.caught_up()
        await eventually(lambda: watching.is_ready(CART) is False)
