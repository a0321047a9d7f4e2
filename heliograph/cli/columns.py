"""Tables as kubectl prints them: columns apart by three spaces, no lines. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def in_columns(rows: Sequence[tuple[str, ...]]) -> str:
    """Return rows of equally many cells, the first of them the headings; each ends its line."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("   ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines) + "\n"
