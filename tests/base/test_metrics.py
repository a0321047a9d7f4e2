"""Metrics carry units in their names, and programs in one process do not mix theirs."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from heliograph import __version__
from heliograph.measured import Refused
from heliograph.metrics import CONFLICTS, PROGRAMS, Metrics

UNITS = (
    *("_clusters", "_seconds", "_total", "_info", "_entries", "_refusals", "_removals"),
    *("_retries", "_conflicts", "_peers", "_messages", "_pending", "_bytes"),
    *("_condition", "_connected", "_alive", "_complete"),  # 1 or 0
)
OTHERS = ("process_", "python_info")
"""What prometheus-client tells of any process."""


class Refusal(NamedTuple):
    """A refusal, as far as it is counted."""

    exporting: str
    reason: str


def exposed(metrics: Metrics) -> dict[str, str]:
    """Return the documentation of each family by name, as Prometheus reads it."""
    text = metrics.exposition().decode()
    return {f.name: f.documentation for f in text_string_to_metric_families(text)}


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_metric_has_our_prefix_a_unit_and_a_sentence(program: str) -> None:
    """Names and units follow Prometheus' conventions."""
    text = Metrics(program, "east").exposition().decode()
    families = re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE)
    ours = [n for n in families if not n.endswith("_created") and not n.startswith(OTHERS)]
    assert ours
    assert all(name.startswith("heliograph_") for name in ours)
    assert [name for name in ours if not name.endswith(UNITS)] == []
    texts = {n: t for n, t in exposed(Metrics(program, "east")).items() if n.startswith("helio")}
    assert all(re.fullmatch(r"[A-Z].*\.", text) for text in texts.values())


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_is_documented_is_exposed(program: str) -> None:
    """The catalogue of a program names the families of its registry, and no others."""
    metrics = Metrics(program, "east")
    families = {name for name in exposed(metrics) if name.startswith("heliograph_")}
    known = {name.removesuffix("_total") for name in metrics.known}
    assert {name.removesuffix("_created") for name in families} == known


def test_a_program_exposes_only_what_it_tells() -> None:
    """A watcher writes no mirrors, and an agent has no round trips; counting them is harmless."""
    watcher, agent = Metrics("watcher", "east"), Metrics("agent", "east")
    watcher.writes.labels("create", "services", "ok").inc()
    assert "heliograph_api_writes_total" not in watcher.known
    assert b"api_writes" not in watcher.exposition()
    assert "heliograph_round_trip_seconds" in watcher.known
    assert "heliograph_round_trip_seconds" not in agent.known
    assert "heliograph_tunnel_handshake_age_seconds" in agent.known


def test_a_program_says_who_it_is() -> None:
    """One series tells program, cluster and version; the process tells of itself beside it."""
    metrics = Metrics("watcher", "east")
    labels = {"program": "watcher", "cluster": "east", "version": __version__}
    assert metrics.registry.get_sample_value("heliograph_program_info", labels) == 1
    assert metrics.registry.get_sample_value("process_resident_memory_bytes")


def test_programs_of_one_process_count_for_themselves() -> None:
    """Two clusters' metrics live side by side."""
    east, west = Metrics("watcher", "east"), Metrics("watcher", "west")
    east.publications.labels("node").inc()

    labels = {"kind": "node"}
    assert east.registry.get_sample_value("heliograph_publications_total", labels) == 1
    assert west.registry.get_sample_value("heliograph_publications_total", labels) is None


def test_conflicts_are_those_refusals_that_people_must_decide() -> None:
    """Each counts as a refusal; some as a conflict too; and both go when it is mended."""
    metrics = Metrics("reflector", "west")
    standing: list[Refused] = [Refusal("east", "ForeignObject"), Refusal("east", "NoCommonFamily")]
    metrics.count_refusals((), standing)
    conflict = {"exporting": "east", "reason": "ForeignObject"}
    value = metrics.registry.get_sample_value
    assert value("heliograph_refusals", conflict) == 1
    assert value("heliograph_conflicts", conflict) == 1
    assert value("heliograph_conflicts", {**conflict, "reason": "NoCommonFamily"}) is None
    metrics.count_refusals(standing, ())
    assert value("heliograph_refusals", conflict) == value("heliograph_conflicts", conflict) == 0
    assert "ForeignObject" in CONFLICTS


class Watch(NamedTuple):
    """A watch, as far as it is measured."""

    plural: str
    alive: bool = True
    absent: bool = False
    spoke_at_s: float | None = None


def test_a_kind_that_is_absent_has_no_series(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is wrong with such a watch; and one that never spoke is infinitely old."""
    monkeypatch.setattr("heliograph.metrics.program.time.monotonic", lambda: 100.0)
    metrics = Metrics("reflector", "west")
    metrics.measure_watches(
        [
            Watch("services", spoke_at_s=40.0),
            Watch("nodes", alive=False),
            Watch("peers", absent=True),
        ]
    )
    value = metrics.registry.get_sample_value
    found = {
        kind: (
            value("heliograph_watch_alive", {"resource": kind}),
            value("heliograph_watch_silence_seconds", {"resource": kind}),
        )
        for kind in ("services", "nodes", "peers")
    }
    assert found == {"services": (1, 60), "nodes": (0, math.inf), "peers": (None, None)}


class Bus(NamedTuple):
    """A connection, as far as it is measured."""

    shown_url: str
    connected: bool


def test_connections_to_one_server_are_one_series() -> None:
    """A bus counts as connected when all connections to it are up."""
    metrics = Metrics("reflector", "west")
    metrics.measure_buses(Bus("nats://a", True), Bus("nats://b", True), Bus("nats://a", False))  # noqa: FBT003
    text = metrics.exposition().decode()
    assert 'heliograph_bus_connected{bus="nats://a"} 0.0' in text
    assert 'heliograph_bus_connected{bus="nats://b"} 1.0' in text
