"""The main job between real API servers, over a real nats-server, by the real programs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from heliograph.kube.objects import (
    ENDPOINT_SLICES,
    NAMESPACES,
    ClientIPConfig,
    ObjectMeta,
    Port,
    ServiceSpec,
    SessionAffinityConfig,
)
from heliograph.lab.access import ClusterAccess
from heliograph.marks import ENDPOINTS_ANNOTATION, EXPORT_LABEL, is_ours
from tests.end_to_end.support import (
    Cluster,
    add_namespace,
    ensure_node,
    eventually,
    holds,
    join,
)

pytestmark = [pytest.mark.real, pytest.mark.nats]
Accesses = dict[str, ClusterAccess]

HTTP = ServiceSpec(ports=(Port(name="http", port=80),))


async def mirrored(cluster: Cluster, name: str) -> bool:
    service = await cluster.service(name)
    return service is not None and is_ours(service) and bool(await cluster.slices(name))


async def gone(cluster: Cluster, name: str) -> bool:
    return await cluster.service(name) is None and not await cluster.slices(name)


@asynccontextmanager
async def join_with_pods(accesses: Accesses) -> AsyncIterator[tuple[Cluster, Cluster]]:
    """Join east and west; east has a node whose pod range its pods' addresses lie in."""
    async with join(accesses, "east", "west") as joined:
        east, west = joined.clusters["east"], joined.clusters["west"]
        await ensure_node(east.client, "node-1", "10.244.0.0/16")
        yield east, west


async def test_the_objects_of_kilos_page_appear_by_themselves(accesses: Accesses) -> None:
    """An exported Service gets a selector-less mirror whose one address is its cluster IP."""
    async with join(accesses, "east", "west") as joined:
        east, west = joined.clusters["east"], joined.clusters["west"]
        await east.add_slice("web", {"10.244.0.9": None})
        exported = await east.add_service("web", HTTP)

        await eventually(lambda: mirrored(west, "web"))

        mirror = await west.service("web")
        assert mirror is not None
        assert (mirror.spec.type, mirror.spec.selector) == ("ClusterIP", {})
        assert mirror.spec.cluster_ip.startswith("10.97.")
        assert await west.addresses("web") == [exported.spec.cluster_ip]

        await east.patch_service("web", {"metadata": {"labels": {EXPORT_LABEL: None}}})
        await eventually(lambda: gone(west, "web"))


async def test_every_kind_of_port_is_mirrored(accesses: Accesses) -> None:
    """Several named ports with TCP, UDP and SCTP, and application protocols, arrive as they are."""
    ports = (
        Port(name="http", port=80, app_protocol="http"),
        Port(name="dns", port=53, protocol="UDP"),
        Port(name="signal", port=2905, protocol="SCTP"),
        Port(name="h2c", port=81, app_protocol="kubernetes.io/h2c"),
    )
    async with join(accesses, "east", "west") as joined:
        east, west = joined.clusters["east"], joined.clusters["west"]
        await east.add_service("many", ServiceSpec(ports=ports))
        await eventually(lambda: mirrored(west, "many"))

        mirror, slices = await west.service("many"), await west.slices("many")
        assert mirror is not None
        want = [(p.name, p.protocol, p.port, p.app_protocol) for p in ports]
        assert [(p.name, p.protocol, p.port, p.app_protocol) for p in mirror.spec.ports] == want
        found = slices[0].ports or ()
        assert [(p.name, p.protocol, p.port, p.app_protocol) for p in found] == want


async def test_session_affinity_follows(accesses: Accesses) -> None:
    """Client-IP affinity and its time-out are taken over, changed, and taken off again."""
    config = SessionAffinityConfig(client_ip=ClientIPConfig(timeout_seconds=77))
    spec = ServiceSpec(
        ports=HTTP.ports, session_affinity="ClientIP", session_affinity_config=config
    )
    async with join(accesses, "east", "west") as joined:
        east, west = joined.clusters["east"], joined.clusters["west"]
        await east.add_service("sticky", spec)

        async def affinity(kind: str) -> bool:
            mirror = await west.service("sticky")
            return mirror is not None and mirror.spec.session_affinity == kind

        await eventually(lambda: affinity("ClientIP"))
        mirror = await west.service("sticky")
        assert mirror is not None
        assert mirror.spec.session_affinity_config == config

        off = {"spec": {"sessionAffinity": "None", "sessionAffinityConfig": None}}
        await east.patch_service("sticky", off)
        await eventually(lambda: affinity("None"))


