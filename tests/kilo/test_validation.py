"""Kilo's own rules for Peers: what breaks one is ignored by its agent without a word."""

from __future__ import annotations

from typing import Any

import pytest

from heliograph.kilo.peer import DNSOrIP, PeerEndpoint, PeerSpec
from heliograph.kilo.validation import why_invalid
from tests.support.builders import KEY

ZEROS = "A" * 43 + "="


def peer(**fields: Any) -> PeerSpec:  # noqa: ANN401 - of a PeerSpec
    return PeerSpec(**({"allowed_ips": ("10.42.0.0/24",), "public_key": KEY} | fields))


def at(port: int = 51820, **host: str) -> dict[str, PeerEndpoint]:
    return {"endpoint": PeerEndpoint(dns_or_ip=DNSOrIP(**host), port=port)}


VALID = {
    "least": peer(),
    "host bits": peer(allowed_ips=("10.45.3.9/16", "fd00::5/64")),
    "an address": peer(**at(ip="203.0.113.1")),
    "an IPv6 address": peer(**at(ip="2001:db8::1")),
    "a name": peer(**at(dns="gw.example.com")),
    "both, of which the name counts": peer(**at(dns="gw", ip="203.0.113.1", port=65535)),
    "keepalive": peer(persistent_keepalive=25),
    "preshared key": peer(preshared_key=KEY),
}
INVALID = {
    "no range": (peer(allowed_ips=()), "allowedIPs is empty"),
    "a range without mask": (peer(allowed_ips=("10.44.3.0",)), "'10.44.3.0' is no range"),
    "a range that is none": (peer(allowed_ips=("10.0.0.0/33",)), "'10.0.0.0/33' is no range"),
    "a range with a zone": (peer(allowed_ips=("fe80::%1/64",)), "is no range"),
    "no key": (peer(public_key=""), "publicKey is not base64"),
    "a key of zeros": (peer(public_key=ZEROS), "publicKey is not base64"),
    "no host": (peer(**at()), "has neither dns nor ip"),
    "a bad name": (peer(**at(dns="GW")), "'GW' is no DNS name"),
    "a bad address": (peer(**at(dns="gw", ip="<nil>")), "'<nil>' is no address"),
    "an address with a zone": (peer(**at(ip="fe80::1%eth0")), "is no address"),
    "no port": (peer(**at(ip="203.0.113.1", port=0)), "not from 1 to 65535: 0"),
    "a port too high": (peer(**at(ip="203.0.113.1", port=65536)), "not from 1 to 65535: 65536"),
    "negative keepalive": (peer(persistent_keepalive=-1), "persistentKeepalive is negative: -1"),
    "a bad preshared key": (peer(preshared_key="short"), "presharedKey is not base64"),
    "what kgctl prints of a name": (peer(**at(dns="51821", ip="<nil>")), "'<nil>' is no address"),
}


@pytest.mark.parametrize("spec", VALID.values(), ids=VALID)
def test_what_kilo_takes(spec: PeerSpec) -> None:
    """Whatever keeps the rules."""
    assert why_invalid(spec) is None


@pytest.mark.parametrize(("spec", "why"), INVALID.values(), ids=INVALID)
def test_what_kilo_ignores(spec: PeerSpec, why: str) -> None:
    """The first broken rule, in one sentence."""
    found = why_invalid(spec)
    assert found is not None
    assert why in found
    assert found.endswith(".")


def test_no_key_is_told() -> None:
    """A preshared key that does not parse is still a secret."""
    assert "s3cret" not in str(why_invalid(peer(preshared_key="s3cret")))
