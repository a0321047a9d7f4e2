"""What is folded without asking again is what really stands, on each kind of device."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from heliograph.wireguard.device import (
    Device,
    DeviceBackend,
    DeviceChange,
    DevicePeer,
    RemovePeer,
    SetPeer,
)
from heliograph.wireguard.fold import fold_device
from tests.support.apart import apart
from tests.support.device_model import DeviceModel
from tests.support.wireguard import kernel, old_userspace, some_key, userspace

MakeDevice = Callable[[], AbstractAsyncContextManager[DeviceBackend]]

KINDS = [
    pytest.param(userspace, id="wireguard-go"),
    pytest.param(old_userspace, id="old wireguard-go"),
    pytest.param(kernel, id="kernel", marks=pytest.mark.wireguard_kernel),
]
KEYS = tuple(some_key(number) for number in range(1, 5))
RANGES = (
    "10.1.1.0/24",
    "10.1.1.0/25",
    "10.2.0.0/16",
    "192.0.2.7/32",
    "fd00:3::/64",
    "fd00:3::1/128",
)
ENDPOINTS = (None, "192.0.2.1:51820", "[2001:db8::1]:7")
CHANGES = 150


def some_changes(dice: random.Random) -> list[DeviceChange]:
    """Return changes of a few peers that often want the same ranges."""
    return [some_change(dice) for _ in range(dice.randint(1, 4))]


def some_change(dice: random.Random) -> DeviceChange:
    """Return a change that may concern a peer that does not stand."""
    key = dice.choice(KEYS)
    if dice.random() < 0.2:
        return RemovePeer(public_key=key)
    ranges = dice.sample(RANGES, dice.randint(0, 4))
    cut = dice.randint(0, len(ranges))
    return SetPeer(
        public_key=key,
        new=dice.random() < 0.6,
        endpoint=dice.choice(ENDPOINTS),
        persistent_keepalive=dice.choice((None, 0, 25)),
        add=tuple(ranges[:cut]),
        remove=tuple(ranges[cut:]),
    )


def forms(device: Device) -> dict[str, tuple[object, ...]]:
    """Return the peers without their counters."""

    def form(peer: DevicePeer) -> tuple[object, ...]:
        return peer.endpoint, peer.persistent_keepalive, peer.allowed_ips

    return {key: form(peer) for key, peer in device.peers.items()}


@pytest.mark.parametrize("device_of", KINDS)
@pytest.mark.parametrize("seed", range(3))
@apart
async def test_device_fold_and_model_agree(device_of: MakeDevice, seed: int) -> None:
    """After each of many random changes, also of peers that are gone and of ranges of others."""
    dice = random.Random(seed)  # noqa: S311 - no secret
    async with device_of() as device:
        folded = await device.read()
        model = DeviceModel(folded)
        for _ in range(CHANGES):
            changes = some_changes(dice)
            await device.apply(changes)
            model.apply(changes)
            folded = fold_device(folded, changes)
            found = forms(await device.read())
            assert found == forms(folded), changes
            assert found == forms(model.device()), changes
