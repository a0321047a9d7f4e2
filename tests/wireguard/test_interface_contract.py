"""One contract for every interface: of wireguard-go, of the kernel, and of another kind."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from heliograph.wireguard.errors import TunnelBusy, TunnelError
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
from heliograph.wireguard.links import LinkInterface
from tests.support.apart import apart
from tests.support.networks import ip, kernel_link, pair, tun, userspace_link

MakeLink = Callable[[], AbstractAsyncContextManager[LinkInterface]]

links = pytest.mark.parametrize(
    "link_of",
    [
        pytest.param(pair, id="veth"),
        pytest.param(tun, id="tun"),
        pytest.param(userspace_link, id="wireguard-go"),
        pytest.param(kernel_link, id="kernel", marks=pytest.mark.wireguard_kernel),
    ],
)

V4, V6 = "100.64.7.9/32", "fd64::9/128"


async def up(link: LinkInterface, *more: InterfaceChange) -> Interface:
    await link.apply([AddAddress(V4), AddAddress(V6), SetUp(), *more])
    found = await link.read()
    assert found is not None
    return found


@links
@apart
async def test_a_bare_interface(link_of: MakeLink) -> None:
    """A new interface has an MTU, and neither addresses nor routes of ours."""
    async with link_of() as link:
        found = await link.read()

    assert found is not None
    assert found.mtu > 1000
    assert (found.addresses, found.routes) == (frozenset(), frozenset())


@apart
async def test_no_interface() -> None:
    """An interface that does not stand is None to read, busy to change, and fine to remove."""
    link = LinkInterface("wg0")

    assert await link.read() is None
    with pytest.raises(TunnelBusy, match="no interface wg0"):
        await link.apply([SetUp()])
    await link.remove()
    link.close()


@links
@apart
async def test_everything_at_once(link_of: MakeLink) -> None:
    """MTU, addresses, up and routes of both families are set in one call, and read again."""
    routes = {
        Route(destination="10.1.0.0/16", source="100.64.7.9"),
        Route(destination="10.2.0.0/16"),
        Route(destination="fd01::/48", source="fd64::9"),
        Route(destination="fd02::/48"),
    }
    async with link_of() as link:
        found = await up(link, SetMtu(1380), *map(AddRoute, routes))

    assert found == Interface(
        mtu=1380, up=True, addresses=frozenset({V4, V6}), routes=frozenset(routes)
    )


@links
@apart
async def test_once_more_changes_nothing(link_of: MakeLink) -> None:
    """What is there already, or gone already, is no error."""
    route = Route(destination="10.1.0.0/16", source="100.64.7.9")
    other = Route(destination="fd01::/48")
    async with link_of() as link:
        once = await up(link, SetMtu(1380), AddRoute(route), AddRoute(other))
        twice = await up(link, SetMtu(1380), AddRoute(route), AddRoute(other))
        await link.apply([RemoveRoute(route), RemoveRoute(other), RemoveAddress(V4)])
        await link.apply([RemoveRoute(route), RemoveRoute(other), RemoveAddress(V4)])
        rest = await link.read()

    assert twice == once
    assert rest == Interface(mtu=1380, up=True, addresses=frozenset({V6}))


@pytest.mark.parametrize(
    ("destination", "source"),
    [("10.1.0.0/16", "100.64.7.9"), ("fd01::/48", "fd64::9")],
    ids=["IPv4", "IPv6"],
)
@links
@apart
async def test_the_source_of_our_route_changes(
    link_of: MakeLink, destination: str, source: str
) -> None:
    """A route of ours gets another source in place."""
    bare, with_source = (
        Route(destination=destination),
        Route(destination=destination, source=source),
    )
    async with link_of() as link:
        first = await up(link, AddRoute(bare))
        second = await up(link, AddRoute(with_source))

    assert first.routes == {bare}
    assert second.routes == {with_source}


@pytest.mark.parametrize("destination", ["10.1.0.0/16", "fd01::/48"], ids=["IPv4", "IPv6"])
@links
@apart
async def test_a_foreign_route_is_not_replaced(link_of: MakeLink, destination: str) -> None:
    """A route of somebody else stays, the error names it, and what was asked besides is done."""
    async with link_of() as link, pair("other") as other:
        await up(link)
        await other.apply([SetUp()])
        await ip("route", "add", destination, "dev", "other")
        wanted = Route(destination="10.9.0.0/16")

        with pytest.raises(TunnelError, match=rf"{destination}.*a route by other"):
            await link.apply([AddRoute(Route(destination=destination)), AddRoute(wanted)])

        found = await link.read()
        assert found is not None
        assert found.routes == {wanted}
        assert "dev other" in await ip("route", "show", destination, of=destination)


@links
@apart
async def test_foreign_routes_through_our_interface_are_not_ours(link_of: MakeLink) -> None:
    """A route without our protocol number is neither read nor removed, though by our interface."""
    async with link_of() as link:
        await up(link)
        await ip("route", "add", "10.3.0.0/16", "dev", link.name, "protocol", "static")
        await link.apply([RemoveRoute(Route(destination="10.3.0.0/16"))])
        found = await link.read()

        assert found is not None
        assert found.routes == frozenset()
        assert link.name in await ip("route", "show", "10.3.0.0/16")
