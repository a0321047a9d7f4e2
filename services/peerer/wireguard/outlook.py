"""What an agent would change on its machine, in words, a line for each change. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import assert_never

from heliograph.wireguard.device import DeviceChange, RemovePeer, SetPeer
from heliograph.wireguard.interface import (
    AddAddress,
    AddRoute,
    InterfaceChange,
    RemoveAddress,
    RemoveRoute,
    SetMtu,
    SetUp,
)


def peer_lines(changes: Iterable[DeviceChange], names: Mapping[str, str]) -> Iterator[str]:
    """Yield changes of peers; `names` has "CLUSTER/NODE" by public key, as far as they have one."""
    for change in changes:
        name = names.get(change.public_key, change.public_key)
        match change:
            case RemovePeer():
                yield f"remove  peer {name}"
            case SetPeer(new=True):
                yield f"add     peer {name}{_at(change.endpoint)}{_some('with', change.add)}"
            case SetPeer():
                yield f"change  peer {name}{_at(change.endpoint)}{_difference(change)}"
            case _:
                assert_never(change)


def interface_lines(changes: Iterable[InterfaceChange]) -> Iterator[str]:
    """Yield changes of the interface."""
    for change in changes:
        match change:
            case SetMtu(mtu=mtu):
                yield f"set     MTU {mtu}"
            case SetUp():
                yield "set     link up"
            case AddAddress(address=address):
                yield f"add     address {address}"
            case RemoveAddress(address=address):
                yield f"remove  address {address}"
            case AddRoute(route=route):
                yield f"add     route {route.destination}"
            case RemoveRoute(route=route):
                yield f"remove  route {route.destination}"
            case _:
                assert_never(change)


def annotation_lines(node: str, changes: Mapping[str, str | None]) -> Iterator[str]:
    """Yield changes of a Node's annotations; None takes one away."""
    for name, text in sorted(changes.items()):
        if text is None:
            yield f"remove  annotation {name} of Node {node}"
        else:
            yield f"set     annotation {name} of Node {node} to {text}"


def _difference(change: SetPeer) -> str:
    keepalive = change.persistent_keepalive
    every = "" if keepalive is None else f" keepalive {keepalive} s"
    return f"{every}{_some('gets', change.add)}{_some('loses', change.remove)}"


def _at(endpoint: str | None) -> str:
    return f" at {endpoint}" if endpoint else ""


def _some(word: str, cidrs: tuple[str, ...]) -> str:
    return f" {word} {', '.join(cidrs)}" if cidrs else ""
