"""The reference page of the metrics, from those that the programs expose."""

from __future__ import annotations

from heliograph.metrics import CONFLICTS, PROGRAMS, Family, Metrics

_HEAD = """\
# Metrics

<!-- Written from the code by `make generate`: change that, and run it. -->

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
