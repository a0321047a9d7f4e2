"""Faults that are made with real programs, a real bus, and API servers in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from heliograph.cli import membership
from heliograph.contract.messages import Link, LinkStated, encode
from heliograph.contract.names import ClusterId
from heliograph.contract.subjects import Kind, Subject
from heliograph.imports.single import read_last
from heliograph.marks import EXPORT_LABEL, IMPORTERS_ANNOTATION
from heliograph.membership.record import NAMESPACE as HELIOGRAPH
from tests.explain.conftest import FIRST, Explain, Join, Links
from tests.support.clusters import namespace
from tests.support.joined import NAMESPACE, Cluster, JoinedClusters, eventually

pytestmark = pytest.mark.nats

EAST, WEST = ClusterId("east"), ClusterId("west")
OF_CART = Subject(cluster=WEST, kind=Kind.REFUSAL, namespace=NAMESPACE, name="east.cart")
MANY = [f"cart-{number}" for number in range(12)]


def export(cluster: Cluster, name: str = "cart", **given: Any) -> None:  # noqa: ANN401
    """Export a Service that has a backend."""
    cluster.export(name, **given)
    cluster.set_pods({cluster.pod(1): {}}, name)


async def mirrored(lab: JoinedClusters, name: str = "cart") -> None:
    """Wait until west has the mirror, with a ready address."""
    await eventually(lambda: list(lab["west"].backends(name).values()) == [True])


async def stated(lab: JoinedClusters, where: Subject = OF_CART) -> None:
    """Wait until west's stream has a refusal: it says so a moment after it has decided."""
    async with lab.bus("west") as bus:
        while not await read_last(bus, WEST, (str(where),)):
            pass


def found(links: Links) -> tuple[str, str]:
    """Return the first broken link: its name and reason."""
    return links[FIRST]["name"], links[FIRST]["reason"]


async def test_everything_is_fine(join: Join, explain: Explain) -> None:
    """No link is broken, and the exit code says so."""
    async with join("east", "west") as lab:
        export(lab["east"])
        await mirrored(lab)

        links = await explain()

        assert FIRST not in links
        assert [name for name, link in links.items() if link["state"] == "ok"] == [
            *("service", "label", "backend", "message", "lease"),
            *("admission", "namespace", "mirror", "slice"),
        ]


async def test_the_label_was_forgotten(join: Join, explain: Explain) -> None:
    """The first thing that people forget, with the command that mends it."""
    async with join("east", "west") as lab:
        lab["east"].export(exported=False)

        links = await explain()

        assert found(links) == ("label", "NotExported")
        assert "heliograph export shop/cart" in links[FIRST]["cure"]


async def test_no_backend_is_ready(join: Join, explain: Explain) -> None:
    """The mirror stands and gets no traffic; the cause is in the exporting cluster."""
    async with join("east", "west") as lab:
        lab["east"].export()
        lab["east"].set_pods({lab["east"].pod(1): {"conditions": {"ready": False}}})
        await eventually(lambda: list(lab["west"].backends().values()) == [False])

        links = await explain()

        assert found(links) == ("backend", "NoBackendReady")
        assert links["slice"]["reason"] == "NotReady"


async def test_a_watcher_that_does_not_run(join: Join, explain: Explain) -> None:
    """What is new is not in the stream; what was there is as it was before."""
    async with join("east", "west") as lab:
        export(lab["east"])
        await mirrored(lab)
        await lab.stop("watcher", "east")

        lab["east"].change(ports=[{"name": "http", "port": 81}])
        assert found(await explain()) == ("message", "MessageDiffers")
        export(lab["east"], "new")
        assert found(await explain("shop/new")) == ("message", "MessageMissing")


async def test_a_reflector_that_does_not_run(join: Join, explain: Explain) -> None:
    """There is no mirror, and nobody says why."""
    async with join("east", "west") as lab:
        await lab.stop("reflector", "west")
        export(lab["east"])
        await eventually(lambda: lab["east"].watcher.ready)

        links = await explain()

        assert found(links) == ("mirror", "MirrorMissing")
        assert "reflector of cluster west" in links[FIRST]["cure"]


async def test_somebody_has_the_name(join: Join, explain: Explain) -> None:
    """In the words of the reflector, owner and all."""
    async with join("east", "west") as lab:
        lab["west"].export(exported=False)
        export(lab["east"])
        await eventually(lambda: lab["west"].reflector.refused(NAMESPACE, "cart"))

        links = await explain()

        assert found(links) == ("mirror", "ForeignObject")
        assert "managed by 'heliograph-lab'" in links[FIRST]["what"]
        assert "adopt" in links[FIRST]["cure"]


