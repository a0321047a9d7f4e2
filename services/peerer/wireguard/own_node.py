"""The Node that an agent runs on: what it says of itself there, and what it reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from heliograph.admission.policy import is_special
from heliograph.kilo.addresses import parse_address
from heliograph.kube.objects import KubeObject, KubeStruct, NodeSpec, Resource
from heliograph.marks import (
    ENDPOINT_ANNOTATION,
    NEXT_PUBLIC_KEY_ANNOTATION,
    PUBLIC_KEY_ANNOTATION,
    TUNNEL_IP_ANNOTATION,
)
from services.peerer.wireguard.settings import NOBODY, AgentSettings, with_port

_KINDS: Final = ("ExternalIP", "InternalIP")


class NodeAddress(KubeStruct, frozen=True, kw_only=True):
    """One address of a Node."""

    type: str = ""
    address: str = ""


class OwnNodeStatus(KubeStruct, frozen=True, kw_only=True):
    """The part of a Node's status that an agent reads."""

    addresses: tuple[NodeAddress, ...] = ()


class OwnNode(KubeObject, frozen=True, kw_only=True):
    """core/v1 Node, with its addresses."""

    spec: NodeSpec = NodeSpec()
    status: OwnNodeStatus = OwnNodeStatus()


OWN_NODE: Final = Resource(
    api="/api/v1", plural="nodes", kind="Node", namespaced=False, struct=OwnNode
)


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What the agent says of its node."""

    public_key: str
    next_public_key: str | None
    endpoint: str | None
    tunnel_ip: str | None

    def annotations(self) -> dict[str, str | None]:
        """Return it as annotations; None takes one away."""
        return {
            PUBLIC_KEY_ANNOTATION: self.public_key,
            NEXT_PUBLIC_KEY_ANNOTATION: self.next_public_key,
            ENDPOINT_ANNOTATION: self.endpoint,
            TUNNEL_IP_ANNOTATION: self.tunnel_ip,
        }


def differing(node: OwnNode, wanted: Mapping[str, str | None]) -> dict[str, str | None]:
    """Return the annotations that are not as they should be."""
    standing = node.metadata.annotations
    return {name: text for name, text in wanted.items() if standing.get(name) != text}


def choose_endpoint(node: OwnNode, settings: AgentSettings) -> str | None:
    """Return "host:port" where others reach the node; None if nobody does."""
    if settings.endpoint == NOBODY:
        return None
    host = settings.endpoint or _address(node.status.addresses)
    return with_port(host, settings.listen_port) if host else None


def _address(addresses: Iterable[NodeAddress]) -> str | None:
    """Return the first usable address of the best kind."""
    known = tuple(addresses)
    usable = (a.address for kind in _KINDS for a in known if a.type == kind)
    return next((one for one in usable if parse_address(one) and not is_special(one)), None)
