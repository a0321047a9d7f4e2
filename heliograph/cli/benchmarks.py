"""The commands of `heliograph bench`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from heliograph import logs, program
from heliograph.cli.options import Json

bench = App(name="bench", help="Figures, each beside the floor measured in the same run.")


@bench.command(name="propagation")
def bench_propagation(
    *, samples: Annotated[int, Parameter(help="Services on either side.")] = 200, json: Json = False
) -> int:
    """Measure how long one change needs between idle clusters.

    Example:
        heliograph bench propagation --json
    """
    from heliograph.bench.propagation import propagation  # noqa: PLC0415 - keeps `--help` quick

    return _bench(lambda progress: propagation(samples, progress), as_json=json)


@bench.command(name="tracing")
def bench_tracing(
    *,
    samples: Annotated[int, Parameter(help="Changes on each side in each round.")] = 40,
    rounds: Annotated[int, Parameter(help="How often each side has its turn.")] = 9,
    json: Json = False,
) -> int:
    """Measure what traces cost a change: none, one in a hundred, all, by turns.

    Example:
        heliograph bench tracing --json
    """
    from heliograph.bench.tracing import tracing  # noqa: PLC0415 - keeps `--help` quick

    return _bench(lambda progress: tracing(samples, rounds, progress), as_json=json)


@bench.command(name="burst")
def bench_burst(
    *,
    services: Annotated[int, Parameter(help="Exported at once.")] = 1000,
    rounds: Annotated[int, Parameter(help="How often on either side.")] = 3,
    json: Json = False,
) -> int:
    """Measure how long many Services need that are exported at once.

    Example:
        heliograph bench burst --services 1000
    """
    from heliograph.bench.burst import burst  # noqa: PLC0415 - keeps `--help` quick

    return _bench(lambda progress: burst(services, rounds, progress), as_json=json)


@bench.command(name="restart")
def bench_restart(
    *, services: Annotated[int, Parameter(help="Mirrors in place.")] = 1000, json: Json = False
) -> int:
    """Measure a restart over mirrors that are as they should be; nothing may be written.

    Example:
        heliograph bench restart --services 1000
    """
    from heliograph.bench.restart import restart  # noqa: PLC0415 - keeps `--help` quick

    return _bench(lambda progress: restart(services, progress), as_json=json)


@bench.command(name="memory")
def bench_memory(
    *,
    fewer: Annotated[int, Parameter(help="First count of Services.")] = 1000,
    more: Annotated[int, Parameter(help="Second count of Services.")] = 10_000,
    json: Json = False,
) -> int:
    """Measure the memory of each program, by exported Service, on in-memory API servers.

    Example:
        heliograph bench memory --json
    """
    from heliograph.bench.memory import memory  # noqa: PLC0415 - keeps `--help` quick

    return _bench(lambda progress: memory(fewer, more, progress), as_json=json)


@bench.command(name="events")
def bench_events(
    *,
    rate: Annotated[int, Parameter(help="Changes of Services each second.")] = 5000,
    seconds: Annotated[float, Parameter(help="For how long.")] = 30,
    json: Json = False,
) -> int:
    """Measure what `heliograph events --follow` needs while Services change without a pause.

    Example:
        heliograph bench events --rate 5000 --json
    """
    from heliograph.bench.followed import followed  # noqa: PLC0415 - keeps `--help` quick

    return _bench(lambda progress: followed(rate, seconds, progress), as_json=json)


@bench.command(name="peers")
def bench_peers(
    *,
    samples: Annotated[int, Parameter(help="Changes of nodes on either side.")] = 200,
    nodes: Annotated[int, Parameter(help="Nodes, for memory and for heartbeats.")] = 5000,
    json: Json = False,
) -> int:
    """Measure how soon Peers follow nodes; planning, the peerer's memory, the cost of heartbeats.

    Example:
        heliograph bench peers --json
    """
    from heliograph.bench.peers import peers  # noqa: PLC0415 - keeps `--help` quick

    return _bench(lambda progress: peers(samples, nodes, progress), as_json=json)


@bench.command(name="tunnels")
def bench_tunnels(
    *,
    samples: Annotated[int, Parameter(help="Nodes announced, on either side.")] = 50,
    nodes: Annotated[int, Parameter(help="Nodes that get a peer for each of them.")] = 10,
    peers: Annotated[int, Parameter(help="Peers among which one changes.")] = 1000,
    json: Json = False,
) -> int:
    """Measure how soon nodes have tunnels to a new one, and one change among many peers.

    As root: it makes networks of its own.

    Example:
        heliograph bench tunnels --json
    """
    from heliograph.bench.tunnels import tunnels  # noqa: PLC0415 - keeps `--help` quick

    return _bench(lambda progress: tunnels(samples, nodes, peers, progress), as_json=json)


def _bench(measure: Callable[..., Awaitable[msgspec.Struct]], *, as_json: bool) -> int:
    """Run one benchmark."""
    from heliograph.cli import bench as bench_command  # noqa: PLC0415 - keeps `--help` quick

    logs.configure("error", human=True)
    return program.run(bench_command.bench(measure, as_json=as_json))
