"""The shipped configuration of NATS, on a real server: who may do what, and nothing else."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from heliograph.bus import (
    BusUnreachable,
    Connection,
    ConnectionEvent,
    Denied,
    PermissionDenied,
    StreamMissing,
    StreamSettings,
    ensure_stream,
    stream_info,
    stream_names,
)
from heliograph.bus.background import alongside
from heliograph.contract.messages import Link, LinkStated, encode
from heliograph.contract.names import ClusterId
from heliograph.contract.programs import ProgramStatus
from heliograph.contract.subjects import (
    Kind,
    all_clusters_filter,
    feedback_filter,
    kind_filter,
    stream_name,
    stream_subjects,
)
from heliograph.contract.traces import TraceAsked
from heliograph.contract.tunnels import Tunnel
from heliograph.imports.links import LinkFollower
from heliograph.metrics import Metrics
from heliograph.run import service as programs
from heliograph.run.overview import ask_programs
from heliograph.run.traces import Asked, ask_all
from heliograph.run.tunnels import NotAllowed, Told, ask_tunnels
from services.peerer.wireguard.answering import Answering
from services.peerer.wireguard.seen import prepared_for
from services.watcher.answering import TraceAnswering
from services.watcher.trail import Trail
from tests.bus.support import eventually, reading, writing
from tests.deploy.buses import bus_of, configuration, connected, identity
from tests.deploy.manifests import containers, find, read
from tests.support.builders import KEY

pytestmark = pytest.mark.nats

WEST, EAST, NORTH = map(ClusterId, ("west", "east", "north"))
BUSES = {
    # shown as            overlay          owner  importing
    "plain":             (None,            WEST,  (EAST, NORTH)),
    "overlay for west":  ("clusters/west", WEST,  (EAST,)),
    "overlay for east":  ("clusters/east", EAST,  (WEST,)),
}  # fmt: skip


class Bus(msgspec.Struct, frozen=True, kw_only=True):
    """A running bus.

    Attributes:
        url: Where it is.
        owner: The cluster that it stands beside.
        importing: The clusters that import from it.
        certificates: Folder of everybody's.
    """

    url: str
    owner: ClusterId
    importing: tuple[ClusterId, ...]
    certificates: Path

    def connected(self, cluster: str) -> contextlib.AbstractAsyncContextManager[Connection]:
        """Connect as the programs of a cluster."""
        return connected(self.url, **identity(self.certificates, cluster))

    @property
    def stream(self) -> str:
        """The owner's stream."""
        return stream_name(self.owner)

    @property
    def settings(self) -> StreamSettings:
        """What the owner's watcher asks for."""
        return StreamSettings(name=self.stream, subjects=stream_subjects(self.owner))

    @property
    def filters(self) -> tuple[str, ...]:
        """What a reflector asks for."""
        return self.filters_of(Kind.CLUSTER, Kind.SERVICE, Kind.ENDPOINTS)

    @property
    def peer_filters(self) -> tuple[str, ...]:
        """What a peerer asks for."""
        return self.filters_of(Kind.CLUSTER, Kind.NODE)

    def filters_of(self, *kinds: Kind) -> tuple[str, ...]:
        """Return what whoever reads messages of these kinds asks for."""
        return tuple(kind_filter(self.owner, kind) for kind in kinds)


@pytest.fixture(params=BUSES)
def bus(request: pytest.FixtureRequest, certificates: Path, tmp_path: Path) -> Iterator[Bus]:
    """Run a bus as it is shipped."""
    overlay, owner, importing = BUSES[request.param]
    files = configuration(overlay)
    with bus_of(owner, files, certificates=certificates, folder=tmp_path / "bus") as url:
        yield Bus(url=url, owner=owner, importing=importing, certificates=certificates)


@pytest.fixture
def plain(certificates: Path, tmp_path: Path) -> Iterator[Bus]:
    """Run the bus of west, which east and north import from."""
    files = configuration()
    with bus_of(WEST, files, certificates=certificates, folder=tmp_path / "bus") as url:
        yield Bus(url=url, owner=WEST, importing=(EAST, NORTH), certificates=certificates)


