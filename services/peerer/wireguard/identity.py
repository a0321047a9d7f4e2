"""Who a node is in the tunnels: its key, its address, and where it is reached."""

from __future__ import annotations

from functools import cached_property

from heliograph.marks import TUNNEL_IP_ANNOTATION
from heliograph.wireguard import keyfile
from heliograph.wireguard.keys import PrivateKey
from services.peerer.neighbourhood import Neighbourhood
from services.peerer.wireguard.addresses import choose_address, derived_range
from services.peerer.wireguard.nodes import tunnel_cidr_of
from services.peerer.wireguard.own_node import OwnNode, Said, choose_endpoint
from services.peerer.wireguard.settings import AgentSettings


class Identity:
    """What one node is to the others.

    Attributes:
        address: Its tunnel address, with the mask of its cluster's tunnel range; None before the
            Node was seen.
    """

    def __init__(self, settings: AgentSettings, around: Neighbourhood) -> None:
        self._settings, self._around = settings, around
        self.address: str | None = None

    @cached_property
    def key(self) -> PrivateKey:
        """The node's key, made where there is none."""
        return keyfile.load_or_make(self._settings.key_file)

    def said(self, node: OwnNode) -> Said:
        """Return what is to be said on the Node; the address is chosen anew where it must be."""
        self.address = self.choose_address(node)
        return Said(
            public_key=self.key.public,
            next_public_key=None,
            endpoint=choose_endpoint(node, self._settings),
            tunnel_ip=self.address,
        )

    def choose_address(self, node: OwnNode) -> str:
        """Return the tunnel address that the node should have, with the mask of the range."""
        standing = node.metadata.annotations.get(TUNNEL_IP_ANNOTATION)
        cidr = self._settings.tunnel_cidr or derived_range(self._around.importing)
        return choose_address(cidr, node.metadata.name, taken=self._taken(), standing=standing)

    def _taken(self) -> dict[str, str]:
        """Return the tunnel addresses that the cluster's other nodes announce."""
        found = {}
        for name, node in self._around.nodes(self._around.importing).items():
            cidr = tunnel_cidr_of(node)
            if cidr is not None and name != self._settings.node:
                found[cidr.partition("/")[0]] = name
        return found