async def test_dual_stack_gets_one_slice_per_family(accesses: Accesses) -> None:
    """Between dual-stack clusters both families are mirrored, each with a slice of its own."""
    spec = ServiceSpec(
        ports=HTTP.ports, ip_families=("IPv4", "IPv6"), ip_family_policy="RequireDualStack"
    )
    async with join(accesses, "east", "west", "north") as joined:
        east, west = joined.clusters["east"], joined.clusters["west"]
        exported = await east.add_service("both", spec)
        await eventually(lambda: mirrored(west, "both"))
        await eventually(lambda: mirrored(joined.clusters["north"], "both"))

        mirror = await west.service("both")
        assert mirror is not None
        assert mirror.spec.ip_families == ("IPv4", "IPv6")
        families = {item.address_type for item in await west.slices("both")}
        assert families == {"IPv4", "IPv6"}
        assert await west.addresses("both") == sorted(exported.spec.cluster_ips)

        only_v4 = await joined.clusters["north"].service("both")
        assert only_v4 is not None
        assert only_v4.spec.ip_families == ("IPv4",)
        assert await joined.clusters["north"].addresses("both") == [exported.spec.cluster_ip]


async def test_no_family_in_common_is_refused_visibly(accesses: Accesses) -> None:
    """An IPv6 Service is not mirrored where there is IPv4 only, and the refusal says so."""
    spec = ServiceSpec(ports=HTTP.ports, ip_families=("IPv6",), ip_family_policy="SingleStack")
    async with join(accesses, "east", "north") as joined:
        north = joined.clusters["north"]
        await joined.clusters["east"].add_service("six", spec)
        reflector = joined.programs["north"].reflector  # type: ignore[index]

        await eventually(lambda: "NoCommonFamily" in reflector.refused(north.namespace, "six"))
        assert await gone(north, "six")


@pytest.mark.parametrize("kind", ["NodePort", "LoadBalancer"])
async def test_outward_types_are_mirrored_as_cluster_ip(accesses: Accesses, kind: str) -> None:
    """A NodePort or LoadBalancer Service gets a mirror of type ClusterIP without node ports."""
    async with join(accesses, "east", "west") as joined:
        east, west = joined.clusters["east"], joined.clusters["west"]
        exported = await east.add_service("edge", ServiceSpec(type=kind, ports=HTTP.ports))
        assert exported.spec.ports[0].node_port
        await eventually(lambda: mirrored(west, "edge"))

        mirror = await west.service("edge")
        assert mirror is not None
        assert (mirror.spec.type, mirror.spec.ports[0].node_port) == ("ClusterIP", 0)


async def test_headless_services_keep_hostnames(accesses: Accesses) -> None:
    """A headless mirror has the pods' addresses with their hostnames, and no cluster IP."""
    spec = ServiceSpec(cluster_ip="None", ports=HTTP.ports)
    async with join_with_pods(accesses) as (east, west):
        await east.add_slice("db", {"10.244.7.1": "db-0", "10.244.7.2": "db-1"})
        await east.add_service("db", spec)
        await eventually(lambda: mirrored(west, "db"))

        mirror, slices = await west.service("db"), await west.slices("db")
        assert mirror is not None
        assert mirror.spec.cluster_ip == "None"
        names = {e.addresses[0]: e.hostname for s in slices for e in s.endpoints or ()}
        assert names == {"10.244.7.1": "db-0", "10.244.7.2": "db-1"}


