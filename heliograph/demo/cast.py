"""The clusters of the demo, as people and Kilo's agents work on them.

Nobody runs there: Kilo's agents are played, and people are this process.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec

from heliograph.bus.background import alongside
from heliograph.contract.names import ClusterId
from heliograph.kube.client import KubeClient
from heliograph.kube.kubeconfig import Kubeconfig
from heliograph.lab.access import ClusterAccess, write_kubeconfig
from heliograph.lab.kilo import KiloNode, KiloNodes, kilo_nodes, kilo_subnet

_NODES = 3


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One cluster.

    Attributes:
        name: Its id.
        access: Its credentials.
        people: Writes as people do.
        kilo: Writes what Kilo's agents write; its nodes, once they are added.
        nodes: Nodes that may be added, in ranges that no other cluster has.
    """

    name: ClusterId
    access: Kubeconfig
    people: KubeClient
    kilo: KiloNodes
    nodes: tuple[KiloNode, ...]


@asynccontextmanager
async def members(accesses: Iterable[ClusterAccess]) -> AsyncIterator[Mapping[ClusterId, Member]]:
    """Connect to clusters, and let the hearts of nodes that are added beat."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="heliograph-demo-"))
        path, given = Path(folder) / "kubeconfig", list(accesses)
        write_kubeconfig(path, given)
        found = {}
        for number, access in enumerate(given):
            member = await _member(stack, number, Kubeconfig(path=path, context=access.name))
            found[member.name] = member
        yield found


async def _member(stack: AsyncExitStack, number: int, access: Kubeconfig) -> Member:
    name = ClusterId(access.context or "")
    people, agents = [
        await stack.enter_async_context(KubeClient(name, access, field_manager=manager))
        for manager in ("kubectl", "kg")
    ]
    kilo = KiloNodes(agents, subnet=kilo_subnet(number))
    await stack.enter_async_context(alongside(kilo.beat()))
    nodes = kilo_nodes(number, _NODES)
    return Member(name=name, access=access, people=people, kilo=kilo, nodes=nodes)
