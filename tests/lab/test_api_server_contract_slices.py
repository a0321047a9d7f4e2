"""EndpointSlices: what is filled in, counted and refused. True of both servers."""

from __future__ import annotations

import pytest

from tests.lab.api_client import Api, Json, Object, endpoint_slice

pytest_plugins = ["tests.lab.api_fixtures"]


async def test_ports_and_endpoints_are_completed(api: Api) -> None:
    """Ports get a name and TCP, endpoints get conditions, all else stays as given."""
    endpoint = {
        "addresses": ["10.0.0.1"],
        "conditions": {"ready": True, "serving": True, "terminating": False},
        "hostname": "a-0",
        "nodeName": "node-1",
        "zone": "z",
        "targetRef": {"kind": "Pod", "name": "a-0"},
        "hints": {"forZones": [{"name": "z"}]},
    }
    port = {"name": "x", "port": 5, "protocol": "UDP", "appProtocol": "dns"}
    pieces = {
        "endpoints": [endpoint, {"addresses": ["10.0.0.2"]}],
        "ports": [port, {"port": 80}, {"name": "any"}],
    }
    made = await api.post(api.slices, endpoint_slice("a", **pieces))

    assert made.status == 201, made.body
    assert made.body["endpoints"] == [endpoint, {"addresses": ["10.0.0.2"], "conditions": {}}]
    assert made.body["ports"] == [
        port,
        {"name": "", "port": 80, "protocol": "TCP"},
        {"name": "any", "protocol": "TCP"},
    ]
    again = await api.put(f"{api.slices}/a", endpoint_slice("a", **pieces))
    assert again.version == made.version


@pytest.mark.parametrize("nothing", [[], None], ids=["empty", "null"])
async def test_empty_lists_become_null(api: Api, nothing: Json) -> None:
    """A slice without endpoints says `null`, also when it was given an empty list."""
    made = await api.post(api.slices, endpoint_slice("a", endpoints=nothing, ports=nothing))

    assert (made.body["endpoints"], made.body["ports"]) == (None, None)


async def test_the_generation_counts_content_and_labels(api: Api) -> None:
    """Content and labels count, annotations and updates without change do not."""
    path = f"{api.slices}/a"
    labels, notes = {"name": "a", "labels": {"b": "c"}}, {"annotations": {"d": "e"}}
    steps = [
        await api.post(api.slices, endpoint_slice("a", "10.0.0.1")),
        await api.put(path, endpoint_slice("a", "10.0.0.1")),
        await api.put(path, endpoint_slice("a", "10.0.0.2")),
        await api.put(path, endpoint_slice("a", "10.0.0.2", metadata=labels)),
        await api.put(path, endpoint_slice("a", "10.0.0.2", metadata=labels | notes)),
    ]

    assert [s.body["metadata"]["generation"] for s in steps] == [1, 1, 2, 3, 3]


def _many(count: int) -> list[Object]:
    return [{"addresses": [f"10.0.{n // 250}.{n % 250}"]} for n in range(count)]


def _named_ports(count: int) -> list[Object]:
    return [{"name": f"p{n}", "port": 80} for n in range(count)]


def _at(*addresses: str, **members: Json) -> Object:
    return {"endpoints": [{"addresses": list(addresses)} | members]}


ACCEPTED: dict[str, Object] = {
    "a thousand endpoints": {"endpoints": _many(1000)},
    "a hundred addresses": _at(*(f"10.0.0.{n}" for n in range(100))),
    "101 ports": {"ports": _named_ports(101)},
    "port 0 and port 70000": {"ports": [{"name": "a", "port": 0}, {"name": "b", "port": 70000}]},
    "IPv6": {"addressType": "IPv6"} | _at("fd00::1"),
    "domain names": {"addressType": "FQDN"} | _at("a.example.com"),
    "equal addresses": {"endpoints": [{"addresses": ["10.0.0.1"]}] * 2},
    "dots in the name": {"metadata": {"name": "a.b"}},
}


@pytest.mark.parametrize("members", ACCEPTED.values(), ids=ACCEPTED)
async def test_accepted(api: Api, members: Object) -> None:
    """Within the limits, slices are stored."""
    answer = await api.post(api.slices, endpoint_slice("a", **members))

    assert answer.status == 201, answer.body


FIRST = "endpoints[0].addresses[0]"
REFUSED: dict[str, tuple[Object, set[str]]] = {
    "no type": ({"addressType": None}, {"Required addressType"}),
    "another type": ({"addressType": "IPX"}, {"NotSupported addressType"}),
    "IPv6 in IPv4": (_at("fd00::1"), {"Invalid endpoints[0].addresses"}),
    "IPv4 in IPv6": ({"addressType": "IPv6"} | _at("10.0.0.1"), {"Invalid endpoints[0].addresses"}),
    "IPv4 within IPv6": ({"addressType": "IPv6"} | _at("::ffff:10.0.0.1"), {f"Invalid {FIRST}"}),
    "IPv6 spelt at length": ({"addressType": "IPv6"} | _at("FD00::0001"), {f"Invalid {FIRST}"}),
    "leading zeros": (_at("10.0.0.01"), {f"Invalid {FIRST}"}),
    "no address at all": (_at("somewhere"), {f"Invalid {FIRST}"}),
    "loopback": (_at("127.0.0.1"), {f"Invalid {FIRST}"}),
    "link-local": (_at("169.254.0.1"), {f"Invalid {FIRST}"}),
    "unspecified": (_at("0.0.0.0"), {f"Invalid {FIRST}"}),  # noqa: S104 - refused
    "multicast": (_at("224.0.0.1"), {f"Invalid {FIRST}"}),
    "a single name": ({"addressType": "FQDN"} | _at("a"), {f"Invalid {FIRST}"}),
    "nowhere": (_at(), {"Required endpoints[0].addresses"}),
    "101 addresses": (
        _at(*(f"10.0.0.{n}" for n in range(101))),
        {"TooMany endpoints[0].addresses"},
    ),
    "1001 endpoints": ({"endpoints": _many(1001)}, {"TooMany endpoints"}),
    "a host in capitals": (_at("10.0.0.1", hostname="A"), {"Invalid endpoints[0].hostname"}),
    "a node in capitals": (_at("10.0.0.1", nodeName="A"), {"Invalid endpoints[0].nodeName"}),
    "equal port names": ({"ports": [{"port": 1}, {"port": 2}]}, {"Duplicate ports[1].name"}),
    "a port in capitals": ({"ports": [{"name": "A"}]}, {"Invalid ports[0].name"}),
    "another protocol": ({"ports": [{"protocol": "ICMP"}]}, {"NotSupported ports[0].protocol"}),
    "an app protocol": ({"ports": [{"appProtocol": "a b"}]}, {"Invalid ports[0].appProtocol"}),
    "a name in capitals": ({"metadata": {"name": "A"}}, {"Invalid metadata.name"}),
}


@pytest.mark.parametrize(("members", "causes"), REFUSED.values(), ids=REFUSED)
async def test_refusals(api: Api, members: Object, causes: set[str]) -> None:
    """An invalid slice gets 422 with the fields that are wrong."""
    answer = await api.post(api.slices, endpoint_slice("a", **members))

    assert (answer.status, answer.reason) == (422, "Invalid"), answer.body
    assert answer.causes == causes


async def test_the_address_type_is_for_life(api: Api) -> None:
    """The address type cannot be changed, not even of an empty slice."""
    await api.post(api.slices, endpoint_slice("a"))
    answer = await api.put(f"{api.slices}/a", endpoint_slice("a", addressType="IPv6"))

    assert answer.causes == {"Invalid addressType"}
