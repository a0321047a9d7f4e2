"""Child processes: started, watched, paused, ended; and what is said when that fails."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from heliograph.process import Child, ChildSettings, ProcessFailed

STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True)\n"
FOREVER = "import time\nprint('up', flush=True)\nwhile True: time.sleep(0.01)\n"


def child(home: Path, script: str, **settings: object) -> Child:
    command = (sys.executable, "-c", script)
    given = {"name": "tester", "command": command, "log": home / "log", **settings}
    return Child(ChildSettings(**given))


def state(running: Child) -> str:
    stat = Path(f"/proc/{running.pid}/stat").read_text(encoding="utf-8")
    return stat.rpartition(")")[2].split()[0]


def test_a_life(tmp_path: Path) -> None:
    """Started, ready, stopped; and started again, with only the new words in `log_tail`."""
    settings = {"environment": {"WORD": "up"}, "directory": tmp_path}
    script = "import os, time; print(os.environ['WORD'], os.getcwd(), flush=True); time.sleep(60)"
    runner = child(tmp_path, script, **settings)
    assert (runner.pid, runner.running, runner.log_tail) == (None, False, "")
    for _ in range(2):
        with runner:
            runner.wait_ready(lambda: runner.log_tail.endswith("\n"))
            assert runner.log_tail == f"up {tmp_path}\n"
            with pytest.raises(ProcessFailed, match="tester runs already"):
                runner.start()
        assert (runner.pid, runner.running) == (None, False)
    assert (tmp_path / "log").read_text(encoding="utf-8") == f"up {tmp_path}\n" * 2


async def test_readiness_without_blocking(tmp_path: Path) -> None:
    """The same on an event loop."""
    with child(tmp_path, FOREVER) as runner:
        await runner.wait_ready_async(lambda: bool(runner.log_tail))


def test_it_ends_before_it_is_ready(tmp_path: Path) -> None:
    """Its last line is passed on."""
    runner = child(tmp_path, "print('first', flush=True); raise SystemExit('no such option')")
    with runner, pytest.raises(ProcessFailed) as raised:
        runner.wait_ready(lambda: False)
    assert str(raised.value) == (
        f"tester ended before it was ready; the last line of {tmp_path}/log is: no such option"
    )
    assert "first" in raised.value.log_tail


def test_it_is_never_ready(tmp_path: Path) -> None:
    """Waiting has a bound."""
    words = r"was not ready within 0\.2 s; the last line"
    runner = child(tmp_path, "import time; time.sleep(60)")
    with runner, pytest.raises(ProcessFailed, match=words):
        runner.wait_ready(lambda: False, timeout_s=0.2)


def test_it_is_not_installed(tmp_path: Path) -> None:
    """The program is named."""
    runner = Child(ChildSettings(name="etcd", command=("/none/etcd",), log=tmp_path / "log"))
    with pytest.raises(ProcessFailed, match=r"etcd cannot be started .*/none/etcd.* installed"):
        runner.start()
    runner.stop()
    runner.kill()


def test_who_does_not_listen_is_killed(tmp_path: Path) -> None:
    """Stopping has a bound as well."""
    runner = child(tmp_path, STUBBORN + "time.sleep(60)", stop_timeout_s=0.2)
    runner.start()
    runner.wait_ready(lambda: bool(runner.log_tail))
    began_s = time.monotonic()
    runner.stop()
    assert not runner.running
    assert time.monotonic() - began_s < 5


def test_a_paused_child_stops_as_well(tmp_path: Path) -> None:
    """It is frozen, it goes on, and while frozen it can still be stopped."""
    runner = child(tmp_path, FOREVER)
    runner.start()
    runner.wait_ready(lambda: bool(runner.log_tail))
    runner.pause()
    runner.wait_ready(lambda: state(runner) == "T")
    runner.resume()
    runner.wait_ready(lambda: state(runner) in "RS")
    runner.pause()
    runner.stop()
    assert not runner.running
