"""Metrics carry units in their names, and programs in one process do not mix theirs."""

from __future__ import annotations

import re

from prometheus_client.parser import text_string_to_metric_families

from heliograph.metrics import Metrics

UNITS = (
    "_clusters",
    "_seconds",
    "_total",
    "_info",
    "_entries",
    "_refusals",
    "_removals",
    "_retries",
)


def exposed(metrics: Metrics) -> dict[str, str]:
    """Return the documentation of each family by name, as Prometheus reads it."""
    text = metrics.exposition().decode()
    return {f.name: f.documentation for f in text_string_to_metric_families(text)}


def test_every_metric_has_our_prefix_a_unit_and_a_sentence() -> None:
    """Names and units follow Prometheus' conventions."""
    families = re.findall(
        r"^# TYPE (\S+) ", Metrics("watcher", "east").exposition().decode(), re.MULTILINE
    )
    ours = [name for name in families if not name.endswith("_created")]
    assert ours
    assert all(name.startswith("heliograph_") for name in ours)
    assert all(name.endswith(UNITS) for name in ours)
    assert all(text.endswith(".") for text in exposed(Metrics("watcher", "east")).values())


def test_a_program_says_who_it_is() -> None:
    """One series tells program and cluster."""
    metrics = Metrics("watcher", "east")
    labels = {"program": "watcher", "cluster": "east"}
    assert metrics.registry.get_sample_value("heliograph_program_info", labels) == 1


def test_programs_of_one_process_count_for_themselves() -> None:
    """Two clusters' metrics live side by side."""
    east, west = Metrics("watcher", "east"), Metrics("watcher", "west")
    east.publications.labels("node").inc()

    labels = {"kind": "node"}
    assert east.registry.get_sample_value("heliograph_publications_total", labels) == 1
    assert west.registry.get_sample_value("heliograph_publications_total", labels) is None
