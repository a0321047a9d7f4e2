"""Looks at clusters and buses, and shows what is found."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Final

import msgspec
from rich.console import Console

from heliograph.admission.explain import REASON
from heliograph.check.facts import Rights, gather_bus_facts, gather_facts
from heliograph.check.finding import Finding
from heliograph.check.findings import healthy, judge, summary
from heliograph.check.known import BusFacts, ClusterFacts
from heliograph.check.overlaps import DEFAULT_SUBNET_REASON
from heliograph.cli.clusters import parse_buses, parse_clusters
from heliograph.cli.findings import line_of
from heliograph.cli.framed import framed
from heliograph.contract.names import ClusterId
from heliograph.errors import InputError
from heliograph.kube.client import KubeClient
from heliograph.kube.kubeconfig import Kubeconfig
from services.peerer.rights import rights as peerer_rights
from services.peerer.settings import PeererSettings
from services.reflector.rights import rights as reflector_rights
from services.reflector.settings import ReflectorSettings
from services.watcher.rights import rights as watcher_rights
from services.watcher.settings import WatcherSettings

_FRAMED: Final = frozenset({REASON, DEFAULT_SUBNET_REASON})
"""Findings that are shown in a frame beside their line: people have overlooked them."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What `--json` prints.

    Attributes:
        ok: Whether there is no problem.
        findings: The worst first.
    """

    ok: bool
    findings: tuple[Finding, ...]


async def check(clusters: Sequence[str], nats: Sequence[str], *, as_json: bool) -> int:
    """Print what is found; return 0 if nothing of it is a problem.

    Raises:
        InputError: A kubeconfig cannot be used, or an argument is of another form.
    """
    known = parse_clusters(clusters)
    if not known:
        raise InputError("give at least one cluster: --cluster east=KUBECONFIG")
    urls = parse_buses(nats, tuple(known)) if nats else {}
    facts, buses = await asyncio.gather(_look_at_clusters(known), _look_at_buses(urls))
    report = _report(judge(facts, buses))
    for finding in report.findings:
        if finding.reason in _FRAMED:
            said = f"{finding.cluster}: {finding.what}."
            framed(f"{finding.reason}: {finding.cluster}", said, f"What to do: {finding.remedy}.")
    if as_json:
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    else:
        show(report.findings, len(known))
    return 0 if report.ok else 1


def _report(findings: tuple[Finding, ...]) -> Report:
    return Report(ok=healthy(findings), findings=findings)


def show(findings: Sequence[Finding], clusters: int) -> None:
    """Print the findings on standard output, in colours on a terminal (and not with NO_COLOR)."""
    console = Console(highlight=False, soft_wrap=True)
    for finding in findings:
        console.print(line_of(finding))
    console.print(summary(findings, clusters))


async def _look_at_clusters(known: Mapping[ClusterId, Kubeconfig]) -> list[ClusterFacts]:
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(KubeClient(cluster, access))
            for cluster, access in known.items()
        ]
        looks = (gather_facts(client, _rights(ClusterId(client.cluster))) for client in clients)
        return await asyncio.gather(*looks)


def _rights(cluster: ClusterId) -> Rights:
    """Return what each program needs, with its default settings."""
    return {
        "watcher": watcher_rights(WatcherSettings(cluster=cluster)),
        "reflector": reflector_rights(ReflectorSettings(cluster=cluster)),
        "peerer": peerer_rights(PeererSettings(cluster=cluster)),
    }


async def _look_at_buses(urls: Mapping[ClusterId, str]) -> list[BusFacts]:
    clusters: dict[str, list[ClusterId]] = {}
    for cluster, url in urls.items():
        clusters.setdefault(url, []).append(cluster)
    return await asyncio.gather(*(gather_bus_facts(url, of) for url, of in clusters.items()))
