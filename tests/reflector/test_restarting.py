from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from heliograph.bus import EmbeddedServer, Message, delete_stream, stream_info
from heliograph.contract.headers import EPOCH
from heliograph.contract.messages import decode_feedback
from heliograph.lab.memory import JsonObject
from heliograph.lab.tcpproxy import TcpProxy
from tests.reflector.conftest import Join
from tests.support.joined import (
    NAMESPACE,
    Cluster,
    addresses,
    bus_server,
    eventually,
    joined,
)

pytestmark = pytest.mark.nats

REJECTED, RESYNCS = "heliograph_messages_rejected_total", "heliograph_resyncs_total"
EXPORTED = (
    b'{"type":"service.exported.v1","ready":true,"exported_at":"2026-01-01T00:00:00Z",'
    b'"ip_families":["IPv4"],"cluster_ips":["10.110.0.77"],"ports":[{"port":80}]}'
)


def mirrors(cluster: Cluster) -> list[JsonObject]:
    """Return all Services and slices of the namespace."""
    kinds = ("Service", "EndpointSlice")
    return [obj for kind in kinds for obj in cluster.api.list(kind, NAMESPACE)]


async def test_a_restart_writes_nothing(join: Join) -> None:
    """Nothing changed, nothing written: also with two exporters, whichever is heard first."""
    async with join("east", "south", "west") as lab:
        west, names = lab["west"], [f"s{n}" for n in range(40)]
        for name in names:
            lab["east"].export(name, mode="pods" if name.endswith("0") else "")
            lab["south"].export(name)
            lab["east"].set_pods({lab["east"].pod(1): {}}, name)
        await eventually(lambda: all(len(west.backends(name)) == 2 for name in names))
        await lab.ready()
        await eventually(lambda: len(west.events("Mirrored")) == len(names))
        before, requests = mirrors(west), west.api.writes

        for _ in range(3):
            await lab.stop("reflector", "west")
            await lab.start_reflector("west")
            await lab.ready()

        assert west.api.writes == requests
        assert mirrors(west) == before


async def test_what_happened_meanwhile_is_made_up_for(join: Join) -> None:
    """A Service deleted, one changed, one new while the reflector was away."""
    async with join("east", "west") as lab:
        east, west = lab["east"], lab["west"]
        for name in ("gone", "changed"):
            east.export(name)
            await eventually(lambda name=name: west.backends(name))  # type: ignore[misc]
        await lab.stop("reflector", "west")
        east.withdraw("gone")
        east.change("changed", ports=[{"name": "http", "port": 81}])
        east.export("new")
        await lab.processed("east")

        await lab.start_reflector("west")

        await eventually(lambda: west.backends("new"))
        await eventually(lambda: not west.service("gone"))
        await lab.ready()
        changed = west.service("changed")
        assert changed is not None
        assert changed["spec"]["ports"][0]["port"] == 81


async def test_a_slice_that_went_meanwhile_goes(join: Join) -> None:
    """In pods mode: it is unknown until all is heard, and then known to be gone."""
    async with join("east", "west") as lab:
        east, west = lab["east"], lab["west"]
        east.export(mode="pods")
        east.set_pods({east.pod(1): {}}, suffix="1")
        east.set_pods({east.pod(2): {}}, suffix="2")
        await eventually(lambda: len(west.backends()) == 2)
        await lab.stop("reflector", "west")
        east.api.delete("EndpointSlice", NAMESPACE, "cart-2")
        await eventually(lambda: not east.watcher.pending)

        await lab.start_reflector("west")

        await eventually(lambda: west.backends() == {east.pod(1): True})
        assert len(west.slices()) == 1


async def test_mirrors_stay_until_their_exporter_is_heard(join: Join) -> None:
    """Watcher and stream are gone, and the reflector restarts: nothing says that nothing is."""
    async with join("east", "south", "west") as lab:
        west = lab["west"]
        for name in ("cart", "gone"):
            lab["east"].export(name)
            await eventually(lambda name=name: west.backends(name))  # type: ignore[misc]
            await eventually(lambda name=name: west.service(name))  # type: ignore[misc]
        await lab.stop("watcher", "east")
        lab["east"].withdraw("gone")
        before = mirrors(west)
        async with lab.bus("east") as bus:
            await delete_stream(bus, "HELIOGRAPH_east")
        await lab.stop("reflector", "west")
        await lab.start_reflector("west")
        await lab.processed("south", "west")
        assert mirrors(west) == before

        await lab.start_watcher("east")

        await eventually(lambda: not west.service("gone") and not west.slices("gone"))
        await lab.processed("east", "west")
        assert west.backends("cart")


