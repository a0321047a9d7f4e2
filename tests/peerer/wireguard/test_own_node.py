"""What an agent says on its own Node: where it is reached, and no more than differs."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from heliograph.kube.objects import ObjectMeta
from services.peerer.wireguard.own_node import (
    NodeAddress,
    OwnNode,
    OwnNodeStatus,
    Said,
    choose_endpoint,
    differing,
)
from services.peerer.wireguard.settings import AgentSettings

INTERNAL, EXTERNAL, NAME = (
    ("InternalIP", "10.9.0.4"),
    ("ExternalIP", "203.0.113.4"),
    ("Hostname", "n1"),
)
INTERNAL6, EXTERNAL6 = ("InternalIP", "fd00::4"), ("ExternalIP", "2001:db8::4")


def node(*addresses: tuple[str, str], **annotations: str) -> OwnNode:
    """Return a Node with addresses and annotations of ours."""
    said = {f"heliograph.io/{name.replace('_', '-')}": text for name, text in annotations.items()}
    known = tuple(NodeAddress(type=kind, address=address) for kind, address in addresses)
    return OwnNode(
        metadata=ObjectMeta(name="n1", annotations=said), status=OwnNodeStatus(addresses=known)
    )


ENDPOINTS: dict[str, tuple[list[tuple[str, str]], str, str | None]] = {
    # its addresses                                             --endpoint   where it is reached
    "nothing known":             ([],                            "",         None),
    "a name only":               ([NAME],                        "",         None),
    "an internal address":       ([NAME, INTERNAL],              "",         "10.9.0.4:51820"),
    "an external one is better": ([INTERNAL, EXTERNAL],          "",         "203.0.113.4:51820"),
    "the first of a kind":       ([EXTERNAL6, EXTERNAL],         "",         "[2001:db8::4]:51820"),
    "IPv6":                      ([NAME, INTERNAL6],             "",         "[fd00::4]:51820"),
    "one that cannot be read":   ([("ExternalIP", "?"), INTERNAL], "",       "10.9.0.4:51820"),
    "an empty one":              ([("ExternalIP", ""), INTERNAL],  "",       "10.9.0.4:51820"),
    "one that no other has":     ([("ExternalIP", "127.0.0.1"), INTERNAL], "", "10.9.0.4:51820"),
    "a link-local one":          ([("InternalIP", "fe80::1"), INTERNAL],   "", "10.9.0.4:51820"),
    "configured":                ([EXTERNAL],   "198.51.100.1",          "198.51.100.1:51820"),
    "configured, with port":     ([EXTERNAL],   "198.51.100.1:7",        "198.51.100.1:7"),
    "configured IPv6":           ([EXTERNAL],   "2001:db8::9",           "[2001:db8::9]:51820"),
    "in brackets":               ([EXTERNAL],   "[2001:db8::9]",         "[2001:db8::9]:51820"),
    "in brackets, with port":    ([EXTERNAL],   "[2001:db8::9]:7",       "[2001:db8::9]:7"),
    "a configured name":         ([EXTERNAL],   "n1.east.example",       "n1.east.example:51820"),
    "a name with port":          ([EXTERNAL],   "n1.east.example:7",     "n1.east.example:7"),
    "nobody reaches it":         ([EXTERNAL],   "none",                  None),
}  # fmt: skip


@pytest.mark.parametrize(("addresses", "setting", "endpoint"), ENDPOINTS.values(), ids=ENDPOINTS)
def test_where_a_node_is_reached(
    addresses: list[tuple[str, str]], setting: str, endpoint: str | None
) -> None:
    """As configured; else at its ExternalIP, else at its InternalIP; perhaps nowhere."""
    assert choose_endpoint(node(*addresses), AgentSettings(endpoint=setting)) == endpoint


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    # settings                                              what the sentence says
    "an endpoint in words": ({"endpoint": "the router"}, "'the router' is no endpoint"),
    "a port that is none": ({"endpoint": "10.0.0.4:99999"}, "'10.0.0.4:99999' is no endpoint"),
    "two ports": ({"endpoint": "203.0.113.4:1:2"}, "'203.0.113.4:1:2' is no endpoint"),
    "an address with mask": ({"endpoint": "203.0.113.4/24"}, "'203.0.113.4/24' is no endpoint"),
    "an endpoint at this machine": ({"endpoint": "127.0.0.1"}, "'127.0.0.1' is no endpoint"),
    "a range with host bits": ({"tunnel_cidr": "100.72.16.1/20"}, "give 100.72.16.0/20"),
    "a range in words": ({"tunnel_cidr": "some"}, "give such as 100.72.16.0/20"),
    "a long name": ({"interface": "x" * 16}, "no name of an interface"),
    "a path as name": ({"interface": "../wg0"}, "no name of an interface"),
    "no name": ({"interface": ""}, "no name of an interface"),
    "port 0": ({"listen_port": 0}, ">= 1"),
}  # fmt: skip


@pytest.mark.parametrize(("given", "said"), WRONG.values(), ids=WRONG)
def test_settings_that_cannot_be(given: dict[str, Any], said: str) -> None:
    """Each is refused in one sentence before anything is made."""
    with pytest.raises(msgspec.ValidationError, match=said.replace("(", "[(]")):
        msgspec.convert(given, AgentSettings)


def test_only_what_differs_is_written() -> None:
    """Annotations of others stay; one that should not be there is taken away."""
    said = Said(public_key="k", next_public_key=None, endpoint=None, tunnel_ip="100.64.0.1/20")
    standing = node(public_key="k", endpoint="203.0.113.4:7", other="theirs")

    assert differing(standing, said.annotations()) == {
        "heliograph.io/endpoint": None,
        "heliograph.io/tunnel-ip": "100.64.0.1/20",
    }
    agreed = node(public_key="k", tunnel_ip="100.64.0.1/20")
    assert differing(agreed, said.annotations()) == {}
