from __future__ import annotations

import pytest

from heliograph.lab.memory import JsonObject
from heliograph.marks import EXPORT_LABEL
from tests.reflector.conftest import Join
from tests.support.joined import NAMESPACE, addresses, eventually

pytestmark = pytest.mark.nats

TARGET = {"name": "http", "port": 80, "targetPort": "web"}


async def test_endpoints_follow_after_creation(join: Join) -> None:
    """Failures 1 and 2 of the older reflector: only the first state of the pods ever arrived."""
    async with join("east", "west") as lab:
        east, west = lab["east"], lab["west"]
        east.export(mode="pods")
        east.set_pods({east.pod(1): {}})
        await eventually(lambda: west.backends() == {east.pod(1): True})

        east.set_pods({east.pod(1): {}, east.pod(2): {}})
        await eventually(lambda: west.backends() == {east.pod(1): True, east.pod(2): True})
        east.set_pods({east.pod(3): {}}, suffix="2")
        east.set_pods({east.pod(2): {}})
        await eventually(lambda: west.backends() == {east.pod(2): True, east.pod(3): True})
        east.set_pods({})
        east.api.delete("EndpointSlice", NAMESPACE, "cart-2")
        await eventually(lambda: west.backends() == {})


async def test_a_changed_port_follows(join: Join) -> None:
    """Failure 1: a port changed in the Service, and its old endpoints stayed."""
    async with join("east", "west") as lab:
        lab["east"].export(ports=[TARGET])
        await eventually(lab["west"].backends)

        lab["east"].change(ports=[{"name": "http", "port": 8080}, {"name": "grpc", "port": 90}])

        await eventually(lambda: ports_of(lab["west"].service()) == {"http": 8080, "grpc": 90})
        await eventually(lambda: ports_of(lab["west"].slices()[0]) == {"http": 8080, "grpc": 90})


def ports_of(obj: JsonObject | None) -> dict[str, int]:
    """Return the ports of a Service or of a slice, by name."""
    assert obj is not None
    ports = obj["spec"]["ports"] if "spec" in obj else obj["ports"]
    return {port["name"]: port["port"] for port in ports}


@pytest.mark.parametrize("mode", ["pods", "cluster-ip"])
async def test_readiness_alone_follows(join: Join, mode: str) -> None:
    """A change of readiness leaves the Service's resource version as it was."""
    async with join("east", "west") as lab:
        east, west = lab["east"], lab["west"]
        service = east.export(mode=mode)
        backend = east.pod(1) if mode == "pods" else addresses(service)[0]
        east.set_pods({east.pod(1): {}})
        await eventually(lambda: west.backends() == {backend: True})

        east.set_pods({east.pod(1): {"conditions": {"ready": False}}})
        await eventually(lambda: west.backends() == {backend: False})
        east.set_pods({east.pod(1): {}})
        await eventually(lambda: west.backends() == {backend: True})

        assert east.service() == service


async def test_a_deletion_in_one_cluster_leaves_the_mirror_of_another(join: Join) -> None:
    """Failure 3: one source's deletion removed the other's mirror, and the cluster IP changed."""
    async with join("east", "south", "west") as lab:
        west = lab["west"]
        before = [addresses(lab[name].export())[0] for name in ("east", "south")]
        await eventually(lambda: set(west.backends()) == set(before))
        mirror = west.service()
        seen = west.api.requests["delete", "services"]

        lab["east"].withdraw()
        await eventually(lambda: set(west.backends()) == {before[1]})
        await lab.processed("east", "west")

        after = west.service()
        assert mirror is not None
        assert after is not None
        assert after["metadata"]["uid"] == mirror["metadata"]["uid"]
        assert addresses(after) == addresses(mirror)
        assert west.api.requests["delete", "services"] - seen == 1  # the marker's
        lab["south"].withdraw()
        await eventually(lambda: not west.service() and not west.slices())


async def test_mirrors_are_never_exported_again(join: Join) -> None:
    """The older one's emitters re-exported mirrors: a deleted Service lived on in a circle."""
    ring = ("east", "south", "west")
    async with join(*ring) as lab:
        lab["east"].export()
        for name in ("south", "west"):
            await eventually(lab[name].backends)
            mirror = await eventually(lab[name].service)
            assert mirror is not None
            mirror["metadata"]["labels"][EXPORT_LABEL] = "true"  # somebody insists
            lab[name].api.apply(mirror)
        await lab.processed("south", "east", "west")
        await lab.processed("west", "east", "south")
        assert lab["east"].slices() == []

        lab["east"].withdraw()

        for name in ring:
            await eventually(lambda name=name: not lab[name].service())  # type: ignore[misc]
            await eventually(lambda name=name: not lab[name].slices())  # type: ignore[misc]


