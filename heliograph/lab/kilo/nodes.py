"""Nodes with Kilo, in a cluster that has none: they say what Kilo's agent says, and do nothing.

Each write is one that the agent makes: the heartbeat, the annotations that go when it stops and
come back when it starts, the tunnel addresses that move when a node comes or goes.
"""

from __future__ import annotations

import asyncio
import base64
import random
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Final

import msgspec

from heliograph.errors import RetryableError
from heliograph.kilo.facts import FRESH_S
from heliograph.kube.client import KubeClient
from heliograph.kube.errors import NotFound
from heliograph.kube.objects import NODES, Node, NodeSpec, ObjectMeta
from heliograph.lab.kilo.node import AGENTS_ANNOTATIONS, KiloNode, prefixed, tunnel_ips

HEARTBEAT_S: Final = 30.0
_KEY_BYTES: Final = 32


class KiloNodes:
    """The nodes of one cluster whose agents are played.

    An agent is running (it has written its annotations, and its heart beats), silent (what it
    wrote stands there and grows old), or stopped (it has taken its annotations away).
    """

    def __init__(
        self,
        client: KubeClient,
        *,
        subnet: str = "10.4.0.0/16",
        heartbeat_s: float = HEARTBEAT_S,
        seed: int | None = None,
    ) -> None:
        """Prepare.

        Args:
            client: The cluster; it must be allowed to write nodes.
            subnet: Range of the tunnel addresses; the default is Kilo's own.
            heartbeat_s: Seconds between two heartbeats of a node.
            seed: Makes the keys the same in each run; they are public keys of nobody.
        """
        self._client, self._subnet, self._heartbeat_s = client, subnet, heartbeat_s
        self._random = random.Random(seed)  # noqa: S311 - no secret: nobody has the private keys
        self._nodes: dict[str, KiloNode] = {}
        self._beating: set[str] = set()
        self._seen_s: dict[str, float] = {}
        self._tunnel_ips: dict[str, str] = {}
        self._writing = asyncio.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of all nodes, in order."""
        return tuple(sorted(self._nodes))

    def node(self, name: str) -> KiloNode:
        """Return a node as it is now, with its key."""
        return self._nodes[name]

    def tunnel_ip(self, name: str) -> str:
        """Return the address of a node's tunnel interface, with its mask; "" for none."""
        return self._tunnel_ips.get(name, "")

    async def beat(self) -> None:
        """Let the hearts beat, for ever; a beat that cannot be written is missed."""
        while True:
            await asyncio.sleep(self._heartbeat_s)
            async with self._writing:
                for name in sorted(self._beating):
                    with suppress(RetryableError, NotFound):  # somebody may delete a node by hand
                        await self._see(name, time.time())
                with suppress(RetryableError, NotFound):
                    await self._renumber()

    async def add(self, *nodes: KiloNode) -> None:
        """Create nodes whose agents are running; one without a key is given one."""
        async with self._writing:
            for node in nodes:
                self._nodes[node.name] = msgspec.structs.replace(node, key=node.key or self._key())
                self._beating.add(node.name)
                self._seen_s[node.name] = time.time()
            await self._renumber(new={node.name for node in nodes})
            for node in nodes:
                await self._client.create(NODES, self._object(node.name))

    async def remove(self, name: str) -> None:
        """Delete a node; those behind it move up."""
        async with self._writing:
            del self._nodes[name]
            self._beating.discard(name)
            self._seen_s.pop(name, None)
            await self._client.delete(NODES, ObjectMeta(name=name))
            await self._renumber()

    async def go_silent(self, name: str, *, ago_s: float = 0) -> None:
        """Let a node's heart stop; with `ago_s`, its last beat was so many seconds ago."""
        async with self._writing:
            self._beating.discard(name)
            if ago_s:
                await self._see(name, time.time() - ago_s)
            await self._renumber()

    async def stop(self, name: str) -> None:
        """Stop a node's agent in good order: it takes away what it wrote."""
        async with self._writing:
            self._beating.discard(name)
            self._seen_s.pop(name, None)
            await self._annotate(name, dict.fromkeys(AGENTS_ANNOTATIONS))
            await self._renumber()

    async def start(self, name: str) -> None:
        """Start the agent of a node that is silent or stopped."""
        async with self._writing:
            self._beating.add(name)
            self._seen_s[name] = time.time()
            await self._renumber(new={name})
            await self._write(name)

    async def rollout(self, name: str, *, pause_s: float = 0) -> None:
        """Replace a node's agent by a new one, as a rolling update does."""
        await self.stop(name)
        await asyncio.sleep(pause_s)
        await self.start(name)

    async def change(self, name: str, **facts: str) -> None:
        """Change facts of a running node (such as `endpoint`), in one write."""
        async with self._writing:
            self._nodes[name] = msgspec.structs.replace(self._nodes[name], **facts)
            await self._renumber(new={name})
            await self._write(name)

    async def change_key(self, name: str) -> str:
        """Give a running node a new key; return it."""
        key = self._key()
        await self.change(name, key=key)
        return key

    def _key(self) -> str:
        return base64.b64encode(self._random.randbytes(_KEY_BYTES)).decode()

    async def _renumber(self, *, new: Collection[str] = ()) -> None:
        """Give ready nodes their tunnel addresses; write those that move, but for `new` ones."""
        before, now_s = self._tunnel_ips, time.time()
        ready = [n for n in self._nodes.values() if now_s - self._seen_s.get(n.name, 0) < FRESH_S]
        self._tunnel_ips = tunnel_ips(ready, self._subnet)
        for name in sorted(self._beating.difference(new)):
            if before.get(name) != self.tunnel_ip(name):
                await self._annotate(name, {"wireguard-ip": self.tunnel_ip(name)})

    async def _see(self, name: str, seen_s: float) -> None:
        self._seen_s[name] = seen_s
        await self._annotate(name, {"last-seen": str(int(seen_s))})

    async def _write(self, name: str) -> None:
        await self._patch(name, self._said(name))

    async def _annotate(self, name: str, said: Mapping[str, str | None]) -> None:
        await self._patch(name, prefixed(said))

    async def _patch(self, name: str, annotations: Mapping[str, str | None]) -> None:
        patch = {"metadata": {"annotations": annotations}}
        await self._client.merge_patch(NODES, "", name, patch)

    def _said(self, name: str) -> dict[str, str]:
        return self._nodes[name].annotations(self.tunnel_ip(name), self._seen_s[name])

    def _object(self, name: str) -> Node:
        node = self._nodes[name]
        cidrs = (node.pod_cidr,) if node.pod_cidr else ()
        return Node(
            metadata=ObjectMeta(
                name=name, annotations=node.peoples_annotations() | self._said(name)
            ),
            spec=NodeSpec(pod_cidr=node.pod_cidr, pod_cidrs=cidrs),
        )
