"""Clusters on one bus, and clusters each with a bus of its own: both work."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from heliograph.contract.names import ClusterId
from heliograph.kube.kubeconfig import Kubeconfig
from heliograph.lab.access import write_kubeconfig
from heliograph.lab.memory import MemoryCluster, MemoryClusterSettings
from heliograph.run.joined import Joined, embedded_bus
from tests.end_to_end.support import eventually, running

NAMES = ("east", "west", "north")


@pytest.mark.nats
@pytest.mark.parametrize("shared", [True, False], ids=["one bus", "a bus each"])
async def test_every_cluster_mirrors_from_every_other(tmp_path: Path, *, shared: bool) -> None:
    """A Service exported by each of three clusters is mirrored in the two others."""
    async with AsyncExitStack() as stack:
        clusters = {}
        for number, name in enumerate(NAMES):
            settings = MemoryClusterSettings(name=name, service_cidrs=(f"10.{96 + number}.0.0/16",))
            clusters[name] = await stack.enter_async_context(MemoryCluster(settings))
        write_kubeconfig(tmp_path / "kubeconfig", [c.access for c in clusters.values()])
        urls = [
            await stack.enter_async_context(embedded_bus()) for _ in NAMES[: 1 if shared else 3]
        ]
        joined = Joined(
            clusters={
                ClusterId(name): Kubeconfig(path=tmp_path / "kubeconfig", context=name)
                for name in NAMES
            },
            buses={ClusterId(name): urls[n % len(urls)] for n, name in enumerate(NAMES)},
        )
        await stack.enter_async_context(running(joined))

        for name, cluster in clusters.items():
            labels = {"heliograph.io/export": "true"}
            metadata = {"name": f"of-{name}", "namespace": "default", "labels": labels}
            spec = {"ports": [{"port": 80}]}
            cluster.apply(
                {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
            )

        for cluster in clusters.values():
            for exported in NAMES:
                await eventually(
                    lambda c=cluster, e=exported: c.get("Service", "default", f"of-{e}")
                )
