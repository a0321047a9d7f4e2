"""All about peers: changes of nodes, planning, memory, heartbeats."""

from __future__ import annotations

from typing import Final

from heliograph.bench.heartbeats import heartbeats
from heliograph.bench.peer_changes import peer_changes
from heliograph.bench.peer_figures import Peers
from heliograph.bench.peerer_memory import peerer_memory
from heliograph.bench.planning import planning
from heliograph.errors import InputError
from heliograph.progress import Progress, Step

_CLUSTERS: Final = 10
_PLANNED_NODES: Final = 1000
_NODES_ON_STAGE: Final = 20
_FEWEST_SAMPLES: Final = 2
_MOST_NODES: Final = 10_000
_PLANS: Final = 50
_BEATS_S: Final = 60.0


async def peers(samples: int, nodes: int, progress: Progress) -> Peers:
    """Measure so many changes on either side; memory and heartbeats with so many nodes.

    Raises:
        InputError: Too few of either, or more nodes than there are ranges for.
    """
    if samples < _FEWEST_SAMPLES:
        raise InputError(f"--samples {samples} cannot be: give at least {_FEWEST_SAMPLES}")
    if not _CLUSTERS <= nodes <= _MOST_NODES:
        raise InputError(f"--nodes {nodes} cannot be: give a number from 10 to {_MOST_NODES}")
    changes = await peer_changes(samples, _NODES_ON_STAGE, progress)
    progress(Step(f"planning among {_PLANNED_NODES:,} nodes"))
    return Peers(
        changes=changes,
        planning=planning(_CLUSTERS, _PLANNED_NODES, _PLANS),
        memory=await peerer_memory(_CLUSTERS, nodes, progress),
        heartbeats=await heartbeats(nodes, _BEATS_S, progress),
    )
