"""Findings as people read them, in colours on a terminal (and not with NO_COLOR)."""

from __future__ import annotations

from typing import Final

from rich.text import Text

from heliograph.check.finding import Finding, Severity

_STYLES: Final[dict[Severity, str]] = {
    "problem": "bold red",
    "warning": "yellow",
    "ok": "green",
}


def line_of(finding: Finding) -> Text:
    """Return the line of a finding."""
    where = f"{finding.cluster}: " if finding.cluster else ""
    remedy = f"; {finding.remedy}" if finding.remedy else ""
    style = _STYLES[finding.severity]
    return Text.assemble((f"{finding.severity:<8} ", style), f"{where}{finding.what}{remedy}")
