"""The stream ends up holding what is announced, and nothing else, whatever it held before."""

from __future__ import annotations

import asyncio

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from heliograph import telemetry
from heliograph.announce.announcer import Origin
from heliograph.announce.reading import read_stream
from heliograph.bus import (
    Connection,
    EmbeddedServer,
    JetStreamError,
    Publication,
    StreamMissing,
    delete_stream,
)
from heliograph.contract.digest import LiveSet, fingerprint
from heliograph.contract.messages import (
    ClusterAnnounced,
    Message,
    NodeAnnounced,
    ServiceExported,
    ServiceWithdrawn,
    decode,
    encode,
)
from heliograph.contract.subjects import Kind, Subject, parse_subject, stream_name
from tests.bus.support import connected, eventually, writing
from tests.support.announcing import (
    CHANGE,
    COMPARISON,
    KINDS,
    announcing,
    deliveries,
    make_stream,
)
from tests.support.builders import CREATED, EAST, KEY, subject

pytestmark = pytest.mark.nats

NODE = subject(Kind.NODE, "n1.eu")
CART, PAY = subject(Kind.SERVICE, "cart"), subject(Kind.SERVICE, "pay")
CLUSTER = subject(Kind.CLUSTER, EAST)
READY = ServiceExported(ready=True, exported_at=CREATED)
NOT_READY = ServiceExported(ready=False, exported_at=CREATED)
PEER = NodeAnnounced(public_key=KEY)
MORE_THAN_IN_FLIGHT = 300


async def held(connection: Connection) -> dict[Subject, Message]:
    """Return the messages in the stream, withdrawals included."""
    found = await deliveries(connection)
    subjects = {text: parse_subject(text) for text in found}
    return {subjects[text]: decode(subjects[text], one.payload) for text, one in found.items()}


async def test_what_is_announced_is_in_the_stream(connection: Connection) -> None:
    """Each message stands under its subject, and is counted by kind."""
    async with announcing(connection) as announced:
        await announced.announce("cart", {CART: READY})
        await announced.announce("n1", {NODE: PEER})

        assert await held(connection) == {CART: READY, NODE: PEER}
        assert announced.stored == 2


async def test_headers_tell_where_a_message_comes_from(connection: Connection) -> None:
    """Epoch, CloudEvents attributes and the time of the change travel with it; no empty trace."""
    async with announcing(connection) as announced:
        await announced.announce("n1", {NODE: PEER})
        headers = (await deliveries(connection))[str(NODE)].headers

        epoch = announced.announcer.publisher.epoch
        assert headers["Heliograph-Epoch"] == str(epoch)
        assert headers["ce-id"] == f"{epoch}-1"
        assert headers["ce-subject"] == "node/n1.eu"
        assert headers["ce-time"] == "2027-01-15T08:00:00.000000Z"
        assert "traceparent" not in headers


async def test_nothing_new_is_not_published(connection: Connection) -> None:
    """Announcing the same again costs no message."""
    async with announcing(connection) as announced:
        await announced.announce("cart", {CART: READY})
        await announced.announce("cart", {CART: READY})

        assert announced.stored == 1


async def test_a_thing_with_fewer_messages_withdraws_the_others(connection: Connection) -> None:
    """What a thing no longer says is withdrawn, with a time to live."""
    async with announcing(connection) as announced:
        await announced.announce("cart", {CART: READY, PAY: READY})
        await announced.announce("cart", {PAY: NOT_READY})

        assert await held(connection) == {CART: ServiceWithdrawn(), PAY: NOT_READY}
        assert (await deliveries(connection))[str(CART)].headers["Nats-TTL"] == "259200"
        assert announced.announcer.things() == ("cart",)


