"""One version, wherever it is said."""

from __future__ import annotations

from importlib import metadata

import heliograph
from heliograph.version import VERSION


def test_the_package_and_its_distribution_have_one_version() -> None:
    """Programs tell it, and images are named by it."""
    assert heliograph.__version__ == VERSION == metadata.version("heliograph")
