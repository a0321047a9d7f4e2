"""Slices are found by their own name and by their Service's, however they move."""

from __future__ import annotations

from heliograph.kube.objects import EndpointSlice, ObjectMeta
from heliograph.kube.slices import SlicesByService


def service_of(item: EndpointSlice) -> str | None:
    return item.metadata.labels.get("service")


def a_slice(name: str, service: str | None) -> EndpointSlice:
    labels = {} if service is None else {"service": service}
    return EndpointSlice(metadata=ObjectMeta(namespace="shop", name=name, labels=labels))


def test_the_slices_of_a_service_come_in_the_order_of_their_names() -> None:
    """What a plan sees does not depend on the order of arrival."""
    slices = SlicesByService(service_of)

    for name in ("web-2", "web-1", "web-3"):
        assert slices.put(a_slice(name, "web")) == {"web"}

    assert list(slices.of("web")) == ["web-1", "web-2", "web-3"]
    assert slices.named("shop", "web-2") == a_slice("web-2", "web")


def test_a_slice_that_moves_touches_both_services() -> None:
    """The Service that loses a slice is looked at, and so is the one that gains it."""
    slices = SlicesByService(service_of)
    slices.put(a_slice("s", "web"))

    assert slices.put(a_slice("s", "api")) == {"web", "api"}
    assert ("web" in slices, list(slices.keys())) == (False, ["api"])


def test_a_slice_of_no_service_is_left_out() -> None:
    """One that loses its Service's name is forgotten, and its Service touched."""
    slices = SlicesByService(service_of)
    slices.put(a_slice("s", "web"))

    assert slices.put(a_slice("s", None)) == {"web"}
    assert slices.put(a_slice("s", None)) == set()
    assert slices.named("shop", "s") is None


def test_the_loss_of_a_slice_leaves_its_siblings() -> None:
    """Only the last one takes the Service along; an unknown slice touches nothing."""
    slices = SlicesByService(service_of)
    one, two = a_slice("one", "web"), a_slice("two", "web")
    slices.put(one)
    slices.put(two)

    assert slices.drop(one.metadata) == {"web"}
    assert slices.drop(one.metadata) == set()
    assert slices.of("web") == {"two": two}
    assert slices.drop(two.metadata) == {"web"}
    assert "web" not in slices


def test_all_slices_are_forgotten_for_a_new_listing() -> None:
    """Every Service that had slices is touched."""
    slices = SlicesByService(service_of)
    slices.put(a_slice("one", "web"))
    slices.put(a_slice("two", "api"))

    assert slices.clear() == {"web", "api"}
    assert (list(slices.keys()), slices.named("shop", "one")) == ([], None)
