"""One change is one trace across the clusters, as a real collector receives it over OTLP."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from heliograph import telemetry
from heliograph.contract.names import ClusterId
from heliograph.kube.kubeconfig import Kubeconfig
from heliograph.lab.access import write_kubeconfig
from heliograph.lab.collector import Collector, ReceivedSpan
from heliograph.lab.kilo import peer_crd
from heliograph.lab.memory import JsonObject, MemoryCluster, MemoryClusterSettings
from heliograph.marks import EXPORT_LABEL
from heliograph.run.joined import Joined, embedded_bus
from heliograph.telemetry import Telemetry
from tests.end_to_end.support import eventually, running
from tests.support.builders import kilo
from tests.support.collector import built_collector, chain
from tests.support.joined import JoinedClusters, bus_server, joined
from tests.support.peering import key_of

pytestmark = pytest.mark.nats

RANGES = {"east": "10.96.0.0/16", "west": "10.97.0.0/16", "north": "10.98.0.0/16"}
OTHERS = ("west", "north")


@pytest.fixture
def collector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """Run a collector; whatever reads the standard variables sends traces there."""
    folder = tmp_path / "collector"
    folder.mkdir()
    with Collector(built_collector(), folder) as running_collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running_collector.endpoint)
        yield running_collector


@asynccontextmanager
async def up(tmp_path: Path) -> AsyncIterator[dict[str, MemoryCluster]]:
    """Run what `heliograph up` runs, for three clusters in memory; end it with the body."""
    async with AsyncExitStack() as stack:
        clusters = {}
        for name, cidr in RANGES.items():
            settings = MemoryClusterSettings(name=name, service_cidrs=(cidr,))
            clusters[name] = await stack.enter_async_context(MemoryCluster(settings))
            clusters[name].apply(peer_crd())
        path = tmp_path / "kubeconfig"
        write_kubeconfig(path, [cluster.access for cluster in clusters.values()])
        url = await stack.enter_async_context(embedded_bus())
        access = {ClusterId(n): Kubeconfig(path=path, context=n) for n in clusters}
        together = Joined(clusters=access, buses=dict.fromkeys(access, url))
        await stack.enter_async_context(running(together))
        yield clusters


def service(name: str) -> JsonObject:
    """Return an exported Service."""
    labels = {EXPORT_LABEL: "true"}
    metadata = {"name": name, "namespace": "default", "labels": labels}
    spec = {"ports": [{"port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def node(name: str) -> JsonObject:
    """Return a node of east with Kilo."""
    annotations = kilo(
        endpoint="203.0.113.1:51820",
        internal_ip="10.20.0.1/24",
        key=key_of(name),
        last_seen=str(int(time.time())),
        wireguard_ip="10.4.0.1/16",
        granularity="full",
    )
    metadata = {"name": name, "annotations": annotations}
    spec = {"podCIDR": "10.42.1.0/24", "podCIDRs": ["10.42.1.0/24"]}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec}


def whole(spans: tuple[ReceivedSpan, ...], kind: str, message: str) -> bool:
    """Tell whether a change in east hangs together as one trace, in both other clusters."""
    published = (("watch", "east"), (f"publish {message}", "east"))
    return all(
        chain(spans, *published, (f"consume {kind}", importing), last)
        for importing in OTHERS
        for last in (("plan", importing), ("apply", importing), (f"feedback {kind}", "east"))
    )


async def test_a_change_of_a_service_is_one_trace(tmp_path: Path, collector: Collector) -> None:
    """Watch, publish, consume, plan, apply in each importing cluster, and the feedback in east."""
    async with up(tmp_path) as clusters:
        clusters["east"].apply(service("web"))
        await eventually(lambda: whole(collector.spans(), "service", "service.exported"))

    spans = collector.spans()
    (trace,) = {span.trace for span in spans if span.name == "publish service.exported"}
    found = [span for span in spans if span.trace == trace]
    assert {span.program for span in found} == {"heliograph-watcher", "heliograph-reflector"}
    assert [span.name for span in found if not span.parent] == ["watch"]
    assert [span.name for span in found].count("feedback service") == 2


async def test_a_change_of_a_node_is_one_trace(tmp_path: Path, collector: Collector) -> None:
    """The same for Peers of Kilo: it is the peerers that consume, plan and apply."""
    async with up(tmp_path) as clusters:
        clusters["east"].apply(node("n1"))
        await eventually(lambda: whole(collector.spans(), "node", "node.announced"))

    spans = collector.spans()
    programs = {span.program for span in spans if span.name == "consume node"}
    assert programs == {"heliograph-peerer"}


async def test_the_last_spans_leave_when_a_program_ends(
    tmp_path: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits for its batch is exported then, and not lost."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000")
    async with up(tmp_path) as clusters:
        clusters["east"].apply(service("web"))
        await eventually(lambda: clusters["west"].get("Service", "default", "web"))
        assert not collector.spans()

    wanted = ("watch", "east"), ("publish service.exported", "east")
    await eventually(lambda: chain(collector.spans(), *wanted))


def traces_of(program: str, name: str) -> Telemetry:
    """Return telemetry as the standard variables say."""
    return telemetry.from_environment(program, name, os.environ)


@asynccontextmanager
async def two_clusters(tmp_path: Path) -> AsyncIterator[JoinedClusters]:
    """Give east and west with a bus; no program is running."""
    async with bus_server(tmp_path / "nats") as server:
        urls = dict.fromkeys(("east", "west"), server.url)
        async with joined(tmp_path, *urls, urls=urls, start=False) as lab:
            lab.traces = traces_of
            yield lab


async def test_a_replay_is_linked_and_not_parented(tmp_path: Path, collector: Collector) -> None:
    """What a reflector makes up for at its start does not lengthen the traces of what is past."""
    async with two_clusters(tmp_path) as lab:
        for name in ("east", "west"):
            await lab.start_watcher(name)
            await lab.start_reflector(name)
        await lab.ready()
        lab["east"].export("cart")
        await eventually(lambda: live(collector.spans()))
        await lab.stop("reflector", "west")
        lab["east"].change("cart", ports=[{"name": "http", "port": 81}])
        await eventually(lambda: len(published(collector.spans())) == 2)
        await lab.start_reflector("west")
        await eventually(lambda: replayed(collector.spans()))

    spans = collector.spans()
    first, missed = published(spans)
    (again,) = replayed(spans)
    assert again.links == (missed.trace,)
    assert again.trace not in {first.trace, missed.trace}
    assert [span.trace for span in live(spans)] == [first.trace]
    assert chain(spans, ("consume service", "west"), ("apply", "west"))


def published(spans: tuple[ReceivedSpan, ...]) -> list[ReceivedSpan]:
    """Return the publications of exported Services, in the order of their coming."""
    return [span for span in spans if span.name == "publish service.exported"]


def live(spans: tuple[ReceivedSpan, ...]) -> list[ReceivedSpan]:
    """Return the consumptions that are part of a change's trace."""
    return [span for span in spans if span.name == "consume service" and span.parent]


def replayed(spans: tuple[ReceivedSpan, ...]) -> list[ReceivedSpan]:
    """Return the consumptions that begin a trace of their own."""
    return [span for span in spans if span.name == "consume service" and not span.parent]


async def test_what_the_exporter_does_not_sample_nobody_does(
    tmp_path: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sampling is parent-based: a trace is recorded in all clusters, or in none."""
    async with two_clusters(tmp_path) as lab:
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
        monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
        await lab.start_watcher("east")
        monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "1")
        await lab.start_watcher("west")
        for name in ("east", "west"):
            await lab.start_reflector(name)
        await lab.ready()
        lab["east"].export("cart")
        await eventually(lambda: lab["west"].service("cart"))
        lab["west"].export("marker")
        sampled = ("watch", "west"), ("publish service.exported", "west")
        everywhere = (*sampled, ("consume service", "east"), ("feedback service", "west"))
        await eventually(lambda: chain(collector.spans(), *everywhere))

    assert {span.cluster for span in live(collector.spans())} == {"east"}