async def test_a_restart_publishes_differences_only(connection: Connection) -> None:
    """A new incarnation has a higher epoch, takes what is there, and withdraws what is not."""
    async with announcing(connection) as before:
        await before.announce("cart", {CART: READY})
        await before.announce("pay", {PAY: READY})
    async with announcing(connection) as after:
        await after.announce("cart", {CART: READY}, COMPARISON)
        after.announcer.withdraw_leftovers(COMPARISON)
        await after.announcer.publisher.drain(10)

        assert await held(connection) == {CART: READY, PAY: ServiceWithdrawn()}
        assert after.stored == 1
        assert after.announcer.publisher.epoch > before.announcer.publisher.epoch


async def test_the_epoch_rises_though_the_clock_went_back(connection: Connection) -> None:
    """An epoch from a clock far ahead is outdone by one."""
    async with writing(connection, epoch=10**17) as writer:
        writer.offer(str(NODE), encode(PEER).decode())
        await writer.settled()
    async with announcing(connection) as announced:
        assert announced.announcer.publisher.epoch == 10**17 + 1


async def test_what_cannot_be_read_is_replaced(connection: Connection) -> None:
    """Bytes that are no message, under a subject of ours, are put right or withdrawn."""
    async with writing(connection) as writer:
        writer.offer(str(CART), "nonsense")
        writer.offer(str(PAY), "nonsense")
        writer.offer("heliograph.v1.east.service.too.many.tokens", "not ours")
        await writer.settled()
    async with announcing(connection) as announced:
        await announced.announce("cart", {CART: READY}, COMPARISON)
        announced.announcer.withdraw_leftovers(COMPARISON)
        await announced.announcer.publisher.drain(10)

        found = await deliveries(connection)
        assert found[str(CART)].payload == encode(READY)
        assert found[str(PAY)].payload == encode(ServiceWithdrawn())
        assert len(found) == 3


async def test_reading_leaves_out_what_is_not_wanted(connection: Connection) -> None:
    """Withdrawals and other kinds are not live; the newest epoch is that of all messages read."""
    async with announcing(connection) as announced:
        await announced.announce("cart", {CART: READY, PAY: READY})
        await announced.announce("cart", {CART: READY})
        await announced.announcer.renew_lease(ClusterAnnounced())

        reading = await read_stream(connection, EAST, KINDS)

        assert reading.live == {str(CART): encode(READY)}
        assert reading.newest_epoch == announced.announcer.publisher.epoch


async def test_reading_leaves_out_what_another_program_owns(connection: Connection) -> None:
    """Two programs may publish messages of one kind: each keeps its own part only."""
    async with announcing(connection) as announced:
        await announced.announce("cart", {CART: READY, PAY: READY})

        reading = await read_stream(connection, EAST, KINDS, lambda one: one.name == "pay")

        assert reading.live == {str(PAY): encode(READY)}
        assert reading.newest_epoch == announced.announcer.publisher.epoch


async def test_reading_waits_for_the_stream(server: EmbeddedServer) -> None:
    """A stream that does not exist yet is waited for, not taken for an empty one."""
    async with connected(server.url) as connection, asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(read_stream(connection, EAST, KINDS))
        await asyncio.wait([reading], timeout=0.3)
        assert not reading.done()

        await make_stream(connection)
        assert (await reading).live == {}


async def test_a_stream_that_lost_everything_is_filled_again(connection: Connection) -> None:
    """After a comparison, announcing again publishes what the stream lacks."""
    async with announcing(connection) as announced:
        await announced.announce("cart", {CART: READY})
        await announced.announce("n1", {NODE: PEER})
        await delete_stream(connection, stream_name(EAST))
        await make_stream(connection)
        await announced.announcer.compare()
        await announced.announce("cart", {CART: READY}, COMPARISON)
        await announced.announce("n1", {NODE: PEER}, COMPARISON)

        assert await held(connection) == {CART: READY, NODE: PEER}