async def test_pods_mode_follows_every_backend(accesses: Accesses) -> None:
    """With the annotation the mirror points at the pods, and follows their coming and going."""
    async with join_with_pods(accesses) as (east, west):
        first = await east.add_slice("api", {"10.244.7.1": None}, port=8080)
        await east.add_service("api", HTTP)
        annotation = {"metadata": {"annotations": {ENDPOINTS_ANNOTATION: "pods"}}}
        await east.patch_service("api", annotation)

        async def addresses(*want: str) -> bool:
            return await west.addresses("api") == list(want)

        await eventually(lambda: addresses("10.244.7.1"))
        (mirror_slice,) = await west.slices("api")
        assert [p.port for p in mirror_slice.ports or ()] == [8080]
        await east.add_slice("api", {"10.244.7.2": None}, suffix="2", port=8080)
        await eventually(lambda: addresses("10.244.7.1", "10.244.7.2"))
        await east.client.delete(ENDPOINT_SLICES, first.metadata)
        await eventually(lambda: addresses("10.244.7.2"))


async def test_many_addresses_make_several_slices(accesses: Accesses) -> None:
    """A slice of 250 addresses is mirrored as slices of at most 100."""
    backends = dict.fromkeys(f"10.244.{7 + n // 200}.{n % 200 + 1}" for n in range(250))
    async with join_with_pods(accesses) as (east, west):
        await east.add_slice("big", backends)
        await east.add_service("big", ServiceSpec(cluster_ip="None", ports=HTTP.ports))

        async def complete() -> bool:
            return len(await west.addresses("big")) == 250

        await eventually(complete)
        sizes = sorted(len(item.endpoints or ()) for item in await west.slices("big"))
        assert sizes == [50, 100, 100]


async def test_headless_and_cluster_ip_change_into_one_another(accesses: Accesses) -> None:
    """The kind of cluster IP is immutable, so the mirror is made anew when it changes."""
    async with join_with_pods(accesses) as (east, west):
        await east.add_slice("shape", {"10.244.7.1": None})
        await east.add_service("shape", HTTP)
        await eventually(lambda: mirrored(west, "shape"))

        await east.delete_service("shape")
        await east.add_service("shape", ServiceSpec(cluster_ip="None", ports=HTTP.ports))

        async def headless() -> bool:
            mirror = await west.service("shape")
            addresses = await west.addresses("shape")
            return (
                mirror is not None
                and mirror.spec.cluster_ip == "None"
                and addresses == ["10.244.7.1"]
            )

        await eventually(headless)


async def test_namespaces_missing_deleted_and_back(accesses: Accesses) -> None:
    """A mirror waits for its namespace, goes with it, and is there again when it comes back."""
    async with join(accesses, "east", "west") as joined:
        east, west = joined.clusters["east"], joined.clusters["west"]
        await west.client.delete(NAMESPACES, ObjectMeta(name=west.namespace))

        async def absent() -> bool:
            listing = await west.client.list(NAMESPACES)
            return all(n.metadata.name != west.namespace for n in listing.items)

        await east.add_service("late", HTTP)  # while the namespace is being deleted
        await eventually(absent)
        reflector = joined.programs["west"].reflector  # type: ignore[index]
        await eventually(lambda: "NamespaceMissing" in reflector.refused(west.namespace, "late"))
        await add_namespace(west)
        await eventually(lambda: mirrored(west, "late"))


async def test_namespaces_are_created_only_if_allowed(accesses: Accesses) -> None:
    """With the setting, the namespace is created, and removed once nothing is left in it."""
    async with join(accesses, "east", "west", create_namespaces=True) as joined:
        east, west = joined.clusters["east"], joined.clusters["west"]
        await west.client.delete(NAMESPACES, ObjectMeta(name=west.namespace))
        await east.add_service("new", HTTP)
        await eventually(lambda: mirrored(west, "new"), within_s=60)

        await east.delete_service("new")
        await eventually(lambda: gone(west, "new"))

        async def removed() -> bool:
            names = {n.metadata.name for n in (await west.client.list(NAMESPACES)).items}
            return west.namespace not in names

        await eventually(removed, within_s=60)


