"""The own ranges: as the API server has them, until the own watcher speaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from heliograph.admission.declaration import Admitted, Declaration
from heliograph.admission.policy import PRIVATE_RANGES, RangePolicy
from heliograph.contract.names import ClusterId
from heliograph.imports.own_ranges import OwnRanges
from heliograph.membership.admissions import Admissions
from heliograph.membership.record import NAMESPACE, Membership
from tests.reflector.conftest import Join
from tests.support.builders import node
from tests.support.clusters import node_json
from tests.support.joined import JoinedClusters, eventually

pytestmark = pytest.mark.nats

WEST, EAST = map(ClusterId, ("west", "east"))
OF_NODES, BY_SETTING = "10.77.0.0/24", "10.42.0.0/16"
WITH_EAST = Membership(admitted={EAST: Admitted(since="2026-11-27T05:00:00Z", ranges=(OF_NODES,))})


@asynccontextmanager
async def learning(
    lab: JoinedClusters,
    membership: Membership,
    before: Callable[[], Awaitable[None]] | None = None,
) -> AsyncIterator[Admissions]:
    """Let admissions learn the own ranges of west, whose node has a pod range."""
    lab["west"].api.apply(node_json(node("n1", pod_cidrs=(OF_NODES,))))
    async with lab.client("west") as client, lab.bus("west") as home:
        if before is not None:
            await before()
        admissions = Admissions(
            client, NAMESPACE, WEST, policy=RangePolicy(PRIVATE_RANGES), changed=lambda _: None
        )
        admissions.follow(membership)
        own = OwnRanges(WEST, admissions, client=client, home=home, program="test")
        task = asyncio.create_task(own.run())
        yield admissions
        task.cancel()
        await asyncio.wait([task])


def refused(admissions: Admissions, cidr: str) -> bool:
    """Tell whether somebody who declares the range is refused."""
    admissions.put(Declaration(cluster=EAST, pod_cidrs=(cidr,)))
    return EAST in admissions.decision.refused


async def test_without_a_watcher_the_api_server_says(join: Join) -> None:
    """Service ranges and pod ranges of nodes are the cluster's own at once."""
    async with join("west", start=False) as lab, learning(lab, Membership()) as admissions:
        await admissions.known.wait()

        assert refused(admissions, OF_NODES)
        assert refused(admissions, "10.110.0.0/24")
        assert not refused(admissions, BY_SETTING)


async def test_the_watcher_has_the_last_word(join: Join) -> None:
    """It heeds settings, which the API server does not know."""
    async with join("west", start=False) as lab, learning(lab, Membership()) as admissions:
        await admissions.known.wait()
        await lab.start_watcher("west")

        await eventually(lambda: refused(admissions, BY_SETTING))
        assert not refused(admissions, OF_NODES)


async def test_who_was_admitted_is_not_refused_before_the_watcher_speaks(join: Join) -> None:
    """Nodes may say otherwise than the settings: after a restart that must silence nobody."""
    async with join("west", start=False) as lab, learning(lab, WITH_EAST) as admissions:
        admissions.put(Declaration(cluster=EAST, pod_cidrs=(OF_NODES,)))
        await lab.start_watcher("west")
        await admissions.known.wait()

        assert admissions.decision.admitted == {EAST}


async def test_without_a_watcher_own_ranges_win_after_a_while(
    join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody says otherwise, so what the API server says stands."""
    monkeypatch.setattr("heliograph.imports.own_ranges.WORD_S", 0.1)
    async with join("west", start=False) as lab, learning(lab, WITH_EAST) as admissions:
        admissions.put(Declaration(cluster=EAST, pod_cidrs=(OF_NODES,)))
        await admissions.known.wait()

        assert admissions.decision.refused.keys() == {EAST}


async def test_an_api_server_that_is_away_is_asked_again(join: Join) -> None:
    """Nothing is decided before it has answered, and no restart is needed."""
    async with join("west", start=False) as lab:
        api = lab["west"].api
        async with learning(lab, Membership(), before=api.stop) as admissions:
            with capture_logs() as logs:
                await eventually(
                    lambda: "own cluster not read yet" in {log["event"] for log in logs}
                )
            assert not admissions.known.is_set()

            await api.start()
            await admissions.known.wait()
