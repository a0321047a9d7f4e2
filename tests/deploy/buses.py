"""Runs the shipped configuration of NATS on a real nats-server, with the shipped certificates."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from heliograph.bus import Connection, ConnectionSettings, EmbeddedServer, ServerSettings, connect
from tests.deploy.manifests import DEPLOY, find, patches, read

_SERVER = "heliograph"  # what EmbeddedServer calls itself by default


def make_certificates(folder: Path, *clusters: str) -> Path:
    """Run the script that operators run, once for each cluster; return the folder."""
    for cluster in clusters:
        names = (f"bus.{cluster}.example.com", "127.0.0.1")
        script = DEPLOY / "certificates.sh"
        subprocess.run([script, folder, cluster, *names], check=True, capture_output=True)
    return folder


def configuration(overlay: str | None = None) -> dict[str, str]:
    """Return the files of the ConfigMap nats, as an overlay changes them."""
    files: dict[str, str] = find(read("nats"), "ConfigMap", "nats")["data"]
    changed = find(patches(overlay), "ConfigMap", "nats")["data"] if overlay else {}
    return {**files, **changed}


@contextlib.contextmanager
def bus_of(
    cluster: str, files: dict[str, str], *, certificates: Path, folder: Path
) -> Iterator[str]:
    """Run the bus of a cluster; yield its URL.

    The configuration is the shipped one, but for paths, ports and the pod's name.
    """
    text = files["nats.conf"]
    for given, here in {
        "$POD_NAME": _SERVER,
        "port: 4222\n": "",  # EmbeddedServer's own `listen` stands before it
        "127.0.0.1:8222": "127.0.0.1:-1",
        "store_dir: /data": f'store_dir: "{folder / "store"}"',
        "/etc/nats/tls/": f"{certificates / cluster / 'server'}/",
    }.items():
        assert given in text
        text = text.replace(given, here)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "users.conf").write_text(files["users.conf"], encoding="utf-8")
    with EmbeddedServer(ServerSettings(directory=folder, extra_config=text)) as server:
        yield f"tls://127.0.0.1:{server.port}"


def identity(certificates: Path, cluster: str) -> dict[str, Any]:
    """Return how a cluster's programs identify themselves, and where replies to them go."""
    folder = certificates / cluster / "identity"
    return {
        "tls_ca": folder / "ca.crt",
        "tls_certificate": folder / "tls.crt",
        "tls_key": folder / "tls.key",
        "inbox_prefix": f"_INBOX_{cluster}",
    }


@contextlib.asynccontextmanager
async def connected(url: str, **tls: Any) -> AsyncIterator[Connection]:  # noqa: ANN401
    """Connect; refusals are part of the tests, so warnings go nowhere."""
    settings = ConnectionSettings(urls=(url,), name="test", **tls)
    async with connect(settings, on_warning=lambda _: None) as connection:
        yield connection
