"""Figures of `heliograph bench tracing`, and what its sides are told."""

from __future__ import annotations

import pytest

from heliograph import telemetry
from heliograph.bench.tracing import SIDES, figures


def test_ratios_are_to_the_side_without_traces() -> None:
    """Each round is compared with itself, so that a busy minute counts on all sides."""
    quiet, busy = [0.01, 0.01, 0.01], [0.02, 0.02, 0.03]
    found = figures(
        {
            "off": [quiet, busy, quiet],
            "sampled": [quiet, busy, busy],
            "all": [busy, [s * 2 for s in busy], busy],
        },
        spans=7,
    )

    assert found.p50_ratio == {"sampled": 1.0, "all": 2.0}
    assert found.p99_ratio["all"] > found.p99_ratio["sampled"] >= 1.0
    assert found.p99_interval["sampled"][0] <= 1.0 <= found.p99_interval["sampled"][1]
    assert found.p99_interval["all"][0] > 1.0
    assert (found.samples, found.rounds, found.spans) == (9, 3, 7)


@pytest.mark.parametrize(
    ("side", "recorded"), [("off", 0), ("off_again", 0), ("sampled", 10), ("all", 1000)]
)
def test_each_side_records_its_share(
    monkeypatch: pytest.MonkeyPatch, side: str, recorded: int
) -> None:
    """None, about one trace in a hundred, and all of them."""
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", **SIDES[side]}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    traces = telemetry.from_environment("watcher", "east", environ)
    sampled = sum(traces.start("watch").traceparent[-1:] in {"1", "3"} for _ in range(1000))
    telemetry.shutdown(traces)
    assert recorded - 10 <= sampled <= recorded * 4
