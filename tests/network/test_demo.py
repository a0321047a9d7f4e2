"""What `heliograph demo --real --network` shows a person."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest

from heliograph.cli.demo import Report
from tests.support.network import require_network
from tests.support.planes import built_binary

STEPS = ["tunnels", "request", "secret", "death", "withdrawal"]


@pytest.mark.real
@pytest.mark.timeout(400)
def test_every_step_is_seen() -> None:
    """Tunnels, a request from pod to pod, secrecy, a node that dies, and the end of it."""
    require_network()
    built_binary()
    command = [sys.executable, "-m", "heliograph", "demo", "--real", "--network", "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=360, check=False)
    assert ended.returncode == 0, ended.stderr
    report = msgspec.json.decode(ended.stdout, type=Report)

    assert [step.name for step in report.steps] == STEPS
    assert report.ok


def test_a_network_needs_real_clusters() -> None:
    """Said in one sentence, with the way out."""
    command = [sys.executable, "-m", "heliograph", "demo", "--network"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode == 2
    assert "--network needs --real" in ended.stderr
    assert ended.stdout == ""
