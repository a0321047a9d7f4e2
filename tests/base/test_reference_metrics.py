"""The reference page of the metrics has them all."""

from __future__ import annotations

from heliograph.metrics import PROGRAMS, Metrics
from tools import reference_metrics


def test_the_page_names_every_metric_once() -> None:
    """With its type, its labels, who tells it, and what it means."""
    rows = [line for line in reference_metrics.page().splitlines() if line[:3] == "| `"]
    names = [row.split("`")[1] for row in rows]
    every = {name for program in PROGRAMS for name in Metrics(program, "east").known}
    assert sorted(names) == names == sorted(every)
    (held,) = [row for row in rows if "held_removals" in row]
    assert held == (
        "| `heliograph_held_removals` | gauge | `exporting` | reflector | Removals of mirrors that "
        "are held back right now, since most would go at once. |"
    )
