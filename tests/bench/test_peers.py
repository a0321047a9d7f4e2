"""The benchmark of peers measures what it says, on a few nodes."""

from __future__ import annotations

import pytest

from heliograph.bench import peerer_memory as memory
from heliograph.bench.many_nodes import announced_cluster, announced_nodes, cluster_name
from heliograph.bench.peers import peers
from heliograph.bench.planning import picture_of, planned_s, planning
from heliograph.errors import InputError
from heliograph.progress import Step


def test_all_announced_nodes_are_peers_of_their_own() -> None:
    """No two nodes of the clusters that are measured share anything that would be refused."""
    picture = picture_of(3, 300)

    for number in range(3):
        plan = picture.plan(cluster_name(number))
        assert (plan.operations, plan.refusals) == ((), ())
        assert len(picture.own.ours(cluster_name(number))) == 300


def test_one_change_is_planned_for_and_carried_out() -> None:
    """After each measured change the picture is as it should be, and the next one is measured."""
    picture = picture_of(2, 3)

    assert planned_s(picture, 1, 2, "198.51.100.7:1") > 0

    changed = picture.own.ours(cluster_name(1))["east-1.node.node-2"]
    assert changed.spec.endpoint is not None
    assert changed.spec.endpoint.port == 1
    assert picture.plan(cluster_name(1)).operations == ()
    figures = planning(2, 6, 4)
    assert (figures.clusters, figures.nodes, figures.samples) == (2, 6, 4)
    assert 0 < figures.p50_ms <= figures.max_ms


def test_ten_large_clusters_have_ranges_of_their_own() -> None:
    """Ten clusters with a thousand nodes each have as many keys, addresses and pod ranges."""
    nodes = [node for cluster in range(10) for _, node in announced_nodes(cluster, 1000)]
    clusters = [announced_cluster(number) for number in range(10)]

    for field in ("public_key", "private_ip", "pod_cidrs", "tunnel_ip", "endpoint"):
        assert len({getattr(node, field) for node in nodes}) == 10_000
    assert len({cidr for one in clusters for cidr in one.pod_cidrs}) == 40


@pytest.mark.nats
async def test_the_peerers_memory_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle, with all Peers written, and started again over them."""
    monkeypatch.setattr(memory, "_REST_SAMPLES", 2)
    told: list[Step] = []

    figures = await memory.peerer_memory(2, 6, told.append)

    assert (figures.clusters, figures.nodes) == (2, 6)
    assert min(figures.idle_bytes, figures.bytes, figures.restarted_bytes) > 10 << 20
    assert Step("setting Peers", done=6, total=6, unit="Peers") in told


@pytest.mark.parametrize(("samples", "nodes"), [(1, 5000), (2, 9), (2, 10_001)])
async def test_what_cannot_be_measured_is_refused(samples: int, nodes: int) -> None:
    """Nothing is started for too few samples, or for nodes that there are no ranges for."""
    with pytest.raises(InputError, match="cannot be: give"):
        await peers(samples, nodes, print)
