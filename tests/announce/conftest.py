"""A bus for each test, with the stream of cluster east."""

from __future__ import annotations

from tests.support.east_bus import connection, server

__all__ = ["connection", "server"]
