"""What faults happen to: real control planes, a nats-server, and all programs as processes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from heliograph.bus import EmbeddedServer, ServerSettings
from heliograph.kube.client import KubeClient
from heliograph.kube.kubeconfig import Kubeconfig
from heliograph.lab.access import write_kubeconfig
from heliograph.lab.controlplane import ControlPlane
from heliograph.lab.kilo import install_peer_crd
from heliograph.membership.configmap import ensure_namespace
from heliograph.membership.record import NAMESPACE
from tests.faults.programs import Program

RANGES = {
    "east": ("10.100.0.0/16",),
    "west": ("10.101.0.0/16",),
    "north": ("10.102.0.0/16",),
}
POD_RANGES = {"east": "10.244.0.0/16", "west": "10.245.0.0/16", "north": "10.246.0.0/16"}
GRACE_S = 3600
"""How long a silent node stays announced: longer than any test."""


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that runs.

    Attributes:
        planes: The clusters' control planes, by id.
        buses: By name: "NATS", or "NATS of east" and so on where each cluster has its own.
        watchers: By cluster.
        reflectors: By cluster.
        peerers: By cluster.
        kubeconfig: With a context for each cluster; logs are beside it.
    """

    planes: Mapping[str, ControlPlane]
    buses: Mapping[str, EmbeddedServer]
    watchers: Mapping[str, Program]
    reflectors: Mapping[str, Program]
    peerers: Mapping[str, Program]
    kubeconfig: Path

    @property
    def clusters(self) -> tuple[str, ...]:
        """The ids of the clusters."""
        return tuple(self.planes)

    @property
    def programs(self) -> tuple[Program, ...]:
        """All programs."""
        return (*self.watchers.values(), *self.reflectors.values(), *self.peerers.values())


@contextmanager
def running_stage(
    planes: Mapping[str, ControlPlane], folder: Path, *, shared: bool = True
) -> Iterator[Stage]:
    """Run all programs on control planes that run already, with one bus, or one for each."""
    kubeconfig = folder / "kubeconfig"
    write_kubeconfig(kubeconfig, [plane.access for plane in planes.values()])
    asyncio.run(_prepare(kubeconfig, planes))
    with ExitStack() as stack:
        names = ["NATS"] if shared else [f"NATS of {cluster}" for cluster in planes]
        buses = {n: stack.enter_context(_bus(folder / n.replace(" ", "-"))) for n in names}
        urls = {c: buses["NATS" if shared else f"NATS of {c}"].url for c in planes}
        stage = Stage(
            planes=planes,
            buses=buses,
            watchers={c: Program("watcher", c, kubeconfig, *_watching(urls[c])) for c in planes},
            reflectors={c: _reflector(c, kubeconfig, urls, shared=shared) for c in planes},
            peerers={
                c: Program("peerer", c, kubeconfig, *_importing(c, urls, shared=shared))
                for c in planes
            },
            kubeconfig=kubeconfig,
        )
        for program in stage.programs:
            stack.callback(program.end)
            program.start()
        yield stage


def _bus(folder: Path) -> EmbeddedServer:
    return EmbeddedServer(ServerSettings(directory=folder))


async def _prepare(kubeconfig: Path, clusters: Iterable[str]) -> None:
    """Let clusters know Peers, and have the namespace of decisions."""
    for name in clusters:
        async with KubeClient(name, Kubeconfig(path=kubeconfig, context=name)) as client:
            await install_peer_crd(client)
            await ensure_namespace(client, NAMESPACE)


def _watching(url: str) -> tuple[str, ...]:
    return ("--nats", url, "--node-grace-s", str(GRACE_S))


def _importing(cluster: str, urls: Mapping[str, str], *, shared: bool) -> tuple[str, ...]:
    others = [] if shared else [f"--import-from={c}={urls[c]}" for c in urls if c != cluster]
    return ("--nats", urls[cluster], *others)


def _reflector(cluster: str, kubeconfig: Path, urls: Mapping[str, str], *, shared: bool) -> Program:
    hold = ("--hold-s", "2")  # removals of most mirrors at once are part of it, and are let go
    return Program(
        "reflector", cluster, kubeconfig, *hold, *_importing(cluster, urls, shared=shared)
    )