async def test_the_lease_carries_true_digests(connection: Connection) -> None:
    """Whoever reads the stream adds up to the digests that come with the lease."""
    async with announcing(connection) as announced:
        await announced.announce("cart", {CART: READY, PAY: NOT_READY}, COMPARISON)

        assert await announced.announcer.renew_lease(ClusterAnnounced(version="1"))

        services = LiveSet()
        for place, message in ((CART, READY), (PAY, NOT_READY)):
            services.put(str(place), fingerprint(str(place), encode(message)))
        digests = {"node": LiveSet().digest(), "service": services.digest()}
        assert (await held(connection))[CLUSTER] == ClusterAnnounced(version="1", digests=digests)


async def test_the_lease_carries_no_digest_while_the_stream_lacks_something(
    connection: Connection,
) -> None:
    """A digest would say that what is still on its way does not exist."""
    async with announcing(connection) as announced:
        for number in range(MORE_THAN_IN_FLIGHT):
            one = subject(Kind.SERVICE, f"s{number}")
            announced.announcer.announce(number, {one: READY}, COMPARISON)

        assert not await announced.announcer.renew_lease(ClusterAnnounced(version="1"))

        assert (await held(connection))[CLUSTER] == ClusterAnnounced(version="1")
        await announced.announcer.publisher.drain(10)
        assert await announced.announcer.renew_lease(ClusterAnnounced(version="1"))


async def test_a_lease_that_is_refused(connection: Connection) -> None:
    """A stream that is gone is an error of the lease, told once and not waited for."""
    async with announcing(connection) as announced:
        await delete_stream(connection, stream_name(EAST))

        with pytest.raises((StreamMissing, JetStreamError)):
            await announced.announcer.renew_lease(ClusterAnnounced())
        assert announced.doubts


async def test_a_publication_is_a_span_until_it_is_stored(connection: Connection) -> None:
    """Its trace is that of the change, and travels in the message's headers."""
    exporter = InMemorySpanExporter()
    traces = telemetry.exporting("watcher", EAST, SimpleSpanProcessor(exporter))
    change = traces.deferred("watch", start_ns=1)
    origin = Origin(seen_at_ns=1, span=change)
    async with announcing(connection, traces) as announced:
        await announced.announce("n1", {NODE: PEER}, origin)
        change.end()
        await eventually(lambda: len(exporter.get_finished_spans()) == 2)
        sent = (await deliveries(connection))[str(NODE)].headers["traceparent"]

    spans = {finished.name: finished for finished in exporter.get_finished_spans()}
    span = spans["publish node.announced"]
    assert span.attributes is not None
    assert span.attributes["messaging.destination.name"] == str(NODE)
    assert span.context is not None
    assert sent.split("-")[1:3] == [f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"]
    assert change.traceparent.split("-")[1] == sent.split("-")[1]


async def test_an_older_publication_does_not_end_the_span_of_a_newer_one(
    connection: Connection,
) -> None:
    """While the last value waits behind one in flight, its span goes on."""
    exporter = InMemorySpanExporter()
    traces = telemetry.exporting("watcher", EAST, SimpleSpanProcessor(exporter))
    older = Publication(subject=str(CART), payload=encode(NOT_READY))
    async with announcing(connection, traces) as announced:
        publisher = announced.announcer.publisher
        async with publisher.quiet(), asyncio.TaskGroup() as tasks:
            tasks.create_task(publisher.publish_now(older))
            await asyncio.sleep(0)
            announced.announcer.announce("cart", {CART: READY}, CHANGE)
        assert not exporter.get_finished_spans()

        await announced.announcer.publisher.drain(10)
        assert len(exporter.get_finished_spans()) == 1


async def test_a_superseded_publication_has_a_span_too(connection: Connection) -> None:
    """A value that a newer one replaces before it was sent ends its span then."""
    exporter = InMemorySpanExporter()
    traces = telemetry.exporting("watcher", EAST, SimpleSpanProcessor(exporter))
    async with announcing(connection, traces) as announced:
        for message in (READY, NOT_READY):
            announced.announcer.announce("cart", {CART: message}, CHANGE)
        assert len(exporter.get_finished_spans()) == 1
        await announced.announcer.publisher.drain(10)

        assert len(exporter.get_finished_spans()) == 2
        assert announced.stored == 1
