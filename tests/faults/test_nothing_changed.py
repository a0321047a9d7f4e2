"""Restarts over mirrors and Peers that are right, and what the checks themselves notice."""

from __future__ import annotations

import re

import pytest

from heliograph.kilo.peer import PEERS
from heliograph.kube.client import Selection
from heliograph.kube.objects import ENDPOINT_SLICES, SERVICES, KubeObject, ObjectMeta, Resource
from tests.end_to_end.support import eventually
from tests.faults.nothing_changed import restart_over_nothing
from tests.faults.run import Burst
from tests.faults.stage import RANGES, Stage
from tests.faults.world import world_on

pytestmark = [pytest.mark.real, pytest.mark.nats]
CLUSTERS = ("east", "west")


async def test_a_restart_of_everything_writes_nothing(stage: Stage) -> None:
    """With every program killed and the bus's store lost, no resource version changes."""
    async with world_on(stage) as world:
        burst = Burst(world, seed=2)
        await burst.begin()
        await world.settle()
        await restart_over_nothing(world)
        await burst.end()


@pytest.mark.parametrize(
    ("resource", "noticed"),
    [
        (SERVICES, "Service east-marker (is gone|was deleted and made anew)"),
        (ENDPOINT_SLICES, "EndpointSlice east-marker-east-.* is gone"),
    ],
    ids=["Service", "slice"],
)
async def test_a_deletion_of_a_mirror_is_noticed_and_mended(
    stage: Stage, resource: Resource[KubeObject], noticed: str
) -> None:
    """The recorder that the other tests rely on sees a deletion by hand, and it is made good."""
    async with world_on(stage) as world:
        await world.settle()
        west = world.clients["west"]
        namespace = world.model.namespace
        listing = await west.list(resource, Selection(namespace=namespace))
        (name,) = [o.metadata.name for o in listing.items if o.metadata.name.startswith("east")]
        await west.delete(resource, ObjectMeta(name=name, namespace=namespace))
        (violation,) = await eventually(lambda: tuple(world.history.violations))

        assert re.match(f"in west, {noticed}", violation)
        world.history.violations.clear()
        await world.settle()


async def test_a_deletion_of_a_peer_is_noticed_and_mended(stage: Stage) -> None:
    """The same of Peers: one that goes, and a range that has no holder for a moment."""
    async with world_on(stage) as world:
        await world.nodes["east"].add(2)
        await world.settle()
        west, seen = world.clients["west"], world.peers["west"]
        (cidr,) = RANGES["east"]
        (holder,) = seen.holders(cidr)
        await west.delete(PEERS, ObjectMeta(name=holder))
        gone, gap = await eventually(lambda: _two(world.history.violations))

        assert gone == f"in west, Peer {holder} is gone, although its node is there"
        assert gap == f"in west, no Peer has {cidr} for a moment"
        world.history.violations.clear()
        await world.settle()


def _two(found: list[str]) -> list[str]:
    return found if len(found) > 1 else []
