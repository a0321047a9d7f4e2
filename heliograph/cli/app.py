"""The commands, each a thin layer over one function of the programs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter

import heliograph
from heliograph import logs, program
from heliograph.cli.adopting import adopt
from heliograph.cli.asked import AskSettings
from heliograph.cli.benchmarks import bench
from heliograph.cli.check import check
from heliograph.cli.completing import completion
from heliograph.cli.deciding import confirm, forget, leave
from heliograph.cli.events import events
from heliograph.cli.examples import show_examples
from heliograph.cli.explain import explain
from heliograph.cli.flags import with_flags
from heliograph.cli.loading import load
from heliograph.cli.options import OneKubeconfig, in_cluster
from heliograph.cli.plan import plan
from heliograph.cli.rotating import rotate_keys
from heliograph.cli.status import status
from heliograph.cli.trace import trace
from heliograph.contract.messages import EndpointsMode
from heliograph.errors import HeliographError, InputError
from heliograph.run.settings import BusSettings, ProgramSettings
from services.peerer.settings import PeererSettings
from services.peerer.wireguard.settings import AgentSettings
from services.reflector.settings import ReflectorSettings
from services.watcher.settings import WatcherSettings

app = App(
    name="heliograph",
    default_parameter=Parameter(negative_iterable=()),
    version=heliograph.__version__,
    help="Independent Kubernetes clusters use each other's Services as if they were their own.",
)

_HELP = frozenset({"--help", "-h"})

Once = Annotated[bool, Parameter(help="Stop when everything is as it should be.", negative="")]
DryRun = Annotated[
    bool, Parameter(help="Print what would be done, do nothing, and stop.", negative="")
]
ServiceArgument = Annotated[str, Parameter(help="The Service, as NAMESPACE/NAME.")]


def main() -> None:
    """Run the command line; end the process with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command; return the exit code."""
    logs.configure()
    if not arguments or not _HELP.isdisjoint(arguments):
        show_examples(app)
    try:
        outcome = app(
            arguments, exit_on_error=False, print_error=False, result_action="return_value"
        )
    except CycloptsError as error:
        message = " ".join(str(error).split())
        return program.explain(InputError(f"{message} See 'heliograph --help'."))
    except HeliographError as error:
        return program.explain(error)
    return outcome if isinstance(outcome, int) else 0


@app.command(name="watcher")
@with_flags(WatcherSettings, ProgramSettings)
def watcher(*, once: Once = False, dry_run: DryRun = False, **flags: Any) -> int:  # noqa: ANN401 - see with_flags
    """Publish what one cluster offers: its nodes, and the Services labelled for export.

    Example:
        heliograph watcher --cluster east --kubeconfig ~/.kube/east --nats nats://10.0.0.5:4222
    """
    from heliograph.run import programs  # noqa: PLC0415 - keeps `--help` quick

    own = load(WatcherSettings, flags)
    common = load(ProgramSettings, flags)
    logs.configure(common.log_level, human=dry_run or None)
    if dry_run:
        return program.run(programs.preview_watcher(common, own))
    return program.run(programs.run_watcher(common, own, once=once))


@app.command(name="reflector")
@with_flags(ReflectorSettings, ProgramSettings)
def reflector(*, once: Once = False, dry_run: DryRun = False, **flags: Any) -> int:  # noqa: ANN401 - see with_flags
    """Keep the mirrors of one cluster: Services and EndpointSlices that point at the others.

    Example:
        heliograph reflector --cluster west --kubeconfig ~/.kube/west --nats nats://10.0.0.5:4222
    """
    from heliograph.run import programs  # noqa: PLC0415 - keeps `--help` quick

    own = load(ReflectorSettings, flags)
    common = load(ProgramSettings, flags)
    logs.configure(common.log_level, human=dry_run or None)
    if dry_run:
        return program.run(programs.preview_reflector(common, own))
    return program.run(programs.run_reflector(common, own, once=once))


@app.command(name="peerer")
@with_flags(PeererSettings, AgentSettings, ProgramSettings)
def peerer(
    *,
    once: Once = False,
    dry_run: DryRun = False,
    remove: Annotated[
        bool,
        Parameter(help="Take all away that a WireGuard agent made on this node.", negative=""),
    ] = False,
    **flags: Any,  # noqa: ANN401 - see with_flags
) -> int:
    """Keep the peers of one cluster: the nodes of the others, with all that they route.

    As Kilo's Peer objects; or, with --backend wireguard, as WireGuard's own on the node where this
    runs. There, tunnels go on without it, and --remove ends them.

    Example:
        heliograph peerer --cluster west --kubeconfig ~/.kube/west --nats nats://10.0.0.5:4222
        heliograph peerer --backend wireguard --cluster west --node w1 --nats nats://10.0.0.5:4222
    """
    from heliograph.run import agents, programs  # noqa: PLC0415 - keeps `--help` quick

    own = load(PeererSettings, flags)
    agent = load(AgentSettings, flags)
    common = load(ProgramSettings, flags)
    logs.configure(common.log_level, human=dry_run or None)
    if own.backend == "wireguard":
        mode = agents.Mode(once=once, dry_run=dry_run, remove=remove)
        return program.run(agents.run(common, own, agent, mode))
    if remove:
        raise InputError("--remove is for --backend wireguard; for Kilo's Peers see 'leave'")
    if dry_run:
        return program.run(programs.preview_peerer(common, own))
    return program.run(programs.run_peerer(common, own, once=once))


@app.command(name="peers")
@with_flags(AskSettings, BusSettings)
def peers(
    which: Annotated[
        str | None, Parameter(help="Only what concerns this node, or this exporting cluster.")
    ] = None,
    /,
    *,
    output: Annotated[
        Literal["json", "yaml"] | None,
        Parameter(name=("--output", "-o"), help="For programs, instead of a table."),
    ] = None,
    json: Annotated[bool, Parameter(help="The same as --output json.", negative="")] = False,
    **flags: Any,  # noqa: ANN401 - see with_flags
) -> int:
    """Show the tunnels of a cluster's nodes, as their WireGuard agents see them.

    Asked over the cluster's bus, so it works wherever that is reached, such as in the watcher's
    pod. Ends with exit code 1 if an agent does not answer, and names it.

    Example:
        heliograph peers --cluster west --nats nats://10.0.0.5:4222
        kubectl -n heliograph exec deployment/watcher -- heliograph peers east
    """
    from heliograph.cli import peers_shown  # noqa: PLC0415 - keeps `--help` quick

    asked, common = load(AskSettings, flags), load(BusSettings, flags)
    logs.configure("error", human=True)
    return program.run(peers_shown.peers(common, asked, which, "json" if json else output))


@app.command(name="streams")
@with_flags(ProgramSettings)
def streams(
    *,
    cluster: Annotated[list[str], Parameter(help="Id of a cluster; once for each.")],
    replicas: Annotated[int, Parameter(help="How many servers keep each stream.")] = 1,
    once: Annotated[bool, Parameter(help="Create them and stop.", negative="")] = False,
    **flags: Any,  # noqa: ANN401 - see with_flags
) -> int:
    """Keep the clusters' streams on a bus that they share, with an administrator's credentials.

    The watchers then run with --no-create-stream: a member that may create streams could catch
    the messages of others.

    Example:
        heliograph streams --nats nats://hub:4222 --cluster east --cluster west
    """
    from heliograph.run import programs  # noqa: PLC0415 - keeps `--help` quick

    common = load(ProgramSettings, flags)
    logs.configure(common.log_level)
    return program.run(programs.run_streams(common, cluster, replicas=replicas, once=once))


@app.command(name="up")
def up(
    *,
    cluster: Annotated[
        list[str], Parameter(help="ID=KUBECONFIG or ID=KUBECONFIG@CONTEXT; once for each cluster.")
    ],
    nats: Annotated[
        list[str] | None,
        Parameter(help="URL of a bus, or ID=URL for each cluster's own; without it one is run."),
    ] = None,
    create_namespaces: Annotated[
        bool, Parameter(help="Create the namespaces that mirrors need.", negative="")
    ] = False,
    log_level: Annotated[logs.Level, Parameter(help="Least level of log lines.")] = "info",
) -> int:
    """Join clusters: run all programs of all of them in this process, until Ctrl-C.

    Example:
        heliograph up --cluster east=~/.kube/config@east --cluster west=~/.kube/config@west
    """
    from heliograph.cli import joining  # noqa: PLC0415 - keeps `--help` quick

    logs.configure(log_level)
    return program.run(joining.join(cluster, nats or [], create_namespaces=create_namespaces))


@app.command(name="export")
def export(
    service: ServiceArgument,
    /,
    *,
    endpoints: Annotated[
        EndpointsMode | None, Parameter(help="What mirrors point at: the cluster IP, or the pods.")
    ] = None,
    kubeconfig: OneKubeconfig = None,
) -> int:
    """Let a Service be mirrored in the other clusters.

    Example:
        heliograph export default/important-service --kubeconfig ~/.kube/config@east
    """
    from heliograph.cli import services  # noqa: PLC0415 - keeps `--help` quick

    name = services.ServiceName.parse(service)
    return in_cluster(kubeconfig, lambda client: services.export(client, name, endpoints))


@app.command(name="unexport")
def unexport(service: ServiceArgument, /, *, kubeconfig: OneKubeconfig = None) -> int:
    """Stop a Service from being mirrored; its mirrors go.

    Example:
        heliograph unexport default/important-service --kubeconfig ~/.kube/config@east
    """
    from heliograph.cli import services  # noqa: PLC0415 - keeps `--help` quick

    name = services.ServiceName.parse(service)
    return in_cluster(kubeconfig, lambda client: services.unexport(client, name))


@app.command(name="demo")
def demo(
    *,
    real: Annotated[
        bool, Parameter(help="On real control planes; the first time, builds them.", negative="")
    ] = False,
    network: Annotated[
        bool,
        Parameter(
            help="With --real: two clusters with nodes, pods and our own tunnels between them, in "
            "a network of their own; needs root on Linux.",
            negative="",
        ),
    ] = False,
    json: Annotated[
        bool, Parameter(help="Print one JSON object instead of sentences.", negative="")
    ] = False,
) -> int:
    """Show the main job and peering on three small clusters of its own, in seconds.

    Example:
        heliograph demo --json
    """
    if network:
        from heliograph.cli import demo_network  # noqa: PLC0415 - keeps `--help` quick

        return program.run(demo_network.demo(real=real, as_json=json))
    from heliograph.cli import demo as demo_command  # noqa: PLC0415 - keeps `--help` quick

    return program.run(demo_command.demo(real=real, as_json=json))


for command in (adopt, leave, forget, confirm, rotate_keys, events, status, trace):
    app.command(command)
app.command(bench)
app.command(plan)
app.command(check)
app.command(completion)
app.command(explain)
lab = App(name="lab", help="Clusters to try things on.")
app.command(lab)


@lab.command(name="up")
def lab_up(
    *,
    clusters: Annotated[int, Parameter(help="How many.")] = 2,
    kubeconfig: Annotated[Path, Parameter(help="File to write, with a context for each.")],
    real: Annotated[
        bool, Parameter(help="Real control planes; the first time, builds them.", negative="")
    ] = False,
    kilo: Annotated[
        bool, Parameter(help="Nodes that look as if Kilo ran on them; it does not.", negative="")
    ] = False,
    nodes: Annotated[int, Parameter(help="How many nodes each has, with --kilo.")] = 2,
) -> int:
    """Run clusters until Ctrl-C; then they are gone, with all that they hold.

    Example:
        heliograph lab up --clusters 2 --kubeconfig lab.kubeconfig --kilo
    """
    from heliograph.cli import lab as lab_command  # noqa: PLC0415 - keeps `--help` quick

    logs.configure("warning", human=True)
    given = nodes if kilo else None
    return program.run(lab_command.up(clusters, kubeconfig, real=real, nodes=given))
