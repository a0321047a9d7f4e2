"""Taking ranges away on a device that has no word for it: the same effect, by a passing peer."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from heliograph.wireguard.device import Device, DeviceChange, DevicePeer, RemovePeer, SetPeer
from heliograph.wireguard.removal import by_carrier, removes_ranges
from tests.support.device_model import DeviceModel
from tests.support.wireguard import some_key

KEYS = tuple(map(some_key, (1, 2, 3)))
CARRIER = some_key(99)
RANGES = ("10.1.1.0/24", "10.1.2.0/24", "fd00:3::/64")
SOME = st.lists(st.sampled_from(RANGES), unique=True, max_size=2).map(tuple)

CHANGES = st.lists(
    st.one_of(
        st.builds(RemovePeer, public_key=st.sampled_from(KEYS)),
        st.builds(
            SetPeer,
            public_key=st.sampled_from(KEYS),
            new=st.booleans(),
            add=SOME,
            remove=SOME,
        ).filter(lambda change: not set(change.add) & set(change.remove)),
    ),
    max_size=6,
)


@st.composite
def devices(draw: st.DrawFn) -> Device:
    """Return any device."""
    holders = draw(st.dictionaries(st.sampled_from(RANGES), st.sampled_from(KEYS)))
    return Device(
        peers={
            key: DevicePeer(
                public_key=key,
                allowed_ips=frozenset(cidr for cidr, holder in holders.items() if holder == key),
            )
            for key in draw(st.sets(st.sampled_from(KEYS)))
        }
    )


TOO_LATE = [
    SetPeer(public_key=KEYS[0], new=True, add=RANGES[:2]),
    SetPeer(public_key=KEYS[1], add=(RANGES[1],)),  # it does not stand, so it gets nothing
    SetPeer(public_key=KEYS[0], remove=(RANGES[1],)),
]


@given(CHANGES, devices())
@example(TOO_LATE, Device())
def test_a_carrier_has_the_same_effect(changes: list[DeviceChange], standing: Device) -> None:
    """Without a single removal of ranges, all stands as it would with them, and no carrier does."""
    plain, carried = DeviceModel(standing), DeviceModel(standing)
    plain.apply(changes)
    without = by_carrier(changes, standing, CARRIER)
    carried.apply(without)

    assert not removes_ranges(without)
    assert carried.device() == plain.device()