async def offer(connection: Connection, *subjects: str) -> None:
    """Publish as a watcher does, and wait until it is stored."""
    async with writing(connection) as writer:
        for subject in subjects:
            writer.offer(subject, "x")
        await writer.settled()


async def refused(connection: Connection, subject: str) -> bool:
    """Tell whether the server refuses to take a message for the subject."""
    try:
        await connection.request(subject, b"{}", timeout_s=0.5)
    except PermissionDenied as error:
        return error.subject == subject
    except Exception as error:  # noqa: BLE001 - any other outcome is the finding
        pytest.fail(f"{subject}: {error!r}")
    return False


async def test_the_own_cluster_keeps_its_stream(bus: Bus) -> None:
    """The watcher creates and updates it, publishes, and reads it back by one filter or several."""
    async with bus.connected(bus.owner) as connection:
        await ensure_stream(connection, bus.settings)
        longer = msgspec.structs.replace(bus.settings, duplicate_window_s=60)
        await ensure_stream(connection, longer)
        subject = f"heliograph.v1.{bus.owner}.service.default.web"
        await offer(connection, subject, f"heliograph.v1.{bus.owner}.refusal.default.web")
        for filters in (bus.filters, bus.filters[1:2]):
            async with reading(connection, *filters, stream=bus.stream) as reader:
                await eventually(lambda: reader.complete)
                assert set(reader.table) == {subject}


async def test_importers_read_the_stream(bus: Bus) -> None:
    """They find it, look at it, read it by several filters, live too, and give it back."""
    service, node = (f"heliograph.v1.{bus.owner}.{what}" for what in ("service.a.web", "node.n1"))
    async with bus.connected(bus.owner) as own:
        await ensure_stream(own, bus.settings)
        for importing in bus.importing:
            async with bus.connected(importing) as connection:
                names = await stream_names(connection, all_clusters_filter(Kind.CLUSTER))
                assert names == (bus.stream,)
                async with (
                    reading(connection, *bus.filters, stream=bus.stream) as services,
                    reading(connection, *bus.peer_filters, stream=bus.stream) as nodes,
                ):
                    await eventually(lambda: services.complete and nodes.complete)
                    await offer(own, service, node)
                    await eventually(lambda: service in services.table and node in nodes.table)
                assert (await stream_info(connection, bus.stream)).messages == 2
            await consumers_gone(own, bus.stream)


async def consumers_gone(connection: Connection, stream: str) -> None:
    """Wait until nobody reads; a consumer that only expires would take 30 s."""
    while await consumers(connection, stream):
        pass


async def consumers(connection: Connection, stream: str) -> int:
    reply = await connection.request(f"$JS.API.STREAM.INFO.{stream}")
    count: int = msgspec.json.decode(reply.payload)["state"]["consumer_count"]
    return count


async def test_importers_tell_what_became_of_it(bus: Bus) -> None:
    """Feedback reaches the own cluster, from each importer under its own name."""
    heard: list[str] = []
    async with bus.connected(bus.owner) as own:
        await own.subscribe(feedback_filter(bus.owner), lambda m: heard.append(m.subject))
        for importing in bus.importing:
            about = ("service.default.web", "node.n1", f"cluster.{bus.owner}")
            told = {f"heliograph.feedback.v1.{importing}.{bus.owner}.{what}" for what in about}
            async with bus.connected(importing) as connection:
                for subject in told:
                    await connection.publish(subject, b"{}")
                await eventually(lambda: told <= set(heard))  # noqa: B023 - awaited at once


async def agent_is_heard(bus: Bus) -> None:
    """Ask the owner's agents for their tunnels, as `heliograph peers` does, and be answered."""
    tunnel = Tunnel(exporting="north", peer="n1", public_key=KEY, state="answering")
    async with bus.connected(bus.owner) as agent, bus.connected(bus.owner) as person:
        answering = Answering(agent, bus.owner, "w1", lambda: (tunnel,))
        async with alongside(answering.run()):
            await agent.wait_connected()
            told = Told(tunnels={}, missing=())
            while not told.tunnels:  # it may not listen yet
                told = await ask_tunnels(person, bus.owner, node="w1", within_s=1)
    assert told.tunnels == {"w1": (tunnel,)}


