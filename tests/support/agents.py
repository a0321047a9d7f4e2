"""An agent of ours on one node of cluster west, with the userspace tunnel, among other clusters.

To be used in a test that is `apart`: all of it is in the test's own network.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import structlog
from structlog.testing import LogCapture

from heliograph import telemetry
from heliograph.imports.consume import ImportBus
from heliograph.lab.access import write_kubeconfig
from heliograph.lab.memory import JsonObject
from heliograph.metrics import Metrics
from heliograph.run import agents
from heliograph.run.agents import Mode
from heliograph.run.settings import ProgramSettings
from heliograph.wireguard.device import Device
from heliograph.wireguard.errors import TunnelError
from heliograph.wireguard.interface import Interface
from heliograph.wireguard.links import LinkInterface
from heliograph.wireguard.userspace import UserspaceDevice
from services.peerer.settings import PeererSettings
from services.peerer.wireguard.agent import Agent
from services.peerer.wireguard.settings import AgentSettings, NodeSettings
from tests.support.api_proxy import ApiProxy
from tests.support.joined import Cluster, JoinedClusters, bus_server, eventually, joined
from tests.support.peering import key_of
from tests.support.wireguard import stop, wireguard_go

INTERFACE = "hg-test0"
NODE = "w1"
MTU = 1420


class Node:
    """Node w1 of cluster west, where agents of ours run, one after another.

    Attributes:
        agent: The one that runs, or ran last.
        metrics: Of that one.
        nats: The bus of all clusters.
        said: What agents logged.
    """

    agent: Agent
    metrics: Metrics

    def __init__(self, lab: JoinedClusters, folder: Path, nats: str, said: LogCapture) -> None:
        self.lab, self._folder, self.nats, self.said = lab, folder, nats, said
        self._link = LinkInterface(INTERFACE)
        self._device = UserspaceDevice(INTERFACE)
        self.telemetry = telemetry.disabled()

    def __getitem__(self, name: str) -> Cluster:
        return self.lab[name]

    def add_node(self, cluster: str, name: str, number: int = 1, **said: str | None) -> JsonObject:
        """Apply a Node with an agent: pods 10.(42+C).N.0/24, tunnel address 100.64.(16*C).N."""
        at = self[cluster].number
        usual: dict[str, str | None] = {
            "public_key": key_of(f"{cluster}/{name}"),
            "endpoint": f"203.0.113.{20 * at + number}:51820",
            "tunnel_ip": f"100.64.{16 * at}.{number}/20",
        }
        facts = usual | said
        cidr = facts.pop("pod_cidr", f"10.{42 + at}.{number}.0/24")
        annotations = {f"heliograph.io/{k.replace('_', '-')}": v for k, v in facts.items() if v}
        return self[cluster].api.apply(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name, "annotations": annotations},
                "spec": {"podCIDR": cidr, "podCIDRs": [cidr]},
                "status": {"addresses": [{"type": "InternalIP", "address": "198.51.100.7"}]},
            }
        )

    async def admit(self, name: str) -> None:
        """Start a cluster's watcher, and wait until west has written down that it takes part.

        So who comes first has the better right, and not who is heard first.
        """
        await self.lab.start_watcher(name)
        await eventually(lambda: self[name].watcher.ready)
        if name == "west":
            await self.lab.start_reflector(name)
        else:
            await eventually(lambda: f"admitted.{name}" in self._record())

    def _record(self) -> dict[str, str]:
        kept = self["west"].api.get("ConfigMap", "heliograph", "clusterset") or {}
        return kept.get("data") or {}

    def annotations(self, name: str = NODE) -> dict[str, str]:
        """Return what is said on a Node of west."""
        node = self["west"].api.get("Node", "", name)
        assert node is not None
        return dict(node["metadata"].get("annotations") or {})

    def settings(self, **own: Any) -> NodeSettings:  # noqa: ANN401 - of the agent
        """Return the settings of an agent."""
        usual: dict[str, Any] = {
            "node": NODE,
            "interface": INTERFACE,
            "key_file": self._folder / "wireguard.key",
            "mtu": MTU,
            "userspace": shlex.join(wireguard_go()),
        }
        return NodeSettings(
            peerer=PeererSettings(cluster="west", backend="wireguard"),
            own=AgentSettings(**(usual | own)),
        )

    @asynccontextmanager
    async def running(self, *, ready: bool = True, **own: Any) -> AsyncIterator[Agent]:  # noqa: ANN401
        """Run an agent beside the body, which begins when that is ready; an error of it is ours."""
        settings = self.settings(**own)
        async with self.lab.client("west", "heliograph") as client, self.lab.bus("west") as home:
            self.metrics = Metrics("agent", "west")
            agent = self.agent = Agent(
                settings,
                client,
                home=home,
                buses=[ImportBus(connection=home)],
                telemetry=self.telemetry,
                metrics=self.metrics,
            )
            task = asyncio.create_task(agent.run())
            try:
                if ready:
                    await eventually(lambda: agent.ready or task.done())
                yield agent
                if task.done():
                    task.result()
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    @asynccontextmanager
    async def proxied(self) -> AsyncIterator[ApiProxy]:
        """Let agents that start from now on reach west's API server through a proxy."""
        async with ApiProxy(self["west"].api.access).running() as proxy:
            write_kubeconfig(self._folder / "west", [proxy.access])
            yield proxy

    async def command(self, mode: Mode, **own: Any) -> None:  # noqa: ANN401 - of the agent
        """Do what `heliograph peerer --backend wireguard` does, in some mode."""
        settings = self.settings(**own)
        program = ProgramSettings(kubeconfig=str(self._folder / "west"), nats=(self.nats,))
        await agents.run(program, settings.peerer, settings.own, mode)

    async def device(self) -> Device:
        """Read the device."""
        return await self._device.read()

    async def interface(self) -> Interface | None:
        """Read the interface."""
        return await self._link.read()

    async def ranges(self, cluster: str, name: str) -> frozenset[str]:
        """Return the ranges that a node's peer has; none without a peer."""
        peer = (await self.device()).peers.get(key_of(f"{cluster}/{name}"))
        return peer.allowed_ips if peer else frozenset()

    async def routes(self) -> set[str]:
        """Return where our routes lead."""
        found = await self.interface()
        return {route.destination for route in found.routes} if found else set()

    async def until_peers(self, *names: str) -> None:
        """Wait until exactly these nodes, as "CLUSTER/NODE", are peers."""
        wanted = {key_of(name) for name in names}

        async def stand() -> bool:
            return set((await self.device()).peers) == wanted

        await self.until(stand)

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Wait until something holds."""
        try:
            async with asyncio.timeout(60):
                while True:
                    with suppress(TunnelError):  # it may not be there yet
                        if await condition():
                            return
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"not seen; logged was: {self.said.entries}") from None

    def logged(self, event: str) -> list[MutableMapping[str, Any]]:
        """Return what was logged of a kind."""
        return [entry for entry in self.said.entries if entry["event"] == event]

    async def end(self) -> None:
        """End the program of the tunnel."""
        self._link.close()
        await stop(INTERFACE)


@contextmanager
def captured() -> Iterator[LogCapture]:
    """Keep what is logged, from all threads."""
    capture = LogCapture()
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, capture])
    try:
        yield capture
    finally:
        structlog.reset_defaults()


@asynccontextmanager
async def node(
    folder: Path,
    *others: str,
    watchers: bool = True,
    **settings: Any,  # noqa: ANN401
) -> AsyncIterator[Node]:
    """Run cluster west with node w1, and others, each with node n1; watchers, west's reflector."""
    names = ("west", *(others or ("east", "south")))
    async with bus_server(folder / "nats") as server:
        urls = dict.fromkeys(names, server.url)
        async with joined(folder, *names, urls=urls, start=False, **settings) as lab:
            with captured() as said:
                found = Node(lab, folder, server.url, said)
                found.add_node("west", NODE, public_key=None, endpoint=None, tunnel_ip=None)
                for name in names[1:]:
                    found.add_node(name, "n1")
                for name in names if watchers else ():
                    await found.admit(name)
                try:
                    yield found
                finally:
                    await found.end()
