"""The reference page of the metrics is what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliograph.metrics import PROGRAMS, Metrics
from tests.support.promtool import tool


def test_the_page_is_up_to_date() -> None:
    """Whoever changes a metric runs tools/reference_metrics.py."""
    assert tool("reference_metrics").main(["--check"]) == 0


def test_the_page_names_every_metric_once() -> None:
    """With its type, its labels, who tells it, and what it means."""
    rows = [line for line in tool("reference_metrics").page().splitlines() if line[:3] == "| `"]
    names = [row.split("`")[1] for row in rows]
    every = {name for program in PROGRAMS for name in Metrics(program, "east").known}
    assert sorted(names) == names == sorted(every)
    (held,) = [row for row in rows if "held_removals" in row]
    assert held == (
        "| `heliograph_held_removals` | gauge | `exporting` | reflector | Removals of mirrors that "
        "are held back right now, since most would go at once. |"
    )


def test_a_page_that_is_out_of_date_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code says so, and a sentence says what to run; writing mends it."""
    reference = tool("reference_metrics")
    monkeypatch.setattr(reference, "PAGE", tmp_path / "reference" / "metrics.md")
    assert reference.main(["--check"]) == 1
    assert "run: .venv/bin/python tools/reference_metrics.py" in capsys.readouterr().err
    assert reference.main([]) == 0
    assert reference.main(["--check"]) == 0
