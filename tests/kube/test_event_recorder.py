"""Kubernetes Events tell people once, and never stand in the way."""

from __future__ import annotations

from typing import Any

import pytest

from heliograph.bus.background import alongside
from heliograph.kube.client import KubeClient
from heliograph.kube.events import EventRecorder
from heliograph.kube.objects import NODES, SERVICES
from heliograph.lab.memory import MemoryCluster
from tests.bus.support import eventually
from tests.support.builders import node, service

WHY = ("ForeignObject", "Service shop/cart is managed by 'helm'.")


def written(cluster: MemoryCluster) -> list[dict[str, Any]]:
    return [event for event in cluster.list("Event") if event["reason"] != "Done"]


async def flush(cluster: MemoryCluster, recorder: EventRecorder) -> list[dict[str, Any]]:
    """Write what was recorded, and one more to know when; return the others."""
    recorder.record(SERVICES, service("last"), "Normal", ("Done", "all is written"))
    async with alongside(recorder.run()):
        await eventually(lambda: any(e["reason"] == "Done" for e in cluster.list("Event")))
    recorder.forget("shop", "last")
    return written(cluster)


async def test_an_event_says_what_and_about_whom(
    cluster: MemoryCluster, client: KubeClient
) -> None:
    """It is found by `kubectl describe` of the object, and names the program."""
    recorder = EventRecorder(client, "watcher")
    recorder.record(SERVICES, service(), "Warning", WHY)

    (event,) = await flush(cluster, recorder)
    assert (event["type"], event["reason"], event["message"]) == ("Warning", *WHY)
    assert event["reportingComponent"] == "heliograph.io/watcher"
    assert event["metadata"]["namespace"] == "shop"
    assert event["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "Service",
        "namespace": "shop",
        "name": "cart",
        "uid": "u-1",
    }


async def test_an_event_about_a_thing_without_namespace(
    cluster: MemoryCluster, client: KubeClient
) -> None:
    """It stands in the namespace "default", where kubectl looks for it."""
    recorder = EventRecorder(client, "watcher")
    recorder.record(NODES, node(), "Normal", WHY)

    (event,) = await flush(cluster, recorder)
    assert event["metadata"]["namespace"] == "default"
    assert "namespace" not in event["involvedObject"]


async def test_what_stands_is_not_repeated(cluster: MemoryCluster, client: KubeClient) -> None:
    """The same reason with the same note is told once, until it is forgotten."""
    recorder = EventRecorder(client, "watcher")
    for _ in range(3):
        recorder.record(SERVICES, service(), "Warning", WHY)
    recorder.record(SERVICES, service("pay"), "Warning", WHY)
    recorder.record(SERVICES, service(), "Warning", (WHY[0], "another note"))
    assert len(await flush(cluster, recorder)) == 3

    recorder.forget("shop", "pay")
    recorder.record(SERVICES, service("pay"), "Warning", WHY)
    assert len(written(cluster)) == 3
    async with alongside(recorder.run()):
        await eventually(lambda: len(written(cluster)) == 4)


@pytest.mark.parametrize("letter", ["a", "ü", "語"])
async def test_a_long_note_is_cut(letter: str, cluster: MemoryCluster, client: KubeClient) -> None:
    """The API server takes 1024 bytes, and no half characters."""
    recorder = EventRecorder(client, "watcher")
    recorder.record(SERVICES, service(), "Warning", ("Long", letter * 2000))

    (event,) = await flush(cluster, recorder)
    assert 1020 < len(event["message"].encode()) <= 1024
    assert set(event["message"]) == {letter}


async def test_a_refused_event_costs_only_itself(
    cluster: MemoryCluster, client: KubeClient
) -> None:
    """Events that cannot be written are passed over."""
    cluster.fail_writes(1, status=403)
    recorder = EventRecorder(client, "watcher")
    recorder.record(SERVICES, service(), "Warning", WHY)
    assert await flush(cluster, recorder) == []


async def test_a_flood_is_bounded(client: KubeClient) -> None:
    """While the API server is away, no more than a thousand Events wait."""
    recorder = EventRecorder(client, "watcher")
    for number in range(2000):
        recorder.record(SERVICES, service(f"s{number}"), "Warning", WHY)
    assert recorder._waiting.qsize() == 1000  # noqa: SLF001 - nothing else shows it
