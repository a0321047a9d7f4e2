"""What Kilo's agent checks of a Peer; it ignores, without a word, one that breaks a rule. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from heliograph.contract.names import is_dns_subdomain
from heliograph.kilo.addresses import parse_address, parse_cidr
from heliograph.kilo.peer import PeerEndpoint, PeerSpec
from heliograph.wireguard.notation import parse_public_key

_MAX_PORT = 65535


def why_invalid(spec: PeerSpec) -> str | None:
    """Return why Kilo would not take a Peer, as a sentence; None if it would.

    The rules are those of Kilo's agent and of its webhook, and one more: a preshared key that does
    not parse is an error, where Kilo drops it and runs the tunnel without.
    """
    return next(_faults(spec), None)


def _faults(spec: PeerSpec) -> Iterator[str]:
    if not spec.allowed_ips:
        yield "allowedIPs is empty: at least one range is needed."
    for cidr in spec.allowed_ips:
        if parse_cidr(cidr) is None:
            yield f"allowedIPs: {cidr!r} is no range of addresses with a mask."
    if parse_public_key(spec.public_key) is None:
        yield "publicKey is not base64 of 32 bytes, or all of them are zero."
    if spec.endpoint is not None:
        yield from _endpoint_faults(spec.endpoint)
    if spec.persistent_keepalive < 0:
        yield f"persistentKeepalive is negative: {spec.persistent_keepalive}."
    if spec.preshared_key and parse_public_key(spec.preshared_key) is None:
        yield "presharedKey is not base64 of 32 bytes, or all of them are zero."


def _endpoint_faults(endpoint: PeerEndpoint) -> Iterator[str]:
    host = endpoint.dns_or_ip
    if not (host.dns or host.ip):
        yield "endpoint.dnsOrIP has neither dns nor ip."
    if host.dns and not is_dns_subdomain(host.dns):
        yield f"endpoint.dnsOrIP.dns: {host.dns!r} is no DNS name in lower case."
    if host.ip and parse_address(host.ip) is None:
        yield f"endpoint.dnsOrIP.ip: {host.ip!r} is no address."
    if not 1 <= endpoint.port <= _MAX_PORT:
        yield f"endpoint.port is not from 1 to {_MAX_PORT}: {endpoint.port}."
