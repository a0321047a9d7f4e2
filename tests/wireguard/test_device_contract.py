"""One contract for every device: of wireguard-go, of an older wireguard-go, and of the kernel."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from heliograph.wireguard.device import DeviceBackend, DevicePeer, RemovePeer, SetPeer
from heliograph.wireguard.errors import TunnelBusy, TunnelError
from heliograph.wireguard.keys import PrivateKey
from tests.support.apart import apart
from tests.support.wireguard import (
    cut_off,
    kernel,
    old_userspace,
    remove_link,
    some_key,
    userspace,
)

MakeDevice = Callable[[], AbstractAsyncContextManager[DeviceBackend]]

KINDS = [
    pytest.param(userspace, id="wireguard-go"),
    pytest.param(old_userspace, id="old wireguard-go"),
    pytest.param(kernel, id="kernel", marks=pytest.mark.wireguard_kernel),
]
devices = pytest.mark.parametrize("device_of", KINDS)

A, B, C = some_key(1), some_key(2), some_key(3)


async def ranges(device: DeviceBackend) -> dict[str, set[str]]:
    return {key: set(peer.allowed_ips) for key, peer in (await device.read()).peers.items()}


@devices
@apart
async def test_a_new_device_is_empty(device_of: MakeDevice) -> None:
    """Before anything is set, there is no key and no peer."""
    async with device_of() as device:
        found = await device.read()

    assert (found.public_key, found.peers) == (None, {})


@devices
@apart
async def test_key_and_port(device_of: MakeDevice) -> None:
    """The device tells its public key and port; peers stay when these change."""
    first, second = PrivateKey.generate(), PrivateKey.generate()
    async with device_of() as device:
        await device.configure(first, 51820)
        await device.apply([SetPeer(public_key=A, new=True, add=("10.1.0.0/24",))])
        before = await device.read()
        await device.configure(second, 51821)
        after = await device.read()

    assert (before.public_key, before.listen_port) == (first.public, 51820)
    assert (after.public_key, after.listen_port) == (second.public, 51821)
    assert after.peers == before.peers


@devices
@apart
async def test_a_peer_with_everything(device_of: MakeDevice) -> None:
    """What is set is what is read: endpoint, keepalive, ranges of both families."""
    ranges_of_a = ("10.1.0.0/24", "192.0.2.7/32", "fd00:1::/64", "2001:db8::ffff:1:2/128")
    change = SetPeer(
        public_key=A,
        new=True,
        endpoint="192.0.2.1:51820",
        persistent_keepalive=25,
        add=ranges_of_a,
    )
    async with device_of() as device:
        await device.configure(PrivateKey.generate(), 51820)
        await device.apply([change])
        found = (await device.read()).peers[A]

    assert found == DevicePeer(
        public_key=A,
        endpoint="192.0.2.1:51820",
        persistent_keepalive=25,
        allowed_ips=frozenset(ranges_of_a),
        tx_bytes=found.tx_bytes,  # a keepalive may be on its way
    )


@devices
@apart
async def test_an_endpoint_of_ipv6(device_of: MakeDevice) -> None:
    """An IPv6 endpoint comes back in brackets."""
    async with device_of() as device:
        await device.apply([SetPeer(public_key=A, new=True, endpoint="[2001:db8::1]:7")])
        found = (await device.read()).peers[A]

    assert found.endpoint == "[2001:db8::1]:7"


@devices
@apart
async def test_what_is_not_named_stays(device_of: MakeDevice) -> None:
    """A range added to a peer touches neither its endpoint and keepalive nor other ranges."""
    async with device_of() as device:
        await device.apply(
            [
                SetPeer(
                    public_key=A,
                    new=True,
                    endpoint="192.0.2.1:5",
                    persistent_keepalive=25,
                    add=("10.1.0.0/24",),
                ),
                SetPeer(public_key=B, new=True, add=("10.2.0.0/24",)),
            ]
        )
        before = await device.read()
        await device.apply([SetPeer(public_key=A, add=("10.3.0.0/24",))])
        after = await device.read()

    assert after.peers[B] == before.peers[B]
    assert after.peers[A].endpoint == "192.0.2.1:5"
    assert after.peers[A].persistent_keepalive == 25
    assert after.peers[A].allowed_ips == {"10.1.0.0/24", "10.3.0.0/24"}


@devices
@apart
async def test_a_range_moves_in_one_step(device_of: MakeDevice) -> None:
    """A range that another peer gets is no longer the first one's."""
    async with device_of() as device:
        await device.apply(
            [
                SetPeer(public_key=A, new=True, add=("10.1.0.0/24", "10.2.0.0/24")),
                SetPeer(public_key=B, new=True),
            ]
        )
        await device.apply([SetPeer(public_key=B, add=("10.1.0.0/24",))])

        assert await ranges(device) == {A: {"10.2.0.0/24"}, B: {"10.1.0.0/24"}}


