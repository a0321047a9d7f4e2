"""`heliograph plan`: what the programs would do, without a bus, and without doing it."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from heliograph import logs, program
from heliograph.cli.options import Json

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
ExitCode = Annotated[
    bool, Parameter(help="End with exit code 1 when there is anything to do.", negative="")
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
    json: Json = False,
) -> int:
    """Show what the reflector of a cluster would create, change and remove, as a diff.

    As if the clusters of --from exported to that of --to, and no others: mirrors that point at
    other clusters are left out.

    Example:
        heliograph plan mirrors --from east=~/.kube/config@east --to west=~/.kube/config@west
    """
    from heliograph.cli import planned  # noqa: PLC0415 - keeps `--help` quick

    logs.configure("error", human=True)
    clusters = planned.between(exporting, importing)
    showing = planned.Showing(json=json, exit_code=exit_code)
    return program.run(planned.mirrors(clusters, showing, create_namespaces=create_namespaces))
