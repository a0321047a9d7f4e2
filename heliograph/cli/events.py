"""`heliograph events`: what its arguments mean."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from heliograph import logs, program
from heliograph.cli.asked import ReachSettings
from heliograph.cli.flags import with_flags
from heliograph.cli.loading import load, own_cluster
from heliograph.run.settings import BusSettings


@with_flags(ReachSettings, BusSettings)
def events(
    *,
    cluster: Annotated[
        list[str] | None,
        Parameter(help="Only of this cluster; once for each [default: all on the bus]."),
    ] = None,
    kind: Annotated[
        list[str] | None,
        Parameter(
            help="Only of this kind: cluster, node, service, endpoints, link, refusal; once for "
            "each [default: all]."
        ),
    ] = None,
    namespace: Annotated[
        list[str] | None,
        Parameter(
            name=("--namespace", "-n"),
            help="Only what is in this namespace; once for each [default: all].",
        ),
    ] = None,
    follow: Annotated[
        bool,
        Parameter(name=("--follow", "-f"), help="Go on with what changes.", negative=""),
    ] = False,
    json: Annotated[
        bool, Parameter(help="Print each event as one JSON object on a line.", negative="")
    ] = False,
    **flags: Any,  # noqa: ANN401 - see with_flags
) -> int:
    """Show mesh events: what clusters announce, export and refuse; and then what changes.

    First comes all there is. What the messages mean is on the contract's page; programs read them
    by `heliograph.subscribe`.

    Example:
        heliograph events --nats nats://10.0.0.5:4222
        heliograph events --follow --kind service --namespace default
        kubectl -n heliograph exec deployment/watcher -- heliograph events --follow --json
    """
    from heliograph.cli import events_shown  # noqa: PLC0415 - keeps `--help` quick

    common, reach = load(BusSettings, flags), load(ReachSettings, flags)
    logs.configure("error", human=True)
    wanted = events_shown.Asked(
        clusters=tuple(cluster or ()),
        kinds=tuple(kind or ()),
        namespaces=tuple(namespace or ()),
        follow=follow,
    )
    settings = common.bus("events", own_cluster(reach))
    return program.run(events_shown.show(settings, wanted, as_json=json))