@devices
@apart
async def test_one_of_several_ranges_is_removed(device_of: MakeDevice) -> None:
    """A removed range is nobody's, others stay, and no other peer is left behind."""
    async with device_of() as device:
        await device.apply(
            [
                SetPeer(public_key=A, new=True, add=("10.1.0.0/24", "10.2.0.0/24", "fd00::/64")),
                SetPeer(public_key=B, new=True, add=("10.3.0.0/24",)),
            ]
        )
        await device.apply([SetPeer(public_key=A, add=("10.4.0.0/24",), remove=("10.1.0.0/24",))])
        await device.apply([SetPeer(public_key=A, remove=("fd00::/64",))])

        assert await ranges(device) == {A: {"10.2.0.0/24", "10.4.0.0/24"}, B: {"10.3.0.0/24"}}


@devices
@apart
async def test_a_range_that_moved_is_not_removed_from_its_new_holder(
    device_of: MakeDevice,
) -> None:
    """Add before delete: taking a range from its old holder leaves it with the new one."""
    async with device_of() as device:
        await device.apply([SetPeer(public_key=A, new=True, add=("10.1.0.0/24", "10.2.0.0/24"))])
        await device.apply(
            [
                SetPeer(public_key=B, new=True, add=("10.1.0.0/24",)),
                SetPeer(public_key=A, remove=("10.1.0.0/24", "10.2.0.0/24")),
                SetPeer(public_key=C, new=True, add=("10.2.0.0/24",)),
            ]
        )

        assert await ranges(device) == {A: set(), B: {"10.1.0.0/24"}, C: {"10.2.0.0/24"}}


@devices
@apart
async def test_peers_that_are_gone_are_not_made_anew(device_of: MakeDevice) -> None:
    """Changing or removing a peer that does not stand is no error, and makes none."""
    async with device_of() as device:
        await device.apply([SetPeer(public_key=A, new=True)])
        await device.apply([SetPeer(public_key=B, add=("10.1.0.0/24",)), RemovePeer(public_key=C)])
        await device.apply([SetPeer(public_key=B, remove=("10.1.0.0/24",))])

        assert await ranges(device) == {A: set()}


@devices
@apart
async def test_a_removed_peer_takes_its_ranges_along(device_of: MakeDevice) -> None:
    """Removing a peer leaves the others as they are."""
    async with device_of() as device:
        await device.apply(
            [
                SetPeer(public_key=A, new=True, add=("10.1.0.0/24",)),
                SetPeer(public_key=B, new=True, add=("10.2.0.0/24",)),
            ]
        )
        await device.apply([RemovePeer(public_key=A)])

        assert await ranges(device) == {B: {"10.2.0.0/24"}}


@devices
@apart
async def test_a_peer_with_thousands_of_ranges(device_of: MakeDevice) -> None:
    """4,000 ranges of one peer go in and come out again whole, and so do those left of them."""
    many = tuple(f"10.{i // 256}.{i % 256}.0/24" for i in range(3000))
    many += tuple(f"fd00:{i:x}::/32" for i in range(1, 1001))
    async with device_of() as device:
        await device.apply(
            [
                SetPeer(public_key=A, new=True, endpoint="192.0.2.1:5", add=many),
                SetPeer(public_key=B, new=True, add=("192.0.2.0/24",)),
            ]
        )
        whole = await ranges(device)
        await device.apply([SetPeer(public_key=A, remove=many[1500:3500])])
        rest = await ranges(device)

    assert whole == {A: set(many), B: {"192.0.2.0/24"}}
    assert rest == {A: {*many[:1500], *many[3500:]}, B: {"192.0.2.0/24"}}


