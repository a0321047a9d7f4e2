"""All about peers: changes of nodes, planning, memory, heartbeats."""

from __future__ import annotations

from typing import Final

from heliograph.bench.heartbeats import heartbeats
from heliograph.bench.peer_changes import peer_changes
from heliograph.bench.peer_figures import Peers
from heliograph.bench.peerer_memory import peerer_memory
from heliograph.bench.planning import planning
from heliograph.bench.stage import Progress

_CLUSTERS: Final = 10
_PLANNED_NODES: Final = 1000
_NODES_ON_STAGE: Final = 20
_PLANS: Final = 50
_BEATS_S: Final = 60.0


async def peers(samples: int, nodes: int, progress: Progress) -> Peers:
    """Measure so many changes on either side; memory and heartbeats with so many nodes."""
    changes = await peer_changes(samples, _NODES_ON_STAGE, progress)
    progress(f"planning among {_PLANNED_NODES} nodes")
    return Peers(
        changes=changes,
        planning=planning(_CLUSTERS, _PLANNED_NODES, _PLANS),
        memory=await peerer_memory(_CLUSTERS, nodes, progress),
        heartbeats=await heartbeats(nodes, _BEATS_S, progress),
    )
