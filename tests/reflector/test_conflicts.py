from __future__ import annotations

import asyncio

import pytest

from heliograph.bus import Message
from heliograph.cli.services import ServiceName, adopt
from heliograph.contract.messages import RefusalStated, RefusalWithdrawn, decode
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import Kind, all_clusters_filter, kind_filter, parse_subject
from heliograph.lab.memory import JsonObject
from heliograph.marks import MANAGED_BY_LABEL, MANAGER, SERVICE_NAME_LABEL
from tests.reflector.conftest import Join
from tests.support.joined import NAMESPACE, Cluster, JoinedClusters, addresses, eventually

pytestmark = pytest.mark.nats

REFUSALS, TAKEN = "heliograph_refusals", "ForeignObject"


class Told:
    """The refusals that a bus is told of, in order."""

    def __init__(self) -> None:
        self.messages: list[RefusalStated | RefusalWithdrawn] = []

    def take(self, message: Message) -> None:
        """Take one."""
        told = decode(parse_subject(message.subject), message.payload)
        assert isinstance(told, RefusalStated | RefusalWithdrawn)
        self.messages.append(told)

    @property
    def reasons(self) -> list[str]:
        """The reasons in order; empty ones are withdrawals."""
        return [getattr(message, "reason", "") for message in self.messages]


def foreign(cluster: Cluster) -> JsonObject:
    """Create a Service of the cluster's own, under the name of the mirror."""
    return cluster.export(exported=False)


async def test_a_foreign_service_is_left_alone_and_said(join: Join) -> None:
    """Log line only, in the older one; here a metric, the bus and `kubectl describe` say it."""
    told = Told()
    async with join("east", "west") as lab, lab.bus("west") as bus:
        await bus.subscribe(all_clusters_filter(Kind.REFUSAL), told.take)
        west, before = lab["west"], foreign(lab["west"])
        lab["east"].export()

        labels = {"exporting": "east", "reason": "ForeignObject"}
        await eventually(lambda: west.count(REFUSALS, **labels) == 1)
        (event,) = await eventually(lambda: west.events("ForeignObject"))
        await eventually(lambda: told.reasons == ["ForeignObject"])
        assert event["involvedObject"]["uid"] == before["metadata"]["uid"]
        assert "heliograph-lab" in event["message"]
        assert west.reflector.refused(NAMESPACE, "cart") == ("ForeignObject",)
        assert (west.service(), west.slices()) == (before, [])

        west.api.delete("Service", NAMESPACE, "cart")
        await eventually(west.backends)
        await eventually(lambda: told.reasons == ["ForeignObject", ""])
        assert west.count(REFUSALS, **labels) == 0


async def test_one_refusal_goes_and_the_other_stays(join: Join) -> None:
    """Each exporting cluster is told for itself, and no standing reason is told again."""
    told = Told()
    async with join("east", "south", "west") as lab, lab.bus("west") as bus:
        # east and south refuse one another's as well: each has a Service of that name itself
        await bus.subscribe(kind_filter(ClusterId("west"), Kind.REFUSAL), told.take)
        foreign(lab["west"])
        for name in ("east", "south"):
            lab[name].export()
        await eventually(lambda: lab["west"].reflector.refused(NAMESPACE, "cart").count(TAKEN) == 2)
        await eventually(lambda: told.reasons == [TAKEN] * 2)

        lab["east"].withdraw()

        await eventually(lambda: lab["west"].reflector.refused(NAMESPACE, "cart") == (TAKEN,))
        await eventually(lambda: told.reasons == [TAKEN, TAKEN, ""])
        assert lab["west"].count(REFUSALS, exporting="east", reason=TAKEN) == 0
        assert lab["west"].count(REFUSALS, exporting="south", reason=TAKEN) == 1


