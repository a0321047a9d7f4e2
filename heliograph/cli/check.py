"""`heliograph check`: is a set of clusters fit to be joined?"""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from heliograph import logs, program
from heliograph.cli.options import Json


def check(
    *,
    cluster: Annotated[
        list[str], Parameter(help="ID=KUBECONFIG or ID=KUBECONFIG@CONTEXT; once for each cluster.")
    ],
    nats: Annotated[
        list[str] | None,
        Parameter(help="URL of a bus, or ID=URL for each cluster's own, to look at too."),
    ] = None,
    json: Json = False,
) -> int:
    """Look at clusters before they are joined: access, ranges, Kilo, clocks; nothing is written.

    One line for each finding, the worst first, each with what to do. Ends with exit code 1 if there
    is a problem; warnings alone are none.

    Example:
        heliograph check --cluster east=~/.kube/config@east --cluster west=~/.kube/config@west
    """
    from heliograph.cli import checking  # noqa: PLC0415 - keeps `--help` quick

    logs.configure("error", human=True)
    return program.run(checking.check(cluster, nats or [], as_json=json))