async def test_no_namespace(join: Join, explain: Explain) -> None:
    """It is in the exporting cluster only."""
    async with join("east", "west") as lab:
        lab["east"].api.apply(namespace("books"))
        lab["east"].export(namespace="books")

        links = await explain("books/cart")

        assert links["namespace"]["reason"] == "NamespaceMissing"
        assert links["mirror"]["state"] == "not concerned"


async def test_a_namespace_that_is_denied_by_a_setting(join: Join, explain: Explain) -> None:
    """The command does not know the setting: the reflector's statement on the bus tells."""
    async with join("east", "west", denied_namespaces=("shop",)) as lab:
        export(lab["east"])
        await eventually(lambda: lab["west"].reflector.refused(NAMESPACE, "cart"))
        await stated(lab)

        assert found(await explain()) == ("namespace", "NamespaceDenied")


async def test_a_namespace_that_is_allowed_by_a_setting(join: Join, explain: Explain) -> None:
    """Denied by default, allowed here: nothing is wrong."""
    async with join("east", "west", denied_namespaces=()) as lab:
        for name in ("east", "west"):
            lab[name].api.apply(namespace("kube-test"))
        lab["east"].export(namespace="kube-test")
        await eventually(lambda: lab["west"].slices("cart", "kube-test"))

        links = await explain("kube-test/cart")

        assert links["namespace"]["state"] == links["mirror"]["state"] == "ok"


async def test_addresses_outside_of_what_is_declared(join: Join, explain: Explain) -> None:
    """A watcher with wrong ranges: the mirror has no address."""
    async with join("east", "west", start=False) as lab:
        lab.watching = {"service_cidrs": ("10.200.0.0/16",)}
        await lab.start_watcher("east")
        lab.watching = {}
        await lab.start_watcher("west")
        await lab.start_reflector("west")
        export(lab["east"])
        await eventually(lab["west"].service)
        await stated(lab)

        assert found(await explain()) == ("slice", "AddressOutsideRanges")


async def test_no_common_family(join: Join, explain: Explain) -> None:
    """One cluster has IPv4, the other has IPv6."""
    only_v6 = {"west": {"service_cidrs": ("fd00:111::/112",)}}
    async with join("east", "west", clusters=only_v6) as lab:
        export(lab["east"])
        await eventually(lambda: lab["west"].reflector.refused(NAMESPACE, "cart"))

        assert found(await explain()) == ("mirror", "NoCommonFamily")


async def test_a_conflict_of_types(join: Join, explain: Explain) -> None:
    """One export is headless and the other is not: the younger one's addresses are left out."""
    known = ("east", "north", "west")
    async with join(*known, start=False) as lab:
        for name in known:
            await lab.start_watcher(name)
        await lab.start_reflector("west")
        export(lab["north"])
        export(lab["east"], clusterIP="None")
        await eventually(lambda: lab["west"].reflector.refused(NAMESPACE, "cart"))

        chains = [await explain(exporting=name, known=known) for name in ("east", "north")]

        # of two that were made within a second, the first id is the older one
        assert [found(links) for links in chains if FIRST in links] == [("mirror", "TypeConflict")]


async def test_ranges_that_overlap(join: Join, explain: Explain) -> None:
    """The whole cluster is refused, and both ranges are named."""
    equal = {"west": {"service_cidrs": ("10.110.0.0/16",)}}
    async with join("east", "west", clusters=equal, start=False) as lab:
        for name in ("east", "west"):
            await lab.start_watcher(name)
        await lab.start_reflector("west")
        export(lab["east"])
        await eventually(lambda: lab["west"].count_refused("east"))

        links = await explain()

        assert found(links) == ("admission", "RangeOverlap")
        assert "10.110.0.0/16" in links[FIRST]["what"]
        assert "--service-cluster-ip-range" in links[FIRST]["cure"]


async def test_a_cluster_that_is_silent(join: Join, explain: Explain) -> None:
    """Neither heard of nor answering: its addresses are kept, and not ready."""
    async with join("east", "west", start=False) as lab:
        lab.watching = {"lease_s": 1.0}
        for name in ("east", "west"):
            await lab.start_watcher(name)
        await lab.start_reflector("west")
        export(lab["east"])
        await mirrored(lab)
        await lab.stop("watcher", "east")
        silent = LinkStated(links=(Link(exporting="east", silent=("n1",)),))
        async with lab.bus("west") as bus:
            await bus.publish("heliograph.v1.west.link.n1", encode(silent))
        await eventually(lambda: list(lab["west"].backends().values()) == [False])
        await stated(lab, Subject(cluster=WEST, kind=Kind.REFUSAL, name="east"))

        links = await explain()

        assert found(links) == ("lease", "ClusterSilent")
        assert links["slice"]["reason"] == "NotReady"


