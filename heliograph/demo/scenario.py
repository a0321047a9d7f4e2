"""The steps of the demo, in order: what is done in east and south, and what is seen in west."""

from __future__ import annotations

from collections.abc import Callable

from heliograph.demo.cast import Member
from heliograph.demo.observe import Observer
from heliograph.demo.overlap import Overlap
from heliograph.demo.peering import Peering
from heliograph.demo.services import MainJob
from heliograph.demo.step import Step


def scenario(
    cast: tuple[Member, Member, Member], observer: Observer, join_south: Callable[[], object]
) -> tuple[Step, ...]:
    """Return all steps.

    Args:
        cast: East, west and south; the programs of the first two are running.
        observer: What is seen in west.
        join_south: Starts south's programs.
    """
    east, west, south = cast
    peering = Peering(east, observer)
    job = MainJob(east.people, west.people, observer)
    overlap = Overlap(south, east.nodes[-1].pod_cidr, observer, join_south)
    return (
        *peering.steps(),
        *job.steps(),
        overlap.refusing(),
        overlap.going_on(job, peering),
        job.last(),
    )
