"""What all tests share: how hypothesis searches, and that logs are as they were after each."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

# Where a change is judged, the same examples are tried each time; at home, new ones are searched.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("home", deadline=None, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "home")


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """Let no command's logs go on, to an output that ended with its test."""
    yield
    structlog.reset_defaults()
