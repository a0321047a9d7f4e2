"""What real API servers answer in bad times, and what the programs make of it.

A proxy before each API server counts what the programs ask for, and holds their watches back, so
that they write with a picture that is out of date.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from heliograph.kube.objects import (
    NAMESPACES,
    SERVICE_CIDRS,
    ObjectMeta,
    Port,
    ServiceCIDR,
    ServiceCIDRSpec,
    ServiceSpec,
)
from heliograph.kube.watch import ListWatch
from heliograph.lab.access import ClusterAccess
from heliograph.lab.controlplane import ControlPlane
from heliograph.marks import is_ours
from services.reflector.watch import _FRESH_S
from tests.end_to_end.support import (
    Cluster,
    JoinedClusters,
    add_namespace,
    eventually,
    join,
)
from tests.support.api_proxy import WRITES, ApiProxy

pytestmark = [pytest.mark.real, pytest.mark.nats]
Accesses = dict[str, ClusterAccess]

HTTP = ServiceSpec(ports=(Port(name="http", port=80),))
PORT_81 = {"spec": {"ports": [{"name": "http", "port": 81}]}}
_QUIET_S = 0.5
_LOOK_S = 2.0  # how long nothing must happen


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """Joined clusters, and the proxies by which their programs reach them."""

    joined: JoinedClusters
    proxies: Mapping[str, ApiProxy]

    def __getitem__(self, name: str) -> Cluster:
        return self.joined.clusters[name]

    def refused(self, cluster: str, name: str) -> tuple[str, ...]:
        """Return why a cluster does not mirror a Service."""
        reflector = self.joined.programs[cluster].reflector  # type: ignore[index]
        return reflector.refused(self[cluster].namespace, name)


@asynccontextmanager
async def stage_of(accesses: Accesses, *names: str) -> AsyncIterator[Stage]:
    """Join clusters by proxies."""
    async with AsyncExitStack() as stack:
        proxies = {
            name: await stack.enter_async_context(ApiProxy(accesses[name]).running())
            for name in names
        }
        by = {name: proxy.access for name, proxy in proxies.items()}
        joined = await stack.enter_async_context(join(accesses, *names, by=by))
        yield Stage(joined=joined, proxies=proxies)


async def port(cluster: Cluster, name: str) -> int:
    """Return the port of a mirror that has its slice; 0 if there is none."""
    service, slices = await cluster.service(name), await cluster.slices(name)
    if service is None or not is_ours(service) or not slices:
        return 0
    found = {p.port for item in slices for p in item.ports or ()}
    wanted = service.spec.ports[0].port
    return wanted if found == {wanted} else 0


async def ports(cluster: Cluster, *names: str) -> list[int]:
    return [await port(cluster, name) for name in names]


async def shows(cluster: Cluster, want: dict[str, int]) -> None:
    """Wait until mirrors have these ports; 0 stands for none."""

    async def right() -> bool:
        return await ports(cluster, *want) == list(want.values())

    await eventually(right)


async def test_watches_that_expire_on_both_sides(
    accesses: Accesses, planes: dict[str, ControlPlane]
) -> None:
    """410: what happened while nobody watched is found by listing again, the deletions too."""
    async with stage_of(accesses, "east", "west") as stage:
        east, west = stage["east"], stage["west"]
        for name in ("changed", "gone", "drifted"):
            await east.add_service(name, HTTP)
        await shows(west, {"changed": 80, "gone": 80, "drifted": 80})
        for proxy in stage.proxies.values():
            proxy.refuse(503, verbs={"watch"})
            proxy.cut_watches()

        await east.patch_service("changed", PORT_81)
        await east.delete_service("gone")
        await east.add_service("new", HTTP)
        await west.patch_service("drifted", PORT_81)
        # A restarted API server knows no history: what is asked for from before is 410 Gone.
        await asyncio.gather(*(planes[n].restart_api_server() for n in ("east", "west")))
        with capture_logs() as logs:
            for proxy in stage.proxies.values():
                proxy.heal()
            await shows(west, {"changed": 81, "gone": 0, "new": 80, "drifted": 80})

    expired = [log for log in logs if log["event"] == "watch expired, listing again"]
    assert {(log["cluster"], log["resource"]) for log in expired} >= {
        ("east", "services"),
        ("west", "services"),
    }


async def test_watches_that_go_silent_on_both_sides(
    accesses: Accesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Open connections that say nothing are given up, and opened again where they stopped."""
    monkeypatch.setitem(ListWatch.__init__.__kwdefaults__, "inactivity_s", 2.0)
    async with stage_of(accesses, "east", "west") as stage:
        east, west = stage["east"], stage["west"]
        for name in ("changed", "gone", "drifted"):
            await east.add_service(name, HTTP)
        await shows(west, {"changed": 80, "gone": 80, "drifted": 80})
        since_s = time.monotonic()
        for proxy in stage.proxies.values():
            proxy.silence_watches()

        await east.patch_service("changed", PORT_81)
        await east.delete_service("gone")
        await west.patch_service("drifted", PORT_81)
        await shows(west, {"changed": 81, "gone": 0, "drifted": 80})

        print(f"\nsilent, 2 s allowed: right after {time.monotonic() - since_s:.2f} s")  # noqa: T201
        for proxy in stage.proxies.values():
            assert not proxy.count(since_s=since_s, verbs={"list"})


