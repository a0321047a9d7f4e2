"""Metrics in Prometheus' form; the only importer of prometheus-client.

Each program has a registry of its own, so that several live in one process. Names and units follow
Prometheus' conventions; labels have few values (clusters, kinds, verbs, outcomes).
"""

from __future__ import annotations

from heliograph.metrics.families import Family
from heliograph.metrics.program import CONFLICTS, PROGRAMS, Metrics

__all__ = ["CONFLICTS", "PROGRAMS", "Family", "Metrics"]
