"""`heliograph lab up`: clusters to try things on, until Ctrl-C."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, nullcontext
from pathlib import Path

from rich.console import Console

from heliograph.lab.access import write_kubeconfig
from heliograph.lab.clusters import (
    cluster_names,
    memory_clusters,
    nodes_with_kilo,
    real_clusters,
)
from heliograph.lab.controlplane import built_path
from heliograph.lab.kilo import kilo_nodes
from heliograph.progress.shown import shown


async def up(count: int, kubeconfig: Path, *, real: bool, nodes: int | None) -> None:
    """Run clusters until cancelled; write a kubeconfig with one context for each.

    Args:
        count: How many.
        kubeconfig: The file to write.
        real: Whether they are real control planes.
        nodes: How many nodes with Kilo's annotations each has; None for none at all.
    """
    cluster_names(count)  # refuses a bad count before anything is built
    if nodes is not None:
        kilo_nodes(0, nodes)  # likewise
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    async with AsyncExitStack() as stack:
        with shown(console) as begin:
            running = real_clusters(count, begin()) if real else memory_clusters(count)
            accesses = await stack.enter_async_context(running)
        write_kubeconfig(kubeconfig, accesses)
        for access in accesses:
            console.print(f"cluster [bold]{access.name}[/bold] at {access.server}")
        console.print(f"kubeconfig: {kubeconfig} (a context for each cluster)")
        if (binary := built_path()) is not None:
            console.print(f"kubectl, if you have none: {binary} kubectl", style="dim")
        async with nodes_with_kilo(kubeconfig, count, nodes) if nodes else nullcontext():
            if nodes:
                console.print(f"each has {nodes} nodes that say what Kilo's agent would say")
            console.print("Ctrl-C ends them, and all that they hold is gone")
            await asyncio.Event().wait()
