"""`heliograph demo --real --network`, as a person types it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.network import require_network
from tests.support.planes import built_binary

pytestmark = [pytest.mark.real, pytest.mark.nats, pytest.mark.timeout(400)]

COMMAND = [sys.executable, "-m", "heliograph", "demo", "--real", "--network"]
NAMES = [
    *("clusters", "programs", "tunnels", "ask-before-export"),
    *("export", "no-plain-text", "node-dies", "withdraw"),
]


@pytest.fixture(autouse=True)
def _possible() -> None:
    """Skip where there can be no network, or nothing is built."""
    require_network()
    built_binary()


def started_by(folder: Path) -> list[str]:
    """Return the command lines, of anybody, that name something in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has just ended
            continue
        if str(folder) in line:
            found.append(line)
    return found


def test_a_request_crosses_for_a_person_to_see(tmp_path: Path) -> None:
    """Every step is seen, the JSON says so, the sentences show it, and nothing is left running."""
    done = subprocess.run(
        [*COMMAND, "--json"],
        capture_output=True,
        timeout=380,
        check=False,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )

    told = done.stderr.decode()
    assert done.returncode == 0, told
    report = json.loads(done.stdout)
    assert (report["ok"], [step["name"] for step in report["steps"]]) == (True, NAMES)
    assert "client-in-west is told: backend-in-east" in told
    assert "Name or service not known" in told
    assert "$ heliograph peers --cluster west\n" in told
    assert (list(tmp_path.iterdir()), started_by(tmp_path)) == ([], [])


@pytest.mark.parametrize("at", ["1. two clusters", "2. in each cluster"])
def test_ctrl_c_ends_everything(at: str, tmp_path: Path) -> None:
    """Whether clusters are being started or programs: no process and no file is left."""
    log = tmp_path / "log"
    folder = tmp_path / "temporary"
    folder.mkdir()
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"}
    with log.open("wb") as output:
        process = subprocess.Popen(COMMAND, stdout=output, stderr=output, env=environment)
    try:
        end = time.monotonic() + 120
        while at not in log.read_text() or not started_by(folder):
            assert time.monotonic() < end, log.read_text()
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()

    assert (list(folder.iterdir()), started_by(folder)) == ([], [])
