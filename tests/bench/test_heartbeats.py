"""The benchmark of heartbeats measures what it says, on a few nodes."""

from __future__ import annotations

import pytest

from heliograph.bench import heartbeats as bench
from heliograph.progress import Step


@pytest.mark.nats
async def test_heartbeats_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes beat and are announced once; nothing is published of a heartbeat."""
    for name, seconds in (("PERIOD_S", 0.5), ("_REST_S", 0.5), ("_IDLE_S", 0.2)):
        monkeypatch.setattr(bench, name, seconds)
    told: list[Step] = []
    figures = await bench.heartbeats(10, 1.0, told.append)
    assert (figures.messages, figures.nodes) == (0, 10)
    assert 10 <= figures.beats <= 30
    assert figures.cpu_share >= 0
    assert [step.done for step in told if step.complete] == [10]
    assert not told[-1].counted