async def test_api_servers_that_freeze(accesses: Accesses, planes: dict[str, ControlPlane]) -> None:
    """SIGSTOP: requests are accepted and not answered; afterwards everything is made good."""
    async with join(accesses, "east", "west") as joined:
        east, west = joined.clusters["east"], joined.clusters["west"]
        await east.add_service("before", HTTP)
        await shows(west, {"before": 80})
        planes["west"].pause_api_server()
        try:
            await east.patch_service("before", PORT_81)
            await east.add_service("during", HTTP)
            await asyncio.sleep(3)  # the faulty time itself
        finally:
            planes["west"].resume_api_server()
        began_s = time.monotonic()
        await shows(west, {"before": 81, "during": 80})
        print(f"\nAPI server frozen: right after {time.monotonic() - began_s:.2f} s")  # noqa: T201


async def test_a_write_with_an_old_version_is_a_conflict_and_planned_anew(
    accesses: Accesses,
) -> None:
    """409: somebody wrote a moment ago; what stands is read, judged, and written once more."""
    async with stage_of(accesses, "east", "west") as stage:
        east, west, proxy = stage["east"], stage["west"], stage.proxies["west"]
        await east.add_service("cart", HTTP)
        await shows(west, {"cart": 80})
        proxy.hold_watches()
        await west.patch_service("cart", {"metadata": {"labels": {"team": "shop"}}})
        since_s = time.monotonic()

        await east.patch_service("cart", PORT_81)
        await shows(west, {"cart": 81})

        updates = [r.status for r in proxy.requests if r.at_s > since_s and r.verb == "update"]
        assert sorted(updates) in ([200, 200, 409], [200, 409])
        mirror = await west.service("cart")
        assert mirror is not None
        assert mirror.metadata.labels["team"] == "shop"


async def test_a_name_that_was_taken_a_moment_ago(accesses: Accesses) -> None:
    """What stands there is found foreign, refused, and never written; no slice of ours feeds it."""
    async with stage_of(accesses, "east", "west") as stage:
        east, west, proxy = stage["east"], stage["west"], stage.proxies["west"]
        proxy.hold_watches()
        foreign = await west.add_service("taken", HTTP, exported=False)
        await asyncio.sleep(2 * _FRESH_S)  # the watch is known to lag
        since_s = time.monotonic()

        await east.add_service("taken", HTTP)
        await eventually(lambda: stage.refused("west", "taken") == ("ForeignObject",))

        assert await west.service("taken") == foreign
        assert await west.slices("taken") == []
        assert services_written(proxy, since_s) == {}


async def test_what_the_api_server_does_not_take_is_not_repeated(accesses: Accesses) -> None:
    """422 is final until something changes; requests are counted."""
    async with stage_of(accesses, "east", "north") as stage:
        north, proxy = stage["north"], stage.proxies["north"]
        six = ServiceCIDR(
            metadata=ObjectMeta(name="six"), spec=ServiceCIDRSpec(cidrs=("fd00:98::/112",))
        )
        made = await north.client.create(SERVICE_CIDRS, six)
        try:
            spec = ServiceSpec(ports=HTTP.ports, ip_families=("IPv6",))
            await stage["east"].add_service("six", spec)
            await eventually(lambda: stage.refused("north", "six") == ("Rejected",))
            assert 422 in {r.status for r in proxy.requests if r.verb == "create"}
            # its slice was made beside it, and that news is one more look at the mirror
            await eventually(lambda: not services_written(proxy, time.monotonic() - _QUIET_S))

            since_s = time.monotonic()
            await asyncio.sleep(_LOOK_S)  # nothing may happen meanwhile
            assert not services_written(proxy, since_s)

            await stage["east"].delete_service("six")
            await stage["east"].add_service("six", HTTP)
            await shows(north, {"six": 80})
        finally:
            await north.client.delete(SERVICE_CIDRS, made.metadata)


def services_written(proxy: ApiProxy, since_s: float) -> dict[str, int]:
    """Return how often Services and slices were written since a moment."""
    counts = proxy.count(since_s=since_s, verbs=WRITES)
    return {
        what: n for what, n in counts.items() if what.split()[1] in ("services", "endpointslices")
    }


async def test_a_namespace_that_does_not_go(accesses: Accesses) -> None:
    """What holds a terminating namespace may take days: nothing is written into it meanwhile."""
    async with stage_of(accesses, "east", "west") as stage:
        east, west, proxy = stage["east"], stage["west"], stage.proxies["west"]
        await east.add_service("before", HTTP)
        await shows(west, {"before": 80})
        await put_config_map(west, finalizers=["heliograph.io/test"])
        deleted_at_s = time.monotonic()
        await west.client.delete(NAMESPACES, ObjectMeta(name=west.namespace))
        await east.add_service("during", HTTP)
        await eventually(lambda: stage.refused("west", "during") == ("NamespaceTerminating",))
        await shows(west, {"before": 0})
        await eventually(lambda: stage.refused("west", "before") == ("NamespaceTerminating",))
        written = services_written(proxy, deleted_at_s)
        print(f"\nwhile the namespace went: {written}")  # noqa: T201
        assert sum(written.values()) <= 10

        since_s = time.monotonic()
        await asyncio.sleep(_LOOK_S)  # nothing may happen meanwhile
        assert not services_written(proxy, since_s)

        await put_config_map(west, finalizers=[])
        await eventually(lambda: stage.refused("west", "during") == ("NamespaceMissing",))
        await add_namespace(west)
        await shows(west, {"before": 80, "during": 80})


async def put_config_map(cluster: Cluster, *, finalizers: list[str]) -> None:
    """Make something that does not go, or let it go."""
    client, where = cluster.client, f"/api/v1/namespaces/{cluster.namespace}/configmaps"
    body: dict[str, Any] = {"metadata": {"name": "held", "finalizers": finalizers}}
    if finalizers:
        await client.post_raw(where, msgspec.json.encode(body))
        return
    await client._call(  # noqa: SLF001 - no program patches ConfigMaps
        "PATCH",
        f"{where}/held",
        body=msgspec.json.encode(body),
        content_type="application/merge-patch+json",
    )
