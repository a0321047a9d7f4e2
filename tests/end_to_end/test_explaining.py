"""`heliograph explain` on real API servers, with all programs."""

from __future__ import annotations

import pytest

from heliograph.contract.names import ClusterId
from heliograph.explain.chain import explain
from heliograph.explain.gathering import Sources, gather, survey
from heliograph.explain.link import Chain
from heliograph.kube.objects import ENDPOINT_SLICES, Port, ServiceSpec
from heliograph.lab.access import ClusterAccess
from heliograph.run.programs import bus
from heliograph.run.settings import BusSettings
from services.reflector.table import ServiceKey
from tests.end_to_end.support import JoinedClusters, eventually, join

pytestmark = [pytest.mark.real, pytest.mark.nats]

HTTP = ServiceSpec(ports=(Port(name="http", port=80),))


async def chain(joined: JoinedClusters, name: str) -> Chain:
    """Explain a Service from east to west."""
    key = ServiceKey(joined.clusters["east"].namespace, name)
    async with bus(BusSettings(nats=(joined.url,)).bus("test", None)) as connection:
        sources = Sources(
            clients={ClusterId(name): one.client for name, one in joined.clusters.items()},
            buses={},
            other_bus=connection,
        )
        east, west = map(ClusterId, ("east", "west"))
        seen = await survey(sources, key, (east, west))
        (facts,) = await gather(sources, seen, key, ((east, west),))
    return explain(facts)


async def test_a_chain_that_holds_breaks_and_is_named(accesses: dict[str, ClusterAccess]) -> None:
    """Whole at first; then its backend goes, and a Service of somebody else takes a name."""
    async with join(accesses, "east", "west") as joined:
        east, west = joined.clusters["east"], joined.clusters["west"]
        await east.add_slice("web", {"10.244.0.9": None})
        await east.add_service("web", HTTP)

        async def holds() -> bool:
            return (await chain(joined, "web")).broken is None

        await eventually(holds)
        assert {link.state for link in (await chain(joined, "web")).links[:9]} == {"ok"}

        for item in await east.slices("web"):
            await east.client.delete(ENDPOINT_SLICES, item.metadata)

        async def at(name: str, service: str) -> bool:
            broken = (await chain(joined, service)).broken
            return broken is not None and broken.reason == name

        await eventually(lambda: at("NoBackend", "web"))
        await west.add_service("api", HTTP, exported=False)
        await east.add_slice("api", {"10.244.0.8": None})
        await east.add_service("api", HTTP)
        await eventually(lambda: at("ForeignObject", "api"))
