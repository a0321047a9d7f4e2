"""The version of Heliograph; that of the distribution is held to it by a test."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"