async def test_agents_are_asked_and_answer(bus: Bus) -> None:
    """Within the own cluster: question and answer pass."""
    async with bus.connected(bus.owner) as connection:
        await ensure_stream(connection, bus.settings)
    await agent_is_heard(bus)


async def test_agents_are_asked_on_a_shared_bus(shared: Bus) -> None:
    """There too, by each member its own."""
    make_streams(shared)
    await agent_is_heard(shared)


async def watcher_is_heard(bus: Bus) -> None:
    """Ask the owner's watcher for a Service, as `heliograph trace` does, and be answered."""
    asked = TraceAsked(namespace="shop", name="cart")
    async with bus.connected(bus.owner) as watcher, bus.connected(bus.owner) as person:
        answering = TraceAnswering(watcher, bus.owner, Trail(), lambda _: True)
        async with alongside(answering.run()):
            await watcher.wait_connected()
            told = Asked(told=(), silent=(), denied=())
            while not told.told:  # it may not listen yet
                told = await ask_all(person, (bus.owner,), asked, within_s=1)
    assert [one.exported for one in told.told] == [True]


async def test_the_watcher_is_asked_and_answers(bus: Bus) -> None:
    """Within the own cluster: question and answer pass."""
    await watcher_is_heard(bus)


async def test_the_watcher_is_asked_on_a_shared_bus(shared: Bus) -> None:
    """By its own cluster; what becomes of a cluster's exports is not the others' matter."""
    await watcher_is_heard(shared)
    async with shared.connected(EAST) as connection:
        asked = TraceAsked(namespace="shop", name="cart")
        told = await ask_all(connection, (WEST,), asked, within_s=10)
    assert told.denied == (WEST,)


async def test_answers_that_may_not_be_heard_are_told_of_at_once(shared: Bus) -> None:
    """Whoever asks with one cluster's user as if it were another waits for nothing."""
    asked = TraceAsked(namespace="shop", name="cart")
    strange = identity(shared.certificates, EAST) | {"inbox_prefix": "_INBOX_west"}
    async with connected(shared.url, **strange) as connection:
        told = await ask_all(connection, (EAST,), asked, within_s=60)
    assert told.denied == (EAST,)


async def test_a_node_hears_who_is_prepared_for_its_next_key(bus: Bus) -> None:
    """Importers state that in their own stream; others may read it, by several filters only."""
    stated = encode(LinkStated(links=(Link(exporting=NORTH, prepared=(KEY,)),)))
    async with bus.connected(bus.owner) as own:
        await ensure_stream(own, bus.settings)
        await own.request(f"heliograph.v1.{bus.owner}.link.n1", stated)
        for reading_cluster in bus.importing:
            async with bus.connected(reading_cluster) as connection:
                follower = LinkFollower(connection, bus.owner, beside=(Kind.CLUSTER,))
                async with alongside(follower.run()):
                    await eventually(follower.table.nodes)
                prepared = prepared_for(KEY, NORTH, {bus.owner: follower.table.nodes()})
                assert prepared == {f"{bus.owner}/n1"}


async def all_hear_how_programs_are(bus: Bus) -> None:
    """Ask as each cluster, as `heliograph status` does, and be answered by the owner's watcher."""
    metrics = Metrics("watcher", bus.owner)
    told = programs.Told(program="watcher", cluster=bus.owner, conditions=tuple, metrics=metrics)
    async with (
        bus.connected(bus.owner) as watcher,
        alongside(programs.service(watcher, told).run()),
    ):
        for asking in (bus.owner, *bus.importing):
            async with bus.connected(asking) as connection:
                found: tuple[ProgramStatus, ...] = ()
                while not found:  # it may not listen yet
                    found = await ask_programs(connection)
            assert [(one.program, one.cluster) for one in found] == [("watcher", bus.owner)]


async def test_programs_say_how_they_are(bus: Bus) -> None:
    """To their own cluster, and to those that import from it."""
    await all_hear_how_programs_are(bus)


