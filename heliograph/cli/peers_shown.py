"""`heliograph peers`: asks agents for their tunnels, and shows them to people and programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Final, Literal

import msgspec
import yaml

from heliograph.cli.asked import AskSettings
from heliograph.cli.columns import in_columns
from heliograph.cli.reaching import needing_a_bus
from heliograph.contract.names import ClusterId, parse_cluster_id
from heliograph.contract.tunnels import Tunnel
from heliograph.errors import HeliographError, InputError
from heliograph.run.buses import bus
from heliograph.run.settings import BusSettings
from heliograph.run.tunnels import Told, ask_tunnels

Output = Literal["json", "yaml"]

_HEADER: Final = (
    *("NODE", "CLUSTER", "PEER", "STATE", "ENDPOINT", "HANDSHAKE"),
    *("RECEIVED", "SENT", "RANGES", "CLAIMS"),
)
_NONE: Final = "<none>"
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_STEP: Final = 1024
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


class NodeTunnels(msgspec.Struct, frozen=True, kw_only=True):
    """The tunnels of one node."""

    node: str
    tunnels: tuple[Tunnel, ...]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What `-o json` and `-o yaml` print.

    Attributes:
        cluster: The cluster that was asked.
        nodes: Its nodes that answered, by name.
        missing: Its nodes whose agents did not.
    """

    cluster: str
    nodes: tuple[NodeTunnels, ...]
    missing: tuple[str, ...]


class NotAnswered(HeliographError):
    """Agents that should have did not answer."""


async def peers(
    program: BusSettings, settings: AskSettings, which: str | None, output: Output | None
) -> int:
    """Print the tunnels of a cluster's nodes; return the exit code.

    Raises:
        NotAnswered: Agents did not answer; what others did is printed before.
        InputError: Nothing is called `which`.
    """
    cluster = parse_cluster_id(settings.cluster)
    async with AsyncExitStack() as stack:
        with needing_a_bus():
            connection = await stack.enter_async_context(bus(program.bus("peers", cluster)))
        told = await ask_tunnels(connection, cluster, within_s=settings.wait_s)
    report = select(cluster, told, which)
    if output is not None:
        sys.stdout.write(_printed(report, output))
    elif any(one.tunnels for one in report.nodes):
        sys.stdout.write(table(report.nodes))
    else:
        sys.stderr.write("No tunnels found.\n")
    if report.missing:
        raise NotAnswered(_missing(cluster, report.missing, settings.wait_s))
    if not told.tunnels:
        raise NotAnswered(
            f"no agent of cluster {cluster} answers, and none has ever stated anything on this "
            f"bus: is this the bus of {cluster}, and does 'heliograph peerer --backend wireguard' "
            f"run on its nodes? Where Kilo makes the tunnels, see 'kubectl get peers'"
        )
    return 0


def select(cluster: ClusterId, told: Told, which: str | None) -> Report:
    """Return what is to be shown: all, or what concerns one node or one exporting cluster.

    Raises:
        InputError: Nothing is called so.
    """
    found = told.tunnels if which is None else dict(_concerned(told.tunnels, which))
    missing = told.missing if which is None or which not in told.tunnels else ()
    if which is not None and not found and not missing:
        raise InputError(
            f"{which!r} is neither a node of cluster {cluster} with an agent, nor a cluster or a "
            f"node to which one has a tunnel; 'heliograph peers' shows all"
        )
    nodes = tuple(NodeTunnels(node=node, tunnels=tunnels) for node, tunnels in found.items())
    return Report(cluster=cluster, nodes=nodes, missing=missing)


def _concerned(
    tunnels: Mapping[str, tuple[Tunnel, ...]], which: str
) -> Iterable[tuple[str, tuple[Tunnel, ...]]]:
    for node, found in tunnels.items():
        if node == which:
            yield node, found
        elif matching := tuple(t for t in found if which in {t.exporting, t.peer}):
            yield node, matching


def table(nodes: Sequence[NodeTunnels]) -> str:
    """Return a table of all tunnels."""
    rows = (_row(one.node, tunnel) for one in nodes for tunnel in one.tunnels)
    return in_columns([_HEADER, *rows])


def _row(node: str, tunnel: Tunnel) -> tuple[str, ...]:
    ranges = [cidr for cidr in tunnel.ranges if cidr not in tunnel.claims]
    return (
        node,
        tunnel.exporting,
        tunnel.peer,
        tunnel.state,
        f"{tunnel.endpoint or _NONE}{' (roams)' if tunnel.roams else ''}",
        _NONE if tunnel.handshake_age_s is None else f"{ago(tunnel.handshake_age_s)} ago",
        size(tunnel.received_bytes),
        size(tunnel.sent_bytes),
        ",".join(ranges) or _NONE,
        ",".join(tunnel.claims) or _NONE,
    )


def ago(seconds: float) -> str:
    """Return a duration as kubectl writes ages: "12s", "3m5s", "2h10m", "4d3h"."""
    whole = int(seconds)
    if whole < _MINUTE:
        return f"{whole}s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}m{whole % _MINUTE}s"
    if whole < _DAY:
        return f"{whole // _HOUR}h{whole % _HOUR // _MINUTE}m"
    return f"{whole // _DAY}d{whole % _DAY // _HOUR}h"


def size(count: int) -> str:
    """Return a number of bytes as wg(8) writes it: "148 B", "1.21 MiB"."""
    amount, unit = float(count), 0
    while amount >= _STEP and unit < len(_UNITS) - 1:
        amount, unit = amount / _STEP, unit + 1
    return f"{amount:.2f} {_UNITS[unit]}" if unit else f"{count} B"


def _printed(report: Report, output: Output) -> str:
    if output == "json":
        return msgspec.json.format(msgspec.json.encode(report)).decode() + "\n"
    return yaml.safe_dump(msgspec.to_builtins(report), sort_keys=False, allow_unicode=True)


def _missing(cluster: ClusterId, nodes: Sequence[str], within_s: float) -> str:
    names = ", ".join(nodes)
    one = len(nodes) == 1
    return (
        f"the agent{'' if one else 's'} of node{'' if one else 's'} {names} of cluster {cluster} "
        f"did not answer within {within_s:g} s; {'it' if one else 'they'} stated something before. "
        f"Look whether {'it runs' if one else 'they run'}; tunnels go on without"
    )
