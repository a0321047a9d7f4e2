"""Runs the programs of two clusters with the settings, tokens and roles that pods would have."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import yaml

from heliograph.process import Child, ChildSettings
from tests.deploy.buses import bus_of, configuration
from tests.deploy.clusters import ACCOUNTS, Cluster
from tests.deploy.manifests import KUBERNETES, find

_READY_S = 60.0


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """A running program.

    Attributes:
        child: Its process.
        port: Of its page.
    """

    child: Child
    port: int

    def page(self, path: str) -> tuple[int, str]:
        """Return status and text of a page; status 0 if nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()

    @property
    def ready(self) -> bool:
        """Whether the readiness probe is content."""
        return self.page("/readyz")[0] == http.HTTPStatus.OK


class World(msgspec.Struct, frozen=True, kw_only=True):
    """Two clusters with all their programs at work, by cluster and program."""

    clusters: Mapping[str, Cluster]
    programs: Mapping[tuple[str, str], Program]


def settings_of(cluster: str) -> dict[str, str]:
    """Return the environment that the cluster's pods get from its ConfigMap."""
    (kustomization,) = yaml.safe_load_all(
        (KUBERNETES / "clusters" / cluster / "Kustomization").read_text("utf-8")
    )
    changed = [yaml.safe_load(entry["patch"]) for entry in kustomization["patches"]]
    return dict(find(changed, "ConfigMap", "settings")["data"])


def deploy(cluster: Cluster, *, certificates: Path) -> None:
    """Do what the how-to says: secrets, then everything."""
    cluster.kubectl("apply", "-f", KUBERNETES / "namespace")
    for secret, folder in {"bus-identity": "identity", "bus-server": "server"}.items():
        files = certificates / cluster.name / folder
        written = cluster.kubectl(
            *("create", "secret", "generic", secret, "--namespace=heliograph"),
            *(f"--from-file={files}", "--dry-run=client", "--output=yaml"),
        )
        cluster.kubectl("apply", "-f", "-", stdin=written)
    cluster.kubectl("apply", "-k", KUBERNETES / "clusters" / cluster.name)


def environment(cluster: Cluster, buses: Mapping[str, str], certificates: Path) -> dict[str, str]:
    """Return the settings as they are in the cluster, with what is elsewhere here."""
    given: dict[str, str] = cluster.get("configmap", "settings", "--namespace=heliograph")["data"]
    mounted = certificates / cluster.name / "identity"
    there = {k: v.replace("/etc/heliograph/bus", str(mounted)) for k, v in given.items()}
    others = [f"{name}={url}" for name, url in buses.items() if name != cluster.name]
    return there | {
        "HELIOGRAPH_NATS": buses[cluster.name],
        "HELIOGRAPH_IMPORT_FROM": ",".join(others),
    }


def start(program: str, cluster: Cluster, environ: Mapping[str, str], folder: Path) -> Program:
    """Start a program with a token of its ServiceAccount."""
    port = _free_port()
    settings = ChildSettings(
        name=f"{program} of {cluster.name}",
        command=(sys.executable, "-m", "heliograph", program),
        log=folder / f"{cluster.name}-{program}.log",
        environment={
            **environ,
            "HELIOGRAPH_KUBECONFIG": str(cluster.kubeconfig(program)),
            "HELIOGRAPH_LISTEN": f"127.0.0.1:{port}",
        },
    )
    running = Program(child=Child(settings), port=port)
    running.child.start()
    return running


@contextlib.contextmanager
def at_work(clusters: Mapping[str, Cluster], certificates: Path, folder: Path) -> Iterator[World]:
    """Deploy to both clusters, and run all their programs until they are ready."""
    with contextlib.ExitStack() as stack:
        buses: dict[str, str] = {}
        for name, cluster in clusters.items():
            deploy(cluster, certificates=certificates)
            files = configuration(f"clusters/{name}")
            bus = bus_of(name, files, certificates=certificates, folder=folder / f"bus-{name}")
            buses[name] = stack.enter_context(bus)
        programs: dict[tuple[str, str], Program] = {}
        for name, cluster in clusters.items():
            environ = environment(cluster, buses, certificates)
            for program in ACCOUNTS:
                running = start(program, cluster, environ, folder)
                stack.callback(running.child.stop)
                programs[name, program] = running
        for running in programs.values():
            running.child.wait_ready(lambda: running.ready, timeout_s=_READY_S)  # noqa: B023
        yield World(clusters=clusters, programs=programs)


def outside_variables() -> dict[str, str]:
    """Return this process's environment without settings of Heliograph."""
    return {k: v for k, v in os.environ.items() if not k.startswith("HELIOGRAPH_")}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
