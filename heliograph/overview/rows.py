"""A cluster in one line. Pure."""

from __future__ import annotations

import msgspec

from heliograph.contract.programs import ProgramStatus
from heliograph.overview.facts import ClusterFacts, MeshFacts


class ProgramRow(msgspec.Struct, frozen=True, kw_only=True):
    """A program that answered; lag is in the metrics that it told, all of them."""

    program: str
    node: str
    version: str
    ready: bool
    failing: tuple[str, ...]
    metrics: dict[str, float]


class ClusterRow(msgspec.Struct, frozen=True, kw_only=True):
    """One cluster at a glance.

    Attributes:
        cluster: Its id.
        version: Of its watcher.
        peering: How its nodes peer.
        lease_age_s: Seconds since it renewed its lease; None if it did not.
        lease_s: For how long it holds.
        nodes: How many nodes it announces.
        nodes_ready: How many of them are ready as peers.
        exports: How many Services it exports.
        exports_ready: How many of them have a backend that is ready.
        mirrors: How many mirrors it has of Services of others; None if its reflector did not
            answer.
        lag: How many messages of others its programs have not read yet, of the one that is most
            behind; None if none that imports answered.
        refusals: How many things of others it does not take.
        held: How many removals of mirrors it holds back.
        programs: Its programs that answered.
    """

    cluster: str
    version: str
    peering: str
    lease_age_s: float | None
    lease_s: float
    nodes: int
    nodes_ready: int
    exports: int
    exports_ready: int
    mirrors: int | None
    lag: int | None
    refusals: int
    held: int
    programs: tuple[ProgramRow, ...]


def rows(facts: MeshFacts) -> tuple[ClusterRow, ...]:
    """Return a row for each cluster, by id."""
    return tuple(_row(facts.clusters[c], facts.programs_of(c)) for c in sorted(facts.clusters))


def _row(facts: ClusterFacts, programs: tuple[ProgramStatus, ...]) -> ClusterRow:
    announced = facts.announced
    return ClusterRow(
        cluster=facts.cluster,
        version=announced.version if announced else "",
        peering=announced.peering if announced else "none",
        lease_age_s=facts.lease_age_s,
        lease_s=announced.lease_s if announced else 0.0,
        nodes=len(facts.nodes),
        nodes_ready=sum(node.ready for node in facts.nodes.values()),
        exports=facts.exports,
        exports_ready=facts.exports - facts.exports_not_ready,
        mirrors=_mirrors(programs),
        lag=_lag(programs),
        refusals=len(facts.refusals),
        held=sum(_gauge(one, "heliograph_held_removals") for one in programs),
        programs=tuple(map(_program, programs)),
    )


def _mirrors(programs: tuple[ProgramStatus, ...]) -> int | None:
    tables = (
        gauge
        for one in programs
        for gauge in one.gauges
        if one.program == "reflector" and gauge.name == "heliograph_table_entries"
    )
    return next((int(g.value) for g in tables if g.labels.get("table") == "mirrors"), None)


def _lag(programs: tuple[ProgramStatus, ...]) -> int | None:
    behind = (
        int(gauge.value)
        for one in programs
        for gauge in one.gauges
        if gauge.name == "heliograph_import_pending_messages"
    )
    return max(behind, default=None)


def _program(status: ProgramStatus) -> ProgramRow:
    return ProgramRow(
        program=status.program,
        node=status.node,
        version=status.version,
        ready=status.ready,
        failing=status.failing,
        metrics={_series(g.name, g.labels): g.value for g in status.gauges},
    )


def _series(name: str, labels: dict[str, str]) -> str:
    """Return a series as Prometheus writes it."""
    said = ",".join(f'{label}="{value}"' for label, value in labels.items())
    return f"{name}{{{said}}}" if said else name


def _gauge(status: ProgramStatus, name: str) -> int:
    return int(sum(gauge.value for gauge in status.gauges if gauge.name == name))