async def test_a_foreign_service_is_left_alone(accesses: Accesses) -> None:
    """What somebody else owns is never touched; once it goes, the mirror takes the name."""
    async with join(accesses, "east", "west") as joined:
        east, west = joined.clusters["east"], joined.clusters["west"]
        foreign = await west.add_service("taken", HTTP, exported=False)
        await east.add_service("taken", HTTP)
        reflector = joined.programs["west"].reflector  # type: ignore[index]
        await eventually(lambda: "ForeignObject" in reflector.refused(west.namespace, "taken"))

        assert await west.service("taken") == foreign
        assert await west.slices("taken") == []

        await west.delete_service("taken")
        await eventually(lambda: mirrored(west, "taken"))
        assert reflector.refused(west.namespace, "taken") == ()


async def test_three_clusters_do_not_feed_one_another(accesses: Accesses) -> None:
    """Mirrors are never exported again, so nothing lives on when the exported Service goes."""
    async with join(accesses, "east", "west", "north") as joined:
        clusters = joined.clusters
        await clusters["east"].add_service("ring", HTTP)
        for name in ("west", "north"):
            await eventually(lambda name=name: mirrored(clusters[name], "ring"))
        label = {"metadata": {"labels": {EXPORT_LABEL: "true"}}}
        await clusters["west"].patch_service("ring", label)

        await clusters["east"].delete_service("ring")
        for name in ("west", "north"):
            await eventually(lambda name=name: gone(clusters[name], "ring"))
        assert await holds(lambda: gone(clusters["north"], "ring"))


async def test_one_name_exported_by_two_clusters(accesses: Accesses) -> None:
    """Both clusters' addresses stand behind one mirror; one goes, and the cluster IP stays."""
    async with join(accesses, "east", "west", "north") as joined:
        east, west, north = (joined.clusters[n] for n in ("east", "west", "north"))
        first = await east.add_service("shared", HTTP)
        second = await west.add_service("shared", HTTP)
        want = sorted([first.spec.cluster_ip, second.spec.cluster_ip])

        async def both() -> bool:
            return await north.addresses("shared") == want

        await eventually(both)
        before = await north.service("shared")
        await east.delete_service("shared")

        async def one() -> bool:
            return await north.addresses("shared") == [second.spec.cluster_ip]

        await eventually(one)
        after = await north.service("shared")
        assert before is not None
        assert after is not None
        assert (after.metadata.uid, after.spec.cluster_ip) == (
            before.metadata.uid,
            before.spec.cluster_ip,
        )


async def test_a_mirror_changed_by_hand_is_repaired(accesses: Accesses) -> None:
    """Edits and deletions of a mirror or its slice are undone."""
    async with join(accesses, "east", "west") as joined:
        east, west = joined.clusters["east"], joined.clusters["west"]
        await east.add_service("steady", HTTP)
        await eventually(lambda: mirrored(west, "steady"))

        await west.patch_service("steady", {"spec": {"ports": [{"name": "http", "port": 9}]}})

        async def repaired() -> bool:
            mirror = await west.service("steady")
            return mirror is not None and [p.port for p in mirror.spec.ports] == [80]

        await eventually(repaired)
        (item,) = await west.slices("steady")
        await west.client.delete(ENDPOINT_SLICES, item.metadata)
        await eventually(lambda: mirrored(west, "steady"))
        await west.delete_service("steady")
        await eventually(lambda: mirrored(west, "steady"))


async def test_a_selector_put_on_a_mirror_leaves_nothing_behind(accesses: Accesses) -> None:
    """What controllers make for a mirror while it has a selector is cleaned away with it."""
    async with join(accesses, "east", "west") as joined:
        east, west = joined.clusters["east"], joined.clusters["west"]
        exported = await east.add_service("pure", HTTP)
        await eventually(lambda: mirrored(west, "pure"))

        await west.patch_service("pure", {"spec": {"selector": {"app": "other"}}})

        async def pure() -> bool:
            mirror = await west.service("pure")
            return (
                mirror is not None
                and not mirror.spec.selector
                and len(await west.slices("pure")) == 1
                and await west.addresses("pure") == [exported.spec.cluster_ip]
            )

        await eventually(pure)
        assert await holds(pure)
