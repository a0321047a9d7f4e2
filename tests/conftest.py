"""What all tests share: how hypothesis searches, which worker has which, and logs as they were."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings
from typing_extensions import override
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

# Where a change is judged, the same examples are tried each time; at home, new ones are searched.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("home", deadline=None, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "home")

WITH_PACKETS = ("tests/network/", "tests/lab/test_network_", "tests/end_to_end/test_demo_network")


class Scheduling(LoadFileScheduling):
    """A file is one worker's, and all that sends real packets as well.

    Tunnels in userspace need most of a processor: two networks at a time are slower than one after
    the other, and what is to pass within seconds does not.
    """

    @override
    def _split_scope(self, nodeid: str) -> str:
        return "packets" if nodeid.startswith(WITH_PACKETS) else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """Return who gives tests to workers."""
    return Scheduling(config, log)


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """Let no command's logs go on, to an output that ended with its test."""
    yield
    structlog.reset_defaults()