async def test_programs_say_how_they_are_on_a_shared_bus(shared: Bus) -> None:
    """To all members."""
    await all_hear_how_programs_are(shared)


async def test_nobody_asks_the_agents_of_others(shared: Bus) -> None:
    """What a cluster's tunnels carry is its own matter; the refusal says what is missing."""
    make_streams(shared)
    async with shared.connected(EAST) as connection:
        with pytest.raises(NotAllowed, match=r"publish to heliograph\.tunnels\.v1\.west"):
            await ask_tunnels(connection, WEST, within_s=10)


FORBIDDEN_TO_IMPORTERS = (
    "heliograph.tunnels.v1.{owner}",
    "heliograph.tunnels.v1.{importing}",
    "heliograph.traces.v1.{owner}",
    "heliograph.traces.v1.{importing}",
    "_INBOX_{owner}.x.1",
    "_INBOX_{importing}.x.1",
    "heliograph.v1.{owner}.service.default.web",
    "heliograph.v1.{owner}.cluster.{owner}",
    "heliograph.v1.{importing}.service.default.web",
    "heliograph.feedback.v1.{owner}.{owner}.service.default.web",
    "heliograph.feedback.v1.{importing}.{importing}.service.default.web",
    "$JS.API.STREAM.CREATE.{stream}",
    "$JS.API.STREAM.CREATE.HELIOGRAPH_{importing}",
    "$JS.API.STREAM.UPDATE.{stream}",
    "$JS.API.STREAM.DELETE.{stream}",
    "$JS.API.STREAM.PURGE.{stream}",
    "$JS.API.STREAM.MSG.DELETE.{stream}",
    "$JS.API.STREAM.SNAPSHOT.{stream}",
    "$JS.API.STREAM.RESTORE.{stream}",
    "$JS.API.STREAM.PEER.REMOVE.{stream}",
    "$JS.API.CONSUMER.DURABLE.CREATE.{stream}.x",
    "$JS.API.CONSUMER.NAMES.{stream}",
    "$JS.API.CONSUMER.LIST.{stream}",
    "$JS.API.CONSUMER.CREATE.OTHER.x",
    "$JS.API.ACCOUNT.PURGE.x",
    "_INBOX.of.somebody",
)


async def test_importers_change_nothing(bus: Bus) -> None:
    """They speak for nobody, administer nothing, and cannot look for the consumers of others."""
    async with bus.connected(bus.owner) as own:
        await ensure_stream(own, bus.settings)
    for importing in bus.importing:
        async with bus.connected(importing) as connection:
            for template in FORBIDDEN_TO_IMPORTERS:
                subject = template.format(owner=bus.owner, importing=importing, stream=bus.stream)
                assert await refused(connection, subject), subject
            assert (await stream_info(connection, bus.stream)).messages == 0


@pytest.mark.parametrize(
    "subject",
    [
        "heliograph.v1.east.service.default.web",
        "heliograph.feedback.v1.west.west.service.default.web",
        "$JS.API.STREAM.CREATE.HELIOGRAPH_east",
        "$JS.API.STREAM.DELETE.HELIOGRAPH_west",
        "$JS.API.STREAM.PURGE.HELIOGRAPH_west",
        "$JS.API.STREAM.INFO.HELIOGRAPH_east",
    ],
)
async def test_the_own_cluster_speaks_for_itself_only(plain: Bus, subject: str) -> None:
    """A stolen watcher cannot pretend to be another cluster, nor throw a stream away."""
    async with plain.connected(WEST) as connection:
        assert await refused(connection, subject)


@pytest.mark.parametrize("subject", ["heliograph.>", "heliograph.v1.west.>", "$JS.>", ">"])
async def test_importers_hear_by_consumers_only(plain: Bus, subject: str) -> None:
    """Whatever passes the bus is not theirs to listen to."""
    told: list[ConnectionEvent] = []
    async with plain.connected(EAST) as connection:
        connection.observe(told.append)
        await connection.subscribe(subject, lambda _: None)
        await eventually(lambda: told)
    assert told == [Denied(operation="subscription", subject=subject.lower())]


