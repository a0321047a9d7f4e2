"""The peerer measures how long nodes take from one cluster to the other, and counts its Peers."""

from __future__ import annotations

import pytest

from tests.peerer.conftest import Peer
from tests.support.joined import eventually

pytestmark = pytest.mark.nats


async def test_propagation_of_nodes_and_peers_by_state(peer: Peer) -> None:
    """A node that comes is measured as of kind node, and Peers are counted."""
    async with peer("east", "west") as lab:
        value = lab["west"].peer_metrics.registry.get_sample_value
        lab.add_node("east", "n3", 3)
        labels = {"exporting": "east", "importing": "west", "kind": "node"}
        await eventually(lambda: value("heliograph_propagation_seconds_count", labels), within_s=8)
        assert value("heliograph_peers", {"exporting": "east", "state": "set"})