async def test_a_cluster_taken_off_the_list_loses_its_mirrors(join: Join) -> None:
    """Failure 5: a source removed from the flags left its mirrors for ever."""
    async with join("east", "south", "west") as lab:
        west = lab["west"]
        lab["east"].export("east-only")
        kept = [addresses(lab[name].export())[0] for name in ("east", "south")][1]
        await eventually(lambda: len(west.backends()) == 2 and west.backends("east-only"))
        mirror = west.service()
        await lab.stop("reflector", "west")

        await lab.start_reflector("west", import_from=("south",))

        await eventually(lambda: not west.service("east-only") and not west.slices("east-only"))
        await eventually(lambda: list(west.backends()) == [kept])
        assert addresses(west.service()) == addresses(mirror)


async def test_a_lost_stream_deletes_nothing(join: Join, nats: EmbeddedServer) -> None:
    """The bus loses its disk: mirrors stay, and changes come through again."""
    async with join("east", "west") as lab:
        lab["east"].export()
        await eventually(lab["west"].backends)
        await eventually(lab["west"].service)
        before = mirrors(lab["west"])

        nats.restart(keep_store=False)
        lab["east"].export("new")

        await eventually(lambda: lab["west"].backends("new"), within_s=30)
        await eventually(lambda: lab["west"].service("new"))
        assert [obj for obj in mirrors(lab["west"]) if obj in before] == before


async def test_the_bus_is_away_for_a_while(join: Join, nats: EmbeddedServer) -> None:
    """What changed meanwhile is published on return, as it is then."""
    async with join("east", "west") as lab:
        east, west = lab["east"], lab["west"]
        east.export("gone")
        east.export(mode="pods")
        await eventually(lambda: west.service() and west.service("gone"))
        nats.stop()
        east.set_pods({east.pod(1): {}})
        east.set_pods({east.pod(2): {}})
        east.withdraw("gone")

        nats.start()

        await eventually(lambda: west.backends() == {east.pod(2): True}, within_s=30)
        await eventually(lambda: not west.service("gone"), within_s=30)


async def buses(stack: AsyncExitStack, folder: Path, *names: str) -> Mapping[str, TcpProxy]:
    """Run a bus for each cluster, each behind a proxy."""
    proxies = {}
    for name in names:
        server = await stack.enter_async_context(bus_server(folder / f"nats-{name}"))
        proxies[name] = await stack.enter_async_context(TcpProxy(server.port))
    return proxies


async def test_one_bus_that_is_away_does_not_block_the_others(tmp_path: Path) -> None:
    """Failure 4: one source out of reach blocked mirroring from all of them."""
    names = ("east", "south", "west")
    async with AsyncExitStack() as stack:
        proxies = await buses(stack, tmp_path, *names)
        urls = {name: f"nats://127.0.0.1:{proxy.port}" for name, proxy in proxies.items()}
        lab = await stack.enter_async_context(joined(tmp_path, *names, urls=urls))
        for name in ("east", "south"):
            lab[name].export(name)
            await eventually(lambda name=name: lab["west"].service(name))  # type: ignore[misc]

        proxies["south"].refuse()
        lab["east"].export("new")
        lab["south"].withdraw("south")
        await eventually(lambda: lab["west"].backends("new"))
        assert lab["west"].service("south")

        proxies["south"].heal()
        await eventually(lambda: not lab["west"].service("south"), within_s=30)


async def test_a_cluster_that_joins_later_is_found(join: Join) -> None:
    """Nobody is restarted for it."""
    async with join("east", "west", "south", start=False) as lab:
        for name in ("east", "west"):
            await lab.start_watcher(name)
            await lab.start_reflector(name)
        await lab.ready(["east", "west"])

        lab["south"].export()
        await lab.start_watcher("south")

        await eventually(lab["west"].backends)
        await eventually(lab["east"].backends)


NEWER, OTHER, OLD = (
    b'{"type":"%b"}' % tag
    for tag in (b"service.exported.v9", b"node.withdrawn.v1", b"service.withdrawn.v1")
)
MALFORMED = {
    # what is published                    subject                payload   reason
    "no JSON":                            ("service.shop.bad",    b"{",     "MalformedMessage"),
    "of a newer version":                 ("service.shop.bad",    NEWER,    "MalformedMessage"),
    "of another kind than its subject":   ("service.shop.bad",    OTHER,    "MalformedMessage"),
    "a subject with too many tokens":     ("service.shop.bad.x",  b"{}",    "MalformedSubject"),
    "of an earlier incarnation":          ("service.shop.cart",   OLD,      "StaleEpoch"),
}  # fmt: skip


