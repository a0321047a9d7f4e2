"""The decision is kept in a ConfigMap, by several programs, and written only if it changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from structlog.testing import capture_logs

from heliograph.admission.declaration import Admitted, Decision, Declaration
from heliograph.admission.policy import PRIVATE_RANGES, RangePolicy
from heliograph.contract.names import ClusterId
from heliograph.kube.client import KubeClient
from heliograph.kube.objects import SERVICE_CIDRS
from heliograph.lab.memory import MemoryCluster
from heliograph.membership.admissions import Admissions, own_declaration
from heliograph.membership.configmap import follow, record_watch, write
from heliograph.membership.record import NAME, NAMESPACE, Membership, entry_of, read
from tests.support.builders import as_json, kilo_node, node, service_cidr
from tests.support.clusters import node_json
from tests.support.joined import eventually

HERE, ALPHA, OMEGA, OTHER = map(ClusterId, ("here", "alpha", "omega", "other"))
A, B = "10.1.0.0/16", "10.2.0.0/16"
OWN = Declaration(cluster=HERE, service_cidrs=("10.96.0.0/16",))
NOON_NS = 1_795_780_800 * 1_000_000_000

POLICY = RangePolicy(PRIVATE_RANGES)


def pods(cluster: ClusterId, *cidrs: str) -> Declaration:
    return Declaration(cluster=cluster, pod_cidrs=cidrs)


def keeper(client: KubeClient, told: list[Decision] | None = None, *, at_s: int = 0) -> Admissions:
    """Return what keeps admissions, with a clock of its own."""
    changed = (told if told is not None else []).append
    clock = lambda: NOON_NS + at_s * 1_000_000_000  # noqa: E731 - one of two arguments
    return Admissions(client, NAMESPACE, HERE, policy=POLICY, changed=changed, clock=clock)


@asynccontextmanager
async def running(*keepers: Admissions, client: KubeClient) -> AsyncIterator[None]:
    """Let keepers follow the ConfigMap and write it."""

    async def follow_for(admissions: Admissions) -> None:
        async for membership in follow(record_watch(client, NAMESPACE), NAMESPACE):
            admissions.follow(membership)

    async with asyncio.TaskGroup() as tasks:
        started = [tasks.create_task(each.run()) for each in keepers]
        started += [tasks.create_task(follow_for(each)) for each in keepers]
        yield
        for task in started:
            task.cancel()


def recorded(cluster: MemoryCluster) -> dict[ClusterId, tuple[str, ...]]:
    found = cluster.get("ConfigMap", NAMESPACE, NAME)
    kept = read(found["data"]).admitted if found else {}
    return {exporting: entry.ranges for exporting, entry in kept.items()}


def version(cluster: MemoryCluster) -> str:
    found = cluster.get("ConfigMap", NAMESPACE, NAME)
    return found["metadata"]["resourceVersion"] if found else ""


async def test_who_is_admitted_is_written_down(client: KubeClient, cluster: MemoryCluster) -> None:
    """With its ranges, in the ConfigMap that people can read; whoever is refused is not."""
    told: list[Decision] = []
    admissions = keeper(client, told)
    async with running(admissions, client=client):
        for declaration in (OWN, pods(ALPHA, A), pods(OMEGA, A), pods(OTHER, B)):
            admissions.put(declaration)
        await eventually(lambda: told and told[-1].admitted == {ALPHA, OTHER})
        await eventually(lambda: recorded(cluster) == {ALPHA: (A,), OTHER: (B,)})

    assert set(admissions.decision.refused) == {OMEGA}


async def test_a_restart_decides_the_same_and_writes_nothing(
    client: KubeClient, cluster: MemoryCluster
) -> None:
    """Whoever is heard first after it, and however late it is."""
    before = keeper(client)
    async with running(before, client=client):
        before.put(OWN)
        await before.known.wait()
        before.put(pods(OMEGA, A))
        before.put(pods(ALPHA, A))
        await eventually(lambda: recorded(cluster) == {OMEGA: (A,)})
    written = version(cluster)

    after = keeper(client, at_s=3600)
    async with running(after, client=client):
        after.put(OWN)
        await after.known.wait()
        after.put(pods(ALPHA, A))
        assert set(after.decision.refused) == {ALPHA}
        after.put(pods(OMEGA, A))
        await quiet()

    assert after.decision.admitted == {OMEGA}
    assert version(cluster) == written


async def quiet() -> None:
    """Let everything run that can."""
    for _ in range(50):
        await asyncio.sleep(0.002)


async def test_two_programs_end_with_one_opinion(
    client: KubeClient, cluster: MemoryCluster
) -> None:
    """They hear the same clusters in another order at the same moment; what is kept first wins."""
    one, other = keeper(client), keeper(client, at_s=1)
    async with running(one, other, client=client):
        for each in (one, other):
            each.put(OWN)
        await one.known.wait()
        await other.known.wait()
        one.put(pods(ALPHA, A))
        other.put(pods(OMEGA, A))
        one.put(pods(OMEGA, A))
        other.put(pods(ALPHA, A))
        await eventually(lambda: one.decision == other.decision)
        kept = recorded(cluster)

    assert kept == dict.fromkeys(one.decision.admitted, (A,))
    assert len(kept) == 1


async def test_an_old_word_of_the_record_changes_nothing(client: KubeClient) -> None:
    """What was admitted stays so while the watch has not told of its being written."""
    told: list[Decision] = []
    admissions = keeper(client, told)
    admissions.put(OWN)
    admissions.follow(Membership())
    admissions.put(pods(OMEGA, A))
    admissions.put(pods(ALPHA, A))
    decided = len(told)

    admissions.follow(Membership(confirmed={OTHER: "now"}))

    assert len(told) == decided
    assert admissions.decision.admitted == {OMEGA}


async def test_nothing_is_decided_before_record_and_own_ranges_are_known(
    client: KubeClient,
) -> None:
    """A decision without them would be another one a moment later."""
    admissions = keeper(client)
    admissions.put(pods(ALPHA, A))
    admissions.follow(Membership())
    assert not admissions.known.is_set()

    admissions.put(OWN)

    assert admissions.known.is_set()
    assert admissions.decision.admitted == {ALPHA}


async def test_who_left_or_is_forgotten_has_no_place(
    client: KubeClient, cluster: MemoryCluster
) -> None:
    """Its entry goes, and its ranges are free for others."""
    noon = f"2026-11-27T12:00:00Z {A}"
    entries = {entry_of("admitted", cluster): noon for cluster in (OMEGA,)}
    await write(client, NAMESPACE, {**entries, entry_of("admitted", OTHER): noon.replace(A, B)})
    admissions = keeper(client)
    async with running(admissions, client=client):
        admissions.put(OWN)
        admissions.put(pods(ALPHA, A, B))
        await admissions.known.wait()
        assert admissions.decision.refused.keys() == {ALPHA}

        await write(client, NAMESPACE, {entry_of("forgotten", OMEGA): ""})
        admissions.drop(OTHER)
        await eventually(lambda: admissions.decision.admitted == {ALPHA})
        await eventually(lambda: recorded(cluster) == {ALPHA: (A, B)})


async def test_without_its_namespace_the_record_is_remembered(
    client: KubeClient, cluster: MemoryCluster
) -> None:
    """That is said once, and the decision stands until a restart."""
    cluster.delete("Namespace", "", NAMESPACE)
    await eventually(lambda: cluster.get("Namespace", "", NAMESPACE) is None)
    admissions = keeper(client)
    with capture_logs() as logs:
        async with running(admissions, client=client):
            admissions.put(OWN)
            admissions.put(pods(OMEGA, A))
            await eventually(lambda: bool(logs))
            admissions.put(pods(ALPHA, A))
            await quiet()

    assert [log["event"] for log in logs] == ["who was admitted is not written down"]
    assert admissions.decision.admitted == {OMEGA}
    assert isinstance(admissions.decision.record[OMEGA], Admitted)


async def test_the_own_ranges_are_read_from_the_api_server(
    client: KubeClient, cluster: MemoryCluster
) -> None:
    """Cluster IPs from ServiceCIDRs, pods from nodes, the tunnel from Kilo's annotations."""
    cluster.apply(as_json(SERVICE_CIDRS, service_cidr("more", "10.99.0.0/16")))
    cluster.apply(node_json(kilo_node("n1", wireguard_ip="10.7.0.1/16")))
    cluster.apply(node_json(node("n2", pod_cidrs=("10.42.1.0/24",))))

    own = await own_declaration(client, HERE)

    assert "10.99.0.0/16" in own.service_cidrs
    assert len(own.service_cidrs) > 1
    assert own.pod_cidrs == ("10.42.0.0/23",)
    assert own.tunnel_cidrs == ("10.7.0.0/16",)


def test_what_is_not_admitted_keeps_nobody_else_out() -> None:
    """Nothing of it is ever routed, so a cluster that declares all of IPv6 has nothing by that."""
    east, services = ClusterId("east"), ("10.96.0.0/16",)
    declared = Declaration(cluster=east, service_cidrs=services, pod_cidrs=("::/0",))
    assert POLICY.limit(declared) == Declaration(cluster=east, service_cidrs=services)


async def test_who_only_reads_the_record_takes_part_with_whoever_is_in_it(
    client: KubeClient, cluster: MemoryCluster
) -> None:
    """A node's agent decides nothing about new clusters: others write the record."""
    agent, writer = keeper(client), keeper(client)
    agent.records = False
    for each in (agent, writer):
        each.put(OWN)
        each.put(pods(ALPHA, A))
    async with running(agent, client=client):
        await asyncio.wait_for(agent.known.wait(), 10)
        assert agent.decision.admitted == frozenset()
        assert recorded(cluster) == {}
        async with running(writer, client=client):
            await eventually(lambda: agent.decision.admitted == {ALPHA})
    assert recorded(cluster) == {ALPHA: (A,)}