@devices
@apart
async def test_a_thousand_peers(device_of: MakeDevice) -> None:
    """1,000 peers with three ranges each stand after one call, and only they."""
    wanted = {
        some_key(number + 1): {
            f"10.{number // 256}.{number % 256}.0/24",
            f"100.64.{number // 256}.{number % 256}/32",
            f"fd00:{number + 1:x}::/64",
        }
        for number in range(1000)
    }
    async with device_of() as device:
        await device.apply(
            [
                SetPeer(public_key=key, new=True, endpoint="192.0.2.1:5", add=tuple(sorted(cidrs)))
                for key, cidrs in wanted.items()
            ]
        )

        assert await ranges(device) == wanted


@devices
@apart
async def test_the_same_changes_twice(device_of: MakeDevice) -> None:
    """Carrying the same changes out once more changes nothing."""
    changes = [
        SetPeer(public_key=A, new=True, endpoint="192.0.2.1:5", add=("10.1.0.0/24",)),
        SetPeer(public_key=B, new=True, add=("10.2.0.0/24",), remove=("10.3.0.0/24",)),
    ]
    async with device_of() as device:
        await device.apply(changes)
        once = await device.read()
        await device.apply(changes)

        assert (await device.read()) == once


@devices
@apart
async def test_no_changes_at_all(device_of: MakeDevice) -> None:
    """An empty plan is carried out."""
    async with device_of() as device:
        await device.apply([])

        assert (await device.read()).peers == {}


@pytest.mark.parametrize(
    "bad",
    [
        SetPeer(public_key=A, new=True, endpoint="peer.example:51820"),
        SetPeer(public_key=A, new=True, endpoint="192.0.2.1:70000"),
        SetPeer(public_key=A, new=True, endpoint="192.0.2.1:5\nprivate_key=00"),
        SetPeer(public_key=A, new=True, add=("10.0.0.1/24",)),
        SetPeer(public_key=A, new=True, add=("10.0.0.0/33",)),
        SetPeer(public_key="tooshort", new=True),
    ],
    ids=["name", "port", "line", "host bits", "mask", "key"],
)
@devices
@apart
async def test_malformed_facts_are_refused(device_of: MakeDevice, bad: SetPeer) -> None:
    """Facts that no device takes raise a TunnelError, and peers before them may stand."""
    async with device_of() as device:
        with pytest.raises(TunnelError):
            await device.apply([bad])

        assert (await device.read()).peers == {}


@devices
@apart
async def test_the_interface_is_deleted_under_us(device_of: MakeDevice) -> None:
    """Reading and changing a device that is gone says so, in an error that may pass."""
    async with device_of() as device:
        await device.apply([SetPeer(public_key=A, new=True)])
        await remove_link("wg0")

        with pytest.raises(TunnelBusy):
            await device.read()
        with pytest.raises(TunnelBusy):
            await device.apply([SetPeer(public_key=A, new=True)])
        with pytest.raises(TunnelBusy):
            await device.configure(PrivateKey.generate(), 51820)


@devices
@apart
async def test_a_reader_that_gave_up_disturbs_nobody(device_of: MakeDevice) -> None:
    """After a call was cancelled in the middle, the next one gets its own answer."""
    async with device_of() as device:
        await device.apply([SetPeer(public_key=A, new=True, add=("10.1.0.0/24",))])
        await cut_off(device.read())
        await cut_off(device.apply([SetPeer(public_key=A, add=("10.2.0.0/24",))]))
        await device.apply([SetPeer(public_key=B, new=True)])
        found = await ranges(device)

    assert found.keys() == {A, B}
    assert "10.1.0.0/24" in found[A]