async def test_a_refusal_that_the_bus_lost_is_stated_again(
    join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From time to time what stands is compared with what the stream holds."""
    monkeypatch.setattr("heliograph.announce.statements._COMPARE_S", 0.2)
    told = Told()
    async with join("east", "west") as lab, lab.bus("west") as bus:
        await bus.subscribe(all_clusters_filter(Kind.REFUSAL), told.take)
        foreign(lab["west"])
        lab["east"].export()
        await eventually(lambda: told.reasons == [TAKEN])

        await bus.publish(
            "heliograph.v1.west.refusal.shop.east_cart", b'{"type":"refusal.withdrawn.v1"}'
        )

        await eventually(lambda: told.reasons == [TAKEN, "", TAKEN])


async def test_our_slices_go_when_somebody_takes_the_name(join: Join) -> None:
    """Slices bind by name alone: ours would feed the foreign Service."""
    async with join("east", "west") as lab:
        lab["east"].export()
        await eventually(lab["west"].backends)

        lab["west"].api.delete("Service", NAMESPACE, "cart")
        before = foreign(lab["west"])

        await eventually(lambda: not lab["west"].slices())
        await lab.processed("east", "west")
        assert lab["west"].service() == before
        assert lab["west"].slices() == []


async def test_standing_refusals_do_not_flap_over_a_restart(join: Join) -> None:
    """A new incarnation leaves what the earlier one stated until it has looked for itself."""
    told = Told()
    async with join("east", "west") as lab, lab.bus("west") as bus:
        await bus.subscribe(all_clusters_filter(Kind.REFUSAL), told.take)
        for name in ("cart", "gone"):
            lab["west"].export(name, exported=False)
            lab["east"].export(name)
        await eventually(lambda: told.reasons == ["ForeignObject"] * 2)
        await lab.stop("reflector", "west")
        lab["east"].withdraw("gone")
        await lab.stop("watcher", "east")

        await lab.start_reflector("west")
        await eventually(lambda: lab["west"].reflector.refused(NAMESPACE, "cart"))
        assert told.reasons == ["ForeignObject"] * 2
        await lab.start_watcher("east")

        await eventually(lambda: told.reasons == ["ForeignObject", "ForeignObject", ""])
        await lab.processed("east", "west")
        assert len(told.messages) == 3
        assert lab["west"].reflector.refused(NAMESPACE, "cart") == ("ForeignObject",)


def mirror_by_hand(cluster: Cluster, address: str) -> JsonObject:
    """Make what Kilo's page has people make: a Service without selector, and Endpoints."""
    service = cluster.export(exported=False, selector=None)
    labels = {SERVICE_NAME_LABEL: "cart"}
    slice_labels = labels | {
        "endpointslice.kubernetes.io/managed-by": "endpointslicemirroring-controller.k8s.io"
    }
    cluster.api.apply(
        {
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": {"name": "cart", "namespace": NAMESPACE},
            "subsets": [{"addresses": [{"ip": address}], "ports": [{"name": "http", "port": 80}]}],
        }
    )
    for name, its_labels in (("cart-mirrored", slice_labels), ("cart-byhand", labels)):
        cluster.set_pods({address: {}}, suffix=name.removeprefix("cart-"))
        item = cluster.api.get("EndpointSlice", NAMESPACE, name)
        assert item is not None
        item["metadata"]["labels"] = its_labels
        cluster.api.apply(item)
    return service


async def mirrored_labels(cluster: Cluster) -> None:
    """Do as the mirroring controller does: copy the labels of the Endpoints to its slice."""

    def labelled() -> JsonObject | None:
        found = cluster.api.get("Endpoints", NAMESPACE, "cart")
        return found if found and MANAGED_BY_LABEL in found["metadata"].get("labels", {}) else None

    await eventually(labelled)
    item = cluster.api.get("EndpointSlice", NAMESPACE, "cart-mirrored")
    assert item is not None
    item["metadata"]["labels"][MANAGED_BY_LABEL] = MANAGER
    cluster.api.apply(item)


async def test_a_mirror_made_by_hand_is_adopted(join: Join) -> None:
    """It keeps its cluster IP, is never without backends, and ends with one slice of ours."""
    async with join("east", "west") as lab:
        east, west = lab["east"], lab["west"]
        address = addresses(east.export())[0]
        by_hand = mirror_by_hand(west, address)
        await eventually(lambda: west.reflector.refused(NAMESPACE, "cart"))
        east.set_pods({east.pod(1): {}})

        async with lab.client("west", "heliograph") as client:
            said = await adopt(client, ServiceName(NAMESPACE, "cart"))
        await mirrored_labels(west)

        assert "with its cluster IP as before" in said
        await eventually(lambda: len(west.slices()) == 1)
        await eventually(lambda: not west.api.get("Endpoints", NAMESPACE, "cart"))
        await eventually(lambda: west.backends() == {address: True})
        (item,) = west.slices()
        assert item["metadata"]["name"].startswith("cart-east-")
        adopted = west.service()
        assert adopted is not None
        assert adopted["metadata"]["uid"] == by_hand["metadata"]["uid"]
        assert addresses(adopted) == addresses(by_hand)


async def test_an_adopted_mirror_that_nobody_exports_is_kept(join: Join) -> None:
    """Adopted first and exported later, it never was ours to delete."""
    async with join("east", "west") as lab:
        before = mirror_by_hand(lab["west"], "10.110.0.9")
        async with lab.client("west", "heliograph") as client:
            await adopt(client, ServiceName(NAMESPACE, "cart"))

        await lab.processed("east", "west")
        await lab.stop("reflector", "west")
        await lab.start_reflector("west")
        await lab.ready()
        await lab.processed("east", "west")

        after = lab["west"].service()
        assert after is not None
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        assert lab["west"].api.get("Endpoints", NAMESPACE, "cart")


async def test_drift_is_repaired(join: Join) -> None:
    """Someone edits a mirror, deletes its slice, deletes its Service: it comes back each time."""
    async with join("east", "west") as lab:
        west = lab["west"]
        address = addresses(lab["east"].export())[0]
        await eventually(west.backends)
        before = west.service()
        assert before is not None

        west.change(ports=[{"name": "http", "port": 81}], sessionAffinity="ClientIP")
        await eventually(lambda: (west.service() or {}).get("spec") == before["spec"])
        west.api.delete("EndpointSlice", NAMESPACE, west.slices()[0]["metadata"]["name"])
        await eventually(lambda: list(west.backends()) == [address])
        item = west.slices()[0]
        del item["metadata"]["labels"][MANAGED_BY_LABEL]
        west.api.apply(item | {"endpoints": []})
        await eventually(lambda: list(west.backends()) == [address])
        west.api.delete("Service", NAMESPACE, "cart")
        await eventually(west.service)


async def test_a_selector_put_on_a_mirror_leaves_nothing_behind(join: Join) -> None:
    """While it was there, controllers made slice and Endpoints, with the mirror's labels."""
    async with join("east", "west") as lab:
        west = lab["west"]
        address = addresses(lab["east"].export())[0]
        await eventually(west.backends)

        west.change(selector={"app": "cart"})
        west.set_pods({"10.43.0.9": {}}, suffix="x7x7x")
        item = west.api.get("EndpointSlice", NAMESPACE, "cart-x7x7x")
        assert item is not None
        item["metadata"]["labels"] |= {
            MANAGED_BY_LABEL: MANAGER,
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        }
        west.api.apply(item)
        west.api.apply(
            {
                "apiVersion": "v1",
                "kind": "Endpoints",
                "metadata": {
                    "name": "cart",
                    "namespace": NAMESPACE,
                    "labels": {MANAGED_BY_LABEL: MANAGER},
                },
            }
        )

        await eventually(lambda: "selector" not in (west.service() or {"spec": {}})["spec"])
        await eventually(lambda: list(west.backends()) == [address])
        await eventually(lambda: not west.api.get("Endpoints", NAMESPACE, "cart"))


async def refused_as_invalid(lab: JoinedClusters) -> int:
    """Wait until the API server's refusal is known; return how many writes were tried."""
    await eventually(lambda: lab["west"].reflector.refused(NAMESPACE, "cart") == ("Rejected",))
    return lab["west"].writes


async def test_a_refusal_by_the_api_server_is_final_until_the_input_changes(join: Join) -> None:
    """422: the same request would meet the same answer, so it is not repeated."""
    told = Told()
    async with join("east", "west") as lab, lab.bus("west") as bus:
        await bus.subscribe(all_clusters_filter(Kind.REFUSAL), told.take)
        west = lab["west"]
        west.api.fail_writes(2, status=422)
        lab["east"].export()
        tried = await refused_as_invalid(lab)
        await eventually(lambda: told.reasons == ["Rejected"])

        await asyncio.wait_for(lab["west"].reflector.caught_up(), 5)
        assert (west.writes, west.service()) == (tried, None)
        lab["east"].change(sessionAffinity="ClientIP")

        await eventually(west.backends)
        await eventually(lambda: told.reasons == ["Rejected", ""])
        assert west.reflector.refused(NAMESPACE, "cart") == ()


async def test_a_family_that_comes_later_is_used(join: Join) -> None:
    """None in common is a refusal; whether the new one works, the API server says."""
    six = {"east": {"service_cidrs": ("fd00:110::/112",)}}
    async with join("east", "west", clusters=six) as lab:
        west = lab["west"]
        lab["east"].export()
        await eventually(lambda: west.reflector.refused(NAMESPACE, "cart") == ("NoCommonFamily",))

        west.api.apply(
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "ServiceCIDR",
                "metadata": {"name": "six"},
                "spec": {"cidrs": ["fd00:111::/112"]},
            }
        )

        await eventually(lambda: west.reflector.refused(NAMESPACE, "cart") == ("Rejected",))


