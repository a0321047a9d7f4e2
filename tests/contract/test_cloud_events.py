"""Messages on a real bus are CloudEvents: the published library reads them (binary mode)."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.http import HTTPMessage, from_binary_event

from heliograph.bus import Delivery
from heliograph.contract.messages import NodeAnnounced, ServiceExported
from heliograph.contract.subjects import Kind
from tests.bus.support import connected, embedded
from tests.support.announcing import CHANGE, announcing, deliveries, make_stream
from tests.support.builders import CREATED, KEY, subject

pytestmark = pytest.mark.nats

CART, NODE = subject(Kind.SERVICE, "cart"), subject(Kind.NODE, "n1.eu")


def read(delivery: Delivery) -> BaseCloudEvent:
    """Read headers and payload; NATS' binding maps attributes to headers just as HTTP's does."""
    return from_binary_event(HTTPMessage(headers=dict(delivery.headers), body=delivery.payload))


async def test_any_reader_of_cloud_events_understands_them(tmp_path: Path) -> None:
    """Which one, whose, of which type, about what, when, and what the data is."""
    async with embedded(tmp_path) as server, connected(server.url) as connection:
        await make_stream(connection)
        async with announcing(connection) as east:
            await east.announce("cart", {CART: ServiceExported(ready=True, exported_at=CREATED)})
            await east.announce("n1", {NODE: NodeAnnounced(public_key=KEY)})
            epoch = east.announcer.publisher.epoch
        found = await deliveries(connection)

    cart, node = read(found[str(CART)]), read(found[str(NODE)])
    assert (cart.get_specversion(), cart.get_id(), node.get_id()) == (
        "1.0",
        f"{epoch}-1",
        f"{epoch}-2",
    )
    assert {cart.get_source(), node.get_source()} == {"/clusters/east"}
    assert cart.get_type() == "io.heliograph.service.exported.v1"
    assert node.get_type() == "io.heliograph.node.announced.v1"
    assert (cart.get_subject(), node.get_subject()) == ("service/shop/cart", "node/n1.eu")
    assert cart.get_time() == dt.datetime.fromtimestamp(CHANGE.seen_at_ns // 10**9, dt.UTC)
    assert cart.get_datacontenttype() == "application/json"
    data = cart.get_data()
    assert isinstance(data, dict)
    assert (data["type"], data["exported_at"]) == ("service.exported.v1", CREATED)
