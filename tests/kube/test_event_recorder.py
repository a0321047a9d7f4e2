"""Kubernetes Events tell people once, and never stand in the way."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from heliograph.bus.background import alongside
from heliograph.kube.client import KubeClient
from heliograph.kube.events import RATE, EventRecorder, EventType
from heliograph.kube.objects import NODES, SERVICES, Event, Resource, T
from heliograph.lab.memory import MemoryCluster
from tests.bus.support import eventually
from tests.support.builders import node, service
from tests.support.virtual_time import run_virtually

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


class Written:
    """Takes objects as an API server does, and notes when, on a clock that jumps."""

    def __init__(self) -> None:
        self.at_s: list[float] = []
        self.types: list[str] = []

    async def create(self, resource: Resource[T], obj: T) -> T:
        """Take an Event."""
        assert isinstance(obj, Event)
        assert resource.plural == "events"
        self.at_s.append(asyncio.get_running_loop().time())
        self.types.append(obj.type)
        return obj


def flooded(events: Iterable[tuple[EventType, str]]) -> tuple[Written, Counter[str]]:
    """Record one Event after another at once; return what is written within an hour."""
    api, counted = Written(), Counter[str]()

    async def main() -> None:
        recorder = EventRecorder(api, "watcher", counted=lambda outcome: counted.update([outcome]))
        async with alongside(recorder.run()):
            for kind, name in events:
                recorder.record(SERVICES, service(name), kind, WHY)
            await asyncio.sleep(3600)

    run_virtually(main())
    return api, counted


def test_a_burst_of_exports_makes_no_burst_of_events() -> None:
    """Of 10,000 at once fifty are written at once, five a second follow, and most are dropped."""
    api, counted = flooded(("Normal", f"s{number}") for number in range(10_000))
    assert sum(at_s < 0.2 for at_s in api.at_s) == RATE.burst == 50
    for second in range(1, 190):
        assert sum(second <= at_s < second + 1 for at_s in api.at_s) <= RATE.per_s + 1
    assert counted == {"written": 1000, "dropped": 9000}


def test_warnings_go_before_what_is_normal() -> None:
    """They are written first, and take a Normal one's place where too many wait."""
    normal: list[tuple[EventType, str]] = [("Normal", f"s{number}") for number in range(1000)]
    api, counted = flooded([*normal, ("Warning", "broken")])
    assert api.types[0] == "Warning"
    assert counted == {"written": 1000, "dropped": 1}


def test_what_was_dropped_is_recorded_when_it_is_said_again() -> None:
    """It was never told, so it is news still."""
    api, _ = flooded(("Normal", f"s{number % 1500}") for number in range(3000))
    assert len(api.at_s) == 1000

    async def main() -> None:
        recorder = EventRecorder(api, "watcher")
        for number in range(1001):
            recorder.record(SERVICES, service(f"s{number}"), "Normal", WHY)
        async with alongside(recorder.run()):
            await asyncio.sleep(3600)
            recorder.record(SERVICES, service("s1000"), "Normal", WHY)
            recorder.record(SERVICES, service("s999"), "Normal", WHY)
            await asyncio.sleep(1)

    api.at_s.clear()
    run_virtually(main())
    assert len(api.at_s) == 1001


async def test_a_flood_is_bounded(client: KubeClient) -> None:
    """While the API server is away, no more than a thousand Events wait."""
    recorder = EventRecorder(client, "watcher")
    for number in range(2000):
        recorder.record(SERVICES, service(f"s{number}"), "Warning", WHY)
    assert len(recorder) == 1000


async def test_an_event_that_the_api_server_refuses_is_counted(
    cluster: MemoryCluster, client: KubeClient
) -> None:
    """Every Event ends as written, failed, or dropped."""
    cluster.fail_writes(1, status=403)
    counted: list[str] = []
    recorder = EventRecorder(client, "watcher", counted=counted.append)
    recorder.record(SERVICES, service(), "Warning", WHY)
    await flush(cluster, recorder)
    assert counted == ["failed", "written"]
