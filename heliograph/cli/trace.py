"""`heliograph trace`: what its arguments mean."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from heliograph import logs, program
from heliograph.cli.asked import ReachSettings
from heliograph.cli.flags import with_flags
from heliograph.cli.loading import load, own_cluster
from heliograph.cli.options import Json
from heliograph.run.settings import BusSettings


@with_flags(ReachSettings, BusSettings)
def trace(
    service: Annotated[str, Parameter(help="The Service, as NAMESPACE/NAME.")],
    /,
    *,
    cluster: Annotated[
        str | None, Parameter(help="The exporting cluster [default: every one on the bus].")
    ] = None,
    wait_s: Annotated[
        float, Parameter(help="How long to wait for a watcher that does not answer, seconds.")
    ] = 5.0,
    json: Json = False,
    **flags: Any,  # noqa: ANN401 - see with_flags
) -> int:
    """Show how the latest changes of a Service travelled, hop by hop, in milliseconds.

    The watcher of the cluster that exports it is asked over the bus; no tracing backend is needed.
    Ends with exit code 1 if it does not answer.

    Example:
        heliograph trace shop/cart --cluster east --nats nats://10.0.0.5:4222
        kubectl -n heliograph exec deployment/watcher -- heliograph trace shop/cart
    """
    from heliograph.cli import services, traced  # noqa: PLC0415 - keeps `--help` quick

    wanted = traced.Wanted(
        service=services.ServiceName.parse(service), cluster=cluster, within_s=wait_s
    )
    common, reach = load(BusSettings, flags), load(ReachSettings, flags)
    logs.configure("error", human=True)
    settings = common.bus("trace", own_cluster(reach) or cluster)
    return program.run(traced.trace(settings, wanted, as_json=json))