async def test_the_api_server_says_when_to_come_back(join: Join) -> None:
    """429 with Retry-After: nothing is asked for before that."""
    async with join("east", "west") as lab:
        loop = asyncio.get_running_loop()
        lab["west"].api.fail_writes(2, status=429, retry_after_s=1)
        lab["east"].export()
        began_s = loop.time()

        await eventually(lab["west"].backends)

        assert loop.time() - began_s >= 1


async def test_a_missing_right_is_retried_slowly(
    join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    """403: somebody has to grant it first, and then it works without a restart."""
    monkeypatch.setattr("services.reflector.working._MISSING_RIGHT_S", 0.3)
    async with join("east", "west") as lab:
        loop = asyncio.get_running_loop()
        lab["west"].api.fail_writes(4, status=403)
        lab["east"].export()
        began_s = loop.time()

        await eventually(lab["west"].backends)

        assert loop.time() - began_s >= 0.6
        assert lab["west"].reflector.refused(NAMESPACE, "cart") == ()


async def test_a_passing_failure_is_retried(join: Join) -> None:
    """503, or an API server that is away: until it succeeds."""
    async with join("east", "west") as lab:
        lab["west"].api.fail_writes(4, status=503)
        lab["east"].export()
        await eventually(lab["west"].backends)

        await lab["west"].api.stop()
        lab["east"].change(ports=[{"name": "http", "port": 81}])
        await lab["west"].api.start()

        await eventually(lambda: lab["west"].service()["spec"]["ports"][0]["port"] == 81)  # type: ignore[index]
        await lab.ready()


async def test_conflicts_that_reading_does_not_explain_are_retried_later(join: Join) -> None:
    """The same request at once would meet the same answer, so others have their turn before."""
    async with join("east", "west") as lab:
        west = lab["west"]
        west.api.fail_writes(3, status=409)
        lab["east"].export()

        await eventually(west.backends)

        tried = sum(west.api.requests["create", k] for k in ("services", "endpointslices"))
        assert tried == 3 + 2


async def test_a_foreign_slice_in_the_place_of_ours(join: Join) -> None:
    """It is left alone and said, and the mirror is whole some time after it is gone."""
    async with join("east", "west") as lab:
        west = lab["west"]
        lab["east"].export()
        ours = (await eventually(west.slices))[0]
        name = ours["metadata"]["name"]
        await lab.stop("reflector", "west")
        labels = {SERVICE_NAME_LABEL: "another"}
        theirs = {**ours, "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels}}
        west.api.delete("EndpointSlice", NAMESPACE, name)
        foreign_slice = west.api.apply(theirs)
        requests = west.api.requests["create", "endpointslices"]

        await lab.start_reflector("west")
        await eventually(lambda: west.reflector.refused(NAMESPACE, "cart") == ("ForeignObject",))
        assert west.api.get("EndpointSlice", NAMESPACE, name) == foreign_slice
        assert west.api.requests["create", "endpointslices"] - requests <= 3

        west.api.delete("EndpointSlice", NAMESPACE, name)
        await eventually(west.backends)
        await eventually(lambda: west.reflector.refused(NAMESPACE, "cart") == ())