@pytest.mark.parametrize("kind", ["NodePort", "LoadBalancer"])
async def test_outward_types_become_cluster_ip(join: Join, kind: str) -> None:
    """The older one copied type and nodePort: mirrors asked for load balancers of their own."""
    async with join("east", "west") as lab:
        exported = lab["east"].export(type=kind, externalTrafficPolicy="Local")
        assert exported["spec"]["ports"][0]["nodePort"]

        mirror = await eventually(lab["west"].service)

        assert mirror is not None
        assert mirror["spec"]["type"] == "ClusterIP"
        assert [sorted(port) for port in mirror["spec"]["ports"]] == [
            ["name", "port", "protocol", "targetPort"]
        ]
        assert "selector" not in mirror["spec"]
        assert "externalTrafficPolicy" not in mirror["spec"]


async def test_headless_services_keep_hostnames(join: Join) -> None:
    """The older one dropped them, so names of single pods did not work."""
    async with join("east", "west") as lab:
        east, west = lab["east"], lab["west"]
        east.export(clusterIP="None")
        east.set_pods({east.pod(1): {"hostname": "cart-0"}, east.pod(2): {"hostname": "cart-1"}})

        await eventually(lambda: len(west.backends()) == 2)

        assert addresses(west.service()) == ("None",)
        (item,) = west.slices()
        assert [e["hostname"] for e in item["endpoints"]] == ["cart-0", "cart-1"]


async def test_headless_and_cluster_ip_change_into_one_another(join: Join) -> None:
    """What cannot be changed in place is recreated, whichever way."""
    async with join("east", "west") as lab:
        east, west = lab["east"], lab["west"]
        east.export()
        await eventually(west.backends)
        east.api.delete("Service", NAMESPACE, "cart")
        east.export(clusterIP="None")
        east.set_pods({east.pod(1): {}})
        await eventually(lambda: west.service() and addresses(west.service()) == ("None",))
        await eventually(lambda: west.backends() == {east.pod(1): True})

        east.api.delete("Service", NAMESPACE, "cart")
        address = addresses(east.export())[0]

        await eventually(lambda: west.service() and addresses(west.service()) != ("None",))
        await eventually(lambda: west.backends() == {address: True})


async def test_external_names_are_refused_with_an_event(join: Join) -> None:
    """An alias has no addresses that could be mirrored; `kubectl describe` says so."""
    async with join("east", "west") as lab:
        lab["east"].export(type="ExternalName", externalName="db.example.org", ports=[])

        (event,) = await eventually(lambda: lab["east"].events("InvalidServiceType"))
        await lab.processed("east", "west")

        assert event["involvedObject"]["name"] == "cart"
        assert lab["west"].service() is None


async def test_dual_stack_has_one_slice_for_each_family(join: Join) -> None:
    """Where both clusters have both families."""
    ranges = {
        name: {"service_cidrs": (f"10.{110 + n}.0.0/16", f"fd00:{110 + n}::/112")}
        for n, name in enumerate(("east", "west"))
    }
    async with join("east", "west", clusters=ranges) as lab:
        exported = addresses(lab["east"].export(ipFamilyPolicy="RequireDualStack"))

        await eventually(lambda: set(lab["west"].backends()) == set(exported))

        mirror = lab["west"].service()
        assert mirror is not None
        assert mirror["spec"]["ipFamilies"] == ["IPv4", "IPv6"]
        assert {item["addressType"] for item in lab["west"].slices()} == {"IPv4", "IPv6"}


async def test_many_pods_make_several_slices(join: Join) -> None:
    """As Kubernetes itself does: at most 100 addresses in each."""
    async with join("east", "west") as lab:
        east, west = lab["east"], lab["west"]
        east.export(mode="pods")
        east.set_pods({east.pod(n): {} for n in range(1, 251)})

        await eventually(lambda: len(west.backends()) == 250)

        assert sorted(len(item["endpoints"]) for item in west.slices()) == [50, 100, 100]
