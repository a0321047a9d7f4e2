"""Tables hold what the cluster holds, and name what each event touches."""

from __future__ import annotations

import pytest

from services.watcher.table import RangeTable, ServiceKey, ServiceTable
from tests.support.builders import backend, endpoint_slice, service, service_cidr

CART, PAY = ServiceKey("shop", "cart"), ServiceKey("shop", "pay")


def table() -> ServiceTable:
    """Return a table with the Service cart, its slice, and a slice of a Service not exported."""
    made = ServiceTable()
    made.list_services([service("cart")])
    made.list_slices([endpoint_slice(name="cart-1"), endpoint_slice(name="pay-1", of="pay")])
    return made


def names(services: ServiceTable, key: ServiceKey) -> list[str]:
    return [item.metadata.name for item in services.slices(key)]


def test_services_come_and_go() -> None:
    """Each event touches its Service; a lost one is not found."""
    services = table()
    assert services.put_service(service("pay")) == {PAY}
    assert set(services.keys()) == {CART, PAY}

    assert services.drop_service(service("cart")) == {CART}
    assert services.service(CART) is None
    assert services.drop_service(service("cart")) == {CART}


def test_a_listing_touches_what_is_gone() -> None:
    """What is not listed any more is touched, so that it is withdrawn."""
    services = table()
    assert services.list_services([service("pay")]) == {CART, PAY}
    assert set(services.keys()) == {PAY}


def test_slices_wait_for_their_service_to_be_exported() -> None:
    """Slices of a Service without the label touch nothing, and are there once it has it."""
    services = table()
    assert services.put_slice(endpoint_slice(name="pay-2", of="pay")) == set()
    services.put_service(service("pay"))
    assert names(services, PAY) == ["pay-1", "pay-2"]


def test_slices_are_sorted_by_name() -> None:
    """Their order does not depend on that of events."""
    services = table()
    services.put_slice(endpoint_slice(name="cart-0"))
    assert names(services, CART) == ["cart-0", "cart-1"]


def test_a_slice_that_changed_replaces_itself() -> None:
    """The same name is the same slice."""
    services = table()
    newer = endpoint_slice(backend("10.42.0.5"), name="cart-1")
    assert services.put_slice(newer) == {CART}
    assert services.slices(CART) == (newer,)


def test_a_slice_that_moves_touches_both_services() -> None:
    """A slice whose label now names another Service is taken from the first."""
    services = table()
    services.put_service(service("pay"))
    assert services.put_slice(endpoint_slice(name="cart-1", of="pay")) == {CART, PAY}
    assert names(services, CART) == []
    assert names(services, PAY) == ["cart-1", "pay-1"]


def test_a_slice_that_loses_its_label_is_nobodys() -> None:
    """Without the label it belongs to no Service."""
    services = table()
    assert services.put_slice(endpoint_slice(name="cart-1", of="")) == {CART}
    assert names(services, CART) == []


def test_lost_slices() -> None:
    """The loss of a slice touches its Service; that of an unknown one nothing."""
    services = table()
    services.put_slice(endpoint_slice(name="cart-2"))
    assert services.drop_slice(endpoint_slice(name="cart-1")) == {CART}
    assert services.drop_slice(endpoint_slice(name="cart-1")) == set()
    assert names(services, CART) == ["cart-2"]


def test_a_listing_of_slices_touches_what_lost_its_last() -> None:
    """Services whose slices are all gone are touched too, but only exported ones."""
    services = table()
    assert services.list_slices([]) == {CART}
    assert names(services, CART) == []


RANGES: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "nothing": ([], ()),
    "one object": (["kubernetes 10.96.0.0/16 fd00::/112"], ("10.96.0.0/16", "fd00::/112")),
    "two, sorted": (["b 10.97.0.0/16", "a 10.96.0.0/16"], ("10.96.0.0/16", "10.97.0.0/16")),
    "twice the same": (["a 10.96.0.0/16", "b 10.96.0.0/16"], ("10.96.0.0/16",)),
}


@pytest.mark.parametrize(("objects", "cidrs"), RANGES.values(), ids=RANGES)
def test_ranges_of_a_cluster(objects: list[str], cidrs: tuple[str, ...]) -> None:
    """All ServiceCIDR objects count, each range once."""
    listed, put = RangeTable(), RangeTable()
    given = [service_cidr(*text.split()) for text in objects]
    listed.list(given)
    for obj in given:
        put.put(obj)
    assert listed.cidrs() == put.cidrs() == cidrs


def test_a_range_that_is_gone() -> None:
    """A deleted object takes its ranges with it; an unknown one takes nothing."""
    ranges = RangeTable()
    ranges.list([service_cidr("a", "10.96.0.0/16"), service_cidr("b", "10.97.0.0/16")])
    ranges.drop(service_cidr("a"))
    ranges.drop(service_cidr("unknown"))
    assert ranges.cidrs() == ("10.97.0.0/16",)
