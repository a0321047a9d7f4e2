"""Ranges and addresses as texts: read quickly, and as Python's library reads them."""

from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from heliograph.ranges import canonical
from heliograph.wireguard.notation import is_ip

ADDRESSES = st.ip_addresses().map(str) | st.sampled_from(
    (
        "010.0.0.1",
        "1.2.3",
        "::ffff:1.2.3.4",
        "fe80::1%eth0",
        "1.2.3.4 ",
        "\u0661.2.3.4",
        "",
        "0x1.2.3.4",
    )
)
RANGES = st.tuples(ADDRESSES, st.integers(0, 140) | st.sampled_from(("08", "+8", "255.0.0.0", "")))
NOISE = st.text(alphabet="0123456789abcdef.:/% ", max_size=20)


@given(RANGES.map(lambda pair: f"{pair[0]}/{pair[1]}") | ADDRESSES | NOISE)
def test_a_range_has_the_form_that_pythons_library_gives_it(text: str) -> None:
    """The same form, and the same texts that are none."""
    try:
        expected = str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        expected = None
    assert canonical(text) == expected


@given(ADDRESSES | NOISE)
def test_an_address_is_one_for_pythons_library_too(text: str) -> None:
    """Of its version, and without a zone."""
    for version in (4, 6):
        try:
            expected = "%" not in text and ipaddress.ip_address(text).version == version
        except ValueError:
            expected = False
        assert is_ip(text, version) is expected