async def test_strangers_stay_outside(plain: Bus, certificates: Path) -> None:
    """No certificate, one that nobody here knows, one for a server: no connection."""
    ca = {"tls_ca": certificates / "ca.crt"}
    server = certificates / "west" / "server"
    pairs = {"tls_certificate": server / "tls.crt", "tls_key": server / "tls.key"}
    stranger = identity(certificates, "administrator")
    for given in (ca, ca | pairs, stranger):
        with pytest.raises(BusUnreachable):
            async with connected(plain.url, **given):
                pass


async def test_a_lost_store_is_made_anew(plain: Bus) -> None:
    """Without a stream an importer is told that there is none, and needs no right to know it."""
    async with plain.connected(EAST) as connection:
        with pytest.raises(StreamMissing):
            await stream_info(connection, plain.stream)


@pytest.fixture
def shared(certificates: Path, tmp_path: Path) -> Iterator[Bus]:
    """Run the bus that east and west share, in the cluster of neither."""
    files = configuration("shared-bus/bus")
    with bus_of("north", files, certificates=certificates, folder=tmp_path / "bus") as url:
        yield Bus(url=url, owner=WEST, importing=(EAST,), certificates=certificates)


def make_streams(bus: Bus) -> None:
    """Run the administrator's program once, with the environment of its pod."""
    pod = find(read("shared-bus/bus"), "Deployment", "streams")["spec"]["template"]
    (container,) = containers(pod)
    mounted = str(bus.certificates / "administrator" / "identity")
    environment = {
        entry["name"]: entry["value"].replace("/etc/heliograph/bus", mounted)
        for entry in container["env"]
    }
    subprocess.run(
        [sys.executable, "-m", "heliograph", *container["args"], "--once"],
        env=dict(os.environ) | environment | {"HELIOGRAPH_NATS": bus.url},
        check=True,
        timeout=60,
    )


async def test_members_of_a_shared_bus(shared: Bus) -> None:
    """The administrator's program makes the streams; then each publishes its own and reads all."""
    make_streams(shared)
    make_streams(shared)  # safe to repeat
    subject = "heliograph.v1.west.service.default.web"
    async with shared.connected(WEST) as west, shared.connected(EAST) as east:
        await offer(west, subject)
        for member in (west, east):
            names = await stream_names(member, all_clusters_filter(Kind.CLUSTER))
            assert sorted(names) == ["HELIOGRAPH_east", "HELIOGRAPH_west"]
            async with reading(member, *shared.filters, stream=shared.stream) as reader:
                await eventually(lambda: reader.complete)
                assert set(reader.table) == {subject}
            async with reading(member, *shared.peer_filters, stream=shared.stream) as reader:
                await eventually(lambda: reader.complete)


@pytest.mark.parametrize(
    "subject",
    [
        "heliograph.v1.west.service.default.web",
        "heliograph.feedback.v1.west.east.service.default.web",
        "heliograph.tunnels.v1.west",
        "heliograph.traces.v1.west",
        "_INBOX_west.x.1",
        "$JS.API.STREAM.CREATE.HELIOGRAPH_east",
        "$JS.API.STREAM.UPDATE.HELIOGRAPH_east",
        "$JS.API.STREAM.DELETE.HELIOGRAPH_west",
        "$JS.API.STREAM.PURGE.HELIOGRAPH_west",
        "$JS.API.CONSUMER.NAMES.HELIOGRAPH_west",
    ],
)
async def test_members_of_a_shared_bus_are_kept_apart(shared: Bus, subject: str) -> None:
    """East speaks for itself only, and makes no streams, not even its own."""
    async with shared.connected(EAST) as connection:
        assert await refused(connection, subject)


@pytest.mark.parametrize(
    "subject",
    [
        "heliograph.v1.west.service.default.web",
        "$JS.API.STREAM.DELETE.HELIOGRAPH_west",
        "$JS.API.CONSUMER.CREATE.HELIOGRAPH_west.x",
    ],
)
async def test_the_administrator_only_makes_streams(shared: Bus, subject: str) -> None:
    """Its certificate is worth little to a thief."""
    async with shared.connected("administrator") as connection:
        assert await refused(connection, subject)
