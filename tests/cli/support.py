"""Clusters that live in a thread of their own, for commands that run their own event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from heliograph.lab.access import ClusterAccess
from heliograph.lab.memory import MemoryCluster, MemoryClusterSettings


@contextmanager
def memory_cluster(name: str, *, token: str | None = None) -> Iterator[ClusterAccess]:
    """Run an in-memory cluster beside the body; yield how to reach it."""
    with cluster_in_a_thread(name, token=token) as cluster:
        yield cluster.access


@contextmanager
def cluster_in_a_thread(
    name: str, *, token: str | None = None, service_cidr: str = "10.96.0.0/16"
) -> Iterator[MemoryCluster]:
    """Run an in-memory cluster beside the body."""
    cluster = MemoryCluster(
        MemoryClusterSettings(name=name, token=token, service_cidrs=(service_cidr,))
    )
    started, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def live() -> None:
        async with cluster:
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(live()))
    thread.start()
    assert started.wait(10)
    try:
        yield cluster
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
