"""The programs with their connections: checked before they begin, closed when they end."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Generic, TypeVar

import msgspec

from heliograph import telemetry
from heliograph.bus.background import alongside
from heliograph.contract.names import parse_cluster_id
from heliograph.errors import HeliographError
from heliograph.kube.client import KubeClient
from heliograph.kube.kubeconfig import Kubeconfig
from heliograph.kube.rights import Right, require
from heliograph.metrics import Metrics
from heliograph.run.buses import bus, buses
from heliograph.run.first_sync import first_sync, telling
from heliograph.run.service import Told, answers
from heliograph.run.settings import ProgramSettings
from heliograph.run.streams import keep_streams
from heliograph.web import Served, serve
from services.peerer import preview as peerer_preview
from services.peerer.peerer import Peerer
from services.peerer.rights import rights as peerer_rights
from services.peerer.settings import PeererSettings
from services.peerer.wireguard.agent import Agent
from services.reflector import preview as reflector_preview
from services.reflector.reflector import Reflector
from services.reflector.rights import rights as reflector_rights
from services.reflector.settings import ReflectorSettings
from services.watcher import preview as watcher_preview
from services.watcher.rights import rights as watcher_rights
from services.watcher.settings import WatcherSettings
from services.watcher.watcher import Watcher

_ONCE_S = 60.0
_UNCONFIRMED = (
    f"not finished after {_ONCE_S:.0f} s: no exporting cluster is known, one has not confirmed "
    f"what it exports, or removals are held; are the watchers of the other clusters running?"
)
Work = Coroutine[Any, Any, None]
S = TypeVar("S", ReflectorSettings, PeererSettings)


class NotFinished(HeliographError):
    """A pass that was to be made once did not come to its end."""


@asynccontextmanager
async def cluster(
    cluster_id: str, kubeconfig: Kubeconfig, rights: Iterable[Right]
) -> AsyncIterator[KubeClient]:
    """Open the API server of a cluster, after making sure that it lets us work."""
    async with KubeClient(parse_cluster_id(cluster_id), kubeconfig) as client:
        await require(client, rights, kubeconfig)
        yield client


async def run_watcher(program: ProgramSettings, settings: WatcherSettings, *, once: bool) -> None:
    """Run the watcher until cancelled, or until the stream holds what the cluster offers."""
    metrics = Metrics("watcher", settings.cluster)
    traces = telemetry.from_environment("watcher", settings.cluster, os.environ)
    async with AsyncExitStack() as stack:
        stack.enter_context(telemetry.ending(traces))
        opening = cluster(settings.cluster, program.cluster_access(), watcher_rights(settings))
        client = await stack.enter_async_context(opening)
        connection = await stack.enter_async_context(bus(program.bus("watcher", settings.cluster)))
        watcher = Watcher(settings, client, connection, telemetry=traces, metrics=metrics)
        served = Served(
            program="watcher", conditions=watcher.conditions, pulse=watcher.pulse, metrics=metrics
        )
        await stack.enter_async_context(page(program.listen, served))
        told = Told.of("watcher", settings.cluster, watcher, metrics)
        await stack.enter_async_context(answers(connection, told))
        await _run(f"watcher of {settings.cluster}", watcher, once=once)


async def run_reflector(
    program: ProgramSettings, settings: ReflectorSettings, *, once: bool
) -> None:
    """Run the reflector until cancelled, or until every mirror is as it should be."""
    running = Running(program="reflector", settings=settings, rights=reflector_rights(settings))
    await run_importing(program, running, Reflector, once=once)


async def run_peerer(program: ProgramSettings, settings: PeererSettings, *, once: bool) -> None:
    """Run the peerer until cancelled, or until every Peer is as it should be."""
    running = Running(program="peerer", settings=settings, rights=peerer_rights(settings))
    await run_importing(program, running, Peerer, once=once)


class Running(msgspec.Struct, Generic[S], frozen=True, kw_only=True):
    """An importing program.

    Attributes:
        program: Its name.
        settings: Its settings.
        rights: What it must be allowed to do.
        node: The node that it belongs to; empty if to none.
    """

    program: str
    settings: S
    rights: tuple[Right, ...]
    node: str = ""


async def run_importing(
    common: ProgramSettings,
    running: Running[S],
    make: Callable[..., Reflector | Peerer | Agent],
    *,
    once: bool,
) -> None:
    """Run a program that consumes what other clusters publish, with all its connections."""
    name, settings = running.program, running.settings
    metrics = Metrics(name, settings.cluster)
    traces = telemetry.from_environment(name, settings.cluster, os.environ)
    async with AsyncExitStack() as stack:
        stack.enter_context(telemetry.ending(traces))
        opening = cluster(settings.cluster, common.cluster_access(), running.rights)
        client = await stack.enter_async_context(opening)
        at = partial(common.bus, name, settings.cluster)
        found = await buses(stack, at, settings.import_from)
        made = make(
            settings,
            client,
            home=found.home,
            buses=found.imports,
            telemetry=traces,
            metrics=metrics,
        )
        served = Served(program=name, conditions=made.conditions, pulse=made.pulse, metrics=metrics)
        await stack.enter_async_context(page(common.listen, served))
        told = Told.of(name, settings.cluster, made, metrics, node=running.node)
        await stack.enter_async_context(answers(found.home, told))
        where = f"{name} of {settings.cluster}" + (f", node {running.node}" * bool(running.node))
        await _run(where, made, once=once)


async def preview_watcher(program: ProgramSettings, settings: WatcherSettings) -> None:
    """Print what the watcher would publish."""
    async with (
        cluster(settings.cluster, program.cluster_access(), watcher_rights(settings)) as client,
        bus(program.bus("preview", settings.cluster)) as connection,
    ):
        print_lines(await watcher_preview.preview(settings, client, connection))


async def preview_reflector(program: ProgramSettings, settings: ReflectorSettings) -> None:
    """Print what the reflector would write."""
    async with AsyncExitStack() as stack:
        access, rights = program.cluster_access(), reflector_rights(settings)
        client = await stack.enter_async_context(cluster(settings.cluster, access, rights))
        found = await buses(
            stack, partial(program.bus, "reflector", settings.cluster), settings.import_from
        )
        print_lines(await in_time(reflector_preview.preview(settings, client, found.imports)))


async def preview_peerer(program: ProgramSettings, settings: PeererSettings) -> None:
    """Print what the peerer would write."""
    async with AsyncExitStack() as stack:
        access, rights = program.cluster_access(), peerer_rights(settings)
        client = await stack.enter_async_context(cluster(settings.cluster, access, rights))
        at = partial(program.bus, "peerer", settings.cluster)
        found = await buses(stack, at, settings.import_from)
        print_lines(await in_time(peerer_preview.preview(settings, client, found.imports)))


async def run_streams(
    program: ProgramSettings, clusters: Sequence[str], *, replicas: int, once: bool
) -> None:
    """Keep the streams of the clusters until cancelled, or create them once."""
    known = [parse_cluster_id(cluster) for cluster in clusters]
    async with bus(program.bus("streams", "administrator")) as connection:
        await keep_streams(connection, known, replicas=replicas, once=once)


def print_lines(lines: Sequence[str]) -> None:
    """Print a preview on standard output."""
    sys.stdout.write("\n".join(lines or ["nothing to do"]) + "\n")


async def in_time(lines: Coroutine[Any, Any, list[str]]) -> list[str]:
    """Return the lines of a preview; fail if that takes too long."""
    try:
        async with asyncio.timeout(_ONCE_S):
            return await lines
    except TimeoutError:
        raise NotFinished(_UNCONFIRMED) from None


@asynccontextmanager
async def page(listen: str, served: Served) -> AsyncIterator[None]:
    """Serve the page for machines, if an address is given."""
    if not listen:
        yield
        return
    async with serve(listen, served):
        yield


async def _run(what: str, program: Watcher | Reflector | Peerer | Agent, *, once: bool) -> None:
    """Run for ever, or once, and tell how far the first sync is."""
    with telling() as begin:
        syncing = first_sync(what, program, begin())
        if once:
            await _once(program.run(), syncing)
        else:
            async with alongside(syncing):
                await program.run()


async def _once(run: Work, caught_up: Work) -> None:
    """Run until caught up, then stop; fail if that takes too long."""
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(run)
        try:
            async with asyncio.timeout(_ONCE_S):
                await caught_up
        except TimeoutError:
            raise NotFinished(_UNCONFIRMED) from None
        finally:
            running.cancel()