async def test_removals_that_are_held(join: Join, explain: Explain) -> None:
    """Most mirrors would go at once: they wait for a word, which is named."""
    async with join("east", "west") as lab:
        for name in MANY:
            lab["east"].export(name)
        await eventually(lambda: all(lab["west"].slices(name) for name in MANY))
        for name in MANY:
            lab["east"].withdraw(name)
        await eventually(lambda: lab["west"].events("RemovalHeld"))
        left = next(name for name in MANY if lab["west"].service(name))

        links = await explain(f"shop/{left}")

        assert links["mirror"]["reason"] == "RemovalHeld"
        assert "heliograph confirm east" in links["mirror"]["cure"]


async def test_a_cluster_that_was_forgotten(join: Join, explain: Explain) -> None:
    """By people, who may take it back."""
    async with join("east", "west") as lab:
        export(lab["east"])
        await mirrored(lab)
        async with lab.client("west") as client:
            await membership.forget(client, HELIOGRAPH, EAST)
        await eventually(lambda: lab["west"].service() is None)

        assert found(await explain()) == ("admission", "Forgotten")


async def test_a_cluster_that_has_left(join: Join, explain: Explain) -> None:
    """On either side."""
    async with join("east", "west") as lab:
        export(lab["east"])
        await mirrored(lab)
        async with lab.client("east") as client:
            await membership.leave(client, HELIOGRAPH)
        await eventually(lambda: lab["west"].service() is None)

        links = await explain()

        assert found(links) == ("label", "Left")
        assert links["message"]["reason"] == "Left"


async def test_a_service_that_is_meant_for_others(join: Join, explain: Explain) -> None:
    """Its annotation names the clusters that may mirror it."""
    async with join("east", "west") as lab:
        service = lab["east"].export()
        service["metadata"]["annotations"] = {IMPORTERS_ANNOTATION: "north, south"}
        lab["east"].api.apply(service)
        lab["east"].set_pods({lab["east"].pod(1): {}})
        await eventually(lambda: lab["west"].service() is None)

        links = await explain()

        assert found(links) == ("admission", "NotAnImporter")
        assert "north, south" in links[FIRST]["what"]


async def test_a_mirror_is_not_exported_again(join: Join, explain: Explain) -> None:
    """It is explained from where it runs."""
    async with join("east", "north", "west") as lab:
        export(lab["north"])
        await eventually(lab["east"].backends)
        mirror = lab["east"].service()
        assert mirror is not None
        mirror["metadata"]["labels"][EXPORT_LABEL] = "true"
        lab["east"].api.apply(mirror)

        links = await explain(known=("east", "north", "west"))

        assert found(links) == ("service", "MirrorItself")
        assert links[FIRST]["cure"].endswith("(north)")


async def test_without_a_bus(join: Join, explain: Explain) -> None:
    """Which one is said; what the clusters show is told all the same."""
    async with join("east", "west") as lab:
        export(lab["east"])
        await mirrored(lab)

        links = await explain(nats_url="nats://127.0.0.1:9")

        assert FIRST not in links
        for name in ("message", "lease", "claim", "tunnel"):
            assert links[name]["state"] == "unknown"
            assert "nats://127.0.0.1:9" in links[name]["what"]
        assert links["mirror"]["state"] == links["slice"]["state"] == "ok"


async def test_without_the_exporting_clusters_kubeconfig(join: Join, explain: Explain) -> None:
    """Who runs the importing cluster only sees what it says on the bus."""
    async with join("east", "west") as lab:
        export(lab["east"], mode="pods")
        await mirrored(lab)

        links = await explain(known=("west",))

        assert FIRST not in links
        assert links["service"]["state"] == links["label"]["state"] == "unknown"
        assert links["backend"]["state"] == links["slice"]["state"] == "ok"


async def test_an_api_server_that_is_away(join: Join, explain: Explain, tmp_path: Path) -> None:
    """Nothing of it is taken for fine."""
    async with join("east", "west") as lab:
        export(lab["east"])
        await mirrored(lab)
        text = (tmp_path / "west").read_text()
        port = lab["west"].api.access.server.rpartition(":")[2]
        (tmp_path / "west").write_text(text.replace(f":{port}", ":9"))

        links = await explain()

        assert FIRST not in links
        assert {links[name]["state"] for name in ("namespace", "mirror", "slice")} == {"unknown"}
        assert "127.0.0.1:9" in links["mirror"]["what"]
