"""Messages that get lost, come twice, in another order, or as nonsense: the mirrors end right.

Everything is real but the API servers: streams, importers, reflectors. What happens to a message
happens between the server and the importer, or in the stream itself.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from heliograph.bus import StreamSettings, ensure_stream
from heliograph.contract.headers import EPOCH
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import stream_name, stream_subjects
from tests.faults.support import CHANGED, Stage, mirrors, two_clusters
from tests.faults.way import Meddling, Way, meddlings
from tests.support.joined import NAMESPACE, JoinedClusters, eventually

pytestmark = pytest.mark.nats

EAST = ClusterId("east")
REJECTED, RESYNCS = "heliograph_messages_rejected_total", "heliograph_resyncs_total"
WITHDRAWN = b'{"type":"service.withdrawn.v1"}'
NEWER = b'{"type":"service.exported.v9","cluster_ips":["10.110.0.66"]}'
EXPORTED = (
    b'{"type":"service.exported.v1","ready":true,"exported_at":"2026-01-01T00:00:00Z",'
    b'"ip_families":["IPv4"],"cluster_ips":["10.110.0.77"],"ports":[{"port":80}]}'
)
MEDDLINGS = meddlings("service", NEWER)


@asynccontextmanager
async def meddled(folder: Path) -> AsyncIterator[tuple[Stage, Way]]:
    """Run two clusters of which one imports by a way that meddles."""
    way = Way("service")
    async with two_clusters(folder) as stage:
        for n in range(4):
            stage.lab["east"].export(f"kept-{n}")
        await eventually(lambda: len(mirrors(stage.lab["west"])) == 6)
        await stage.lab.stop("reflector", "west")
        stage.lab.imported = way.seen
        yield stage, way


def deleted(lab: JoinedClusters) -> int:
    """Return how many Services and slices west's reflector has deleted."""
    requests = lab["west"].api.requests
    return requests["delete", "services"] + requests["delete", "endpointslices"]


def uids(lab: JoinedClusters) -> dict[str, str]:
    """Return the uid of each mirror."""
    return {
        s["metadata"]["name"]: s["metadata"]["uid"]
        for s in lab["west"].api.list("Service", NAMESPACE)
    }


@pytest.mark.parametrize(("count", "meddling"), MEDDLINGS.values(), ids=MEDDLINGS)
async def test_a_replay_with_faults(count: int, meddling: Meddling, tmp_path: Path) -> None:
    """At the start of a reflector: nothing is deleted, and all is confirmed in the end."""
    async with meddled(tmp_path) as (stage, way):
        before, deletions = uids(stage.lab), deleted(stage.lab)
        way.meddle(count, meddling)
        await stage.lab.start_reflector("west")
        await stage.lab.ready()
        assert way.done
        assert (uids(stage.lab), deleted(stage.lab)) == (before, deletions)


@pytest.mark.parametrize(("count", "meddling"), MEDDLINGS.values(), ids=MEDDLINGS)
async def test_changes_with_faults(count: int, meddling: Meddling, tmp_path: Path) -> None:
    """A change, a withdrawal and a new export, meddled with: what should be is in the end."""
    async with meddled(tmp_path) as (stage, way):
        await stage.lab.start_reflector("west")
        await stage.lab.ready()
        before, deletions = uids(stage.lab), deleted(stage.lab)
        way.meddle(count, meddling)

        stage.change()
        await eventually(lambda: mirrors(stage.lab["west"]) == RIGHT)

        await eventually(lambda: way.done and stage.lab["west"].reflector.idle)
        assert {n: uid for n, uid in uids(stage.lab).items() if n in before} == {
            n: uid for n, uid in before.items() if n != "gone"
        }
        assert deleted(stage.lab) - deletions == 2  # the mirror that is gone, and its slice


RIGHT = {"changed": 81, "new": 80, **{f"kept-{n}": 80 for n in range(4)}}


async def test_a_subject_of_another_cluster_in_the_stream(tmp_path: Path) -> None:
    """A stream that was made too wide brings nothing in: importers ask for one cluster only."""
    async with two_clusters(tmp_path) as stage, stage.lab.bus("east") as bus:
        wide = (*stream_subjects(EAST), "heliograph.v1.south.>")
        await ensure_stream(bus, StreamSettings(name=stream_name(EAST), subjects=wide))
        await bus.request("heliograph.v1.south.service.shop.strange", EXPORTED)
        await bus.request(f"heliograph.v1.south.service.shop.{CHANGED}", WITHDRAWN)
        await stage.lab.stop("reflector", "west")
        await stage.lab.start_reflector("west")
        await stage.lab.processed("east", "west")
        assert mirrors(stage.lab["west"]) == {"changed": 80, "gone": 80}


async def test_a_message_that_the_server_lost(tmp_path: Path) -> None:
    """A reflector that starts then deletes nothing, and the watcher's comparison makes it good."""
    async with two_clusters(tmp_path) as stage, stage.lab.bus("east") as bus:
        before, deletions = uids(stage.lab), deleted(stage.lab)
        body = msgspec.json.encode({"filter": f"heliograph.v1.east.service.shop.{CHANGED}"})
        await bus.request(f"$JS.API.STREAM.PURGE.{stream_name(EAST)}", body)
        await stage.lab.stop("reflector", "west")
        await stage.lab.start_reflector("west")
        await eventually(lambda: stage.lab["west"].count(RESYNCS, exporting="east"))
        assert (uids(stage.lab), deleted(stage.lab)) == (before, deletions)

        await stage.lab.stop("watcher", "east")  # it compares when it starts, and from time to time
        await stage.lab.start_watcher("east")

        await stage.lab.ready()
        assert (uids(stage.lab), deleted(stage.lab)) == (before, deletions)


async def test_a_withdrawal_of_an_older_incarnation_in_the_stream(tmp_path: Path) -> None:
    """A watcher that was believed dead speaks again: who reads its word later, deletes nothing."""
    epochs: list[str] = []
    async with two_clusters(tmp_path) as stage, stage.lab.bus("east") as bus:
        lab, before, deletions = stage.lab, uids(stage.lab), deleted(stage.lab)
        await bus.subscribe(
            "heliograph.v1.east.cluster.>", lambda m: epochs.append(m.headers[EPOCH])
        )
        await eventually(lambda: epochs)
        await lab.stop("watcher", "east")
        await lab.start_watcher("east")
        await eventually(lambda: epochs[-1] != epochs[0] and lab["east"].watcher.ready)
        await lab.stop("reflector", "west")

        where = f"heliograph.v1.east.service.shop.{CHANGED}"
        await bus.publish(where, WITHDRAWN, {EPOCH: epochs[0]})
        await lab.start_reflector("west")
        await eventually(lambda: lab["west"].count(RESYNCS, exporting="east"))
        assert (uids(lab), deleted(lab)) == (before, deletions)

        await lab.stop("watcher", "east")
        await lab.start_watcher("east")

        await lab.ready()
        assert (uids(lab), deleted(lab)) == (before, deletions)
