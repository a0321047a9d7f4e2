"""Writes docs/reference/metrics.md from the metrics that the programs expose.

With `--check` nothing is written: the exit code is 1 if the page is out of date.
"""

from __future__ import annotations

import sys
from pathlib import Path

from heliograph.metrics import CONFLICTS, PROGRAMS, Family, Metrics

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "metrics.md"
_HEAD = """\
# Metrics

<!-- Written by tools/reference_metrics.py from the code: change that, and run it. -->

Each program serves its metrics at `/metrics` (`--listen`), in Prometheus' text format. An agent is
the peerer of one node. Beside these, every program tells of its process
(`process_cpu_seconds_total`, `process_resident_memory_bytes`, `process_start_time_seconds`,
`process_open_fds` and others) and of its Python (`python_info`).

Alerts on them are in [deploy/prometheus](../../deploy/prometheus/heliograph.rules.yaml), with
[what to do](../how-to/alerts.md); a dashboard is in
[deploy/grafana](../../deploy/grafana/heliograph.json).

Labels have few values: clusters, kinds, verbs, outcomes, reasons. The only ones by node are those
of agents' tunnels: each agent has as many series as the other clusters have nodes.

| metric | type | labels | told by | meaning |
|---|---|---|---|---|
"""
_TAIL = """
Reasons of refusals that count as conflicts: {conflicts}.
"""


def page() -> str:
    """Return the page as it should be."""
    told: dict[str, list[str]] = {}
    families: dict[str, Family] = {}
    for program in PROGRAMS:
        for name, family in Metrics(program, "east").known.items():
            told.setdefault(name, []).append(program)
            families[name] = family
    rows = "".join(_row(families[name], told[name]) for name in sorted(families))
    conflicts = ", ".join(f"`{reason}`" for reason in sorted(CONFLICTS))
    return f"{_HEAD}{rows}{_TAIL.format(conflicts=conflicts)}"


def _row(family: Family, told: list[str]) -> str:
    labels = ", ".join(f"`{label}`" for label in family.labels)
    by = "all" if len(told) == len(PROGRAMS) else ", ".join(told)
    return f"| `{family.name}` | {family.type} | {labels} | {by} | {family.text} |\n"


def main(arguments: list[str]) -> int:
    """Write the page, or tell whether it is as it should be; return the exit code."""
    wanted = page()
    if "--check" not in arguments:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(wanted, encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == wanted:
        return 0
    sys.stderr.write(
        "docs/reference/metrics.md is not what the code says; run: "
        ".venv/bin/python tools/reference_metrics.py\n"
    )
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
