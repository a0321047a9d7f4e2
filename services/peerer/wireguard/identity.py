"""Who a node is in the tunnels: its key, its address, and where it is reached."""

from __future__ import annotations

import structlog

from heliograph.errors import InputError
from heliograph.marks import TUNNEL_IP_ANNOTATION
from heliograph.wireguard import keyfile
from heliograph.wireguard.keys import PrivateKey
from services.peerer.neighbourhood import Neighbourhood
from services.peerer.wireguard.addresses import choose_address, derived_range
from services.peerer.wireguard.nodes import tunnel_cidr_of
from services.peerer.wireguard.own_node import OwnNode, Said, choose_endpoint
from services.peerer.wireguard.settings import AgentSettings

_log = structlog.get_logger()


class Identity:
    """What one node is to the others.

    Attributes:
        address: Its tunnel address, with the mask of its cluster's tunnel range; None before the
            Node was seen.
        following: The key that it changes to; None while there is none.
    """

    def __init__(self, settings: AgentSettings, around: Neighbourhood) -> None:
        self._settings, self._around = settings, around
        self._next_file = keyfile.next_to(settings.key_file)
        self.address: str | None = None
        self._key: PrivateKey | None = None
        self.following = self._left_over()
        self._switched: bool | None = None

    @property
    def key(self) -> PrivateKey:
        """The node's present key, made where there is none."""
        if self._key is None:
            self._key = keyfile.load_or_make(self._settings.key_file)
        return self._key

    @property
    def switched(self) -> bool:
        """Whether the device is to have the next key, and not the present one."""
        return bool(self._switched) and self.following is not None

    def key_for(self, standing: str | None) -> PrivateKey:
        """Return the key that the device is to have; `standing` is the public one that it has.

        When an agent begins, a device that has the next key keeps it: its predecessor was trying.
        """
        if self._switched is None:
            self._switched = self.following is not None and standing == self.following.public
        return self.following if self._switched and self.following else self.key

    def make_next(self) -> None:
        """Make a next key and keep it.

        Raises:
            InputError: It cannot be kept.
        """
        made = PrivateKey.generate()
        keyfile.store(self._next_file, made)
        self.following = made

    def switch(self, *, to_next: bool) -> None:
        """Use the next key, or the present one again; the device is to be set."""
        self._switched = to_next

    def commit(self) -> None:
        """Let the next key be the present one, whose file is gone then.

        Raises:
            InputError: It cannot; everything is as it was.
        """
        if self.following is not None:
            keyfile.replace(self._settings.key_file, by=self._next_file)
            self._key, self.following, self._switched = self.following, None, False

    def discard_next(self) -> None:
        """Delete the next key.

        Raises:
            InputError: It cannot be deleted.
        """
        keyfile.discard(self._next_file)
        self.following, self._switched = None, False

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

    def _left_over(self) -> PrivateKey | None:
        """Return the next key that a predecessor left; one that cannot be read is of no use."""
        try:
            return keyfile.load(self._next_file)
        except InputError as error:
            _log.warning("next key cannot be used", error=str(error))
            return None

    def _taken(self) -> dict[str, str]:
        """Return the tunnel addresses that the cluster's other nodes announce."""
        found = {}
        for name, node in self._around.nodes(self._around.importing).items():
            cidr = tunnel_cidr_of(node)
            if cidr is not None and name != self._settings.node:
                found[cidr.partition("/")[0]] = name
        return found
