"""`heliograph explain`: why is my Service not there? The arguments; `explaining` does it."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from heliograph import logs, program
from heliograph.cli.asked import StatusSettings
from heliograph.cli.flags import with_flags
from heliograph.cli.loading import load
from heliograph.cli.options import Json
from heliograph.run.settings import BusSettings


@with_flags(StatusSettings, BusSettings)
def explain(
    service: Annotated[str, Parameter(help="The Service, as NAMESPACE/NAME.")],
    /,
    *,
    cluster: Annotated[
        list[str] | None,
        Parameter(help="ID=KUBECONFIG or ID=KUBECONFIG@CONTEXT; once for each cluster."),
    ] = None,
    exporting: Annotated[
        list[str] | None,
        Parameter(name="--from", help="Id of an exporting cluster, or ID=KUBECONFIG; or again."),
    ] = None,
    importing: Annotated[
        list[str] | None,
        Parameter(name="--to", help="Id of an importing cluster, or ID=KUBECONFIG; or again."),
    ] = None,
    json: Json = False,
    **flags: Any,  # noqa: ANN401 - see with_flags
) -> int:
    """Tell why a Service of one cluster is not there in another: what is broken, and the cure.

    Follows it from its label over its backends, its message on the bus, its mirror and the slices,
    to the tunnel. Nothing is written. What cannot be looked at is called unknown: a cluster without
    kubeconfig, a bus that is away.

    Ends with exit code 1 if a link is broken.

    Example:
        heliograph explain shop/cart --from east=~/.kube/east --to west=~/.kube/west
        heliograph explain shop/cart --cluster east=~/.kube/config@east \
            --cluster west=~/.kube/config@west --nats nats://10.0.0.5:4222
    """
    from heliograph.cli import explaining  # noqa: PLC0415 - keeps `--help` quick

    where, common = load(StatusSettings, flags), load(BusSettings, flags)
    logs.configure("error", human=True)
    asked = explaining.ask(
        service, clusters=cluster or (), exporting=exporting or (), importing=importing or ()
    )
    return program.run(explaining.explain(explaining.Buses.of(common, where), asked, as_json=json))
