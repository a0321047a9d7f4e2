"""Kilo's Peer as a kind of a laboratory's cluster; where Kilo runs, Kilo's manifest brings it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from importlib import resources
from typing import Any, Final

import msgspec
import yaml

from heliograph.kilo.peer import PEERS
from heliograph.kube.client import KubeClient
from heliograph.kube.errors import AlreadyExists, Busy, NotFound

CRDS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_PATIENCE_S: Final = 60
_POLL_S: Final = 0.05


def peer_crd() -> dict[str, Any]:
    """Return the CustomResourceDefinition of `peers.kilo.squat.ai`, v1alpha1, as JSON."""
    manifest = resources.files(__package__).joinpath("peers.yaml").read_text(encoding="utf-8")
    return msgspec.convert(yaml.safe_load(manifest), dict[str, Any])


async def install_peer_crd(client: KubeClient) -> None:
    """Let a cluster know Peers, and return when it serves them; whatever stands there is kept.

    Raises:
        TimeoutError: They are not served within a minute.
        HeliographError: The API server cannot be reached, or refuses.
    """
    body = msgspec.json.encode(peer_crd())
    async with asyncio.timeout(_PATIENCE_S):
        while not await _served(client):
            with suppress(AlreadyExists):  # just made, or on its way out: then once more
                await client.post_raw(CRDS, body)
            await asyncio.sleep(_POLL_S)


async def _served(client: KubeClient) -> bool:
    """Whether Peers can be listed: a new kind is not known at first, then has no storage yet."""
    try:
        await client.get_raw(PEERS.path(), {"limit": "1"})
    except (NotFound, Busy):
        return False
    return True
