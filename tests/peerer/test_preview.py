"""What `heliograph peerer --dry-run` shows, it does not do."""

from __future__ import annotations

import pytest

from heliograph.imports.consume import ImportBus
from services.peerer.preview import preview
from services.peerer.settings import PeererSettings
from tests.peerer.conftest import Peer
from tests.support.joined import eventually
from tests.support.peering import Peered, key_of

pytestmark = pytest.mark.nats


async def shown(lab: Peered) -> list[str]:
    """Return the preview of west's peerer."""
    async with lab.lab.client("west", "heliograph") as client, lab.lab.bus("west") as bus:
        buses = [ImportBus(connection=bus)]
        return await preview(PeererSettings(cluster="west"), client, buses)


async def test_what_would_be_written_is_shown_and_not_written(peer: Peer) -> None:
    """Creations, refusals, changes and deletions, each a line; the cluster stays as it is."""
    async with peer("east", "west", start=False) as lab:
        lab.add_node("east", "n3", 3, key=key_of("east/n1"))
        for name in ("east", "west"):
            await lab.lab.start_watcher(name)
        await eventually(lambda: lab["east"].watcher.ready)

        lines = await shown(lab)

        assert lines[:2] == ["create  Peer east.node.n1", "create  Peer east.node.n2"]
        assert lines[2].startswith("refuse  node n3 of cluster east announces the key")
        assert lab.peers("west") == {}

        await lab.lab.start_peerer("west")
        await eventually(lambda: len(lab.peers("west")) == 2)
        await lab.lab.stop("peerer", "west")
        lab.annotate("east", "n1", endpoint="203.0.113.99:1")
        lab.remove_node("east", "n2")
        lab.remove_node("east", "n3")
        assert await shown_soon(lab, 2) == [
            "replace Peer east.node.n1",
            "delete  Peer east.node.n2",
        ]


async def shown_soon(lab: Peered, count: int) -> list[str]:
    """Return the preview once it has so many lines: the watcher has seen what changed by then."""
    while len(lines := await shown(lab)) != count:
        pass
    return lines
