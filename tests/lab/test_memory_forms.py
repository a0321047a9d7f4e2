"""How the in-memory server words ages, reads protobuf and gives out ports."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from heliograph.lab.memory.addresses import AddressPool, PortPool
from heliograph.lab.memory.columns import age
from heliograph.lab.memory.protobuf import decode_protobuf
from heliograph.lab.memory.status import StatusError

NOW = datetime(2026, 1, 1, tzinfo=UTC)

AGES = {
    -5: "0s",
    0: "0s",
    119: "119s",
    120: "2m",
    185: "3m5s",
    600: "10m",
    10_799: "179m",
    10_800: "3h",
    15_000: "4h10m",
    28_800: "8h",
    172_799: "47h",
    172_800: "2d",
    180_000: "2d2h",
    691_200: "8d",
    63_072_000: "2y",
}


@pytest.mark.parametrize(("seconds", "words"), AGES.items(), ids=map(str, AGES))
def test_ages_are_worded_as_kubectl_does(seconds: int, words: str) -> None:
    """Two units where both matter, one where one will do."""
    since = (NOW - timedelta(seconds=seconds)).isoformat()

    assert age(since, NOW) == words


def test_an_unknown_age_is_said_to_be() -> None:
    """Without a time there is no age."""
    assert age(None, NOW) == "<unknown>"


def field(number: int, value: bytes | int) -> bytes:
    """Return one protobuf field: a varint, or bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(value: int) -> bytes:
    """Return a number in base 128, the low digits first."""
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def envelope(kind: bytes, raw: bytes) -> bytes:
    """Return an object as kubectl sends it."""
    return b"k8s\x00" + field(1, field(1, b"v1") + field(2, kind)) + field(2, raw)


def test_a_service_is_read_from_protobuf() -> None:
    """Texts, numbers, lists, maps and either-or members; what is empty is left out."""
    label = field(1, b"app") + field(2, b"cart")
    metadata = field(1, b"cart") + field(3, b"") + field(11, label) + field(14, b"x.example/y")
    number = field(1, 0) + field(2, 8080) + field(3, b"")
    name = field(1, 1) + field(2, 0) + field(3, b"http")
    ports = [
        field(1, b"a") + field(2, b"TCP") + field(3, 80) + field(4, number) + field(5, 0),
        field(1, b"b") + field(3, 443) + field(4, name),
    ]
    spec = b"".join(field(1, p) for p in ports) + field(20, 0) + field(99, b"unknown")
    body = envelope(b"Service", field(1, metadata) + field(2, spec) + field(3, b""))

    assert decode_protobuf(body) == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "cart", "labels": {"app": "cart"}, "finalizers": ["x.example/y"]},
        "spec": {
            "ports": [
                {"name": "a", "protocol": "TCP", "port": 80, "targetPort": 8080},
                {"name": "b", "port": 443, "targetPort": "http"},
            ],
            "allocateLoadBalancerNodePorts": False,
        },
    }


def test_bytes_are_read_as_base64() -> None:
    """The data of Secrets are bytes in protobuf and base64 in JSON."""
    entry = field(1, b"key") + field(2, b"\x00\xff")

    assert decode_protobuf(envelope(b"Secret", field(2, entry)))["data"] == {"key": "AP8="}


BROKEN = {
    "no envelope": b"{}",
    "a kind that is not read": envelope(b"Deployment", b""),
    "cut off": envelope(b"Service", field(1, b"abc"))[:-1],
    "cut off in a number": b"k8s\x00\x80",
    "no type": b"k8s\x00",
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_broken_protobuf_is_a_bad_request(body: bytes) -> None:
    """What cannot be read is the client's fault."""
    with pytest.raises(StatusError) as refused:
        decode_protobuf(body)
    assert refused.value.code == 400


def test_a_range_is_given_out_to_the_last_address() -> None:
    """Chosen addresses come after the low band, then the band itself, then none."""
    pool = AddressPool("10.0.0.0/27")
    given = []
    while (address := pool.free()) is not None:
        pool.take(address)
        given.append(address)

    assert sorted(given, key=lambda a: int(a.rpartition(".")[2])) == [
        f"10.0.0.{n}" for n in range(1, 31)
    ]
    assert given[0] == "10.0.0.17"
    pool.release("10.0.0.3")
    assert pool.free() == "10.0.0.3"


def test_ports_come_back() -> None:
    """A port is refused out of range or while taken, and free after its release."""
    pool = PortPool(30000, 30040)
    port = pool.free(set())
    assert port is not None
    pool.take(port)

    assert pool.refusal(80) is not None
    assert pool.refusal(port) == "provided port is already allocated"
    assert pool.free(besides={30017}) not in (port, 30017, None)
    pool.release(port)
    assert pool.refusal(port) is None
