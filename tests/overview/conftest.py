"""A bus for each test."""

from __future__ import annotations

from tests.support.east_bus import server

__all__ = ["server"]
