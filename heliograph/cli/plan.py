"""`heliograph plan`: what the programs would do, without a bus, and without doing it."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import App, Parameter

from heliograph import logs, program
from heliograph.errors import InputError

plan = App(
    name="plan", help="Show what would be done between clusters, without a bus; nothing is written."
)

From = Annotated[
    list[str],
    Parameter(
        name="--from",
        help="ID=KUBECONFIG or ID=KUBECONFIG@CONTEXT of an exporting cluster; once for each.",
    ),
]
To = Annotated[
    str,
    Parameter(name="--to", help="ID=KUBECONFIG or ID=KUBECONFIG@CONTEXT of the importing cluster."),
]
ToUnlessKgctl = Annotated[
    str | None,
    Parameter(
        name="--to",
        help="ID=KUBECONFIG or ID=KUBECONFIG@CONTEXT of the importing cluster; "
        "not needed with --as-kgctl.",
    ),
]
ExitCode = Annotated[
    bool,
    Parameter(
        help="End with exit code 1 when there is anything to do, or a cluster is refused.",
        negative="",
    ),
]
AsList = Annotated[
    bool, Parameter(help="Print a JSON list, one object for each change.", negative="")
]


@plan.command(name="mirrors")
def mirrors(
    *,
    exporting: From,
    importing: To,
    create_namespaces: Annotated[
        bool, Parameter(help="As if the reflector created namespaces.", negative="")
    ] = False,
    exit_code: ExitCode = False,
    json: AsList = False,
) -> int:
    """Show what the reflector of a cluster would create, change and remove, as a diff.

    As if the clusters of --from exported to that of --to, and no others: mirrors that point at
    other clusters are left out. Ranges are compared first; of a cluster whose ranges overlap
    nothing new is taken, and what stands turns not ready.

    Example:
        heliograph plan mirrors --from east=~/.kube/config@east --to west=~/.kube/config@west
    """
    from heliograph.cli import planned  # noqa: PLC0415 - keeps `--help` quick

    logs.configure("error", human=True)
    clusters = planned.between(exporting, importing)
    showing = planned.Showing(json=json, exit_code=exit_code)
    return program.run(planned.mirrors(clusters, showing, create_namespaces=create_namespaces))


@plan.command(name="peers")
def peers(  # noqa: PLR0913 - each is a flag
    *,
    exporting: From,
    importing: ToUnlessKgctl = None,
    node: Annotated[
        list[str] | None, Parameter(help="Only the Peer that this node is in; once for each.")
    ] = None,
    allowed_ips: Annotated[
        list[str] | None,
        Parameter(help="A range more, beside the service CIDRs; separated by commas, or again."),
    ] = None,
    output: Annotated[
        Literal["yaml", "json", "wireguard"] | None,
        Parameter(name=("--output", "-o"), help="Print whole Peers, not what changes."),
    ] = None,
    as_kgctl: Annotated[
        bool,
        Parameter(
            help="Print what 'kgctl showconf node --as-peer' prints, to compare.", negative=""
        ),
    ] = False,
    mesh_granularity: Annotated[
        Literal["auto", "location", "full"],
        Parameter(help="With --as-kgctl: instead of what the nodes say."),
    ] = "auto",
    exit_code: ExitCode = False,
    json: AsList = False,
) -> int:
    """Show which Peers the peerer of a cluster would create, change and remove, as a diff.

    As if the clusters of --from were peered with that of --to, and no others. Ranges are compared
    first; a cluster whose ranges overlap is refused.

    Example:
        heliograph plan peers --from east=~/.kube/config@east --to west=~/.kube/config@west
        heliograph plan peers --from east=~/.kube/config@east --as-kgctl --node n1 -o yaml
    """
    from heliograph.cli import planned_peers  # noqa: PLC0415 - keeps `--help` quick

    logs.configure("error", human=True)
    if json and (output or as_kgctl):
        raise InputError("--json shows what changes, --output and --as-kgctl whole Peers: give one")
    asked = planned_peers.Asked(
        exporting=tuple(exporting),
        importing=importing,
        nodes=tuple(node or ()),
        extras=planned_peers.extras_of(allowed_ips or ()),
        output=output,
        json=json,
    )
    if as_kgctl:
        granularity = "" if mesh_granularity == "auto" else mesh_granularity
        return program.run(planned_peers.as_kgctl(asked, granularity))
    return program.run(planned_peers.peers(asked, exit_code=exit_code))
