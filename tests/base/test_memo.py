"""Texts that are read once."""

from __future__ import annotations

from heliograph.memo import remembered


def test_a_text_is_read_once_and_garbage_is_not_kept() -> None:
    """Short texts are remembered, also what they are not; long ones are read each time."""
    read: list[str] = []

    @remembered
    def reading(text: str) -> int | None:
        read.append(text)
        return int(text) if text.isdigit() else None

    garbage = "x" * 301
    for _ in range(3):
        assert (reading("7"), reading("seven"), reading(garbage)) == (7, None, None)
    assert read == ["7", "seven", garbage, garbage, garbage]
