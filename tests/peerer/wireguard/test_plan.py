"""The changes that make a device and its interface what they should be, on models of the kernel."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.wireguard.device import Device, DeviceChange, DevicePeer, RemovePeer, SetPeer
from heliograph.wireguard.fold import fold_device, fold_interface
from heliograph.wireguard.interface import (
    AddAddress,
    AddRoute,
    Interface,
    InterfaceChange,
    RemoveAddress,
    RemoveRoute,
    Route,
    SetMtu,
    SetUp,
)
from services.peerer.wireguard.plan import Target, plan_device, plan_interface, routes_of
from tests.support.device_model import DeviceModel, InterfaceModel
from tests.support.wireguard import some_key

A, B, C = KEYS = tuple(map(some_key, (1, 2, 3)))
R1, R2, R3 = "10.1.1.0/24", "10.1.2.0/24", "fd00:3::/64"
RANGES = (R1, R2, R3, "10.1.4.0/24", "10.201.0.1/32", "10.101.0.0/16")
ENDPOINTS = ("192.0.2.1:51820", "[2001:db8::1]:51820", "198.51.100.7:7")
HERE1, HERE2, MOVED = ENDPOINTS


def peer(key: str, *ranges: str, endpoint: str | None = None, keepalive: int = 25) -> DevicePeer:
    """Return a peer that stands."""
    return DevicePeer(
        public_key=key,
        endpoint=endpoint,
        persistent_keepalive=keepalive,
        allowed_ips=frozenset(ranges),
    )


def device(*peers: DevicePeer) -> Device:
    """Return a device with these peers."""
    return Device(peers={one.public_key: one for one in peers})


def target(
    *ranges: str, endpoint: str | None = None, moved: bool = False, keepalive: int = 25
) -> Target:
    """Return what a peer should be."""
    return Target(
        ranges=frozenset(ranges), endpoint=endpoint, moved=moved, persistent_keepalive=keepalive
    )


CASES: dict[str, tuple[Mapping[str, Target], Device, list[DeviceChange]]] = {
    # case                          wanted, standing, changes
    "nothing": ({}, device(), []),
    "a new peer": (
        {A: target(R2, R1, endpoint=HERE1)}, device(),
        [SetPeer(public_key=A, new=True, endpoint=HERE1, persistent_keepalive=25, add=(R1, R2))],
    ),
    "a new peer that roams": (
        {A: target(R1)}, device(),
        [SetPeer(public_key=A, new=True, persistent_keepalive=25, add=(R1,))],
    ),
    "as it should be": ({A: target(R1, endpoint=HERE1)}, device(peer(A, R1, endpoint=HERE1)), []),
    "it roamed": ({A: target(R1, endpoint=HERE1)}, device(peer(A, R1, endpoint=MOVED)), []),
    "it roamed, and is silent": (
        {A: target(R1, endpoint=HERE1, moved=True)}, device(peer(A, R1, endpoint=MOVED)),
        [SetPeer(public_key=A, endpoint=HERE1)],
    ),
    "its endpoint is no longer known": (
        {A: target(R1, moved=True)}, device(peer(A, R1, endpoint=MOVED)), [],
    ),
    "its endpoint is known now": (
        {A: target(R1, endpoint=HERE1)}, device(peer(A, R1)),
        [SetPeer(public_key=A, endpoint=HERE1)],
    ),
    "another keepalive": (
        {A: target(R1, keepalive=0)}, device(peer(A, R1)),
        [SetPeer(public_key=A, persistent_keepalive=0)],
    ),
    "a range more": ({A: target(R1, R2)}, device(peer(A, R1)), [SetPeer(public_key=A, add=(R2,))]),
    "a range less": ({A: target(R1)}, device(peer(A, R1, R2)),
                     [SetPeer(public_key=A, remove=(R2,))]),
    "a range moves, and is taken from nobody": (
        {A: target(R1), B: target(R2)}, device(peer(A, R1, R2), peer(B)),
        [SetPeer(public_key=B, add=(R2,))],
    ),
    "one comes, another goes": (
        {A: target(R2)}, device(peer(A, R1)),
        [SetPeer(public_key=A, add=(R2,)), SetPeer(public_key=A, remove=(R1,))],
    ),
    "a new key takes the ranges before the old one goes": (
        {B: target(R1)}, device(peer(A, R1)),
        [SetPeer(public_key=B, new=True, persistent_keepalive=25, add=(R1,)),
         RemovePeer(public_key=A)],
    ),
    "removals in order": ({}, device(peer(C), peer(A), peer(B)),
                          [RemovePeer(public_key=key) for key in (A, B, C)]),
}  # fmt: skip


@pytest.mark.parametrize(("wanted", "standing", "changes"), CASES.values(), ids=CASES)
def test_peers(wanted: Mapping[str, Target], standing: Device, changes: list[DeviceChange]) -> None:
    """Only the difference is planned: what is given first, then what is taken, then who goes."""
    assert plan_device(wanted, standing, certain=True) == tuple(changes)


def test_while_it_is_not_certain_an_unknown_peer_stays() -> None:
    """Its ranges stay with it, but for those that another peer is given."""
    standing = device(peer(A, R1, R2), peer(B, R3))
    changes = plan_device({C: target(R2)}, standing, certain=False)

    assert [change.public_key for change in changes] == [C]
    assert DeviceModel(fold_device(standing, changes)).holders == {R1: A, R2: C, R3: B}


HOLDERS = st.dictionaries(st.sampled_from(RANGES), st.sampled_from(KEYS))
"""Who has each range: nobody, or one peer."""


@st.composite
def devices(draw: st.DrawFn) -> Device:
    """Return any device."""
    holders = draw(HOLDERS)
    return device(*(
        peer(
            key,
            *(cidr for cidr, holder in holders.items() if holder == key),
            endpoint=draw(st.none() | st.sampled_from(ENDPOINTS)),
            keepalive=draw(st.sampled_from((0, 25))),
        )
        for key in draw(st.sets(st.sampled_from(KEYS)))
    ))  # fmt: skip


@st.composite
def targets(draw: st.DrawFn) -> dict[str, Target]:
    """Return anything that may be wanted."""
    holders = draw(HOLDERS)
    return {
        key: target(
            *(cidr for cidr, holder in holders.items() if holder == key),
            endpoint=draw(st.none() | st.sampled_from(ENDPOINTS)),
            moved=draw(st.booleans()),
            keepalive=draw(st.sampled_from((0, 25))),
        )
        for key in draw(st.permutations(sorted(draw(st.sets(st.sampled_from(KEYS))))))
    }


def expected(key: str, wanted: Target, standing: DevicePeer | None) -> DevicePeer:
    """Return what should become of a peer that is wanted."""
    endpoint = standing.endpoint if standing else None
    if wanted.endpoint and (wanted.moved or endpoint is None):
        endpoint = wanted.endpoint
    return peer(key, *wanted.ranges, endpoint=endpoint, keepalive=wanted.persistent_keepalive)


@given(wanted=targets(), standing=devices(), certain=st.booleans())
def test_what_is_wanted_stands_after_the_plan(
    wanted: dict[str, Target], standing: Device, *, certain: bool
) -> None:
    """On the model of the kernel, whatever stood before; and then there is nothing left to do."""
    model = DeviceModel(standing)
    model.apply(plan_device(wanted, standing, certain=certain))
    found = model.device()

    for key, one in wanted.items():
        assert found.peers[key] == expected(key, one, standing.peers.get(key))
    given_away = frozenset[str]().union(*(one.ranges for one in wanted.values()))
    for key in standing.peers.keys() - wanted.keys():
        left = standing.peers[key].allowed_ips - given_away
        assert found.peers.get(key) == (
            None if certain else msgspec.structs.replace(standing.peers[key], allowed_ips=left)
        )
    assert found.peers.keys() <= wanted.keys() | standing.peers.keys()
    assert plan_device(wanted, found, certain=certain) == ()


@given(wanted=targets(), standing=devices(), certain=st.booleans())
def test_no_packet_finds_nobody(
    wanted: dict[str, Target], standing: Device, *, certain: bool
) -> None:
    """A range that has a peer before and after has one in every moment between."""
    model = DeviceModel(standing)
    lasting = model.holders.keys() & {cidr for one in wanted.values() for cidr in one.ranges}
    without: list[set[str]] = []
    model.apply(
        plan_device(wanted, standing, certain=certain),
        lambda: without.append(lasting - model.holders.keys()),
    )

    assert not any(without)


@given(wanted=targets(), standing=devices(), certain=st.booleans())
def test_only_the_changed_peer_is_written(
    wanted: dict[str, Target], standing: Device, *, certain: bool
) -> None:
    """A peer that is as it should be is in no change, and no peer is given what it has."""
    model = DeviceModel(standing)
    changes = plan_device(wanted, standing, certain=certain)
    model.apply(changes)
    after = model.device()
    same = {key for key in standing.peers if after.peers.get(key) == standing.peers[key]}

    assert same.isdisjoint(model.written)
    for change in changes:
        before = standing.peers.get(change.public_key)
        if isinstance(change, SetPeer) and before:
            assert before.allowed_ips.isdisjoint(change.add)
            assert before.allowed_ips >= frozenset(change.remove)
            assert not change.new


@given(
    standing=devices(),
    wanted=targets(),
    gone=st.lists(st.sampled_from(KEYS)),
    certain=st.booleans(),
)
def test_folding_is_what_the_kernel_does(
    standing: Device, wanted: dict[str, Target], gone: list[str], *, certain: bool
) -> None:
    """After each change of a plan, and of changes that come too late, fold and model agree."""
    model, folded = DeviceModel(standing), standing
    late = [SetPeer(public_key=key, add=(R1,), remove=(R1, R2)) for key in gone]
    plan = plan_device(wanted, standing, certain=certain)
    for change in (*plan, *(RemovePeer(public_key=key) for key in gone), *late):
        model.apply((change,))
        folded = fold_device(folded, (change,))
        assert folded.peers == model.device().peers


OWN1, OWN2, OWN6 = "10.200.0.1/32", "10.200.0.2/32", "fd00:200::1/128"


def interface(
    *addresses: str, mtu: int = 1420, up: bool = True, routes: frozenset[Route] = frozenset()
) -> Interface:
    """Return an interface."""
    return Interface(mtu=mtu, up=up, addresses=frozenset(addresses), routes=routes)


def way(cidr: str, source: str | None = None) -> Route:
    """Return a route."""
    return Route(destination=cidr, source=source)


INTERFACES: dict[str, tuple[Interface, Interface, list[InterfaceChange]]] = {
    # case                  wanted, standing, changes
    "as it should be": (interface(OWN1), interface(OWN1), []),
    "new": (
        interface(OWN1, routes=routes_of([R2, R1], [OWN1])), interface(mtu=1500, up=False),
        [SetMtu(1420), AddAddress(OWN1), SetUp(),
         AddRoute(way(R1, "10.200.0.1")), AddRoute(way(R2, "10.200.0.1"))],
    ),
    "another address": (
        interface(OWN2, routes=routes_of([R1], [OWN2])),
        interface(OWN1, routes=routes_of([R1], [OWN1])),
        [AddAddress(OWN2), AddRoute(way(R1, "10.200.0.2")), RemoveAddress(OWN1)],
    ),
    "a route goes": (
        interface(OWN1), interface(OWN1, routes=routes_of([R1], [OWN1])),
        [RemoveRoute(way(R1, "10.200.0.1"))],
    ),
    "somebody took it down": (interface(OWN1), interface(OWN1, up=False), [SetUp()]),
}  # fmt: skip


@pytest.mark.parametrize(("wanted", "standing", "changes"), INTERFACES.values(), ids=INTERFACES)
def test_the_interface(
    wanted: Interface, standing: Interface, changes: list[InterfaceChange]
) -> None:
    """Only the difference is planned; routes come after the address that is their source."""
    assert plan_interface(wanted, standing) == tuple(changes)


def test_a_route_has_our_address_of_its_family_as_source() -> None:
    """One of a family in which we have no address gets whatever the kernel picks."""
    assert routes_of([R1, R3], [OWN1]) == {way(R1, "10.200.0.1"), way(R3)}
    assert routes_of([R1, R3], [OWN6]) == {way(R1), way(R3, "fd00:200::1")}
    assert routes_of([], [OWN1]) == frozenset()


@st.composite
def interfaces(draw: st.DrawFn) -> Interface:
    """Return any interface that the kernel could have."""
    addresses = draw(st.sets(st.sampled_from((OWN1, OWN2, OWN6))))
    sources = st.none() | st.sampled_from(
        [one.partition("/")[0] for one in sorted(addresses)] or [None]
    )
    routes = draw(st.dictionaries(st.sampled_from(RANGES), sources))
    return interface(
        *addresses,
        mtu=draw(st.sampled_from((1280, 1420))),
        up=draw(st.booleans()),
        routes=frozenset(way(cidr, source) for cidr, source in routes.items()),
    )


@st.composite
def wanted_interfaces(draw: st.DrawFn) -> Interface:
    """Return any interface that an agent may want."""
    address = draw(st.sampled_from((OWN1, OWN2, OWN6)))
    ranges = draw(st.sets(st.sampled_from(RANGES)))
    return interface(
        address, mtu=draw(st.sampled_from((1280, 1420))), routes=routes_of(ranges, [address])
    )


@given(wanted_interfaces(), interfaces())
def test_the_interface_is_what_is_wanted_after_the_plan(
    wanted: Interface, standing: Interface
) -> None:
    """The kernel takes every change, in every moment a lasting route is there; then all is done."""
    model, lost = InterfaceModel(standing), set[str]()
    lasting = {r.destination for r in wanted.routes} & {r.destination for r in standing.routes}
    model.apply(
        plan_interface(wanted, standing), lambda: lost.update(lasting - model.routes.keys())
    )

    assert (model.interface(), lost) == (wanted, set())
    assert plan_interface(wanted, model.interface()) == ()


@given(wanted_interfaces(), interfaces())
def test_folding_an_interface_is_what_the_kernel_does(
    wanted: Interface, standing: Interface
) -> None:
    """After each change of a plan, fold and model agree."""
    model, folded = InterfaceModel(standing), standing
    for change in plan_interface(wanted, standing):
        model.apply((change,))
        folded = fold_interface(folded, (change,))
        assert folded == model.interface()
