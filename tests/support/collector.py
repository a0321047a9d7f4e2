"""A real receiver of traces; where it is not built, tests skip, but never in CI."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from heliograph.lab.collector import COLLECTOR, ReceivedSpan
from heliograph.lab.controlplane.build import built_path


def built_collector() -> Path:
    """Return the collector's binary; a machine without it skips the test, but never in CI."""
    binary = built_path(COLLECTOR)
    if binary is not None:
        return binary
    missing = "the collector of traces is not built; `make controlplane` builds it"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


def chain(spans: Sequence[ReceivedSpan], *wanted: tuple[str, str]) -> list[ReceivedSpan]:
    """Return spans of these names and clusters, each the parent of the next; none if there are not.

    The first of them begins its trace.
    """
    for first in spans:
        begins = (first.name, first.cluster) == wanted[0] and not first.parent
        if begins and (path := _below(spans, first, wanted[1:])):
            return path
    return []


def _below(
    spans: Sequence[ReceivedSpan], top: ReceivedSpan, wanted: Sequence[tuple[str, str]]
) -> list[ReceivedSpan]:
    if not wanted:
        return [top]
    for span in spans:
        below = (span.trace, span.parent) == (top.trace, top.span)
        next_one = below and (span.name, span.cluster) == wanted[0]
        if next_one and (path := _below(spans, span, wanted[1:])):
            return [top, *path]
    return []