@pytest.mark.parametrize(("subject", "payload", "reason"), MALFORMED.values(), ids=MALFORMED)
async def test_messages_that_cannot_be_used_are_counted_and_harmless(
    join: Join, subject: str, payload: bytes, reason: str
) -> None:
    """They cost nobody anything: what was mirrored stays, and what comes next is mirrored."""
    async with join("east", "west") as lab, lab.bus("east") as bus:
        lab["east"].export()
        await eventually(lab["west"].service)

        epoch = "0" if reason == "StaleEpoch" else "9" * 18
        await bus.publish(f"heliograph.v1.east.{subject}", payload, {EPOCH: epoch})

        await eventually(lambda: lab["west"].count(REJECTED, exporting="east", reason=reason))
        await lab.processed("east", "west")
        assert lab["west"].backends()
        assert lab["west"].service("bad") is None


async def test_a_doubt_about_what_was_consumed_is_a_replay(join: Join) -> None:
    """Two digests running did not match: something was missed, or is too many."""
    epochs: list[str] = []
    async with join("east", "west") as lab, lab.bus("east") as bus:
        lab["east"].export()
        await eventually(lab["west"].backends)
        await bus.subscribe(
            "heliograph.v1.east.cluster.>", lambda m: epochs.append(m.headers[EPOCH])
        )
        await eventually(lambda: epochs)
        before = lab["west"].count(RESYNCS, exporting="east")

        await bus.publish(
            "heliograph.v1.east.service.shop.unknown",
            b'{"type":"service.withdrawn.v1"}',
            {EPOCH: epochs[0]},
        )
        await bus.publish("heliograph.v1.east.service.shop.more", EXPORTED, {EPOCH: epochs[0]})

        await eventually(lambda: lab["west"].count(RESYNCS, exporting="east") > before)
        await lab.processed("east", "west")
        assert lab["west"].backends()


async def test_a_stream_that_somebody_purged_is_filled_again(join: Join) -> None:
    """The watcher cannot see it; who reads the stream anew tells it. Mirrors stay meanwhile."""
    async with join("east", "west") as lab, lab.bus("east") as bus:
        for name in ("cart", "web"):
            lab["east"].export(name)
            await eventually(lambda name=name: lab["west"].backends(name))  # type: ignore[misc]
        before = mirrors(lab["west"])
        await lab.stop("reflector", "west")
        await bus.request("$JS.API.STREAM.PURGE.HELIOGRAPH_east")

        await lab.start_reflector("west")

        await lab.ready(["west"])
        assert mirrors(lab["west"]) == before
        assert (await stream_info(bus, "HELIOGRAPH_east")).messages == 3


async def test_what_a_replaced_watcher_published_last_is_put_right(join: Join) -> None:
    """Its export of old stands in the stream when a reflector starts, and nobody else tells."""
    async with join("east", "west") as lab, lab.bus("east") as bus:
        lab["east"].export()
        await eventually(lab["west"].backends)
        await lab.stop("reflector", "west")
        await bus.publish("heliograph.v1.east.service.shop.cart", EXPORTED, {EPOCH: "1"})

        await lab.start_reflector("west")

        await lab.ready(["west"])
        assert list(lab["west"].backends()) == [addresses(lab["east"].service())[0]]


async def test_the_exporting_side_is_told(join: Join) -> None:
    """Feedback says which publication is in place, or refused; `heliograph trace` shows it."""
    outcomes: list[tuple[str, str]] = []

    def take(message: Message) -> None:
        feedback = decode_feedback(message.payload)
        assert feedback is not None
        outcomes.append((message.subject.rpartition(".")[2], feedback.outcome))

    async with join("east", "west") as lab, lab.bus("east") as bus:
        await bus.subscribe("heliograph.feedback.v1.west.east.>", take)
        lab["west"].export("taken", exported=False)
        lab["east"].export("taken")
        lab["east"].export()
        await eventually(lambda: {("cart", "applied"), ("taken", "refused")} <= set(outcomes))

        await eventually(lambda: lab["west"].events("Mirrored"))  # what fails is no Event
        await eventually(lambda: lab["west"].events("ForeignObject"))
        lab["west"].api.fail_writes(1, status=422)
        lab["east"].change(sessionAffinity="ClientIP")
        await eventually(lambda: ("cart", "refused") in outcomes)
