"""The WireGuard agent of one node: run, or taken away."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import msgspec

from heliograph.errors import InputError
from heliograph.kube.client import KubeClient
from heliograph.kube.errors import NotFound
from heliograph.kube.objects import NODES
from heliograph.marks import ROTATE_ANNOTATION, ROTATION_ANNOTATION
from heliograph.run.buses import buses
from heliograph.run.programs import (
    Running,
    cluster,
    in_time,
    print_lines,
    run_importing,
)
from heliograph.run.settings import ProgramSettings
from heliograph.wireguard import keyfile
from heliograph.wireguard.facts import SAID
from heliograph.wireguard.gateway import Gateway
from heliograph.wireguard.privilege import require_rights
from services.peerer.settings import PeererSettings
from services.peerer.wireguard.agent import Agent
from services.peerer.wireguard.preview import preview
from services.peerer.wireguard.rights import agent_rights
from services.peerer.wireguard.settings import AgentSettings, NodeSettings
from services.peerer.wireguard.tunnels import Tunnels


class Mode(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent is to do.

    Attributes:
        once: Stop when everything is as it should be.
        dry_run: Print what would be done.
        remove: Take everything away.
    """

    once: bool = False
    dry_run: bool = False
    remove: bool = False


async def run(
    program: ProgramSettings, settings: PeererSettings, own: AgentSettings, mode: Mode
) -> None:
    """Do so.

    Raises:
        InputError: Something that an agent must know is missing.
    """
    if not own.node:
        raise InputError(
            "setting 'node' is missing: give --node or HELIOGRAPH_NODE, the name of the Node that "
            "the agent runs on"
        )
    if mode.dry_run:
        await _preview(program, NodeSettings(peerer=settings, own=own))
        return
    require_rights()
    if mode.remove:
        await _remove(program, settings, own)
        return
    running = Running(
        program="agent", settings=settings, rights=agent_rights(settings), node=own.node
    )
    await run_importing(program, running, partial(_agent, own), once=mode.once)


def _agent(own: AgentSettings, settings: PeererSettings, client: KubeClient, **rest: Any) -> Agent:  # noqa: ANN401 - as given
    return Agent(NodeSettings(peerer=settings, own=own), client, **rest)


async def _preview(program: ProgramSettings, settings: NodeSettings) -> None:
    """Print what the agent would do."""
    peerer = settings.peerer
    async with AsyncExitStack() as stack:
        access, rights = program.cluster_access(), agent_rights(peerer)
        client = await stack.enter_async_context(cluster(peerer.cluster, access, rights))
        at = partial(program.bus, "agent", peerer.cluster)
        found = await buses(stack, at, peerer.import_from)
        print_lines(await in_time(preview(settings, client, found.imports)))


async def _remove(program: ProgramSettings, settings: PeererSettings, own: AgentSettings) -> None:
    """Withdraw the node first, so that nobody sends any more; then take the tunnels away."""
    access, rights = program.cluster_access(), agent_rights(settings)
    async with cluster(settings.cluster, access, rights) as client:
        await _withdraw(client, own.node)
    tunnels = Tunnels(own)
    try:
        await tunnels.remove()
        await Gateway(own.interface).remove()
    finally:
        tunnels.close()
    keyfile.discard(keyfile.next_to(own.key_file))
    keyfile.discard(own.key_file)


async def _withdraw(client: KubeClient, node: str) -> None:
    every = (*SAID, ROTATE_ANNOTATION, ROTATION_ANNOTATION)
    patch = {"metadata": {"annotations": dict.fromkeys(every)}}
    try:
        await client.merge_patch(NODES, "", node, patch)
    except NotFound:
        return  # a node that is gone announces nothing
